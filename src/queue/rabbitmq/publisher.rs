//! Publishing with publisher confirms: a publish returns only after the broker confirmed every
//! message.
//!
//! Each batch has its own channel until it is confirmed. lapin attaches a returned message to the
//! next confirm, whichever that is, so only the batch as a whole can be evaluated: when every
//! confirm has arrived, so has every return, identified by its message's id. Messages that were
//! refused, returned, or not confirmed before the connection was lost are published again; the
//! broker may then have them twice.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{BrokerConnection, reconnect_backoff};
use super::message::Outgoing;
use super::reply::queue_error;
use crate::queue::QueueError;
use crate::telemetry::vitals::Waits;

/// Unconfirmed messages on one channel, at most.
const WINDOW: usize = 4096;
/// Messages passed to lapin at a time.
const SENDING: usize = 256;
/// Idle channels that are kept, at most.
const MOST_IDLE: usize = 8;
/// The time between checks of whether the broker blocks publishers.
const SILENCE: Duration = Duration::from_secs(10);
/// After this time without a reply, the channel is given up. It is longer than the heartbeat takes
/// to detect a lost connection.
const MOST_SILENCE: Duration = Duration::from_secs(60);

/// How long a publish retries by default. Shorter than the broker's `consumer_timeout` of 30
/// minutes, after which it requeues unsettled deliveries.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// After this time without a confirm, health reports it.
const OVERDUE: Duration = Duration::from_secs(5);

/// Publishes over one connection.
pub(super) struct Publisher {
    connection: BrokerConnection,
    idle: Mutex<Vec<Channel>>,
    /// Publishes that are not confirmed yet.
    waits: Waits,
    /// Whether this user was allowed to publish before: then a refusal means that the permission
    /// was revoked, and it may be granted again.
    allowed: AtomicBool,
}

/// The result of sending a batch on one channel.
struct Sent {
    /// The messages that are not confirmed, in order.
    left: Vec<Outgoing>,
    /// Why they are not.
    failure: Option<PublishFailure>,
}

enum PublishFailure {
    /// A full queue refused messages.
    Refused,
    /// A queue is missing.
    Unroutable,
    /// The channel is lost.
    Lost(QueueError),
}

impl Publisher {
    pub(super) fn new(connection: BrokerConnection) -> Self {
        Self {
            connection,
            idle: Mutex::default(),
            waits: Waits::default(),
            allowed: AtomicBool::new(false),
        }
    }

    /// The connection.
    pub(super) fn connection(&self) -> &BrokerConnection {
        &self.connection
    }

    /// Why publishes wait for their confirms; `None` unless one waits for long.
    pub(super) fn trouble(&self) -> Option<String> {
        self.waits.longer_than(OVERDUE).pop()
    }

    /// Records that this user may publish.
    pub(super) fn note_allowed(&self) {
        self.allowed.store(true, Ordering::Relaxed);
    }

    /// Publishes `messages` in order and returns once all are confirmed. Retries for `patience`, or
    /// until `closed` is cancelled. Waits without limit for a permission that was revoked: giving
    /// up would cost the jobs an attempt.
    ///
    /// # Errors
    /// If not all messages are confirmed.
    pub(super) async fn publish(
        &self,
        messages: Vec<Outgoing>,
        patience: Duration,
        closed: Option<&CancellationToken>,
    ) -> Result<(), QueueError> {
        let publish = self.publish_until(messages, Instant::now() + patience);
        let Some(closed) = closed else { return publish.await };
        tokio::select! {
            biased;
            () = closed.cancelled() => Err(QueueError::Closed),
            published = publish => published,
        }
    }

    async fn publish_until(
        &self,
        messages: Vec<Outgoing>,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let mut messages = messages.into_iter();
        loop {
            let mut left: Vec<Outgoing> = messages.by_ref().take(WINDOW).collect();
            if left.is_empty() {
                return Ok(());
            }
            let mut waiting = self.waits.begin("broker");
            let mut backoff = reconnect_backoff();
            loop {
                let before = left.len();
                let sent = self.send(left).await;
                left = sent.left;
                let Some(failure) = sent.failure else {
                    self.note_allowed();
                    waiting.done();
                    break;
                };
                if left.len() < before {
                    backoff = reconnect_backoff();
                }
                let error = self.handle(failure, &left).await?;
                let wait = backoff.next().unwrap_or_default();
                if Instant::now() + wait >= deadline && !matches!(error, QueueError::Unusable(_)) {
                    return Err(error);
                }
                if waiting.because(error.to_string()) {
                    tracing::warn!(messages = left.len(), %error, "messages are not \
                        confirmed; publishing them again");
                }
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Declares missing queues, including the sub-queues of `left`.
    async fn declare_missing(&self, left: &[Outgoing]) -> Result<(), QueueError> {
        self.connection.declare_missing().await?;
        let sub_queues: BTreeSet<String> =
            left.iter().filter_map(|message| message.sub_queue.clone()).collect();
        if sub_queues.is_empty() {
            return Ok(());
        }
        self.connection.declare_sub_queues(&sub_queues).await
    }

    /// Prepares for publishing `left` again, and returns the error to report if there is no time
    /// for that. `Err` if publishing again is useless.
    async fn handle(
        &self,
        failure: PublishFailure,
        left: &[Outgoing],
    ) -> Result<QueueError, QueueError> {
        let messages = left.len();
        let error = match failure {
            PublishFailure::Lost(error) => error,
            PublishFailure::Refused => QueueError::Unavailable(format!(
                "a full queue on the broker refused {messages} messages"
            )),
            // A queue was deleted under a running fleet. If this user may not declare it, waiting
            // does not help.
            PublishFailure::Unroutable => match self.declare_missing(left).await {
                Err(error @ QueueError::Unusable(_)) => return Err(error),
                Ok(()) => QueueError::Unavailable(format!(
                    "{messages} messages had no queue; it was declared again"
                )),
                Err(error) => error,
            },
        };
        match error {
            QueueError::Unusable(_) if !self.allowed.load(Ordering::Relaxed) => Err(error),
            error => Ok(error),
        }
    }

    /// Publishes `batch` on one channel and waits for every confirm.
    async fn send(&self, batch: Vec<Outgoing>) -> Sent {
        let channel = match self.channel().await {
            Ok(channel) => channel,
            Err(error) => return Sent { left: batch, failure: Some(PublishFailure::Lost(error)) },
        };
        let publish = |message: &Outgoing| {
            let (exchange, key) = (message.exchange.as_str().into(), message.key.as_str().into());
            let options = BasicPublishOptions {
                mandatory: message.mandatory,
                ..BasicPublishOptions::default()
            };
            let (channel, properties, body) =
                (channel.clone(), message.properties.clone(), message.body.clone());
            async move { channel.basic_publish(exchange, key, options, &body, properties).await }
        };
        let mut sending = stream::iter(batch.iter().map(publish)).buffered(SENDING);
        let (mut confirms, mut lost) = (Vec::with_capacity(batch.len()), None);
        while let Some(sent) = self.within_silence(sending.next()).await.transpose() {
            match sent.and_then(|confirm| confirm.map_err(|error| queue_error(&error))) {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => {
                    lost = Some(error);
                    break;
                }
            }
        }
        drop(sending);
        let confirms = self.collect(confirms, lost).await;
        if confirms.lost.is_none() {
            self.give_back(channel);
        }
        let returned = |message: &Outgoing| {
            message
                .properties
                .message_id()
                .as_ref()
                .is_some_and(|id| confirms.returned.contains(id.as_str()))
        };
        let mut confirmed = confirms.confirmed.iter().copied().chain(std::iter::repeat(false));
        let left: Vec<Outgoing> = batch
            .into_iter()
            .filter(|message| !confirmed.next().unwrap_or(false) || returned(message))
            .collect();
        let failure = match confirms.lost {
            _ if left.is_empty() => None,
            Some(error) => Some(PublishFailure::Lost(error)),
            None if !confirms.returned.is_empty() => Some(PublishFailure::Unroutable),
            None => Some(PublishFailure::Refused),
        };
        Sent { left, failure }
    }

    async fn collect(
        &self,
        confirms: Vec<PublisherConfirm>,
        mut lost: Option<QueueError>,
    ) -> BatchConfirms {
        let mut batch = BatchConfirms {
            confirmed: Vec::with_capacity(confirms.len()),
            returned: HashSet::new(),
            lost: None,
        };
        for confirm in confirms {
            let answer = match &lost {
                None => self
                    .within_silence(confirm)
                    .await
                    .and_then(|answer| answer.map_err(|error| queue_error(&error))),
                // A confirm from before the connection was lost is available at once, or never.
                Some(error) => match timeout(Duration::ZERO, confirm).await {
                    Ok(Ok(answer)) => Ok(answer),
                    // lapin reports the reason of the loss only to what waited at that time.
                    Ok(Err(reason)) => Err(queue_error(&reason)),
                    Err(_) => Err(QueueError::Unavailable(error.to_string())),
                },
            };
            batch.confirmed.push(matches!(answer, Ok(Confirmation::Ack(_))));
            match answer {
                Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) => {
                    batch.returned.extend(
                        message.properties.message_id().as_ref().map(|id| id.as_str().to_owned()),
                    );
                }
                Ok(_) => {}
                Err(error @ QueueError::Unusable(_)) => lost = Some(error),
                Err(error) => lost = lost.or(Some(error)),
            }
        }
        batch.lost = lost;
        batch
    }

    /// The result of `wait`, or an error after too long a silence of the broker. Waits without
    /// limit while the broker blocks publishers because it is short of memory or disk.
    async fn within_silence<T>(&self, wait: impl Future<Output = T>) -> Result<T, QueueError> {
        let mut wait = std::pin::pin!(wait);
        let mut silence = Duration::ZERO;
        loop {
            if let Ok(answer) = timeout(SILENCE, wait.as_mut()).await {
                return Ok(answer);
            }
            if self.connection.is_blocked().await {
                tracing::warn!(
                    "the broker is short of memory or disk and blocks publishers; waiting"
                );
                continue;
            }
            silence += SILENCE;
            if silence >= MOST_SILENCE {
                return Err(QueueError::Unavailable(format!(
                    "the broker confirmed nothing for {} s",
                    silence.as_secs()
                )));
            }
        }
    }

    async fn channel(&self) -> Result<Channel, QueueError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(channel) if channel.status().connected() => return Ok(channel),
                // Its connection is lost.
                Some(_) => {}
                None => return self.connection.confirming_channel().await,
            }
        }
    }

    fn give_back(&self, channel: Channel) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(channel);
        }
    }
}

/// The broker's confirms of a batch.
struct BatchConfirms {
    /// In the order of publishing; shorter than the batch if the channel was lost.
    confirmed: Vec<bool>,
    /// The ids of messages that were not routed to a queue.
    returned: HashSet<String>,
    lost: Option<QueueError>,
}
