//! What a receive loop uses until its connection is lost: a channel for the lanes, one for each
//! sub-queue, and the stream of what the broker sends on them.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use lapin::Channel;
use lapin::message::Delivery as Incoming;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::reply::{NOT_FOUND, REPLY_TIMEOUT, has_code, no_reply, queue_error};
use super::sub_queues::{Started, SubQueueConsumers};
use super::topology::Topology;
use crate::domain::{Lane, SubQueue};
use crate::queue::QueueError;

/// After so many checks in a row, a lane that has ready jobs and sends nothing is taken to be lost.
/// Large messages on a slow connection take seconds each, and a new connection begins them again.
const STALLED_CHECKS: u32 = 10;
/// The same for a lane without consumers. Once is not enough: a quorum queue that is busy for some
/// seconds is reported as empty and without consumers.
const UNCONSUMED_CHECKS: u32 = 3;

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
    /// The lanes that had no consumer, or ready jobs and a free slot but sent nothing, and for how
    /// many checks in a row.
    stalled_lanes: BTreeMap<Lane, u32>,
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
            stalled_lanes: BTreeMap::new(),
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
        let stalled_before = std::mem::take(&mut self.stalled_lanes);
        for &lane in lanes {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let declared = self.channel.queue_declare(
                topology.lane(lane).into(),
                passive,
                FieldTable::default(),
            );
            match timeout(REPLY_TIMEOUT, declared).await.map_err(|_| no_reply())? {
                Ok(queue) => {
                    let stalled =
                        queue.message_count() > 0 && !active.contains(&lane) && lacks(lane);
                    let unconsumed = queue.consumer_count() == 0;
                    let checks = stalled_before.get(&lane).unwrap_or(&0) + 1;
                    let most = if unconsumed { UNCONSUMED_CHECKS } else { STALLED_CHECKS };
                    if (unconsumed || stalled) && checks >= most {
                        return Err(ReceiveError::LaneQueue(lane));
                    }
                    self.stalled_lanes.extend((unconsumed || stalled).then_some((lane, checks)));
                }
                Err(error) if has_code(&error, NOT_FOUND) => {
                    return Err(ReceiveError::LaneQueue(lane));
                }
                Err(error) => return Err(queue_error(&error).into()),
            }
        }
        Ok(())
    }
}
