//! What the broker answers to a request, and what its errors mean for whoever asked.

use std::time::Duration;

use lapin::ErrorKind;
use lapin::protocol::AMQPErrorKind;
use tokio::time::timeout;

use crate::queue::QueueError;

/// Time for the broker to answer a request. One that is starting or going down may take a request
/// and never answer it, over a connection that lives on.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// What `error` on a connection that was up means. Nearly all pass: the next connection is told if
/// it is not welcome.
pub(super) fn explain(error: &lapin::Error) -> QueueError {
    match error.kind() {
        ErrorKind::ProtocolError(amqp) if amqp.get_id() == 403 => QueueError::Unusable(format!(
            "the broker refuses what this user has no permission for: {}",
            amqp.get_message()
        )),
        _ => QueueError::Unavailable(error.to_string()),
    }
}

/// The broker's answer to `request`.
///
/// # Errors
/// What the broker objects to, or [`QueueError::Unavailable`] if it says nothing.
pub(super) async fn answer<T>(
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, QueueError> {
    match timeout(ANSWER, request).await {
        Ok(answer) => answer.map_err(|error| explain(&error)),
        Err(_) => Err(silent()),
    }
}

/// That the broker said nothing within [`ANSWER`].
pub(super) fn silent() -> QueueError {
    QueueError::Unavailable(format!("the broker does not answer within {} s", ANSWER.as_secs()))
}

/// The reply code for a queue that is not there.
pub(super) const NOT_FOUND: u16 = 404;

/// Whether the broker closed the channel with this reply code.
pub(super) fn has_code(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(amqp) if matches!(amqp.kind(), AMQPErrorKind::Soft(_)) && amqp.get_id() == code)
}
