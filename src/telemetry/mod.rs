//! Logs, metrics and vital signs. Logs go to standard error, as text or JSON, with identifiers as
//! fields. They never hold an embedding, image bytes or a signed URL.

pub mod metrics;
pub mod vitals;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::settings::{LogFormat, LogSection};

/// Starts logging with `settings`. A second call does nothing.
///
/// # Errors
/// If the filter cannot be parsed.
pub fn start(settings: &LogSection) -> Result<(), ParseError> {
    let mut filter = EnvFilter::builder().parse(&settings.level)?;
    // lapin logs returned messages, and at trace level whole frames. They may hold names of people,
    // signed URLs and the password of the broker. What the pool of database connections logs,
    // its callers report as errors.
    for off in [
        "lapin::returned_messages=off",
        "lapin::io_loop=off",
        "lapin::channels=off",
        "lapin::frames=off",
        "sqlx::pool=off",
        "sqlx_core::pool=off",
    ] {
        filter = filter.add_directive(off.parse()?);
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Only tests call this twice in a process, with settings that need not take effect.
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
