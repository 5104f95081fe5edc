//! Publishing: every message is confirmed by the broker before anybody hears that it is safe.
//!
//! A batch has a channel to itself while it is on its way. lapin hands a returned message to
//! whichever confirmation comes next, so only the batch as a whole can be judged: once every
//! confirmation is there, so is every return, each known by its message's id. What was refused,
//! returned or not confirmed before the connection was lost is sent again; the broker may then have
//! it twice.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::explain;
use super::connection::{Backoff, Link};
use super::message::Outgoing;
use crate::queue::QueueError;
use crate::telemetry::vitals::Waits;

/// Messages on their way at once, on one channel.
const WINDOW: usize = 4096;
/// Messages handed to the connection at once.
const IN_HAND: usize = 256;
/// Idle channels kept.
const MOST_IDLE: usize = 8;
/// Without a word from the broker for this long, something is said about it.
const SILENCE: Duration = Duration::from_secs(10);
/// And after this long the channel is given up. Longer than a lost connection goes unnoticed.
const MOST_SILENCE: Duration = Duration::from_secs(60);

/// How long a publisher tries. Shorter than the 30 minutes after which a broker takes back what a
/// consumer holds.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// After this long without a confirm, health tells.
const OVERDUE: Duration = Duration::from_secs(5);

/// Publishes over one connection.
pub(super) struct Publisher {
    link: Link,
    idle: Mutex<Vec<Channel>>,
    /// What was published and is not confirmed.
    waits: Waits,
    /// Whether this user was allowed to publish: then a refusal is a right that was lost, and may
    /// come back.
    allowed: AtomicBool,
}

/// What became of a batch on one channel.
struct Sent {
    /// What is not safe, in order.
    left: Vec<Outgoing>,
    /// Why not.
    trouble: Option<Trouble>,
}

enum Trouble {
    /// The broker has no room for it now.
    Refused,
    /// There is no queue for it.
    Unroutable,
    /// The channel is lost.
    Lost(QueueError),
}

impl Publisher {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            idle: Mutex::default(),
            waits: Waits::default(),
            allowed: AtomicBool::new(false),
        }
    }

    /// The connection.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Why what was published is not confirmed; none while nothing waits for long.
    pub(super) fn trouble(&self) -> Option<String> {
        self.waits.longer_than(OVERDUE).pop()
    }

    /// This user may publish.
    pub(super) fn note_allowed(&self) {
        self.allowed.store(true, Ordering::Relaxed);
    }

    /// Publishes `messages` in order and returns once all are confirmed. Tries for `patience`, or
    /// until `closed` says so. A right that was there and is lost is waited for, however long that
    /// takes: giving up would cost the jobs an attempt.
    ///
    /// # Errors
    /// If not all could be made safe.
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
            let mut backoff = Backoff::new();
            loop {
                let before = left.len();
                let sent = self.send(left).await;
                left = sent.left;
                let Some(trouble) = sent.trouble else {
                    self.note_allowed();
                    waiting.done();
                    break;
                };
                if left.len() < before {
                    backoff = Backoff::new();
                }
                let error = self.judge(trouble, &left).await?;
                let wait = backoff.next();
                if Instant::now() + wait >= deadline && !matches!(error, QueueError::Unusable(_)) {
                    return Err(error);
                }
                if waiting.because(error.to_string()) {
                    tracing::warn!(messages = left.len(), %error, "not everything could be \
                        published; trying again");
                }
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Declares what is missing, the places too at which something of `left` is to wait.
    async fn repair(&self, left: &[Outgoing]) -> Result<(), QueueError> {
        self.link.repair().await?;
        let places: BTreeSet<String> =
            left.iter().filter_map(|message| message.place.clone()).collect();
        if places.is_empty() { Ok(()) } else { self.link.declare_places(&places).await }
    }

    /// What to report if there is no time left to try again. Err if trying again is useless.
    async fn judge(&self, trouble: Trouble, left: &[Outgoing]) -> Result<QueueError, QueueError> {
        let messages = left.len();
        let error = match trouble {
            Trouble::Lost(error) => error,
            Trouble::Refused => QueueError::Unavailable(format!(
                "the broker takes no more: {messages} messages refused by a queue at its bound"
            )),
            // Somebody deleted a queue under a running fleet.
            // A queue that may not be declared is no right that comes back.
            Trouble::Unroutable => match self.repair(left).await {
                Err(error @ QueueError::Unusable(_)) => return Err(error),
                Ok(()) => QueueError::Unavailable(format!(
                    "{messages} messages found no queue; it was declared again"
                )),
                Err(error) => error,
            },
        };
        match error {
            QueueError::Unusable(_) if !self.allowed.load(Ordering::Relaxed) => Err(error),
            error => Ok(error),
        }
    }

    /// Sends `batch` on one channel and waits for every answer.
    async fn send(&self, batch: Vec<Outgoing>) -> Sent {
        let channel = match self.channel().await {
            Ok(channel) => channel,
            Err(error) => return Sent { left: batch, trouble: Some(Trouble::Lost(error)) },
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
        let mut sending = stream::iter(batch.iter().map(publish)).buffered(IN_HAND);
        let (mut confirms, mut lost) = (Vec::with_capacity(batch.len()), None);
        while let Some(sent) = self.answer(sending.next()).await.transpose() {
            match sent.and_then(|confirm| confirm.map_err(|error| explain(&error))) {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => {
                    lost = Some(error);
                    break;
                }
            }
        }
        drop(sending);
        let verdict = self.collect(confirms, lost).await;
        if verdict.lost.is_none() {
            self.give_back(channel);
        }
        let returned = |message: &Outgoing| {
            message
                .properties
                .message_id()
                .as_ref()
                .is_some_and(|id| verdict.returned.contains(id.as_str()))
        };
        let mut confirmed = verdict.confirmed.iter().copied().chain(std::iter::repeat(false));
        let left: Vec<Outgoing> = batch
            .into_iter()
            .filter(|message| !confirmed.next().unwrap_or(false) || returned(message))
            .collect();
        let trouble = match verdict.lost {
            _ if left.is_empty() => None,
            Some(error) => Some(Trouble::Lost(error)),
            None if !verdict.returned.is_empty() => Some(Trouble::Unroutable),
            None => Some(Trouble::Refused),
        };
        Sent { left, trouble }
    }

    async fn collect(
        &self,
        confirms: Vec<PublisherConfirm>,
        mut lost: Option<QueueError>,
    ) -> Verdict {
        let mut verdict = Verdict {
            confirmed: Vec::with_capacity(confirms.len()),
            returned: HashSet::new(),
            lost: None,
        };
        for confirm in confirms {
            let answer = match &lost {
                None => self
                    .answer(confirm)
                    .await
                    .and_then(|answer| answer.map_err(|error| explain(&error))),
                // What the broker said before the connection was lost is there at once, or will
                // never be.
                Some(error) => match timeout(Duration::ZERO, confirm).await {
                    Ok(Ok(answer)) => Ok(answer),
                    // Why it was closed is told to what waited then, and not to what came later.
                    Ok(Err(told)) => Err(explain(&told)),
                    Err(_) => Err(QueueError::Unavailable(error.to_string())),
                },
            };
            verdict.confirmed.push(matches!(answer, Ok(Confirmation::Ack(_))));
            match answer {
                Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) => {
                    verdict.returned.extend(
                        message.properties.message_id().as_ref().map(|id| id.as_str().to_owned()),
                    );
                }
                Ok(_) => {}
                Err(error @ QueueError::Unusable(_)) => lost = Some(error),
                Err(error) => lost = lost.or(Some(error)),
            }
        }
        verdict.lost = lost;
        verdict
    }

    /// What comes of `wait`; an error if the broker is silent for too long. A broker that is short
    /// of memory or disk says so, and is waited for.
    async fn answer<T>(&self, wait: impl Future<Output = T>) -> Result<T, QueueError> {
        let mut wait = std::pin::pin!(wait);
        let mut silence = Duration::ZERO;
        loop {
            if let Ok(answer) = timeout(SILENCE, wait.as_mut()).await {
                return Ok(answer);
            }
            if self.link.is_blocked().await {
                tracing::warn!(
                    "the broker is short of memory or disk and takes no messages; waiting"
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
                // Of a connection that was lost.
                Some(_) => {}
                None => return self.link.confirming_channel().await,
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

/// The broker's answers to a batch.
struct Verdict {
    /// In the order of sending; shorter than the batch if the channel was lost.
    confirmed: Vec<bool>,
    /// The ids of messages that no queue took.
    returned: HashSet<String>,
    lost: Option<QueueError>,
}
