//! The consumers of sub-queues in a session: which are active, which queues do not exist yet, and
//! how a consumer is started.
//!
//! Each sub-queue has its own channel: a queue that the broker cannot serve (its leader is
//! unavailable) blocks the channel on which it is used, and must not block the others. A connection
//! has a most number of channels: of very many sub-queues, such as those of galleries, some share
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Broker;
use super::reply::reply;
use super::session::ConsumerId;
use crate::domain::{SubQueue, SubQueueOf};
use crate::queue::QueueError;

/// Least prefetch of one campaign's consumer.
const LEAST_PREFETCH: u16 = 4;

/// The most sub-queues with a channel of their own. The broker allows 2047 on a connection, unless
/// it is set up for fewer.
const MOST_CHANNELS: usize = 512;

/// The most consumers that are being started at once: each needs another channel meanwhile.
const MOST_STARTING: usize = 32;

/// The wait before a missing queue is tried again: at first, then doubled each time, at most.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MOST_RETRY: Duration = Duration::from_secs(30);

/// Longer than any session.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// After this time the broker has requeued what is still unsettled of a cancelled consumer: its
/// `consumer_timeout` is 30 minutes.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(40 * 60);

/// The consumers of sub-queues in a session.
#[derive(Default)]
pub(super) struct SubQueueConsumers {
    /// The tags and channels of active consumers.
    active: BTreeMap<SubQueue, (String, Channel)>,
    /// The consumers that are being started.
    pub(super) starting: JoinSet<Started>,
    starting_sub_queues: BTreeSet<SubQueue>,
    /// Whether some are to be started once others have.
    held_back: bool,
    /// The sub-queues that do not exist: when to try again, and the wait before that.
    missing: BTreeMap<SubQueue, (Instant, Duration)>,
    /// The channels of cancelled consumers, on which deliveries may still be settled.
    cancelled: Vec<(Channel, Instant)>,
    /// The number of consumers so far: no tag is used twice.
    serial: u64,
}

/// A started consumer of a sub-queue, with its tag; `Ok(None)` if the queue does not exist.
pub(super) type Started = (SubQueue, String, Result<Option<(Channel, Consumer)>, QueueError>);

impl SubQueueConsumers {
    /// Starts consumers of `wanted`, and cancels all others. Campaigns share about `prefetch` jobs:
    /// the broker requeues what stays unsettled for `consumer_timeout`.
    pub(super) async fn consume(
        &mut self,
        broker: &Arc<Broker>,
        wanted: BTreeSet<SubQueue>,
        prefetch: u16,
    ) {
        self.cancel_all_but(&wanted).await;
        let campaigns = wanted
            .iter()
            .filter(|sub_queue| matches!(sub_queue.of, SubQueueOf::Campaign(_)))
            .count();
        let share = prefetch / u16::try_from(campaigns.max(1)).unwrap_or(u16::MAX);
        let prefetch = share.max(LEAST_PREFETCH).min(prefetch);
        let most = broker.consumers.most_channels().await / 2;
        let most = usize::from(most).clamp(1, MOST_CHANNELS);
        self.held_back = false;
        for sub_queue in wanted {
            if self.starting_sub_queues.len() >= most.min(MOST_STARTING) {
                self.held_back = true;
                return;
            }
            if let Some(tag) = self.begin(&sub_queue) {
                // A campaign's queue may be gone by then, which closes the channel.
                let shares = !matches!(sub_queue.of, SubQueueOf::Campaign(_));
                let shared = if shares { self.shared_channel(most) } else { None };
                let broker = Arc::clone(broker);
                self.starting.spawn(start(broker, sub_queue, (tag, shared), prefetch));
            }
        }
    }

    /// The channel that the next consumer shares, once there are `most`.
    fn shared_channel(&self, most: usize) -> Option<Channel> {
        let used = || {
            let active = self.active.values().map(|(_, channel)| channel);
            let all = active.chain(self.cancelled.iter().map(|(channel, _)| channel));
            all.filter(|channel| channel.status().connected())
        };
        let count = used().count();
        if count + self.starting_sub_queues.len() <= most {
            return None;
        }
        let turn = usize::try_from(self.serial).unwrap_or_default();
        used().nth(turn % count.max(1)).cloned()
    }

    /// Cancels the consumers of all sub-queues except `wanted`.
    pub(super) async fn cancel_all_but(&mut self, wanted: &BTreeSet<SubQueue>) {
        self.missing.retain(|sub_queue, _| wanted.contains(sub_queue));
        self.cancelled.retain(|(_, at)| at.elapsed() < CHANNEL_LIFETIME);
        let (kept, cancelled): (BTreeMap<_, _>, _) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|(sub_queue, _)| wanted.contains(sub_queue));
        self.active = kept;
        let cancelled: Vec<(String, Channel)> = cancelled.into_values().collect();
        self.cancelled
            .extend(cancelled.iter().map(|(_, channel)| (channel.clone(), Instant::now())));
        for (tag, channel) in cancelled {
            let cancel = channel.basic_cancel(tag.as_str().into(), BasicCancelOptions::default());
            if let Err(error) = reply(cancel).await {
                tracing::debug!(%error, "a sub-queue's consumer could not be cancelled");
            }
        }
    }

    /// The tag for a consumer of `sub_queue`, if one is to be started now.
    fn begin(&mut self, sub_queue: &SubQueue) -> Option<String> {
        let due = self.missing.get(sub_queue).is_none_or(|(retry, _)| *retry <= Instant::now());
        if !due
            || self.active.contains_key(sub_queue)
            || !self.starting_sub_queues.insert(sub_queue.clone())
        {
            return None;
        }
        // Not tried again while the consumer is being started.
        if let Some((retry, _)) = self.missing.get_mut(sub_queue) {
            *retry = Instant::now() + NEVER;
        }
        self.serial += 1;
        Some(format!("{sub_queue}.{}", self.serial))
    }

    /// Registers a started consumer and returns it.
    pub(super) fn started(
        &mut self,
        (sub_queue, tag, started): Started,
    ) -> Option<(Consumer, ConsumerId)> {
        self.starting_sub_queues.remove(&sub_queue);
        match started {
            Ok(Some((channel, consumer))) => {
                let from = ConsumerId { lane: sub_queue.lane, sub_queue_tag: Some(tag.clone()) };
                self.missing.remove(&sub_queue);
                self.active.insert(sub_queue, (tag, channel));
                Some((consumer, from))
            }
            Ok(None) => {
                self.retry_later(sub_queue);
                None
            }
            Err(error) => {
                tracing::warn!(%sub_queue, %error, "a sub-queue cannot be consumed; trying again");
                self.retry_later(sub_queue);
                None
            }
        }
    }

    fn retry_later(&mut self, sub_queue: SubQueue) {
        let wait = self
            .missing
            .get(&sub_queue)
            .map_or(FIRST_RETRY, |(_, wait)| wait.saturating_mul(2).min(MOST_RETRY));
        self.missing.insert(sub_queue, (Instant::now() + wait, wait));
    }

    /// The consumer of this tag ended: its queue was deleted, or it was cancelled.
    pub(super) fn ended(&mut self, tag: &str) {
        let sub_queue =
            self.active.iter().find(|(_, (other, _))| other == tag).map(|(key, _)| key.clone());
        if let Some(sub_queue) = sub_queue
            && let Some((_, channel)) = self.active.remove(&sub_queue)
        {
            self.cancelled.push((channel, Instant::now()));
            self.retry_later(sub_queue);
        }
    }

    /// When to start further consumers, or to try a missing sub-queue again.
    pub(super) fn next_retry(&self) -> Instant {
        if self.held_back {
            // Those that start make room when they have.
            let room = self.starting_sub_queues.is_empty();
            return Instant::now() + if room { Duration::ZERO } else { NEVER };
        }
        let first = self.missing.values().map(|(retry, _)| *retry).min();
        first.unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// All channels: when the session ends, deliveries are still settled on them.
    pub(super) fn into_channels(self) -> impl Iterator<Item = Channel> {
        let active = self.active.into_values().map(|(_, channel)| channel);
        active.chain(self.cancelled.into_iter().map(|(channel, _)| channel))
    }
}

/// Starts a consumer of `sub_queue`, on `shared` or a channel of its own.
async fn start(
    broker: Arc<Broker>,
    sub_queue: SubQueue,
    (tag, shared): (String, Option<Channel>),
    prefetch: u16,
) -> Started {
    let started = consume(&broker, &sub_queue, (&tag, shared), prefetch).await;
    (sub_queue, tag, started)
}

async fn consume(
    broker: &Broker,
    sub_queue: &SubQueue,
    (tag, shared): (&str, Option<Channel>),
    prefetch: u16,
) -> Result<Option<(Channel, Consumer)>, QueueError> {
    if !exists(broker, sub_queue).await? {
        return Ok(None);
    }
    let channel = match shared {
        Some(channel) => channel,
        None => broker.consumers.channel().await?,
    };
    // Of the consumers that begin after it, of each.
    reply(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let (queue, options) = (broker.topology.sub_queue(sub_queue), BasicConsumeOptions::default());
    let consumer =
        reply(channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default()))
            .await?;
    Ok(Some((channel, consumer)))
}

/// Whether the queue of `sub_queue` exists. A campaign's queue is declared by its publisher,
/// because a campaign ends; the others are declared here.
async fn exists(broker: &Broker, sub_queue: &SubQueue) -> Result<bool, QueueError> {
    if let SubQueueOf::Campaign(_) = sub_queue.of {
        return broker.has_sub_queue(sub_queue).await;
    }
    match broker.declare(sub_queue).await {
        Err(QueueError::Unusable(reason)) => {
            tracing::debug!(reason, %sub_queue, "this user may not declare a sub-queue; checking \
                whether it exists");
            broker.has_sub_queue(sub_queue).await
        }
        declared => declared.map(|()| true),
    }
}
