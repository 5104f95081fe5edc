//! Messages as they travel: which exchange, which headers, and the way to a job and back.
//!
//! The headers of a dead letter (`facefleet-…`) say why it is one; a job that is retried takes its
//! reasons along.

use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};

use super::topology::Topology;
use crate::domain::{Job, OutcomeEvent, SubQueue};
use crate::queue::wire::{self, InvalidJob};
use crate::queue::{DeadLetter, QueueError, event};

/// Why a letter is dead.
const REASON: &str = "facefleet-reason";
/// Since when, RFC 3339, UTC.
const DIED_AT: &str = "facefleet-died-at";
/// How often it was delivered before.
const DELIVERIES: &str = "facefleet-deliveries";
/// Why it was buried before, the oldest reason first.
const HISTORY: &str = "facefleet-history";
/// How often it was delivered and came back before it was published again.
const RETURNED: &str = "facefleet-returned";
/// W3C Trace Context, for producers that cannot reach into the body.
const TRACE: &str = "traceparent";
/// How often a quorum queue delivered a message and had it back.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// What the broker says of a message that it dead-lettered itself.
const DEATH: &str = "x-death";

/// The longest text in a header, bytes: all headers must fit into one frame.
const MOST_TEXT: usize = 1000;
/// Reasons that a job takes along.
const MOST_REASONS: usize = 20;

const PERSISTENT: u8 = 2;

/// A message on its way to the broker.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) exchange: String,
    pub(super) key: String,
    /// Whether somebody must be there to take it.
    pub(super) mandatory: bool,
    /// The routing key of the place at which it is to wait, if it is one.
    pub(super) place: Option<String>,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// A job as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    /// With this delivery counted.
    pub(super) job: Job,
    pub(super) history: Vec<String>,
    /// Deliveries that were never settled since it was last published as a new message, being put
    /// back apart.
    pub(super) returned: u32,
    /// The routing key of the place that it waited at; none if it came from its lane.
    pub(super) place: Option<String>,
}

/// How a message came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    /// Its routing key.
    pub(super) key: &'a str,
    /// Whether a worker wrote it: what others say of attempts and returns is not believed.
    pub(super) of_worker: bool,
    /// Whether it was delivered before: then it is the broker that says how often.
    pub(super) redelivered: bool,
}

impl Outgoing {
    /// `job` to the queue of its lane.
    pub(super) fn new_job(topology: &Topology, job: &Job) -> Result<Self, QueueError> {
        Self::job(topology.jobs(), job.lane.as_str().to_owned(), job, &[], 0)
    }

    /// Another try at a job that was buried, to the queue of its lane.
    pub(super) fn again(
        topology: &Topology,
        job: &Job,
        history: &[String],
    ) -> Result<Self, QueueError> {
        Self::job(topology.back(), job.lane.as_str().to_owned(), job, history, 0)
    }

    /// A job as it arrived, to where it came from, as if it had not been delivered.
    pub(super) fn back(topology: &Topology, arrived: &Arrived) -> Result<Self, QueueError> {
        let Arrived { job, history, returned, place } = arrived;
        let (exchange, key) = match place {
            Some(key) => (topology.waiting(), key.clone()),
            None => (topology.back(), job.lane.as_str().to_owned()),
        };
        Ok(Self { place: place.clone(), ..Self::job(exchange, key, job, history, *returned)? })
    }

    /// `job` to wait at a place.
    pub(super) fn at(
        topology: &Topology,
        place: &SubQueue,
        job: &Job,
        history: &[String],
    ) -> Result<Self, QueueError> {
        let key = place.to_string();
        Ok(Self {
            place: Some(key.clone()),
            ..Self::job(topology.waiting(), key, job, history, 0)?
        })
    }

    /// `job` to wait for a time, or to be handled alone.
    pub(super) fn later(
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
        returned: u32,
    ) -> Result<Self, QueueError> {
        let body = body(job)?;
        let mut headers = FieldTable::default();
        insert_history(&mut headers, history);
        if returned > 0 {
            headers.insert(RETURNED.into(), AMQPValue::LongUInt(returned));
        }
        let properties = properties("application/json", &job.id.to_string())
            .with_type("facefleet.job".into())
            .with_headers(headers);
        Ok(Self { exchange, key, mandatory: true, place: None, properties, body })
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
            place: None,
            properties,
            body,
        }
    }

    /// The news of `event`. Nobody need be there to hear it.
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
            place: None,
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

/// The job that a message holds.
///
/// # Errors
/// If it holds none.
pub(super) fn read(
    properties: &BasicProperties,
    body: &[u8],
    way: Way<'_>,
) -> Result<Arrived, InvalidJob> {
    let mut job = wire::decode(body)?;
    if !way.of_worker {
        job.attempt = 1;
    }
    let returned = if way.redelivered { count(properties, DELIVERY_COUNT) } else { 0 };
    job.attempt = job.attempt.saturating_add(returned);
    let returned =
        returned.saturating_add(if way.of_worker { count(properties, RETURNED) } else { 0 });
    if job.trace.is_none() {
        job.trace =
            header(properties, TRACE).and_then(as_text).and_then(|trace| trace.parse().ok());
    }
    let history = if way.of_worker { history(properties) } else { Vec::new() };
    // `LANE.campaign.ID` and its like; a delay's key has two words.
    let place = (way.of_worker && way.key.split('.').count() > 2).then(|| way.key.to_owned());
    Ok(Arrived { job, history, returned, place })
}

/// The number in a header; 0 if there is none.
fn count(properties: &BasicProperties, name: &str) -> u32 {
    header(properties, name)
        .and_then(as_number)
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// The id that a producer gave to a message, if it is one; what else may stand there is not for
/// logs.
pub(super) fn id(properties: &BasicProperties) -> String {
    let id = properties.message_id().as_ref().and_then(|id| id.as_str().parse::<uuid::Uuid>().ok());
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// The dead letter that a message is: buried by a worker, or given up by the broker.
pub(super) fn read_dead(properties: &BasicProperties, body: &[u8]) -> DeadLetter {
    let job = wire::decode(body).ok();
    let header_text = |name| header(properties, name).and_then(as_text);
    let (reason, died_at) = match header_text(REASON) {
        Some(reason) => (reason, header_text(DIED_AT)),
        None => death(properties),
    };
    let attempt = job.as_ref().map_or(1, |job| job.attempt);
    let deliveries = count(properties, DELIVERIES).max(attempt);
    DeadLetter { job, reason, died_at, deliveries, history: history(properties) }
}

/// Why, and since when, in the broker's own records.
fn death(properties: &BasicProperties) -> (String, Option<String>) {
    let Some(AMQPValue::FieldArray(deaths)) = header(properties, DEATH) else {
        return ("somebody put it here without a reason".into(), None);
    };
    // The latest comes first.
    let Some(AMQPValue::FieldTable(latest)) = deaths.as_slice().first() else {
        return ("the broker gave no reason".into(), None);
    };
    let field = |name: &str| latest.inner().get(name);
    let reason = match field("reason").and_then(as_text).as_deref() {
        Some("delivery_limit") => {
            "delivered again and again without an end, up to the broker's limit: it may kill its \
                workers"
                .into()
        }
        Some(reason) => format!("the broker gave it up: {reason}"),
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

/// Clients choose the width of a number themselves.
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
