//! Messages on the broker: their exchanges and headers, and how jobs are written and read.
//!
//! The headers of a dead letter (`facefleet-…`) say why it is one. A retried job keeps its reasons.

use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};

use super::topology::Topology;
use crate::domain::{Job, OutcomeEvent, SubQueue};
use crate::queue::wire::{self, InvalidJob};
use crate::queue::{BodyHead, DeadLetter, QueueError, event};

/// Why the job was dead-lettered.
const REASON: &str = "facefleet-reason";
/// Since when, RFC 3339, UTC.
const DIED_AT: &str = "facefleet-died-at";
/// How often the job was delivered before.
const DELIVERIES: &str = "facefleet-deliveries";
/// Why the job was dead-lettered before, the oldest reason first.
const HISTORY: &str = "facefleet-history";
/// How often the job was requeued before a worker published it again.
const REQUEUED: &str = "facefleet-returned";
/// W3C Trace Context, for producers that cannot set it in the body.
const TRACE: &str = "traceparent";
/// How often a quorum queue delivered a message that was requeued.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// The broker's record of a message that it dead-lettered itself.
const DEATH: &str = "x-death";

/// The longest text in a header, bytes: all headers together must fit into one frame.
const MOST_TEXT: usize = 1000;
/// The most reasons that a retried job keeps.
const MOST_REASONS: usize = 20;

const PERSISTENT: u8 = 2;

/// A message on its way to the broker.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) exchange: String,
    pub(super) key: String,
    /// Whether it must be routed to a queue.
    pub(super) mandatory: bool,
    /// The routing key of its sub-queue, if it goes to one.
    pub(super) sub_queue: Option<String>,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// A job as it was received.
#[derive(Debug, Clone)]
pub(super) struct ReceivedJob {
    /// The job, whose attempt counts this delivery.
    pub(super) job: Job,
    pub(super) history: Vec<String>,
    /// How often it was requeued unsettled since it was last published as a new attempt.
    pub(super) requeued: u32,
    /// The routing key of its sub-queue; `None` if it comes from its lane.
    pub(super) sub_queue: Option<String>,
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) routing_key: &'a str,
    /// Whether a worker wrote it: other producers' claims about attempts and requeues are ignored.
    pub(super) from_worker: bool,
    /// Whether it was delivered before: then the broker wrote the count of deliveries.
    pub(super) redelivered: bool,
}

impl Outgoing {
    /// A new `job` to its lane.
    pub(super) fn new_job(topology: &Topology, job: &Job) -> Result<Self, QueueError> {
        Self::job(topology.jobs(), job.lane.as_str().to_owned(), job, &[], 0)
    }

    /// A retried dead letter to its lane.
    pub(super) fn retried(
        topology: &Topology,
        job: &Job,
        history: &[String],
    ) -> Result<Self, QueueError> {
        Self::job(topology.back(), job.lane.as_str().to_owned(), job, history, 0)
    }

    /// A received job back to where it comes from, as if it had not been delivered.
    pub(super) fn returned(
        topology: &Topology,
        received: &ReceivedJob,
    ) -> Result<Self, QueueError> {
        let ReceivedJob { job, history, requeued, sub_queue } = received;
        let (exchange, key) = match sub_queue {
            Some(key) => (topology.waiting(), key.clone()),
            None => (topology.back(), job.lane.as_str().to_owned()),
        };
        let message = Self::job(exchange, key, job, history, *requeued)?;
        Ok(Self { sub_queue: sub_queue.clone(), ..message })
    }

    /// `job` to a sub-queue.
    pub(super) fn to_sub_queue(
        topology: &Topology,
        sub_queue: &SubQueue,
        job: &Job,
        history: &[String],
    ) -> Result<Self, QueueError> {
        let key = sub_queue.to_string();
        let message = Self::waiting(topology, key.clone(), job, history)?;
        Ok(Self { sub_queue: Some(key), ..message })
    }

    /// `job` to a delay queue or an isolation queue.
    pub(super) fn waiting(
        topology: &Topology,
        key: String,
        job: &Job,
        history: &[String],
    ) -> Result<Self, QueueError> {
        Self::job(topology.waiting(), key, job, history, 0)
    }

    /// `job` to the dead letters.
    pub(super) fn dead_job(
        topology: &Topology,
        job: &Job,
        reason: &str,
        history: &[String],
    ) -> Result<Self, QueueError> {
        Ok(Self::dead(topology, &job.id.to_string(), body(job)?, reason, job.attempt, history))
    }

    fn job(
        exchange: String,
        key: String,
        job: &Job,
        history: &[String],
        requeued: u32,
    ) -> Result<Self, QueueError> {
        let body = body(job)?;
        let mut headers = FieldTable::default();
        insert_history(&mut headers, history);
        if requeued > 0 {
            headers.insert(REQUEUED.into(), AMQPValue::LongUInt(requeued));
        }
        let properties = properties("application/json", &job.id.to_string())
            .with_type("facefleet.job".into())
            .with_headers(headers);
        Ok(Self { exchange, key, mandatory: true, sub_queue: None, properties, body })
    }

    /// `body` to the dead letters.
    pub(super) fn dead(
        topology: &Topology,
        id: &str,
        body: Vec<u8>,
        reason: &str,
        deliveries: u32,
        history: &[String],
    ) -> Self {
        let mut headers = FieldTable::default();
        headers.insert(REASON.into(), text(reason));
        headers.insert(DIED_AT.into(), text(&Timestamp::now().to_string()));
        headers.insert(DELIVERIES.into(), AMQPValue::LongUInt(deliveries));
        insert_history(&mut headers, history);
        let properties = properties("application/json", id)
            .with_type("facefleet.dead".into())
            .with_headers(headers);
        Self {
            exchange: topology.dead(),
            key: String::new(),
            mandatory: true,
            sub_queue: None,
            properties,
            body,
        }
    }

    /// An event. It is dropped if nobody is subscribed.
    pub(super) fn event(topology: &Topology, event: &OutcomeEvent) -> Result<Self, QueueError> {
        let body = event::encode(event, topology.prefix()).map_err(|error| {
            QueueError::Unusable(format!(
                "the event of job {} cannot be written: {error}",
                event.job
            ))
        })?;
        let properties = properties(event::CONTENT_TYPE, &event::id(event).to_string());
        Ok(Self {
            exchange: topology.events(),
            key: event::topic(event),
            mandatory: false,
            sub_queue: None,
            properties,
            body,
        })
    }
}

fn body(job: &Job) -> Result<Vec<u8>, QueueError> {
    wire::encode(job).map_err(|error| QueueError::Unusable(format!("job {}: {error}", job.id)))
}

fn properties(content_type: &str, id: &str) -> BasicProperties {
    BasicProperties::default()
        .with_content_type(content_type.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(id.into())
        .with_app_id("facefleet".into())
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text[..text.floor_char_boundary(MOST_TEXT)].into())
}

fn insert_history(headers: &mut FieldTable, history: &[String]) {
    if history.is_empty() {
        return;
    }
    let kept = &history[history.len().saturating_sub(MOST_REASONS)..];
    let reasons: Vec<AMQPValue> = kept.iter().map(|reason| text(reason)).collect();
    headers.insert(HISTORY.into(), AMQPValue::FieldArray(FieldArray::from(reasons)));
}

/// Reads a message as a job.
///
/// # Errors
/// If it is not a valid job.
pub(super) fn read(
    properties: &BasicProperties,
    body: &[u8],
    origin: Origin<'_>,
) -> Result<ReceivedJob, InvalidJob> {
    let mut job = wire::decode(body)?;
    if !origin.from_worker {
        job.attempt = 1;
    }
    let redeliveries = if origin.redelivered { count(properties, DELIVERY_COUNT) } else { 0 };
    job.attempt = job.attempt.saturating_add(redeliveries);
    let before = if origin.from_worker { count(properties, REQUEUED) } else { 0 };
    let requeued = redeliveries.saturating_add(before);
    if job.trace.is_none() {
        job.trace =
            header(properties, TRACE).and_then(as_text).and_then(|trace| trace.parse().ok());
    }
    let history = if origin.from_worker { history(properties) } else { Vec::new() };
    // A sub-queue's key has three words, a delay's key has two.
    let is_sub_queue = origin.from_worker && origin.routing_key.split('.').count() > 2;
    let sub_queue = is_sub_queue.then(|| origin.routing_key.to_owned());
    Ok(ReceivedJob { job, history, requeued, sub_queue })
}

/// The number in a header; 0 if it is missing.
fn count(properties: &BasicProperties, name: &str) -> u32 {
    header(properties, name)
        .and_then(as_number)
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// The id of a message if it is a UUID; other text from a producer may be secret and is not logged.
pub(super) fn id(properties: &BasicProperties) -> String {
    let id = properties.message_id().as_ref().and_then(|id| id.as_str().parse::<uuid::Uuid>().ok());
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// Reads a message as a dead letter, which a worker or the broker dead-lettered.
pub(super) fn read_dead(properties: &BasicProperties, body: &[u8]) -> DeadLetter {
    let job = wire::decode(body).ok();
    let header_text = |name| header(properties, name).and_then(as_text);
    let (reason, died_at) = match header_text(REASON) {
        Some(reason) => (reason, header_text(DIED_AT)),
        None => death(properties),
    };
    let attempt = job.as_ref().map_or(1, |job| job.attempt);
    let deliveries = count(properties, DELIVERIES).max(attempt);
    let head = job.is_none().then(|| BodyHead::of(body));
    DeadLetter { job, reason, died_at, deliveries, history: history(properties), head }
}

/// Why and when the broker dead-lettered a message, by its own record.
fn death(properties: &BasicProperties) -> (String, Option<String>) {
    let Some(AMQPValue::FieldArray(deaths)) = header(properties, DEATH) else {
        return ("no reason was given".into(), None);
    };
    // The latest record is first.
    let Some(AMQPValue::FieldTable(latest)) = deaths.as_slice().first() else {
        return ("the broker gave no reason".into(), None);
    };
    let field = |name: &str| latest.inner().get(name);
    let reason = match field("reason").and_then(as_text).as_deref() {
        Some("delivery_limit") => {
            "reached the broker's delivery limit without being settled: it may crash its workers"
                .into()
        }
        Some(reason) => format!("dead-lettered by the broker: {reason}"),
        None => "the broker gave no reason".into(),
    };
    let time = match field("time") {
        Some(AMQPValue::Timestamp(seconds)) => i64::try_from(*seconds).ok(),
        _ => None,
    };
    (
        reason,
        time.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(|time| time.to_string()),
    )
}

fn history(properties: &BasicProperties) -> Vec<String> {
    match header(properties, HISTORY) {
        Some(AMQPValue::FieldArray(reasons)) => {
            reasons.as_slice().iter().filter_map(as_text).collect()
        }
        _ => Vec::new(),
    }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn as_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// Each client chooses the width of a number.
fn as_number(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(number) => Some(number.into()),
        AMQPValue::ShortShortUInt(number) => Some(number.into()),
        AMQPValue::ShortInt(number) => Some(number.into()),
        AMQPValue::ShortUInt(number) => Some(number.into()),
        AMQPValue::LongInt(number) => Some(number.into()),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::LongLongInt(number) => Some(number),
        _ => None,
    }
}
