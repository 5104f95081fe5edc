//! The queue on a `RabbitMQ` broker, 3.10 to 4.x: any number of processes on any number of hosts share it.
//!
//! `topology` says which queues there are, `message` how a job becomes a message, `connection` how the broker is reached and
//! reached again, `publisher` how a message becomes safe, `feeder`, `shelf` and `consumer` how jobs come out, `settle` what
//! becomes of them, `dead` and `news` the rest. Publishing and consuming have a connection each: a broker that is short of memory
//! stops reading from publishers, and acknowledgements must still get through.
//!
//! Nothing here logs a message's body or the password of the URL.

mod answer;
mod bounded;
mod connection;
mod consumer;
mod counter;
mod dead;
mod feeder;
mod hands;
mod message;
mod news;
mod publisher;
mod settle;
mod shelf;
mod topology;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::answer::answer;
use self::connection::Link;
pub use self::connection::RabbitSettings;
use self::consumer::RabbitConsumer;
use self::counter::Counter;
use self::message::Outgoing;
use self::publisher::{PATIENCE, Publisher};
use self::topology::Topology;
use super::wire::{InvalidJob, check_length};
use super::{Consumer, DeadLetter, DeadSelection, JobQueue, QueueError, QueueStatus};
use crate::domain::{Job, Lane, OutcomeEvent};

/// Time, when the queue is closed, for what was sent ahead to be put back.
const PUT_BACK: Duration = Duration::from_secs(10);

/// The queue on a broker.
pub struct RabbitQueue {
    broker: Arc<Broker>,
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
            return Err(QueueError::Unusable("queue.prefix must be 1 to 100 letters, digits, '.', '_' and '-'".into()));
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
}

impl Broker {
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
    Ok(answer(channel.queue_declare(queue.into(), options, FieldTable::default())).await?.message_count().into())
}

#[async_trait]
impl JobQueue for RabbitQueue {
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.open()?;
        let message = |job: &Job| {
            let message = Outgoing::new_job(&self.broker.topology, job, &[])?;
            let too_long = |error: InvalidJob| QueueError::Unusable(format!("job {}: {error}", job.id));
            check_length(&message.body).map_err(too_long)?;
            Ok(message)
        };
        let messages = jobs.iter().map(message).collect::<Result<Vec<_>, QueueError>>()?;
        drop(jobs);
        self.broker.publisher.publish(messages, PATIENCE, Some(&self.broker.closed)).await
    }

    async fn consume(&self, lanes: &[Lane], prefetch: usize) -> Result<Box<dyn Consumer>, QueueError> {
        self.open()?;
        Ok(Box::new(RabbitConsumer::start(&self.broker, lanes, prefetch).await?))
    }

    async fn announce(&self, events: &[OutcomeEvent]) -> Result<(), QueueError> {
        if self.broker.news_over() {
            return Err(QueueError::Closed);
        }
        let messages = events.iter().map(|event| Outgoing::event(&self.broker.topology, event)).collect::<Result<Vec<_>, _>>()?;
        self.broker.publisher.publish(messages, PATIENCE, None).await
    }

    async fn news(&self) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
        if self.broker.news_over() {
            return Err(QueueError::Closed);
        }
        news::subscribe(&self.broker).await
    }

    fn trouble(&self) -> Option<String> {
        self.broker.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let (topology, channel) = (&self.broker.topology, self.broker.consumers.channel().await?);
        let mut status = QueueStatus::default();
        for lane in Lane::ALL {
            let (ready, solo) = (count(&channel, &topology.lane(lane)).await?, count(&channel, &topology.solo(lane)).await?);
            status.ready.push((lane, ready + solo));
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

    async fn resolve_dead(&self, selection: &DeadSelection, retry: bool) -> Result<u64, QueueError> {
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
            tracing::warn!("not everything that was sent ahead could be put back; the broker will deliver it again");
        }
    }
}
