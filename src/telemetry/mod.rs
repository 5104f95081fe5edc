//! Logs: to standard error, in text or JSON, with identifiers as fields. Never an embedding, image
//! bytes or a signed URL.

pub mod metrics;
pub mod vitals;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::settings::{Log, LogFormat};

/// Starts logging as `settings` say; a second call does nothing.
///
/// # Errors
/// If the filter cannot be parsed.
pub fn start(settings: &Log) -> Result<(), ParseError> {
    let mut filter = EnvFilter::builder().parse(&settings.level)?;
    // lapin logs whole messages that come back to it, and at the finest level whole frames: names
    // of people, signed URLs, its password.
    for told_all in [
        "lapin::returned_messages=off",
        "lapin::io_loop=off",
        "lapin::channels=off",
        "lapin::frames=off",
    ] {
        filter = filter.add_directive(told_all.parse()?);
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Only tests start it twice in a process, and the first one's settings do.
    match settings.format {
        LogFormat::Text => subscriber.try_init().ok(),
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
            .ok(),
    };
    Ok(())
}
