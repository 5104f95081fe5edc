//! Logs: to standard error, in text or JSON, with identifiers as fields. Never an embedding, image bytes or a signed URL.

pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::settings::{Log, LogFormat};

/// Starts logging as `settings` say; a second call does nothing.
///
/// # Errors
/// If the filter cannot be parsed.
pub fn start(settings: &Log) -> Result<(), ParseError> {
    // lapin logs whole messages that come back to it: names of people and signed URLs.
    let filter = EnvFilter::builder().parse(&settings.level)?.add_directive("lapin::returned_messages=off".parse()?);
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // Only tests start it twice in a process, and the first one's settings do.
    match settings.format {
        LogFormat::Text => subscriber.try_init().ok(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init().ok(),
    };
    Ok(())
}
