//! How many messages a queue has.
//!
//! `RabbitMQ` asks a quorum queue for its numbers, and if it does not answer within 250 ms, says
//! that it has no messages and no consumers. Only the time of the reply tells whether that is true.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use tokio::time::{Instant, timeout};

use super::Broker;
use super::reply::{NOT_FOUND, REPLY_TIMEOUT, has_code, no_reply, queue_error, reply};
use crate::domain::SubQueue;
use crate::queue::QueueError;

/// A reply that takes less, beyond the latency of the connection, is true.
pub(super) const SLOW: Duration = Duration::from_millis(200);
/// How often a busy queue is asked. Each time takes it 250 ms.
const TRIES: u32 = 20;
/// How often the latency is measured; the least counts.
const LATENCIES: u32 = 3;
/// An exchange that every vhost has: asking for it needs no queue.
const ANY_EXCHANGE: &str = "amq.topic";

/// What the broker says of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// Messages that are ready.
    pub(super) messages: u64,
    pub(super) consumers: u32,
    /// How long the reply took.
    pub(super) took: Duration,
}

impl Numbers {
    /// Whether they are the queue's own; `latency` is that of the connection.
    fn are_true(self, latency: Duration) -> bool {
        self.messages > 0 || self.consumers > 0 || self.took < SLOW + latency
    }
}

/// The numbers of a queue; none if it does not exist: then the broker closes the channel.
pub(super) async fn ask(channel: &Channel, queue: &str) -> Result<Option<Numbers>, QueueError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = Instant::now();
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default());
    match timeout(REPLY_TIMEOUT, declared).await.map_err(|_| no_reply())? {
        Ok(found) => Ok(Some(Numbers {
            messages: found.message_count().into(),
            consumers: found.consumer_count(),
            took: asked.elapsed(),
        })),
        Err(error) if has_code(&error, NOT_FOUND) => Ok(None),
        Err(error) => Err(queue_error(&error)),
    }
}

/// The number of messages that are ready in a queue; 0 also if it is busy.
pub(super) async fn count_now(channel: &Channel, queue: &str) -> Result<u64, QueueError> {
    Ok(ask(channel, queue).await?.ok_or_else(|| missing(queue))?.messages)
}

/// The number of messages that are ready in a queue.
///
/// # Errors
/// If the broker cannot be reached, the queue does not exist, or is busy for seconds.
pub(super) async fn count(channel: &Channel, queue: &str) -> Result<u64, QueueError> {
    count_if_exists(channel, queue).await?.ok_or_else(|| missing(queue))
}

/// As [`count`]; none if the queue does not exist: then the broker closes the channel.
async fn count_if_exists(channel: &Channel, queue: &str) -> Result<Option<u64>, QueueError> {
    let mut latency = Duration::ZERO;
    for _ in 0..TRIES {
        let Some(numbers) = ask(channel, queue).await? else { return Ok(None) };
        if !numbers.are_true(latency) {
            latency = self::latency(channel).await?;
        }
        if numbers.are_true(latency) {
            return Ok(Some(numbers.messages));
        }
    }
    Err(QueueError::Unavailable(format!(
        "the queue {queue} is too busy to say how many messages it has: try again"
    )))
}

/// The latency of the connection: of a reply that needs no queue.
async fn latency(channel: &Channel) -> Result<Duration, QueueError> {
    let mut least = REPLY_TIMEOUT;
    for _ in 0..LATENCIES {
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let (name, kind) = (ANY_EXCHANGE.into(), ExchangeKind::Topic);
        let asked = Instant::now();
        reply(channel.exchange_declare(name, kind, options, FieldTable::default())).await?;
        least = least.min(asked.elapsed());
    }
    Ok(least)
}

fn missing(queue: &str) -> QueueError {
    QueueError::Unavailable(format!("the broker has no queue {queue}"))
}

impl Broker {
    /// The number of jobs in `sub_queue`; `None` if it does not exist.
    pub(super) async fn count_sub_queue(
        &self,
        sub_queue: &SubQueue,
    ) -> Result<Option<u64>, QueueError> {
        self.ask_sub_queue(sub_queue, count_if_exists).await
    }

    /// Whether the queue of `sub_queue` exists.
    pub(super) async fn has_sub_queue(&self, sub_queue: &SubQueue) -> Result<bool, QueueError> {
        Ok(self.ask_sub_queue(sub_queue, ask).await?.is_some())
    }

    /// What `ask` learns of the queue of `sub_queue`; `None` if it does not exist.
    async fn ask_sub_queue<T>(
        &self,
        sub_queue: &SubQueue,
        ask: impl AsyncFnOnce(&Channel, &str) -> Result<Option<T>, QueueError>,
    ) -> Result<Option<T>, QueueError> {
        // On its own channel, because the broker closes it if the queue does not exist.
        let channel = self.consumers.channel().await?;
        let found = ask(&channel, &self.topology.sub_queue(sub_queue)).await?;
        if found.is_some() {
            reply(channel.close(200, "done".into())).await?;
        }
        Ok(found)
    }
}
