//! The queues and exchanges on the broker: what they are called, how they are declared, and what to
//! do if others of the same name are there. `docs/queues.md` tells operators.
//!
//! All queues are durable quorum queues with `reject-publish`, so that a full one refuses and loses
//! nothing, and dead-letter with at-least-once, so that what cannot be passed on stays where it is.
//! New jobs go through the exchange `PREFIX.jobs` by their lane. A job that waits for a time goes
//! through `PREFIX.waiting` into the queue of its delay: all jobs in it wait equally long, so the
//! first to be due is always at its head. When its time is over the broker passes it to
//! `PREFIX.back` under the routing key it came with, `LANE.DELAY`, of which the first word leads it
//! home. A job that waits at a place goes through `PREFIX.waiting` into the place's queue,
//! `PREFIX.LANE.campaign.ID` and the like, which is declared by whoever puts the first job there.
//!
//! Producers need the right to write to `PREFIX.jobs` alone. So what comes through another exchange
//! was written by a worker, and only there attempts and returns are believed.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::answer::{NOT_FOUND, explain, has_code};
use crate::domain::{Lane, SubQueue};
use crate::queue::QueueError;

/// The delays that jobs can wait for, with the names of their queues. Those of a running fleet must
/// not change: their queues would have other arguments.
const LADDER: [(&str, Duration); 5] = [
    ("1s", Duration::from_secs(1)),
    ("5s", Duration::from_secs(5)),
    ("30s", Duration::from_secs(30)),
    ("2m", Duration::from_secs(120)),
    ("10m", Duration::from_secs(600)),
];

/// What RabbitMQ answers if a queue is there with other arguments.
const PRECONDITION_FAILED: u16 = 406;
/// If the user may not declare it.
const ACCESS_REFUSED: u16 = 403;

/// The exchanges, without the prefix.
const JOBS: &str = "jobs";
const WAITING: &str = "waiting";
const BACK: &str = "back";

/// The word after the lane in the routing key of a job that is handled alone.
const SOLO: &str = "solo";

/// Looking at a dead letter counts as a delivery, and from 4.0 on a queue without a limit of its
/// own gives up after 20.
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
    /// Exchanges, each with the key by which it is bound to them.
    bindings: Vec<(String, String)>,
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
        format!("{}.{JOBS}", self.prefix)
    }

    /// Where jobs are published that wait, for a time or at a place, or that are to be handled
    /// alone.
    pub(super) fn waiting(&self) -> String {
        format!("{}.{WAITING}", self.prefix)
    }

    /// Where jobs come back to their lane.
    pub(super) fn back(&self) -> String {
        format!("{}.{BACK}", self.prefix)
    }

    /// Whether only workers write to this exchange.
    pub(super) fn is_workers(&self, exchange: &str) -> bool {
        let name = exchange.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('.'));
        matches!(name, Some(WAITING | BACK))
    }

    /// The queue of a place.
    pub(super) fn place(&self, place: &SubQueue) -> String {
        format!("{}.{place}", self.prefix)
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

    /// The routing key, on [`Topology::waiting`], of a job that is handled alone.
    pub(super) fn solo_key(lane: Lane) -> String {
        format!("{lane}.{SOLO}")
    }

    /// The routing key, on [`Topology::waiting`], of a job that waits at least `wait`, or for the
    /// longest delay there is.
    pub(super) fn delay_key(lane: Lane, wait: Duration) -> String {
        let step =
            LADDER.iter().find(|(_, delay)| *delay >= wait).unwrap_or(&LADDER[LADDER.len() - 1]);
        format!("{lane}.{}", step.0)
    }

    /// The queues of jobs that wait.
    pub(super) fn delays(&self) -> impl Iterator<Item = String> {
        LADDER.iter().map(|(name, _)| self.delay(name))
    }

    fn delay(&self, name: &str) -> String {
        format!("{}.wait.{name}", self.prefix)
    }

    fn exchanges(&self) -> [(String, ExchangeKind); 5] {
        [
            (self.jobs(), ExchangeKind::Topic),
            (self.waiting(), ExchangeKind::Topic),
            (self.back(), ExchangeKind::Topic),
            (self.events(), ExchangeKind::Topic),
            (self.dead(), ExchangeKind::Fanout),
        ]
    }

    fn queues(&self) -> Vec<Queue> {
        let ways = |id: Lane| {
            [self.jobs(), self.back()].map(|exchange| (exchange, format!("{id}.#"))).to_vec()
        };
        let lanes = Lane::ALL.into_iter().map(|id| self.of_jobs(self.lane(id), ways(id)));
        let solos = Lane::ALL
            .into_iter()
            .map(|id| self.of_jobs(self.solo(id), vec![(self.waiting(), Self::solo_key(id))]));
        let delays = LADDER.iter().map(|(name, delay)| Queue {
            name: self.delay(name),
            arguments: vec![
                (
                    "x-message-ttl",
                    AMQPValue::LongLongInt(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)),
                ),
                ("x-dead-letter-exchange", text(&self.back())),
                ("x-dead-letter-strategy", text("at-least-once")),
            ]
            .into_iter()
            .chain(SAFE.map(|(key, value)| (key, text(value))))
            .collect(),
            bindings: vec![(self.waiting(), format!("*.{name}"))],
        });
        let dead = Queue {
            name: self.dead(),
            arguments: std::iter::once((
                "x-delivery-limit",
                AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT),
            ))
            .chain(SAFE.map(|(key, value)| (key, text(value))))
            .collect(),
            bindings: vec![(self.dead(), String::new())],
        };
        lanes.chain(solos).chain(delays).chain([dead]).collect()
    }

    /// A queue from which workers take jobs.
    fn of_jobs(&self, name: String, bindings: Vec<(String, String)>) -> Queue {
        let mut arguments = vec![
            ("x-delivery-limit", AMQPValue::LongLongInt(i64::from(self.delivery_limit))),
            ("x-dead-letter-exchange", text(&self.dead())),
            ("x-dead-letter-strategy", text("at-least-once")),
        ];
        arguments.extend(SAFE.map(|(key, value)| (key, text(value))));
        Queue { name, arguments, bindings }
    }

    /// Declares the queues of places, by their routing keys on [`Topology::waiting`].
    ///
    /// # Errors
    /// If this user may not, or the connection is lost.
    pub(super) async fn declare_places(
        &self,
        channel: &Channel,
        keys: &BTreeSet<String>,
    ) -> Result<(), QueueError> {
        for key in keys {
            let name = format!("{}.{key}", self.prefix);
            let declared =
                declare(channel, self.of_jobs(name.clone(), vec![(self.waiting(), key.clone())]))
                    .await;
            declared.map_err(|source| match has_code(&source, ACCESS_REFUSED) {
                true => QueueError::Unusable(format!(
                    "'{name}', where jobs are to wait, cannot be declared: give this user \
                        configure permission on its name (docs/queues.md, Users)"
                )),
                false => self.mismatch(&Undeclared { name: name.clone(), source }),
            })?;
        }
        Ok(())
    }

    /// Declares what is missing. A user that may not declare is content with what is there.
    ///
    /// # Errors
    /// If something of another kind has one of the names, or something is missing that this user
    /// may not declare.
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
            let options =
                ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel
                .exchange_declare(name.as_str().into(), kind, options, FieldTable::default())
                .await
                .map_err(failed(&name))?;
        }
        for queue in self.queues() {
            let name = queue.name.clone();
            declare(&channel, queue).await.map_err(failed(&name))?;
        }
        channel.close(200, "done".into()).await.map_err(failed("a channel"))
    }

    async fn look(&self, connection: &Connection) -> Result<(), QueueError> {
        let channel = connection.create_channel().await.map_err(|error| explain(&error))?;
        let missing = |name: &str, error: &lapin::Error| match has_code(error, NOT_FOUND) {
            true => QueueError::Unusable(format!(
                "'{name}' is not on the broker and this user may not declare it: start a worker \
                    once as a user with configure permission on ^{}\\.",
                self.prefix.replace('.', "\\.")
            )),
            false => explain(error),
        };
        for (name, kind) in self.exchanges() {
            let options =
                ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let looked = channel.exchange_declare(
                name.as_str().into(),
                kind,
                options,
                FieldTable::default(),
            );
            looked.await.map_err(|error| missing(&name, &error))?;
        }
        for Queue { name, .. } in self.queues() {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let looked =
                channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            looked.await.map_err(|error| missing(&name, &error))?;
        }
        channel.close(200, "done".into()).await.map_err(|error| explain(&error))
    }

    fn mismatch(&self, Undeclared { name, source }: &Undeclared) -> QueueError {
        if !has_code(source, PRECONDITION_FAILED) {
            return explain(source);
        }
        QueueError::Unusable(format!(
            "'{name}' is on the broker already and is not what these settings make of it: \
                {source}. If queue.delivery_limit was changed, \
             change it back; otherwise let the workers empty the queue, stop them, delete it and \
             start them again, or choose another \
             queue.prefix (now '{}')",
            self.prefix
        ))
    }
}

/// What every queue has: replicated, and full ones refuse.
const SAFE: [(&str, &str); 2] = [("x-queue-type", "quorum"), ("x-overflow", "reject-publish")];

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

async fn declare(channel: &Channel, queue: Queue) -> lapin::Result<()> {
    let Queue { name, arguments, bindings } = queue;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert(key.into(), value);
    }
    channel.queue_declare(name.as_str().into(), options, table).await?;
    for (exchange, key) in bindings {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel
            .queue_bind(name.as_str().into(), exchange.into(), key.into(), options, none)
            .await?;
    }
    Ok(())
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
