//! The queue on a `RabbitMQ` broker, 3.10 to 4.x, shared by any number of processes on any number
//! of hosts.
//!
//! | module | owns |
//! |---|---|
//! | `topology` | the names and declarations of queues and exchanges |
//! | `message` | how jobs, events and dead letters become messages, and back |
//! | `connection`, `body_limit` | connections, and the limit of message bodies |
//! | `reply`, `count` | replies and errors of the broker, and what it says of queues |
//! | `publisher` | publishing with confirms |
//! | `consumer`, `buffer` | consumers, and the jobs prefetched for them |
//! | `receive`, `session`, `sub_queues`, `isolation` | the task that fills the buffer |
//! | `settle` | the settlement of deliveries |
//! | `dead`, `events`, `rights` | dead letters, subscriptions to events, permission checks |
//!
//! Publishing and consuming use separate connections: a broker that is short of memory stops
//! reading from publishers, and acknowledgements must still arrive.
//!
//! No message body and no password is logged here.

mod body_limit;
mod buffer;
mod connection;
mod consumer;
mod count;
mod dead;
mod events;
mod isolation;
mod message;
mod publisher;
mod receive;
mod reply;
mod rights;
mod session;
mod settle;
mod sub_queues;
mod topology;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::BrokerConnection;
pub use self::connection::RabbitSettings;
use self::consumer::RabbitConsumer;
use self::count::count;
use self::message::Outgoing;
use self::publisher::{PATIENCE, Publisher};
use self::reply::reply;
use self::topology::Topology;
use super::wire::{InvalidJob, check_length};
use super::{Consumer, DeadLetter, DeadLetterFilter, JobQueue, QueueError, QueueStatus};
use crate::domain::{Job, Lane, OutcomeEvent, SubQueue};

/// The time for counting the jobs of a sub-queue.
const COUNT: Duration = Duration::from_secs(1);

/// The time for returning prefetched jobs when the queue is closed.
const RETURN: Duration = Duration::from_secs(10);

/// A queue on a broker.
pub struct RabbitQueue {
    broker: Arc<Broker>,
}

/// How this process uses a sub-queue.
#[derive(Clone, Copy, Default)]
struct SubQueueUse {
    /// It consumes it.
    consumed: bool,
    /// It has declared it.
    declared: bool,
}

/// What the queue, its consumers and their deliveries share.
struct Broker {
    topology: Arc<Topology>,
    publisher: Publisher,
    consumers: BrokerConnection,
    closed: CancellationToken,
    /// The unsettled deliveries of this process.
    unsettled: TaskTracker,
    /// The receive loops, which may have prefetched jobs.
    receive_loops: TaskTracker,
    /// The sub-queues that this process has used.
    sub_queues: Mutex<BTreeMap<SubQueue, SubQueueUse>>,
    /// Why the consumers receive no jobs; `None` while they do.
    trouble: Mutex<Option<String>>,
    /// Serialises access to the dead letters: two at a time would each see only some of them.
    dead: tokio::sync::Mutex<()>,
}

impl RabbitQueue {
    /// Connects to the broker and declares what is missing of the topology.
    ///
    /// # Errors
    /// If the broker cannot be reached, or the settings, the user or the existing queues are not
    /// usable.
    pub async fn connect(settings: &RabbitSettings) -> Result<Self, QueueError> {
        let prefix = &settings.prefix;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if prefix.is_empty() || prefix.len() > 100 || !prefix.bytes().all(good) {
            return Err(QueueError::Unusable(
                "queue.prefix must be 1 to 100 letters, digits, '.', '_' and '-'".into(),
            ));
        }
        let topology = Arc::new(Topology::new(prefix, settings.delivery_limit));
        let publisher =
            Publisher::new(BrokerConnection::new(settings, Arc::clone(&topology), "publish")?);
        let consumers = BrokerConnection::new(settings, Arc::clone(&topology), "consume")?;
        let broker = Broker {
            topology,
            publisher,
            consumers,
            closed: CancellationToken::new(),
            unsettled: closed_tracker(),
            receive_loops: closed_tracker(),
            sub_queues: Mutex::default(),
            trouble: Mutex::default(),
            dead: tokio::sync::Mutex::default(),
        };
        // Opens both connections now, so that errors are reported at the start.
        broker.publisher.connection().channel().await?;
        broker.consumers.channel().await?;
        Ok(Self { broker: Arc::new(broker) })
    }

    fn check_open(&self) -> Result<(), QueueError> {
        if self.broker.closed.is_cancelled() { Err(QueueError::Closed) } else { Ok(()) }
    }

    /// Publishes the `message` of each job.
    async fn publish_jobs(
        &self,
        jobs: &[Job],
        message: impl Fn(&Job) -> Result<Outgoing, QueueError> + Send + Sync,
    ) -> Result<(), QueueError> {
        self.check_open()?;
        let checked = |job: &Job| {
            let message = message(job)?;
            let too_long =
                |error: InvalidJob| QueueError::Unusable(format!("job {}: {error}", job.id));
            check_length(&message.body).map_err(too_long)?;
            Ok(message)
        };
        let messages = jobs.iter().map(checked).collect::<Result<Vec<_>, QueueError>>()?;
        self.broker.publisher.publish(messages, PATIENCE, Some(&self.broker.closed)).await
    }
}

impl Broker {
    /// The sub-queues that this process has used.
    fn sub_queues(&self) -> MutexGuard<'_, BTreeMap<SubQueue, SubQueueUse>> {
        self.sub_queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records which sub-queues this process consumes.
    fn take_from(&self, consumed: &BTreeSet<SubQueue>) {
        let mut used = self.sub_queues();
        used.values_mut().for_each(|used| used.consumed = false);
        for sub_queue in consumed {
            used.entry(sub_queue.clone()).or_default().consumed = true;
        }
    }

    /// Declares `sub_queue`, unless this process has declared it before.
    async fn ensure_declared(&self, sub_queue: &SubQueue) -> Result<(), QueueError> {
        if !self.sub_queues().get(sub_queue).is_some_and(|used| used.declared) {
            self.declare(sub_queue).await?;
            self.sub_queues().entry(sub_queue.clone()).or_default().declared = true;
        }
        Ok(())
    }

    /// Declares `sub_queue`, if it does not exist.
    async fn declare(&self, sub_queue: &SubQueue) -> Result<(), QueueError> {
        let keys = BTreeSet::from([sub_queue.to_string()]);
        self.publisher.connection().declare_sub_queues(&keys).await
    }

    /// Records why the consumers receive no jobs; `None` if they do.
    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Whether the queue is closed and no delivery is unsettled: this process can announce no more
    /// events.
    fn events_ended(&self) -> bool {
        self.closed.is_cancelled() && self.unsettled.is_empty()
    }
}

/// A tracker on which `wait` returns when it is empty: it waits for closed trackers only.
fn closed_tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
}

#[async_trait]
impl JobQueue for RabbitQueue {
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.publish_jobs(&jobs, |job| Outgoing::new_job(&self.broker.topology, job)).await
    }

    async fn publish_to(&self, sub_queue: &SubQueue, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.check_open()?;
        match self.broker.ensure_declared(sub_queue).await {
            // Publishing waits for a broker that is away, and declares what is missing.
            Ok(()) | Err(QueueError::Unavailable(_)) => {}
            Err(error) => return Err(error),
        }
        self.publish_jobs(&jobs, |job| {
            Outgoing::to_sub_queue(&self.broker.topology, sub_queue, job, &[])
        })
        .await
    }

    async fn waiting(&self, sub_queues: &[SubQueue]) -> Result<Vec<u64>, QueueError> {
        let mut waiting = Vec::with_capacity(sub_queues.len());
        for sub_queue in sub_queues {
            waiting.push(self.broker.count_sub_queue(sub_queue).await?.unwrap_or(0));
        }
        Ok(waiting)
    }

    async fn remove(&self, sub_queue: &SubQueue) -> Result<(), QueueError> {
        self.broker.sub_queues().remove(sub_queue);
        let channel = self.broker.consumers.channel().await?;
        // Succeeds if the queue does not exist.
        reply(channel.queue_delete(
            self.broker.topology.sub_queue(sub_queue).into(),
            QueueDeleteOptions::default(),
        ))
        .await?;
        reply(channel.close(200, "done".into())).await
    }

    async fn remove_empty(&self, sub_queue: &SubQueue) -> Result<bool, QueueError> {
        match self.broker.count_sub_queue(sub_queue).await? {
            None => return Ok(true),
            Some(0) => {}
            Some(_) => return Ok(false),
        }
        // Quorum queues cannot be deleted on the condition that they are empty.
        let channel = self.broker.consumers.channel().await?;
        let name = self.broker.topology.sub_queue(sub_queue);
        let got = reply(channel.basic_get(name.into(), BasicGetOptions::default())).await?;
        if let Some(job) = &got {
            settle::requeue(&job.acker).await;
        }
        reply(channel.close(200, "done".into())).await?;
        if got.is_none() {
            self.remove(sub_queue).await?;
        }
        Ok(got.is_none())
    }

    async fn consume(
        &self,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        self.check_open()?;
        Ok(Box::new(RabbitConsumer::start(&self.broker, lanes, prefetch).await?))
    }

    async fn announce(&self, events: &[OutcomeEvent]) -> Result<(), QueueError> {
        if self.broker.events_ended() {
            return Err(QueueError::Closed);
        }
        let messages = events
            .iter()
            .map(|event| Outgoing::event(&self.broker.topology, event))
            .collect::<Result<Vec<_>, _>>()?;
        self.broker.publisher.publish(messages, PATIENCE, None).await
    }

    async fn events(&self) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
        if self.broker.events_ended() {
            return Err(QueueError::Closed);
        }
        events::subscribe(&self.broker).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn trouble(&self) -> Option<String> {
        let consuming = self.broker.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        consuming.or_else(|| self.broker.publisher.trouble())
    }

    async fn try_publishing(&self) -> Result<(), QueueError> {
        rights::try_publishing(&self.broker).await
    }

    async fn try_consuming(&self) -> Result<(), QueueError> {
        rights::try_consuming(&self.broker).await
    }

    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let (topology, channel) = (&self.broker.topology, self.broker.consumers.channel().await?);
        let mut status = QueueStatus::default();
        for lane in Lane::ALL {
            let ready = count(&channel, &topology.lane(lane)).await?;
            let isolated = count(&channel, &topology.isolation(lane)).await?;
            status.ready.push((lane, ready + isolated));
        }
        let used = self.broker.sub_queues().clone();
        for (sub_queue, SubQueueUse { consumed, .. }) in used {
            // A queue that the broker cannot serve must not prevent counting the others.
            let Ok(count) = timeout(COUNT, self.broker.count_sub_queue(&sub_queue)).await else {
                continue;
            };
            let Some(jobs) = count? else {
                // It was deleted; it is declared again when it is used again.
                let mut used = self.broker.sub_queues();
                if used.get(&sub_queue).is_some_and(|used| !used.consumed) {
                    used.remove(&sub_queue);
                }
                continue;
            };
            let lane =
                status.ready.iter_mut().find(|(lane, _)| consumed && *lane == sub_queue.lane);
            *lane.map_or(&mut status.waiting, |(_, ready)| ready) += jobs;
        }
        for delay in topology.delays() {
            status.delayed += count(&channel, &delay).await?;
        }
        status.dead = count(&channel, &topology.dead()).await?;
        Ok(status)
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let _guard = self.broker.dead.lock().await;
        dead::list(&self.broker, limit).await
    }

    async fn resolve_dead(
        &self,
        filter: &DeadLetterFilter,
        retry: bool,
    ) -> Result<u64, QueueError> {
        if retry {
            self.check_open()?;
        }
        let _guard = self.broker.dead.lock().await;
        dead::resolve(&self.broker, filter, retry).await
    }

    async fn close(&self) {
        self.broker.closed.cancel();
        // Jobs that are not returned are requeued by the broker: later, and with a delivery
        // counted.
        if timeout(RETURN, self.broker.receive_loops.wait()).await.is_err() {
            tracing::warn!(
                "not all prefetched jobs could be returned in time; the broker will deliver them \
                    again"
            );
        }
    }
}
