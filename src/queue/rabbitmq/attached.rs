//! From which places a session takes now, which of those wanted are not there, and how it comes to
//! take from one.
//!
//! Each place has a channel of its own: a queue that the broker cannot serve (its leader is gone)
//! blocks the channel on which it is asked for, and no other may wait for that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::time::Instant;

use super::Broker;
use super::answer::answer;
use crate::domain::{SubQueue, SubQueueOf};
use crate::queue::QueueError;

/// Before a place that is not there is looked for again: first, doubled each time, and at most.
const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(30);
/// A time that nobody waits for.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// After this time the broker has taken back what was still held of a place that was left: its
/// `consumer_timeout` is 30 minutes.
const FORGOTTEN: Duration = Duration::from_secs(40 * 60);

/// The places of a session.
#[derive(Default)]
pub(super) struct Attached {
    /// From which it takes: the tags of their consumers, and their channels.
    taken: BTreeMap<SubQueue, (String, Channel)>,
    /// From which it is about to take.
    joining: BTreeSet<SubQueue>,
    /// Which are not there: when to look again, and the wait before that.
    missing: BTreeMap<SubQueue, (Instant, Duration)>,
    /// Channels of places that were left, on which deliveries may still be settled.
    left: Vec<(Channel, Instant)>,
    /// Consumers so far: no tag is used twice.
    serial: u64,
}

impl Attached {
    /// Leaves all places but those of `wanted`: the tags of their consumers, with their channels.
    pub(super) fn leave(&mut self, wanted: &BTreeSet<SubQueue>) -> Vec<(String, Channel)> {
        self.missing.retain(|place, _| wanted.contains(place));
        self.left.retain(|(_, at)| at.elapsed() < FORGOTTEN);
        let (kept, left): (BTreeMap<_, _>, _) = std::mem::take(&mut self.taken)
            .into_iter()
            .partition(|(place, _)| wanted.contains(place));
        self.taken = kept;
        let left: Vec<(String, Channel)> = left.into_values().collect();
        self.left.extend(left.iter().map(|(_, channel)| (channel.clone(), Instant::now())));
        left
    }

    /// Begins to take from `place`, if it is time to and nobody does: the tag of its consumer.
    pub(super) fn begin(&mut self, place: &SubQueue) -> Option<String> {
        let due = self.missing.get(place).is_none_or(|(again, _)| *again <= Instant::now());
        if !due || self.taken.contains_key(place) || !self.joining.insert(place.clone()) {
            return None;
        }
        // Nobody looks for it meanwhile.
        if let Some((again, _)) = self.missing.get_mut(place) {
            *again = Instant::now() + FAR_AWAY;
        }
        self.serial += 1;
        Some(format!("{place}.{}", self.serial))
    }

    /// Takes from `place`, by a consumer of this tag on this channel.
    pub(super) fn join(&mut self, place: SubQueue, tag: String, channel: Channel) {
        self.joining.remove(&place);
        self.missing.remove(&place);
        self.taken.insert(place, (tag, channel));
    }

    /// `place` is not there, or cannot be taken from now.
    pub(super) fn miss(&mut self, place: SubQueue) {
        self.joining.remove(&place);
        let wait =
            self.missing.get(&place).map_or(FIRST, |(_, wait)| wait.saturating_mul(2).min(MOST));
        self.missing.insert(place, (Instant::now() + wait, wait));
    }

    /// The consumer of this tag ended: its place is gone, or was left.
    pub(super) fn end(&mut self, tag: &str) {
        let gone =
            self.taken.iter().find(|(_, (other, _))| other == tag).map(|(place, _)| place.clone());
        if let Some(place) = gone
            && let Some((_, channel)) = self.taken.remove(&place)
        {
            self.left.push((channel, Instant::now()));
            self.miss(place);
        }
    }

    /// When to look for a place that is not there.
    pub(super) fn next_look(&self) -> Instant {
        self.missing
            .values()
            .map(|(again, _)| *again)
            .min()
            .unwrap_or_else(|| Instant::now() + FAR_AWAY)
    }

    /// All channels, when the session ends: what is held is settled on them.
    pub(super) fn into_channels(self) -> impl Iterator<Item = Channel> {
        self.taken
            .into_values()
            .map(|(_, channel)| channel)
            .chain(self.left.into_iter().map(|(channel, _)| channel))
    }
}

/// What comes of beginning to take from a place; none if it is not there.
pub(super) type Joined = (SubQueue, String, Result<Option<(Channel, Consumer)>, QueueError>);

/// Begins to take from `place`, of which at most `ahead` jobs are sent ahead.
pub(super) async fn join(broker: Arc<Broker>, place: SubQueue, tag: String, ahead: u16) -> Joined {
    let joined = consume(&broker, &place, &tag, ahead).await;
    (place, tag, joined)
}

async fn consume(
    broker: &Broker,
    place: &SubQueue,
    tag: &str,
    ahead: u16,
) -> Result<Option<(Channel, Consumer)>, QueueError> {
    if !is_there(broker, place).await? {
        return Ok(None);
    }
    let channel = broker.consumers.channel().await?;
    answer(channel.basic_qos(ahead, BasicQosOptions::default())).await?;
    let (queue, options) = (broker.topology.place(place), BasicConsumeOptions::default());
    let consumer =
        answer(channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default()))
            .await?;
    Ok(Some((channel, consumer)))
}

/// Whether there is a queue for `place`. That of a campaign, which ends, whoever publishes
/// declares; the others are declared here.
async fn is_there(broker: &Broker, place: &SubQueue) -> Result<bool, QueueError> {
    if let SubQueueOf::Campaign(_) = place.of {
        return Ok(broker.count_if_there(place).await?.is_some());
    }
    match broker.declare_place(place).await {
        Err(QueueError::Unusable(reason)) => {
            tracing::debug!(reason, %place, "this user may not declare a place; it is looked for");
            Ok(broker.count_if_there(place).await?.is_some())
        }
        declared => declared.map(|()| true),
    }
}
