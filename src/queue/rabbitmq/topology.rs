//! The queues and exchanges on the broker: what they are called, how they are declared, and what to do if others of the same name
//! are there. `docs/queues.md` tells operators.
//!
//! All queues are durable quorum queues with `reject-publish`, so that a full one refuses and loses nothing, and dead-letter with
//! at-least-once, so that what cannot be passed on stays where it is. Jobs go through the exchange `PREFIX.jobs` by their lane.
//! A job that waits goes through `PREFIX.retry` into the queue of its delay: all jobs in it wait equally long, so the first to be
//! due is always at its head. When its time is over the broker passes it to `PREFIX.jobs` under the routing key it came with,
//! `LANE.DELAY`, of which the first word leads it home.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ExchangeKind};

use super::answer::{explain, has_code};
use crate::domain::Lane;
use crate::queue::QueueError;

/// The delays that jobs can wait for, with the names of their queues. Those of a running fleet must not change: their queues would
/// have other arguments.
const LADDER: [(&str, Duration); 5] = [
    ("1s", Duration::from_secs(1)),
    ("5s", Duration::from_secs(5)),
    ("30s", Duration::from_secs(30)),
    ("2m", Duration::from_secs(120)),
    ("10m", Duration::from_secs(600)),
];

/// What RabbitMQ answers if a queue is there with other arguments.
const PRECONDITION_FAILED: u16 = 406;
/// If it is not there.
const NOT_FOUND: u16 = 404;
/// If the user may not declare it.
const ACCESS_REFUSED: u16 = 403;

/// The word after the lane in the routing key of a job that is handled alone.
const SOLO: &str = "solo";

/// Looking at a dead letter counts as a delivery, and from 4.0 on a queue without a limit of its own gives up after 20.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Names and arguments.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    prefix: String,
    delivery_limit: u32,
}

/// A queue as it must be.
struct Queue {
    name: String,
    arguments: Vec<(&'static str, AMQPValue)>,
    exchange: String,
    binding: String,
}

impl Topology {
    pub(super) fn new(prefix: &str, delivery_limit: u32) -> Self {
        Self { prefix: prefix.to_owned(), delivery_limit }
    }

    /// Before every name.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where new jobs are published, with the lane as routing key.
    pub(super) fn jobs(&self) -> String {
        format!("{}.jobs", self.prefix)
    }

    /// Where jobs are published that wait, or that are to be handled alone.
    pub(super) fn retry(&self) -> String {
        format!("{}.retry", self.prefix)
    }

    /// Where events are published, by topic.
    pub(super) fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// Both the exchange and the queue of dead letters.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The queue of a lane.
    pub(super) fn lane(&self, lane: Lane) -> String {
        format!("{}.{lane}", self.prefix)
    }

    /// The queue of a lane's jobs that are handled alone.
    pub(super) fn solo(&self, lane: Lane) -> String {
        format!("{}.{lane}.{SOLO}", self.prefix)
    }

    /// The routing key, on [`Topology::retry`], of a job that is handled alone.
    pub(super) fn solo_key(lane: Lane) -> String {
        format!("{lane}.{SOLO}")
    }

    /// The routing key, on [`Topology::retry`], of a job that waits at least `wait`, or for the longest delay there is.
    pub(super) fn delay_key(lane: Lane, wait: Duration) -> String {
        let step = LADDER.iter().find(|(_, delay)| *delay >= wait).unwrap_or(&LADDER[LADDER.len() - 1]);
        format!("{lane}.{}", step.0)
    }

    /// The queues of jobs that wait.
    pub(super) fn delays(&self) -> impl Iterator<Item = String> {
        LADDER.iter().map(|(name, _)| self.delay(name))
    }

    fn delay(&self, name: &str) -> String {
        format!("{}.delay.{name}", self.prefix)
    }

    fn exchanges(&self) -> [(String, ExchangeKind); 4] {
        [
            (self.jobs(), ExchangeKind::Topic),
            (self.retry(), ExchangeKind::Topic),
            (self.events(), ExchangeKind::Topic),
            (self.dead(), ExchangeKind::Fanout),
        ]
    }

    fn queues(&self) -> Vec<Queue> {
        let limit = AMQPValue::LongLongInt(i64::from(self.delivery_limit));
        let text = |text: &str| AMQPValue::LongString(text.into());
        let to_dead = [("x-delivery-limit", limit), ("x-dead-letter-exchange", text(&self.dead()))];
        let lane = |name: String, exchange: String, binding: String| Queue {
            name,
            arguments: [to_dead.to_vec(), vec![("x-dead-letter-strategy", text("at-least-once"))]].concat(),
            exchange,
            binding,
        };
        let lanes = Lane::ALL.into_iter().map(|id| lane(self.lane(id), self.jobs(), format!("{id}.#")));
        let solos = Lane::ALL.into_iter().map(|id| lane(self.solo(id), self.retry(), Self::solo_key(id)));
        let delays = LADDER.iter().map(|(name, delay)| Queue {
            name: self.delay(name),
            arguments: vec![
                ("x-message-ttl", AMQPValue::LongLongInt(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))),
                ("x-dead-letter-exchange", text(&self.jobs())),
                ("x-dead-letter-strategy", text("at-least-once")),
            ],
            exchange: self.retry(),
            binding: format!("*.{name}"),
        });
        let dead = Queue {
            name: self.dead(),
            arguments: vec![("x-delivery-limit", AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT))],
            exchange: self.dead(),
            binding: String::new(),
        };
        let mut queues: Vec<Queue> = lanes.chain(solos).chain(delays).chain([dead]).collect();
        for queue in &mut queues {
            queue.arguments.extend([("x-queue-type", text("quorum")), ("x-overflow", text("reject-publish"))]);
        }
        queues
    }

    /// Declares what is missing. A user that may not declare is content with what is there.
    ///
    /// # Errors
    /// If something of another kind has one of the names, or something is missing that this user may not declare.
    pub(super) async fn ensure(&self, connection: &Connection) -> Result<(), QueueError> {
        match self.declare(connection).await {
            Err(error) if has_code(&error.source, ACCESS_REFUSED) => self.look(connection).await,
            Err(error) => Err(self.mismatch(&error)),
            Ok(()) => Ok(()),
        }
    }

    async fn declare(&self, connection: &Connection) -> Result<(), Undeclared> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| Undeclared { name, source }
        };
        // A channel does not survive a refusal; it is this function's own.
        let channel = connection.create_channel().await.map_err(failed("a channel"))?;
        for (name, kind) in self.exchanges() {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await.map_err(failed(&name))?;
        }
        for Queue { name, arguments, exchange, binding } in self.queues() {
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            let mut table = FieldTable::default();
            for (key, value) in arguments {
                table.insert(key.into(), value);
            }
            channel.queue_declare(name.as_str().into(), options, table).await.map_err(failed(&name))?;
            let bound = channel.queue_bind(
                name.as_str().into(),
                exchange.into(),
                binding.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.map_err(failed(&name))?;
        }
        channel.close(200, "done".into()).await.map_err(failed("a channel"))
    }

    async fn look(&self, connection: &Connection) -> Result<(), QueueError> {
        let channel = connection.create_channel().await.map_err(|error| explain(&error))?;
        let missing = |name: &str, error: &lapin::Error| match has_code(error, NOT_FOUND) {
            true => QueueError::Unusable(format!(
                "'{name}' is not on the broker and this user may not declare it: start a worker once as a user with configure permission on ^{}\\.",
                self.prefix.replace('.', "\\.")
            )),
            false => explain(error),
        };
        for (name, kind) in self.exchanges() {
            let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let looked = channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default());
            looked.await.map_err(|error| missing(&name, &error))?;
        }
        for Queue { name, .. } in self.queues() {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let looked = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            looked.await.map_err(|error| missing(&name, &error))?;
        }
        channel.close(200, "done".into()).await.map_err(|error| explain(&error))
    }

    fn mismatch(&self, Undeclared { name, source }: &Undeclared) -> QueueError {
        if !has_code(source, PRECONDITION_FAILED) {
            return explain(source);
        }
        QueueError::Unusable(format!(
            "'{name}' is on the broker already and is not what these settings make of it: {source}. If queue.delivery_limit was changed, \
             change it back; otherwise let the workers empty the queue, stop them, delete it and start them again, or choose another \
             queue.prefix (now '{}')",
            self.prefix
        ))
    }
}

/// Something that could not be declared.
struct Undeclared {
    name: String,
    source: lapin::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_waits_at_least_as_long_as_it_should() {
        let key = |wait| Topology::delay_key(Lane::Scan, wait);
        assert_eq!(key(Duration::ZERO), "scan.1s");
        assert_eq!(key(Duration::from_secs(1)), "scan.1s");
        assert_eq!(key(Duration::from_millis(1001)), "scan.5s");
        assert_eq!(key(Duration::from_secs(120)), "scan.2m");
        assert_eq!(key(Duration::from_secs(86_400)), "scan.10m");
    }
}
