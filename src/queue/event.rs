//! The event contract: a job has ended, as a CloudEvent 1.0 in JSON (structured mode).
//! `docs/event.schema.json` is generated from the types here. Fields are named as
//! everywhere (`docs/data.md`). An event holds no template, no subject and no signed URL; that of
//! an enrolment has its decision.
//! Independent of any broker.
//!
//! An event's id depends only on its job and outcome: the event after a redelivery has the id of
//! the first, so that consumers can drop duplicates.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::domain::{
    CampaignId, End, Enrolment, ImageId, ImageUri, JobId, Lane, OutcomeEvent, OutcomeKind,
    ProfileId, ToldReason, TraceParent,
};

/// The content type of [`encode`]'s result.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The prefix of an event's type, before the outcome.
const TYPE: &str = "facefleet.image.";

/// A CloudEvent: a job has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "facefleet event", extend("$id" = "urn:facefleet:event:2")))]
struct CloudEvent {
    /// The version of CloudEvents.
    #[cfg_attr(test, schemars(regex(pattern = r"^1\.0$")))]
    specversion: String,
    /// The same for every duplicate of this event.
    id: Uuid,
    /// The fleet: `urn:facefleet:` and the prefix of its queues.
    #[cfg_attr(test, schemars(extend("format" = "uri")))]
    source: String,
    /// `facefleet.image.` and the outcome.
    #[serde(rename = "type")]
    #[cfg_attr(test, schemars(regex(pattern = r"^facefleet\.image\.[a-z_]+$")))]
    kind: String,
    /// The image, for display: without password and query.
    subject: String,
    /// When it was announced, RFC 3339, UTC.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    time: String,
    /// The type of `data`.
    datacontenttype: String,
    /// W3C Trace Context of the job's processing, if the job had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// How the job ended.
    data: EventData,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct EventData {
    /// The job.
    job: Uuid,
    /// Its lane.
    lane: String,
    /// Its gallery.
    gallery: String,
    /// The image's URI, percent-encoded, without password, query and inline bytes: the same string
    /// in every command and export.
    // An event of version 0.1 has none: its URI is in `image`.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("format" = "uri")))]
    uri: String,
    /// The image for people: the path of a local file; the same as `uri` for any other image.
    image: String,
    /// The id of the stored image: the same under every profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_id: Option<i64>,
    /// The campaign in which it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<Uuid>,
    /// The profile of the result.
    profile: String,
    /// The outcome: `scored`, `no_face`, `unreadable`, `refused`, `failed`, …
    outcome: String,
    /// Why, unless the outcome is `scored` or `no_face`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Number of faces recorded.
    #[serde(alias = "faces")]
    face_count: u32,
    /// Quality of the primary face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(max = 100)))]
    quality: Option<u8>,
    /// Whether the image was not read, because the chip cache had what was found in it.
    #[serde(default, skip_serializing_if = "is_false")]
    from_chip_cache: bool,
    /// What became of the enrolment, if the job names a subject in the lane `enrol`: `accepted`,
    /// `review` or `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// The codes of `reasons`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    codes: Vec<String>,
    /// Why the image was not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<ToldReason>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The decision of an event; none if it is not about an enrolment, or this version cannot read it.
fn enrolment(decision: Option<&str>, reasons: Vec<ToldReason>) -> Option<Enrolment> {
    let reasons = reasons.into_iter().map(|reason| reason.reason).collect();
    Some(Enrolment { decision: decision?.parse().ok()?, reasons })
}

/// The topic of `event`: `GALLERY.LANE.OUTCOME`. Lane and outcome are one word each, so the binding
/// `GALLERY.*.*` is exact even if the gallery's name contains dots.
pub fn topic(event: &OutcomeEvent) -> String {
    format!("{}.{}.{}", event.gallery.as_str(), event.lane, event.end.outcome)
}

/// The id of `event`.
pub fn id(event: &OutcomeEvent) -> Uuid {
    let (id, _) = hash(event.job, event.end.outcome);
    id
}

/// An event id and a span id that depend only on a job and its outcome.
fn hash(job: JobId, outcome: OutcomeKind) -> (Uuid, [u8; 8]) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(job.0.as_bytes()).update(outcome.as_str().as_bytes());
    let (mut id, mut span) = ([0; 16], [0; 8]);
    let mut output = hasher.finalize_xof();
    output.fill(&mut id);
    output.fill(&mut span);
    (Builder::from_custom_bytes(id).into_uuid(), span)
}

/// The message body of `event`, of the fleet whose queues have this `prefix`.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn encode(event: &OutcomeEvent, prefix: &str) -> Result<Vec<u8>, serde_json::Error> {
    let (id, span) = hash(event.job, event.end.outcome);
    let reasons = || event.enrolment.iter().flat_map(|enrolment| &enrolment.reasons);
    serde_json::to_vec(&CloudEvent {
        specversion: "1.0".into(),
        id,
        source: format!("urn:facefleet:{prefix}"),
        kind: format!("{TYPE}{}", event.end.outcome),
        subject: event.image.to_string(),
        time: Timestamp::now().to_string(),
        datacontenttype: "application/json".into(),
        traceparent: event.trace.as_ref().map(|trace| trace.with_span(span).as_str().to_owned()),
        data: EventData {
            job: event.job.0,
            lane: event.lane.as_str().into(),
            gallery: event.gallery.as_str().into(),
            uri: event.image.shown().into(),
            image: event.image.for_people(),
            image_id: event.image_id.map(|id| id.0),
            campaign: event.campaign.map(|campaign| campaign.0),
            profile: event.profile.as_str().into(),
            outcome: event.end.outcome.as_str().into(),
            reason: event.end.reason.clone(),
            face_count: event.end.faces,
            quality: event.end.quality,
            from_chip_cache: event.from_chips,
            decision: event.enrolment.as_ref().map(|each| each.decision.as_str().into()),
            codes: reasons().map(|reason| reason.code.as_str().into()).collect(),
            reasons: reasons().map(ToldReason::from).collect(),
        },
    })
}

/// The event in a message's body. `None` if it is not one, for example because a newer worker wrote
/// an outcome that is unknown here.
pub fn decode(body: &[u8]) -> Option<OutcomeEvent> {
    let CloudEvent { data, traceparent, .. } = serde_json::from_slice(body).ok()?;
    let uri = if data.uri.is_empty() { &data.image } else { &data.uri };
    Some(OutcomeEvent {
        job: JobId(data.job),
        lane: data.lane.parse::<Lane>().ok()?,
        gallery: data.gallery.parse().ok()?,
        image: uri.parse::<ImageUri>().ok()?,
        image_id: data.image_id.map(ImageId),
        campaign: data.campaign.map(CampaignId),
        trace: traceparent.and_then(|trace| trace.parse::<TraceParent>().ok()),
        profile: data.profile.parse::<ProfileId>().ok()?,
        end: End {
            outcome: data.outcome.parse::<OutcomeKind>().ok()?,
            reason: data.reason,
            faces: data.face_count,
            quality: data.quality,
        },
        from_chips: data.from_chip_cache,
        enrolment: enrolment(data.decision.as_deref(), data.reasons),
    })
}

/// The JSON Schema of an event.
#[cfg(test)]
pub(super) fn schema() -> serde_json::Value {
    let mut schema = super::schemas::written::<CloudEvent>();
    // For events of version 0.1 alone.
    schema["$defs"]["EventData"]["properties"]["uri"]
        .as_object_mut()
        .and_then(|uri| uri.remove("default"));
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::{Reason, ReasonCode};

    fn event() -> OutcomeEvent {
        OutcomeEvent {
            job: JobId::new(),
            lane: Lane::Scan,
            gallery: "staff.v1".parse().unwrap(),
            image: "https://user:secret@photos.example/a.jpg?signature=s1gn3d#x".parse().unwrap(),
            image_id: Some(ImageId(7)),
            campaign: Some(CampaignId::new()),
            trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
            profile: "ab".repeat(8).parse().unwrap(),
            end: End {
                outcome: OutcomeKind::Refused,
                reason: Some("too large".into()),
                faces: 0,
                quality: None,
            },
            from_chips: false,
            enrolment: None,
        }
    }

    #[test]
    fn a_duplicate_has_the_id_of_the_first_event_and_another_outcome_another_id() {
        let first = event();
        let with = |end| OutcomeEvent { end, ..first.clone() };
        assert_eq!(id(&first), id(&with(End { reason: None, ..first.end.clone() })));
        assert_ne!(
            id(&first),
            id(&with(End { outcome: OutcomeKind::Failed, ..first.end.clone() }))
        );
        assert_ne!(id(&first), id(&event()));
    }

    #[test]
    fn an_event_carries_no_secret_and_stays_in_the_trace_of_its_job() {
        let event = event();
        let body = encode(&event, "facefleet").unwrap();
        let text = String::from_utf8(body.clone()).unwrap();
        assert!(!text.contains("secret") && !text.contains("s1gn3d"), "{text}");
        let read = decode(&body).unwrap();
        let (trace, parent) = (read.trace.clone().unwrap(), event.trace.clone().unwrap());
        assert_eq!(trace.trace_id(), parent.trace_id());
        assert_ne!(trace, parent, "the processing has its own span");
        let image = "https://photos.example/a.jpg".parse().unwrap();
        assert_eq!(read, OutcomeEvent { image, trace: read.trace.clone(), ..event });
        assert_eq!(topic(&read), "staff.v1.scan.refused");
    }

    #[test]
    fn an_event_says_whether_its_image_was_read() {
        for from_chips in [false, true] {
            let body = encode(&OutcomeEvent { from_chips, ..event() }, "facefleet").unwrap();
            assert_eq!(decode(&body).unwrap().from_chips, from_chips);
            let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let shown = if from_chips { Value::Bool(true) } else { Value::Null };
            assert_eq!(sent["data"]["from_chip_cache"], shown);
        }
    }

    #[test]
    fn an_enrolment_tells_its_decision_and_its_reasons() {
        let reason = Reason::of_values(ReasonCode::Blurred, 12.0, 40.0);
        let enrolment = Enrolment::of(vec![reason.clone()]);
        let enrolled = OutcomeEvent { enrolment: Some(enrolment), ..event() };
        let body = encode(&enrolled, "facefleet").unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(sent["data"]["decision"], "rejected");
        assert_eq!(sent["data"]["codes"], serde_json::json!(["BLURRED"]));
        let expected = serde_json::json!([
            {"code": "BLURRED", "found": 12.0, "asked": 40.0, "sentence": reason.sentence()}
        ]);
        assert_eq!(sent["data"]["reasons"], expected);
        assert_eq!(decode(&body).unwrap().enrolment, enrolled.enrolment);

        let scan: serde_json::Value =
            serde_json::from_slice(&encode(&event(), "facefleet").unwrap()).unwrap();
        assert_eq!(
            (&scan["data"]["decision"], &scan["data"]["codes"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn a_file_is_named_by_its_uri_and_for_people_by_its_path() {
        let image: ImageUri = "file:///photos/a%20b%FF.jpg".parse().unwrap();
        let event = OutcomeEvent { image, ..event() };
        let body = encode(&event, "facefleet").unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(sent["data"]["uri"], "file:///photos/a%20b%FF.jpg");
        assert_eq!(sent["data"]["image"], "/photos/a b\u{fffd}.jpg");
        assert_eq!(decode(&body).unwrap().image, event.image);
    }

    #[test]
    fn an_event_of_version_0_1_is_read() {
        let mut old: serde_json::Value =
            serde_json::from_slice(&encode(&event(), "facefleet").unwrap()).unwrap();
        let data = old["data"].as_object_mut().unwrap();
        let (uri, _) = (data.remove("uri").unwrap(), data.remove("image_id"));
        data.remove("face_count");
        data.insert("image".into(), uri);
        data.insert("faces".into(), 3.into());
        let read = decode(old.to_string().as_bytes()).unwrap();
        assert_eq!(read.image.as_str(), "https://photos.example/a.jpg");
        assert_eq!((read.end.faces, read.image_id), (3, None));
    }

    #[test]
    fn a_body_that_is_not_an_event_decodes_to_none() {
        assert_eq!(decode(b"{}"), None);
        assert_eq!(decode(b"\xff"), None);
    }
}
