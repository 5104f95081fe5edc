//! The task behind a consumer: receives what the broker sends and fills the buffer. Dead-letters
//! malformed messages, isolates suspected poison jobs, and reconnects.
//!
//! **Sub-queues.** In addition to its lanes' queues, it consumes from the sub-queues that the
//! worker selects. It retries a campaign's sub-queue that does not exist.
//!
//! **Lost connections.** The broker delivers the jobs of a lost connection again. Deliveries of the
//! lost connection settle as `Ok(false)`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder};
use futures::stream::{SelectAll, StreamExt};
use lapin::message::Delivery as Incoming;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::buffer::{Buffer, Mode, Prefetched};
use super::connection::reconnect_backoff;
use super::message::{self, Origin, Outgoing, ReceivedJob};
use super::reply::{queue_error, reply};
use super::session::{BrokerSession, ConsumerId, ReceiveError};
use super::settle::{acknowledge, requeue};
use super::{Broker, publisher};
use crate::domain::{Lane, SubQueue};
use crate::queue::QueueError;
use crate::queue::wire::InvalidJob;

/// The time between checks of the lanes' and isolation queues is random, from once to twice this
/// time: the workers of a fleet need not pause at the same moment.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Fills the buffer of one consumer.
pub(super) struct ReceiveLoop {
    pub(super) broker: Arc<Broker>,
    pub(super) lanes: Vec<Lane>,
    pub(super) buffer: Arc<Buffer>,
    /// The sub-queues from which to consume.
    sub_queues: watch::Receiver<BTreeSet<SubQueue>>,
    /// The tasks that dead-letter messages.
    dead_lettering: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl ReceiveLoop {
    pub(super) fn new(
        broker: Arc<Broker>,
        lanes: Vec<Lane>,
        buffer: Arc<Buffer>,
        sub_queues: watch::Receiver<BTreeSet<SubQueue>>,
        stop: CancellationToken,
    ) -> Self {
        Self { broker, lanes, buffer, sub_queues, dead_lettering: TaskTracker::new(), stop }
    }

    /// Starts the task.
    ///
    /// # Errors
    /// If the broker cannot be reached.
    pub(super) async fn start(self) -> Result<(), QueueError> {
        let session = self.open_session().await?;
        self.broker.receive_loops.clone().spawn(async move {
            let session = self.run(session).await;
            self.buffer.set_mode(Mode::Closed);
            if let Some(session) = session {
                self.end(session).await;
            }
        });
        Ok(())
    }

    /// Receives until it is stopped. Returns the session that is open then: unsettled deliveries
    /// still need it.
    async fn run(&self, mut session: BrokerSession) -> Option<BrokerSession> {
        loop {
            let error = match self.receive(&mut session).await {
                Ok(()) => return Some(session),
                Err(ReceiveError::Connection(error)) => error,
                Err(ReceiveError::LaneQueue(lane)) => {
                    // Declares the queue again; opening the next session reports an error.
                    self.broker.consumers.declare_missing().await.ok();
                    QueueError::Unavailable(format!(
                        "the queue of lane {lane} was deleted, or its leader moved"
                    ))
                }
            };
            tracing::warn!(%error, "no jobs are received from the broker; reconnecting");
            self.broker.set_trouble(Some(error.to_string()));
            drop(session);
            self.buffer.drain();
            self.buffer.set_mode(Mode::Lanes);
            session = self.reconnect().await?;
            tracing::info!("jobs are received from the broker again");
        }
    }

    async fn reconnect(&self) -> Option<BrokerSession> {
        for wait in reconnect_backoff() {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(wait) => {}
            }
            match self.open_session().await {
                Ok(session) => {
                    self.broker.set_trouble(None);
                    return Some(session);
                }
                Err(error) => {
                    tracing::warn!(%error, "the broker cannot be used; trying again");
                    self.broker.set_trouble(Some(error.to_string()));
                }
            }
        }
        None
    }

    async fn open_session(&self) -> Result<BrokerSession, QueueError> {
        let channel = self.broker.consumers.channel().await?;
        let mut session = BrokerSession::new(channel);
        self.start_consuming(&mut session).await?;
        Ok(session)
    }

    /// Starts consumers of the lanes and sub-queues, the most urgent lane first: its jobs arrive
    /// first.
    pub(super) async fn start_consuming(
        &self,
        session: &mut BrokerSession,
    ) -> Result<(), QueueError> {
        session.incoming = SelectAll::new();
        reply(session.channel.basic_qos(self.buffer.prefetch(), BasicQosOptions::default()))
            .await?;
        for &lane in &self.lanes {
            let consumer = reply(session.channel.basic_consume(
                self.broker.topology.lane(lane).into(),
                lane.as_str().into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            ))
            .await?;
            session.add(consumer, ConsumerId { lane, sub_queue_tag: None });
        }
        self.consume_sub_queues(session).await;
        Ok(())
    }

    async fn consume_sub_queues(&self, session: &mut BrokerSession) {
        session
            .sub_queues
            .consume(&self.broker, self.wanted_sub_queues(), self.buffer.prefetch())
            .await;
    }

    /// The selected sub-queues of its lanes.
    fn wanted_sub_queues(&self) -> BTreeSet<SubQueue> {
        let selected = self.sub_queues.borrow();
        selected.iter().filter(|sub_queue| self.lanes.contains(&sub_queue.lane)).cloned().collect()
    }

    /// Receives until it is stopped.
    ///
    /// # Errors
    /// If the connection or a lane's queue is lost.
    async fn receive(&self, session: &mut BrokerSession) -> Result<(), ReceiveError> {
        let mut selection = self.sub_queues.clone();
        let intervals = ConstantBuilder::new().with_delay(CHECK_INTERVAL).with_jitter();
        let mut intervals = intervals.without_max_times().build();
        let mut after_interval = || Instant::now() + intervals.next().unwrap_or(CHECK_INTERVAL);
        let mut next_check = after_interval();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                Ok(()) = selection.changed() => self.consume_sub_queues(session).await,
                () = sleep_until(session.sub_queues.next_retry()) => {
                    self.consume_sub_queues(session).await;
                }
                Some(Ok(started)) = session.sub_queues.starting.join_next() => {
                    session.add_sub_queue(started, &self.wanted_sub_queues()).await;
                }
                () = sleep_until(next_check) => {
                    let lacks = |lane| self.dead_lettering.is_empty() && self.buffer.lacks(lane);
                    session.check_lanes(&self.broker.topology, &self.lanes, lacks).await?;
                    if self.has_isolated_jobs(&session.channel).await? {
                        self.process_isolated(session).await?;
                    }
                    next_check = after_interval();
                }
                incoming = session.incoming.next() => match incoming {
                    None => {
                        let ended = "the broker cancelled all consumers";
                        return Err(QueueError::Unavailable(ended.into()).into());
                    }
                    Some((from, Some(incoming))) => {
                        if from.sub_queue_tag.is_none() {
                            session.active_lanes.insert(from.lane);
                        }
                        let incoming = incoming.map_err(|error| queue_error(&error))?;
                        if self.accept(&from, incoming).await? {
                            next_check = Instant::now();
                        }
                    }
                    Some((ConsumerId { sub_queue_tag: Some(tag), .. }, None)) => {
                        session.sub_queues.ended(&tag);
                    }
                    Some((ConsumerId { lane, sub_queue_tag: None }, None)) => {
                        return Err(ReceiveError::LaneQueue(lane));
                    }
                }
            }
        }
    }

    /// Adds a job to the buffer, isolates it, or dead-letters the message. True if it was isolated.
    pub(super) async fn accept(
        &self,
        from: &ConsumerId,
        incoming: Incoming,
    ) -> Result<bool, QueueError> {
        let received = match self.parse(&incoming) {
            Ok(ReceivedJob { job, .. }) if from.lane != job.lane => {
                let lane = job.lane;
                self.dead_letter(
                    incoming,
                    format!(
                        "invalid job message: its lane is '{lane}', but it was routed to lane '{}'",
                        from.lane
                    ),
                );
                return Ok(false);
            }
            Ok(received) => received,
            Err(invalid) => {
                self.dead_letter(incoming, invalid.to_string());
                return Ok(false);
            }
        };
        let job = Prefetched { received, acker: incoming.acker };
        if job.received.is_suspect() {
            self.isolate(job).await?;
            return Ok(true);
        }
        self.buffer.push(job);
        Ok(false)
    }

    pub(super) fn parse(&self, incoming: &Incoming) -> Result<ReceivedJob, InvalidJob> {
        let origin = Origin {
            routing_key: incoming.routing_key.as_str(),
            from_worker: self.broker.topology.is_written_by_workers(incoming.exchange.as_str()),
            redelivered: incoming.redelivered,
        };
        message::read(&incoming.properties, &incoming.data, origin)
    }

    /// Dead-letters a malformed message unchanged. In its own task: the dead-letter queue may be
    /// full, and jobs must still be received.
    pub(super) fn dead_letter(&self, incoming: Incoming, reason: String) {
        let broker = Arc::clone(&self.broker);
        self.dead_lettering.spawn(async move {
            let Incoming { properties, data, acker, .. } = incoming;
            tracing::warn!(reason, "dead-lettering a message that is not a valid job");
            let letter =
                Outgoing::dead(&broker.topology, &message::id(&properties), data, &reason, 1, &[]);
            match broker.publisher.publish(vec![letter], publisher::PATIENCE, None).await {
                Ok(()) => {
                    acknowledge(&acker).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a message could not be dead-lettered; it will be \
                        delivered again");
                    requeue(&acker).await;
                }
            }
        });
    }
}
