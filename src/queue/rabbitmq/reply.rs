//! Replies of the broker: waiting for them, and what its errors mean.

use std::time::Duration;

use lapin::ErrorKind;
use lapin::protocol::AMQPErrorKind;
use tokio::time::timeout;

use crate::queue::QueueError;

/// The time that the broker has for a reply. A broker that starts or stops may accept a request and
/// never reply, although the connection stays open.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// The reply codes of AMQP 0-9-1 that are handled here.
pub(super) const ACCESS_REFUSED: u16 = 403;
pub(super) const NOT_FOUND: u16 = 404;
pub(super) const PRECONDITION_FAILED: u16 = 406;
pub(super) const NOT_ALLOWED: u16 = 530;

/// Waits for the broker's reply to `request`.
///
/// # Errors
/// The broker's refusal, or [`QueueError::Unavailable`] if there is no reply in time.
pub(super) async fn reply<T>(
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, QueueError> {
    match timeout(REPLY_TIMEOUT, request).await {
        Ok(reply) => reply.map_err(|error| queue_error(&error)),
        Err(_) => Err(no_reply()),
    }
}

/// The error of a request without a reply.
pub(super) fn no_reply() -> QueueError {
    QueueError::Unavailable(format!(
        "the broker does not reply within {} s",
        REPLY_TIMEOUT.as_secs()
    ))
}

/// What `error` on an open connection means. Nearly all are transient: if the broker refuses the
/// user, the next connection reports it.
pub(super) fn queue_error(error: &lapin::Error) -> QueueError {
    match error.kind() {
        ErrorKind::ProtocolError(amqp) if amqp.get_id() == ACCESS_REFUSED => QueueError::Unusable(
            format!("permission refused by the broker: {}", amqp.get_message()),
        ),
        _ => QueueError::Unavailable(error.to_string()),
    }
}

/// Whether the broker closed the channel with this reply code.
pub(super) fn has_code(error: &lapin::Error, code: u16) -> bool {
    let ErrorKind::ProtocolError(amqp) = error.kind() else { return false };
    matches!(amqp.kind(), AMQPErrorKind::Soft(_)) && amqp.get_id() == code
}
