//! What a feeder uses until its connection is lost: a channel for the lanes, one for each place,
//! and what the broker sends on them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use lapin::Channel;
use lapin::message::Delivery as Incoming;
use lapin::options::BasicCancelOptions;
use tokio::task::JoinSet;

use super::Broker;
use super::answer::answer;
use super::attached::{self, Attached, Joined};
use crate::domain::{Lane, SubQueue, SubQueueOf};
use crate::queue::QueueError;

/// Jobs of one of many campaigns that are sent ahead.
const LEAST_AHEAD: u16 = 4;

/// What is used until the connection is lost.
pub(super) struct Session {
    pub(super) channel: Channel,
    /// What the broker sends to any of the consumers; `None` is the end of one.
    pub(super) incoming: SelectAll<BoxStream<'static, (Origin, Option<lapin::Result<Incoming>>)>>,
    pub(super) places: Attached,
    /// What is about to take from places.
    pub(super) joining: JoinSet<Joined>,
    /// Lanes from which something came since the last look.
    pub(super) heard: BTreeSet<Lane>,
    /// Lanes from which nothing came, at the last look, though jobs were ready and there was room.
    pub(super) silent: BTreeSet<Lane>,
}

/// Of which consumer something comes.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) lane: Lane,
    /// Its tag, if it is a place's.
    pub(super) tag: Option<String>,
}

/// Why feeding ended.
pub(super) enum Lost {
    /// The connection or the channel.
    Connection(QueueError),
    /// A lane's queue: it was deleted, or its leader moved.
    Queue(Lane),
}

impl From<QueueError> for Lost {
    fn from(error: QueueError) -> Self {
        Self::Connection(error)
    }
}

impl Session {
    /// A session whose lanes are on `channel`.
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            incoming: SelectAll::new(),
            places: Attached::default(),
            joining: JoinSet::new(),
            heard: BTreeSet::new(),
            silent: BTreeSet::new(),
        }
    }

    /// Hears what the broker sends to `consumer`.
    pub(super) fn hear(&mut self, consumer: lapin::Consumer, origin: Origin) {
        let ended = stream::iter([(origin.clone(), None)]);
        self.incoming.push(
            consumer.map(move |incoming| (origin.clone(), Some(incoming))).chain(ended).boxed(),
        );
    }

    /// Takes from the places of `wanted`, as soon as they can be, and from no others. Of them
    /// together about `prefetch` jobs are sent ahead: what waits here for too long, the broker
    /// takes back.
    pub(super) async fn attach(
        &mut self,
        broker: &Arc<Broker>,
        wanted: BTreeSet<SubQueue>,
        prefetch: u16,
    ) {
        self.leave(&wanted).await;
        let campaigns =
            wanted.iter().filter(|place| matches!(place.of, SubQueueOf::Campaign(_))).count();
        let share = prefetch / u16::try_from(campaigns.max(1)).unwrap_or(u16::MAX);
        let ahead = share.max(LEAST_AHEAD).min(prefetch);
        for place in wanted {
            if let Some(tag) = self.places.begin(&place) {
                self.joining.spawn(attached::join(Arc::clone(broker), place, tag, ahead));
            }
        }
    }

    /// Takes from no places but those of `wanted`.
    pub(super) async fn leave(&mut self, wanted: &BTreeSet<SubQueue>) {
        for (tag, channel) in self.places.leave(wanted) {
            if let Err(error) =
                answer(channel.basic_cancel(tag.as_str().into(), BasicCancelOptions::default()))
                    .await
            {
                tracing::debug!(%error, "a place that is left was lost");
            }
        }
    }

    /// Takes from a place that can be taken from now, unless it is none of `wanted` any more.
    pub(super) async fn joined(
        &mut self,
        (place, tag, joined): Joined,
        wanted: &BTreeSet<SubQueue>,
    ) {
        match joined {
            Ok(Some((channel, consumer))) => {
                self.hear(consumer, Origin { lane: place.lane, tag: Some(tag.clone()) });
                self.places.join(place, tag, channel);
                self.leave(wanted).await;
            }
            Ok(None) => self.places.miss(place),
            Err(error) => {
                tracing::warn!(%place, %error, "no jobs can be taken from a place; trying again");
                self.places.miss(place);
            }
        }
    }
}
