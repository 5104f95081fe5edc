//! The queue on a `RabbitMQ` broker, 3.10 to 4.x: any number of processes on any number of hosts
//! share it.
//!
//! `topology` says which queues there are, `message` how a job becomes a message, `connection` how
//! the broker is reached and reached again, `publisher` how a message becomes safe, `feeder`,
//! `session`, `attached`, `shelf` and `consumer` how jobs come out, `settle` what becomes of them,
//! `dead` and `news` the rest. Publishing and consuming have a connection each: a broker that is
//! short of memory stops reading from publishers, and acknowledgements must still get through.
//!
//! Nothing here logs a message's body or the password of the URL.

mod answer;
mod attached;
mod bounded;
mod connection;
mod consumer;
mod counter;
mod dead;
mod events;
mod feeder;
mod hands;
mod message;
mod publisher;
mod rights;
mod session;
mod settle;
mod shelf;
mod topology;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::answer::{ANSWER, NOT_FOUND, answer, explain, has_code, silent};
use self::connection::Link;
pub use self::connection::RabbitSettings;
use self::consumer::RabbitConsumer;
use self::counter::Counter;
use self::message::Outgoing;
use self::publisher::{PATIENCE, Publisher};
use self::topology::Topology;
use super::wire::{InvalidJob, check_length};
use super::{Consumer, DeadLetter, DeadLetterFilter, JobQueue, QueueError, QueueStatus};
use crate::domain::{Job, Lane, OutcomeEvent, SubQueue};

/// Time for the broker to say how many jobs are at a place.
const PLACE: Duration = Duration::from_secs(1);

/// Time, when the queue is closed, for what was sent ahead to be put back.
const PUT_BACK: Duration = Duration::from_secs(10);

/// The queue on a broker.
pub struct RabbitQueue {
    broker: Arc<Broker>,
}

/// What a process has to do with a place.
#[derive(Clone, Copy, Default)]
struct Met {
    /// It takes from it.
    taken: bool,
    /// It has declared its queue.
    declared: bool,
}

/// What the queue, its consumers and their deliveries share.
struct Broker {
    topology: Arc<Topology>,
    publisher: Publisher,
    consumers: Link,
    closed: CancellationToken,
    /// Deliveries in the hands of this process.
    out: Counter,
    /// Consumers that may hold jobs that were sent ahead.
    feeders: Counter,
    /// The places that this process has met, and how.
    places: Mutex<BTreeMap<SubQueue, Met>>,
    /// Why no jobs come to the consumers; none while they do.
    trouble: Mutex<Option<String>>,
    /// Held by whoever looks at the dead letters: two at once would each see a part of them.
    dead: tokio::sync::Mutex<()>,
}

impl RabbitQueue {
    /// Connects to the broker and sees that the topology is there.
    ///
    /// # Errors
    /// If the broker cannot be reached, or the settings, the user or the queues on it will not do.
    pub async fn connect(settings: &RabbitSettings) -> Result<Self, QueueError> {
        let prefix = &settings.prefix;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if prefix.is_empty() || prefix.len() > 100 || !prefix.bytes().all(good) {
            return Err(QueueError::Unusable(
                "queue.prefix must be 1 to 100 letters, digits, '.', '_' and '-'".into(),
            ));
        }
        let topology = Arc::new(Topology::new(prefix, settings.delivery_limit));
        let publisher = Publisher::new(Link::new(settings, Arc::clone(&topology), "publish")?);
        let consumers = Link::new(settings, Arc::clone(&topology), "consume")?;
        let broker = Broker {
            topology,
            publisher,
            consumers,
            closed: CancellationToken::new(),
            out: Counter::new(),
            feeders: Counter::new(),
            places: Mutex::default(),
            trouble: Mutex::default(),
            dead: tokio::sync::Mutex::default(),
        };
        // Both at once, so that whatever is wrong shows at the start.
        broker.publisher.link().channel().await?;
        broker.consumers.channel().await?;
        Ok(Self { broker: Arc::new(broker) })
    }

    fn open(&self) -> Result<(), QueueError> {
        if self.broker.closed.is_cancelled() { Err(QueueError::Closed) } else { Ok(()) }
    }

    /// Publishes what `message` makes of each job.
    async fn enter(
        &self,
        jobs: &[Job],
        message: impl Fn(&Job) -> Result<Outgoing, QueueError> + Send + Sync,
    ) -> Result<(), QueueError> {
        self.open()?;
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
    /// How many jobs wait at `place`; none if it is not there.
    async fn count_if_there(&self, place: &SubQueue) -> Result<Option<u64>, QueueError> {
        // A channel of its own: it does not survive the answer that there is no such queue.
        let channel = self.consumers.channel().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = channel.queue_declare(
            self.topology.place(place).into(),
            options,
            FieldTable::default(),
        );
        match timeout(ANSWER, asked).await {
            Ok(Ok(queue)) => {
                let waiting = queue.message_count().into();
                answer(channel.close(200, "done".into())).await?;
                Ok(Some(waiting))
            }
            Ok(Err(error)) if has_code(&error, NOT_FOUND) => Ok(None),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err(silent()),
        }
    }

    /// The places that this process has met, and how.
    fn places(&self) -> MutexGuard<'_, BTreeMap<SubQueue, Met>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes from which places this process takes.
    fn take_from(&self, places: &BTreeSet<SubQueue>) {
        let mut met = self.places();
        met.values_mut().for_each(|met| met.taken = false);
        for place in places {
            met.entry(place.clone()).or_default().taken = true;
        }
    }

    /// Sees that there is a queue for `place`, the first time.
    async fn meet(&self, place: &SubQueue) -> Result<(), QueueError> {
        if !self.places().get(place).is_some_and(|met| met.declared) {
            self.declare_place(place).await?;
            self.places().entry(place.clone()).or_default().declared = true;
        }
        Ok(())
    }

    /// Declares the queue of `place`, if it is not there.
    async fn declare_place(&self, place: &SubQueue) -> Result<(), QueueError> {
        self.publisher.link().declare_places(&BTreeSet::from([place.to_string()])).await
    }

    /// Notes why no jobs come, or that they do.
    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Whether nothing can be announced any more: every job that could still end here has ended.
    fn news_over(&self) -> bool {
        self.closed.is_cancelled() && self.out.is_zero()
    }
}

/// The number of messages that are ready in a queue.
async fn count(channel: &Channel, queue: &str) -> Result<u64, QueueError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    Ok(answer(channel.queue_declare(queue.into(), options, FieldTable::default()))
        .await?
        .message_count()
        .into())
}

#[async_trait]
impl JobQueue for RabbitQueue {
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.enter(&jobs, |job| Outgoing::new_job(&self.broker.topology, job)).await
    }

    async fn publish_to(&self, place: &SubQueue, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.open()?;
        self.broker.meet(place).await?;
        self.enter(&jobs, |job| Outgoing::at(&self.broker.topology, place, job, &[])).await
    }

    async fn waiting(&self, places: &[SubQueue]) -> Result<Vec<u64>, QueueError> {
        let mut waiting = Vec::with_capacity(places.len());
        for place in places {
            waiting.push(self.broker.count_if_there(place).await?.unwrap_or(0));
        }
        Ok(waiting)
    }

    async fn remove(&self, place: &SubQueue) -> Result<(), QueueError> {
        self.broker.places().remove(place);
        let channel = self.broker.consumers.channel().await?;
        // One that is not there is removed.
        answer(
            channel.queue_delete(
                self.broker.topology.place(place).into(),
                QueueDeleteOptions::default(),
            ),
        )
        .await?;
        answer(channel.close(200, "done".into())).await
    }

    async fn consume(
        &self,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        self.open()?;
        Ok(Box::new(RabbitConsumer::start(&self.broker, lanes, prefetch).await?))
    }

    async fn announce(&self, events: &[OutcomeEvent]) -> Result<(), QueueError> {
        if self.broker.news_over() {
            return Err(QueueError::Closed);
        }
        let messages = events
            .iter()
            .map(|event| Outgoing::event(&self.broker.topology, event))
            .collect::<Result<Vec<_>, _>>()?;
        self.broker.publisher.publish(messages, PATIENCE, None).await
    }

    async fn events(&self) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
        if self.broker.news_over() {
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
            let (ready, solo) = (
                count(&channel, &topology.lane(lane)).await?,
                count(&channel, &topology.solo(lane)).await?,
            );
            status.ready.push((lane, ready + solo));
        }
        let places = self.broker.places().clone();
        for (place, Met { taken, .. }) in places {
            // One that the broker cannot serve does not hide the others.
            let Ok(count) = timeout(PLACE, self.broker.count_if_there(&place)).await else {
                continue;
            };
            let Some(jobs) = count? else {
                // Whoever has it back declares it anew.
                let mut places = self.broker.places();
                if places.get(&place).is_some_and(|met| !met.taken) {
                    places.remove(&place);
                }
                continue;
            };
            let lane = status.ready.iter_mut().find(|(lane, _)| taken && *lane == place.lane);
            *lane.map_or(&mut status.waiting, |(_, ready)| ready) += jobs;
        }
        for delay in topology.delays() {
            status.delayed += count(&channel, &delay).await?;
        }
        status.dead = count(&channel, &topology.dead()).await?;
        Ok(status)
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let _turn = self.broker.dead.lock().await;
        dead::list(&self.broker, limit).await
    }

    async fn resolve_dead(
        &self,
        selection: &DeadLetterFilter,
        retry: bool,
    ) -> Result<u64, QueueError> {
        if retry {
            self.open()?;
        }
        let _turn = self.broker.dead.lock().await;
        dead::resolve(&self.broker, selection, retry).await
    }

    async fn close(&self) {
        self.broker.closed.cancel();
        // What was sent ahead and is not put back, the broker delivers again: late, and counted.
        if timeout(PUT_BACK, self.broker.feeders.until_zero()).await.is_err() {
            tracing::warn!(
                "not everything that was sent ahead could be put back; the broker will deliver it \
                    again"
            );
        }
    }
}
