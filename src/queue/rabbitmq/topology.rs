//! The queues and exchanges on the broker: their names, their declaration, and what to do if others
//! with the same names exist. `docs/queues.md` describes them for operators.
//!
//! All queues are durable quorum queues. With `reject-publish`, a full queue refuses messages and
//! loses none; with at-least-once dead-lettering, a message stays where it is until it is safe in
//! the next queue.
//!
//! New jobs go through the exchange `PREFIX.jobs` by their lane. A job that waits for a time goes
//! through `PREFIX.waiting` into a delay queue, in which all jobs wait equally long, so that the
//! first to be due is always at its head. After the delay the broker passes it to `PREFIX.back`
//! with its routing key, `LANE.DELAY`, whose first word routes it to its lane. A job that waits in
//! a sub-queue goes through `PREFIX.waiting` into `PREFIX.LANE.campaign.ID` or a similar queue,
//! which is declared by the publisher of its first job.
//!
//! Producers need write permission on `PREFIX.jobs` only. So a message from another exchange was
//! written by a worker, and only its attempts and requeues are trusted.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::reply::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, has_code, queue_error};
use crate::domain::{Lane, SubQueue};
use crate::queue::QueueError;

/// The delay queues: their names and delays. They must not change under a running fleet, because
/// the existing queues have the old arguments.
const DELAYS: [(&str, Duration); 5] = [
    ("1s", Duration::from_secs(1)),
    ("5s", Duration::from_secs(5)),
    ("30s", Duration::from_secs(30)),
    ("2m", Duration::from_secs(120)),
    ("10m", Duration::from_secs(600)),
];

/// The exchanges, without the prefix.
const JOBS: &str = "jobs";
const WAITING: &str = "waiting";
const BACK: &str = "back";

/// The word after the lane in the name and routing key of an isolation queue.
const ISOLATION: &str = "solo";

/// Listing a dead letter counts as a delivery, and from 4.0 on the default limit of a queue is 20.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Names and arguments of the queues and exchanges.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    prefix: String,
    delivery_limit: u32,
}

/// A queue as it is to be declared.
struct QueueDeclaration {
    name: String,
    arguments: Vec<(&'static str, AMQPValue)>,
    /// Exchanges and binding keys.
    bindings: Vec<(String, String)>,
}

impl Topology {
    pub(super) fn new(prefix: &str, delivery_limit: u32) -> Self {
        Self { prefix: prefix.to_owned(), delivery_limit }
    }

    /// The prefix of every name.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The exchange of new jobs, with the lane as routing key.
    pub(super) fn jobs(&self) -> String {
        format!("{}.{JOBS}", self.prefix)
    }

    /// The exchange of jobs for delay queues, sub-queues and isolation queues.
    pub(super) fn waiting(&self) -> String {
        format!("{}.{WAITING}", self.prefix)
    }

    /// The exchange of jobs that return to their lane.
    pub(super) fn back(&self) -> String {
        format!("{}.{BACK}", self.prefix)
    }

    /// Whether only workers write to this exchange.
    pub(super) fn is_written_by_workers(&self, exchange: &str) -> bool {
        let name = exchange.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('.'));
        matches!(name, Some(WAITING | BACK))
    }

    /// The queue of a sub-queue.
    pub(super) fn sub_queue(&self, sub_queue: &SubQueue) -> String {
        format!("{}.{sub_queue}", self.prefix)
    }

    /// The exchange of events, by topic.
    pub(super) fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// The name of the exchange and of the queue of dead letters.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The queue of a lane.
    pub(super) fn lane(&self, lane: Lane) -> String {
        format!("{}.{lane}", self.prefix)
    }

    /// The queue of a lane's suspected poison jobs.
    pub(super) fn isolation(&self, lane: Lane) -> String {
        format!("{}.{lane}.{ISOLATION}", self.prefix)
    }

    /// The routing key, on [`Topology::waiting`], of a lane's isolation queue.
    pub(super) fn isolation_key(lane: Lane) -> String {
        format!("{lane}.{ISOLATION}")
    }

    /// The routing key, on [`Topology::waiting`], of the shortest delay of at least `wait`, or else
    /// of the longest delay.
    pub(super) fn delay_key(lane: Lane, wait: Duration) -> String {
        let step =
            DELAYS.iter().find(|(_, delay)| *delay >= wait).unwrap_or(&DELAYS[DELAYS.len() - 1]);
        format!("{lane}.{}", step.0)
    }

    /// The delay queues.
    pub(super) fn delays(&self) -> impl Iterator<Item = String> {
        DELAYS.iter().map(|(name, _)| self.delay(name))
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

    fn queues(&self) -> Vec<QueueDeclaration> {
        let bindings = |id: Lane| {
            [self.jobs(), self.back()].map(|exchange| (exchange, format!("{id}.#"))).to_vec()
        };
        let lanes = Lane::ALL.into_iter().map(|id| self.job_queue(self.lane(id), bindings(id)));
        let isolation = Lane::ALL.into_iter().map(|id| {
            self.job_queue(self.isolation(id), vec![(self.waiting(), Self::isolation_key(id))])
        });
        let delays = DELAYS.iter().map(|(name, delay)| QueueDeclaration {
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
        let dead = QueueDeclaration {
            name: self.dead(),
            arguments: std::iter::once((
                "x-delivery-limit",
                AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT),
            ))
            .chain(SAFE.map(|(key, value)| (key, text(value))))
            .collect(),
            bindings: vec![(self.dead(), String::new())],
        };
        lanes.chain(isolation).chain(delays).chain([dead]).collect()
    }

    /// A queue that workers consume.
    fn job_queue(&self, name: String, bindings: Vec<(String, String)>) -> QueueDeclaration {
        let mut arguments = vec![
            ("x-delivery-limit", AMQPValue::LongLongInt(i64::from(self.delivery_limit))),
            ("x-dead-letter-exchange", text(&self.dead())),
            ("x-dead-letter-strategy", text("at-least-once")),
        ];
        arguments.extend(SAFE.map(|(key, value)| (key, text(value))));
        QueueDeclaration { name, arguments, bindings }
    }

    /// Declares sub-queues by their routing keys on [`Topology::waiting`].
    ///
    /// # Errors
    /// If this user may not declare them, or the connection is lost.
    pub(super) async fn declare_sub_queues(
        &self,
        channel: &Channel,
        keys: &BTreeSet<String>,
    ) -> Result<(), QueueError> {
        for key in keys {
            let name = format!("{}.{key}", self.prefix);
            let declared =
                declare(channel, self.job_queue(name.clone(), vec![(self.waiting(), key.clone())]))
                    .await;
            declared.map_err(|source| match has_code(&source, ACCESS_REFUSED) {
                true => QueueError::Unusable(format!(
                    "the sub-queue '{name}' cannot be declared: give this user configure \
                        permission on its name (docs/queues.md, Users)"
                )),
                false => self.mismatch(&DeclareError { name: name.clone(), source }),
            })?;
        }
        Ok(())
    }

    /// Declares what is missing. If the user may not declare, checks that everything exists.
    ///
    /// # Errors
    /// If a queue or exchange exists with other arguments, or is missing and this user may not
    /// declare it.
    pub(super) async fn ensure(&self, connection: &Connection) -> Result<(), QueueError> {
        match self.declare(connection).await {
            Err(error) if has_code(&error.source, ACCESS_REFUSED) => {
                self.check_exists(connection).await
            }
            Err(error) => Err(self.mismatch(&error)),
            Ok(()) => Ok(()),
        }
    }

    async fn declare(&self, connection: &Connection) -> Result<(), DeclareError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| DeclareError { name, source }
        };
        // A refusal closes the channel, so it is used for nothing else.
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

    async fn check_exists(&self, connection: &Connection) -> Result<(), QueueError> {
        let channel = connection.create_channel().await.map_err(|error| queue_error(&error))?;
        let missing = |name: &str, error: &lapin::Error| match has_code(error, NOT_FOUND) {
            true => QueueError::Unusable(format!(
                "'{name}' does not exist on the broker and this user may not declare it: start a \
                    worker once as a user with configure permission on ^{}\\.",
                self.prefix.replace('.', "\\.")
            )),
            false => queue_error(error),
        };
        for (name, kind) in self.exchanges() {
            let options =
                ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let declared = channel.exchange_declare(
                name.as_str().into(),
                kind,
                options,
                FieldTable::default(),
            );
            declared.await.map_err(|error| missing(&name, &error))?;
        }
        for QueueDeclaration { name, .. } in self.queues() {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let declared =
                channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            declared.await.map_err(|error| missing(&name, &error))?;
        }
        channel.close(200, "done".into()).await.map_err(|error| queue_error(&error))
    }

    fn mismatch(&self, DeclareError { name, source }: &DeclareError) -> QueueError {
        if !has_code(source, PRECONDITION_FAILED) {
            return queue_error(source);
        }
        QueueError::Unusable(format!(
            "'{name}' exists on the broker with other arguments than these settings require: \
                {source}. If queue.delivery_limit was changed, change it back. Otherwise let the \
                workers empty the queue, stop them, delete it and start them again, or choose \
                another queue.prefix (now '{}')",
            self.prefix
        ))
    }
}

/// The arguments of every queue: replicated, and refuses messages when full.
const SAFE: [(&str, &str); 2] = [("x-queue-type", "quorum"), ("x-overflow", "reject-publish")];

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

async fn declare(channel: &Channel, queue: QueueDeclaration) -> lapin::Result<()> {
    let QueueDeclaration { name, arguments, bindings } = queue;
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

/// A queue or exchange that could not be declared.
struct DeclareError {
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
