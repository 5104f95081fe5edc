//! What a receive loop uses until its connection is lost: a channel for the lanes, one for each
//! sub-queue, and the stream of what the broker sends on them.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use lapin::Channel;
use lapin::message::Delivery as Incoming;

use super::count::{SLOW, ask};
use super::sub_queues::{Started, SubQueueConsumers};
use super::topology::Topology;
use crate::domain::{Lane, SubQueue};
use crate::queue::QueueError;

/// How suspicious a check of a lane is; [`LOST`] in a row, and its consumer is taken to be lost.
const LOST: u32 = 60;
/// The queue has no consumer.
const UNCONSUMED: u32 = 20;
/// The queue has ready jobs, the worker has a free slot, and nothing was sent. Large messages take
/// seconds each, and a new connection begins them again.
const STALLED: u32 = 6;
/// The same after a slow reply, which says little: a busy queue is reported as empty and without
/// consumers, and on a busy connection the reply comes behind large messages.
const UNCLEAR: u32 = 1;

/// The channels and consumers on one connection.
pub(super) struct BrokerSession {
    /// The channel of the lanes' consumers.
    pub(super) channel: Channel,
    /// What the broker sends to the consumers; `None` is the end of a consumer.
    pub(super) incoming:
        SelectAll<BoxStream<'static, (ConsumerId, Option<lapin::Result<Incoming>>)>>,
    pub(super) sub_queues: SubQueueConsumers,
    /// The lanes from which a message arrived since the last check.
    pub(super) active_lanes: BTreeSet<Lane>,
    /// The lanes whose last checks in a row were suspicious, and how much.
    suspicions: BTreeMap<Lane, u32>,
}

/// The consumer to which the broker sent a message.
#[derive(Debug, Clone)]
pub(super) struct ConsumerId {
    pub(super) lane: Lane,
    /// The consumer tag, if it consumes a sub-queue.
    pub(super) sub_queue_tag: Option<String>,
}

/// Why receiving ended.
pub(super) enum ReceiveError {
    /// The connection or the channel is lost.
    Connection(QueueError),
    /// The lane's queue was deleted, or its leader moved.
    LaneQueue(Lane),
}

impl From<QueueError> for ReceiveError {
    fn from(error: QueueError) -> Self {
        Self::Connection(error)
    }
}

impl BrokerSession {
    /// A session without consumers, whose lanes use `channel`.
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            incoming: SelectAll::new(),
            sub_queues: SubQueueConsumers::default(),
            active_lanes: BTreeSet::new(),
            suspicions: BTreeMap::new(),
        }
    }

    /// Adds a consumer's messages to `incoming`.
    pub(super) fn add(&mut self, consumer: lapin::Consumer, from: ConsumerId) {
        let end = stream::iter([(from.clone(), None)]);
        let messages = consumer.map(move |incoming| (from.clone(), Some(incoming)));
        self.incoming.push(messages.chain(end).boxed());
    }

    /// Adds the consumer of a sub-queue, and cancels it if it is not among `wanted` any more.
    pub(super) async fn add_sub_queue(&mut self, started: Started, wanted: &BTreeSet<SubQueue>) {
        if let Some((consumer, from)) = self.sub_queues.started(started) {
            self.add(consumer, from);
            self.sub_queues.cancel_all_but(wanted).await;
        }
    }

    /// Checks that the queues of `lanes` exist and deliver. A broker does not always report that a
    /// queue was deleted: not if it was declared again at once. `lacks` says whether the worker
    /// could receive a job of a lane.
    pub(super) async fn check_lanes(
        &mut self,
        topology: &Topology,
        lanes: &[Lane],
        lacks: impl Fn(Lane) -> bool,
    ) -> Result<(), ReceiveError> {
        let active = std::mem::take(&mut self.active_lanes);
        for &lane in lanes {
            let Some(numbers) = ask(&self.channel, &topology.lane(lane)).await? else {
                return Err(ReceiveError::LaneQueue(lane));
            };
            let check = Check {
                sent: active.contains(&lane),
                unconsumed: numbers.consumers == 0,
                waiting: numbers.messages > 0 && lacks(lane),
                slow: numbers.took >= SLOW,
            };
            let suspicion = self.suspicions.entry(lane).or_default();
            *suspicion = check.after(*suspicion);
            if *suspicion >= LOST {
                return Err(ReceiveError::LaneQueue(lane));
            }
        }
        Ok(())
    }
}

/// What a check of a lane found.
#[derive(Debug, Clone, Copy)]
struct Check {
    /// Whether a message arrived since the last check.
    sent: bool,
    /// Whether the broker reports no consumer.
    unconsumed: bool,
    /// Whether it reports jobs, and the worker could have one.
    waiting: bool,
    /// Whether its reply was slow.
    slow: bool,
}

impl Check {
    /// How suspicious the last checks in a row are with this one; `before` is without it.
    fn after(self, before: u32) -> u32 {
        if self.sent || !(self.unconsumed || self.waiting) {
            return 0;
        }
        let suspicion = if self.slow {
            UNCLEAR
        } else if self.unconsumed {
            UNCONSUMED
        } else {
            STALLED
        };
        before + suspicion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: Check = Check { sent: false, unconsumed: true, waiting: false, slow: false };
    const SILENT: Check = Check { unconsumed: false, waiting: true, ..GONE };

    /// The number of such checks in a row after which a lane is lost.
    fn checks_until_lost(check: Check) -> u32 {
        let mut suspicion = 0;
        (1..)
            .find(|_| {
                suspicion = check.after(suspicion);
                suspicion >= LOST
            })
            .unwrap()
    }

    #[test]
    fn a_lane_is_lost_after_few_clear_checks_and_after_many_unclear_ones() {
        assert_eq!(checks_until_lost(GONE), 3);
        assert_eq!(checks_until_lost(SILENT), 10);
        for check in [GONE, SILENT] {
            assert_eq!(checks_until_lost(Check { slow: true, ..check }), 60);
        }
    }

    #[test]
    fn a_message_or_an_idle_queue_with_consumers_clears_a_lane() {
        for check in [GONE, SILENT] {
            assert_eq!(Check { sent: true, ..check }.after(LOST - 1), 0);
        }
        assert_eq!(Check { waiting: false, ..SILENT }.after(LOST - 1), 0);
    }
}
