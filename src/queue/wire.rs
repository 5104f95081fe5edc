//! The job contract: what a job message says, version 2, as JSON. The types here are the wire's and
//! not the domain's, so that neither changes by accident with the other; `docs/job.schema.json` is
//! made from them. Knows no broker.
//!
//! Version 2 added `min_face_px` and `min_score`. A message of version 1 is read as one of version
//! 2 that leaves them out.
//!
//! **Strict on purpose.** An unknown field is refused, not ignored: a misspelt `expected_hash` that
//! is left out in silence would take a check away that the producer asked for. So a new field needs
//! workers that know it before producers that send it; a new meaning of an old field needs a new
//! version.
//!
//! **Reasons hold no values.** A message may hold a person's name or a signed URL, and its reason
//! is logged and listed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::cut;
use crate::domain::{CampaignId, Faces, Job, JobId, JobSelection, Lane, Selection};

/// The version of the contract that is written here.
pub const VERSION: u32 = 2;

/// The oldest version that is read.
const OLDEST: u32 = 1;

/// The longest job message, bytes. Images do not travel on a broker; a URI, however it is signed,
/// is far shorter.
pub const MOST_BYTES: usize = 65_536;

/// What workers may add to a message when they publish it again (fields that were left out,
/// attempts).
const ADDED: usize = 1024;

/// Why a message is no job. Holds no value of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid job message: {0}")]
pub struct InvalidJob(String);

/// A job of facefleet: one image to process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "facefleet job", extend("$id" = "urn:facefleet:job:2"))]
struct JobMessage {
    /// The version of this contract: 2. Version 1 is read too; it is the same without `min_face_px`
    /// and `min_score`.
    #[serde(default = "version")]
    #[schemars(range(min = 1, max = 2))]
    version: u32,
    /// The job's id, a UUID of version 7. A job that is sent twice under one id has one outcome.
    id: Uuid,
    /// The queue it goes to, and with it how urgent it is.
    lane: LaneMessage,
    /// The gallery the result belongs to.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,100}$"))]
    gallery: String,
    /// Where the image is: an absolute URI that the workers are allowed to read. Not the image
    /// itself.
    #[schemars(extend("format" = "uri"))]
    image: String,
    /// The source's own mark of this version of the image (an object's `ETag`), if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    /// BLAKE3 that the image's bytes must have, 64 hex digits; other bytes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"))]
    expected_hash: Option<String>,
    /// Whose face it is, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    subject: Option<String>,
    /// Which faces are wanted.
    #[serde(default)]
    faces: FacesMessage,
    /// Smallest face that is wanted, the shorter side of its box, pixels; left out: the worker's
    /// setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    min_face_px: Option<u32>,
    /// Lowest detector confidence of a wanted face; left out: the worker's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 1.0))]
    min_score: Option<f32>,
    /// The profile that the result must have; left out: the worker's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    profile: Option<String>,
    /// The campaign it counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<Uuid>,
    /// Workers count it up. What a producer says here decides nothing.
    #[serde(default = "first_attempt")]
    #[schemars(range(min = 1))]
    attempt: u32,
    /// W3C `traceparent`. The AMQP header of this name does as well; what is no `traceparent` is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// Read and ignored: until version 2, a retried dead letter was a new job that named the old
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_of: Option<Uuid>,
}

/// How urgent a job is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum LaneMessage {
    Enrol,
    Scan,
    Rescore,
}

/// Which faces are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum FacesMessage {
    #[default]
    All,
    Largest,
}

fn version() -> u32 {
    VERSION
}

fn first_attempt() -> u32 {
    1
}

/// Each field with what it must be, for people whose message was refused.
const FIELDS: [(&str, &str); 16] = [
    ("version", "must be the number 2, or 1"),
    ("id", "must be a UUID of version 7"),
    ("lane", "must be \"enrol\", \"scan\" or \"rescore\""),
    ("gallery", "must be 1 to 100 letters, digits, '.', '_' and '-'"),
    ("image", "must be an absolute URI"),
    ("stamp", "must be text"),
    ("expected_hash", "must be the 64 hex digits of a BLAKE3"),
    ("subject", "must be 1 to 200 characters, none of them a control character"),
    ("faces", "must be \"all\" or \"largest\""),
    ("min_face_px", "must be a whole number from 0 to 65535"),
    ("min_score", "must be a number from 0.01 to 1"),
    ("profile", "must be a profile's id, 16 lower-case hex digits"),
    ("campaign", "must be a UUID"),
    ("attempt", "must be a whole number from 1"),
    ("trace", "must be text"),
    ("retry_of", "must be a UUID"),
];

/// `job` as a message's body.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn encode(job: &Job) -> Result<Vec<u8>, InvalidJob> {
    // What the oldest version can say is said in it: workers that know no other may take it next.
    let newer = job.selection.min_size_px.is_some() || job.selection.min_score.is_some();
    let message = JobMessage {
        version: if newer { VERSION } else { OLDEST },
        id: job.id.0,
        lane: match job.lane {
            Lane::Enrol => LaneMessage::Enrol,
            Lane::Scan => LaneMessage::Scan,
            Lane::Rescore => LaneMessage::Rescore,
        },
        gallery: job.gallery.as_str().to_owned(),
        image: job.image.as_str().to_owned(),
        stamp: job.stamp.as_ref().map(|stamp| stamp.as_str().to_owned()),
        expected_hash: job.expected_hash.map(String::from),
        subject: job.subject.as_ref().map(|subject| subject.as_str().to_owned()),
        faces: match job.selection.faces {
            Faces::All => FacesMessage::All,
            Faces::Largest => FacesMessage::Largest,
        },
        min_face_px: job.selection.min_size_px,
        min_score: job.selection.min_score,
        profile: job.profile.as_ref().map(|profile| profile.as_str().to_owned()),
        campaign: job.campaign.map(|campaign| campaign.0),
        attempt: job.attempt,
        trace: job.trace.as_ref().map(|trace| trace.as_str().to_owned()),
        retry_of: None,
    };
    serde_json::to_vec(&message).map_err(|_| InvalidJob("it cannot be written as JSON".into()))
}

/// The job that a message's body says.
///
/// # Errors
/// If it is no job of a version that is known here; the reason names the field.
pub fn decode(body: &[u8]) -> Result<Job, InvalidJob> {
    limit(body, MOST_BYTES + ADDED)?;
    let message: JobMessage = serde_json::from_slice(body).map_err(|_| diagnose(body))?;
    if !is_known(u64::from(message.version)) {
        return Err(unknown_version(u64::from(message.version)));
    }
    if message.id.get_version_num() != 7 {
        return Err(wrong("id"));
    }
    if message.attempt == 0 {
        return Err(wrong("attempt"));
    }
    let selection = selection(&message)?;
    Ok(Job {
        id: JobId(message.id),
        lane: match message.lane {
            LaneMessage::Enrol => Lane::Enrol,
            LaneMessage::Scan => Lane::Scan,
            LaneMessage::Rescore => Lane::Rescore,
        },
        gallery: message.gallery.parse().map_err(|_| wrong("gallery"))?,
        image: message.image.parse().map_err(|_| wrong("image"))?,
        stamp: message.stamp.map(|stamp| stamp.parse().map_err(|_| wrong("stamp"))).transpose()?,
        expected_hash: message
            .expected_hash
            .map(|hash| hash.parse().map_err(|_| wrong("expected_hash")))
            .transpose()?,
        subject: message
            .subject
            .map(|subject| subject.parse().map_err(|_| wrong("subject")))
            .transpose()?,
        selection,
        profile: message
            .profile
            .map(|profile| profile.parse().map_err(|_| wrong("profile")))
            .transpose()?,
        campaign: message.campaign.map(CampaignId),
        trace: message.trace.and_then(|trace| trace.parse().ok()),
        attempt: message.attempt,
    })
}

fn selection(message: &JobMessage) -> Result<JobSelection, InvalidJob> {
    if message.min_face_px.is_some_and(|size| !Selection::SIZES_PX.contains(&size)) {
        return Err(wrong("min_face_px"));
    }
    if message.min_score.is_some_and(|score| !Selection::SCORES.contains(&score)) {
        return Err(wrong("min_score"));
    }
    let faces = match message.faces {
        FacesMessage::All => Faces::All,
        FacesMessage::Largest => Faces::Largest,
    };
    Ok(JobSelection { faces, min_size_px: message.min_face_px, min_score: message.min_score })
}

fn is_known(version: u64) -> bool {
    (u64::from(OLDEST)..=u64::from(VERSION)).contains(&version)
}

/// The JSON Schema of a job message.
pub fn schema() -> Value {
    schemars::schema_for!(JobMessage).to_value()
}

/// Refuses the message of a new job that is longer than [`MOST_BYTES`].
///
/// # Errors
/// If it is.
pub fn check_length(body: &[u8]) -> Result<(), InvalidJob> {
    limit(body, MOST_BYTES)
}

fn limit(body: &[u8], most: usize) -> Result<(), InvalidJob> {
    if body.len() > most {
        return Err(InvalidJob(format!(
            "it has {} bytes, and a job has at most {MOST_BYTES}: images do not travel in jobs",
            cut::true_length(body).unwrap_or(body.len() as u64)
        )));
    }
    Ok(())
}

fn wrong(field: &str) -> InvalidJob {
    let rule = FIELDS.iter().find(|(name, _)| *name == field).map_or("is wrong", |(_, rule)| *rule);
    InvalidJob(format!("field '{field}' {rule}"))
}

fn unknown_version(version: u64) -> InvalidJob {
    InvalidJob(format!(
        "its version is {version}, and this worker knows versions {OLDEST} to {VERSION}: update \
            the workers before the producers"
    ))
}

/// What is wrong with a body that could not be read: serde's own words quote values.
fn diagnose(body: &[u8]) -> InvalidJob {
    let object: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return InvalidJob("it is no JSON object".into()),
        Err(error) => {
            return InvalidJob(format!(
                "it is no JSON (line {}, column {})",
                error.line(),
                error.column()
            ));
        }
    };
    // First, because another version may have other fields.
    if let Some(version) = object.get("version").and_then(Value::as_u64)
        && !is_known(version)
    {
        return unknown_version(version);
    }
    if let Some(missing) =
        ["id", "lane", "gallery", "image"].into_iter().find(|field| !object.contains_key(*field))
    {
        return InvalidJob(format!("field '{missing}' is missing"));
    }
    let known = |name: &String| FIELDS.iter().any(|(field, _)| field == name);
    if !object.keys().all(known) {
        let names: Vec<&str> = FIELDS.iter().map(|(field, _)| *field).collect();
        return InvalidJob(format!("it has a field that is none of {}", names.join(", ")));
    }
    // The one without which it can be read.
    let culprit = object.keys().find(|name| {
        let mut rest = sound();
        rest.insert((*name).clone(), object[*name].clone());
        serde_json::from_value::<JobMessage>(Value::Object(rest)).is_err()
    });
    culprit.map_or_else(|| InvalidJob("a field is there twice".into()), |name| wrong(name))
}

/// The fields of a message that can be read.
fn sound() -> Map<String, Value> {
    let fields = [
        ("id", Uuid::nil().to_string()),
        ("lane", "scan".into()),
        ("gallery", "g".into()),
        ("image", "file:///a".into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "019abcde-0000-7000-8000-000000000001";

    fn read(message: &Value) -> Result<Job, InvalidJob> {
        decode(message.to_string().as_bytes())
    }

    fn least() -> Value {
        json!({"id": ID, "lane": "enrol", "gallery": "staff", "image": "s3://photos/a.jpg"})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut message = least();
        message[field] = value;
        message
    }

    #[test]
    fn a_stamp_is_short_and_of_one_line() {
        assert_eq!(
            read(&with("stamp", json!("\"9b2cf5\""))).unwrap().stamp,
            Some("\"9b2cf5\"".parse().unwrap())
        );
        for stamp in ["", "a\0b", "a\nb", &"a".repeat(crate::domain::SourceStamp::MOST_BYTES + 1)] {
            assert!(read(&with("stamp", json!(stamp))).is_err(), "{stamp:?}");
        }
    }

    #[test]
    fn four_fields_are_a_job() {
        let job = read(&least()).unwrap();
        assert_eq!(
            (job.lane, job.attempt, job.selection),
            (Lane::Enrol, 1, JobSelection::default())
        );
        assert_eq!(job.image.as_str(), "s3://photos/a.jpg");
        assert_eq!(decode(&encode(&job).unwrap()).unwrap(), job);
    }

    #[test]
    fn a_job_with_everything_comes_through_unchanged() {
        let job = Job {
            stamp: Some("\"etag\"".parse().unwrap()),
            expected_hash: Some("ab".repeat(32).parse().unwrap()),
            subject: Some("Grace Hopper".parse().unwrap()),
            selection: JobSelection {
                faces: Faces::Largest,
                min_size_px: Some(40),
                min_score: Some(0.95),
            },
            campaign: Some(CampaignId::new()),
            trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
            attempt: 4,
            ..read(&least()).unwrap()
        };
        assert_eq!(decode(&encode(&job).unwrap()).unwrap(), job);
    }

    #[test]
    fn a_refused_message_is_told_which_field_and_no_value_of_it() {
        let secret = "Grace Hopper";
        for (message, reason) in [
            (with("version", json!(3)), "its version is 3"),
            (with("id", json!(secret)), "'id' must be"),
            (with("id", json!("0d3e37f2-7d6d-4a8e-9d8e-111111111111")), "'id' must be"),
            (with("lane", json!(secret)), "'lane' must be"),
            (with("gallery", json!(secret)), "'gallery' must be"),
            (with("image", json!(secret)), "'image' must be"),
            (with("expected_hash", json!(secret)), "'expected_hash' must be"),
            (with("subject", json!({"name": secret})), "'subject' must be"),
            (with("subject", json!(format!("{secret}\n"))), "'subject' must be"),
            (with("faces", json!(secret)), "'faces' must be"),
            (with("min_face_px", json!(secret)), "'min_face_px' must be"),
            (with("min_face_px", json!(65_536)), "'min_face_px' must be"),
            (with("min_face_px", json!(-1)), "'min_face_px' must be"),
            (with("min_score", json!(secret)), "'min_score' must be"),
            (with("min_score", json!(0)), "'min_score' must be"),
            (with("min_score", json!(1.01)), "'min_score' must be"),
            (with("profile", json!(secret)), "'profile' must be"),
            (with("campaign", json!(secret)), "'campaign' must be"),
            (with("attempt", json!(0)), "'attempt' must be"),
            (with("retry_of", json!(secret)), "'retry_of' must be"),
            (with(secret, json!(1)), "a field that is none of"),
            (json!({"id": ID}), "'lane' is missing"),
            (json!([secret]), "no JSON object"),
        ] {
            let error = read(&message).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("Hopper"), "{error}");
        }
        assert!(
            decode(b"{\"id\": Hopper}")
                .unwrap_err()
                .to_string()
                .contains("no JSON (line 1, column 8)")
        );
        let inline = with("image", json!(format!("data:,{}", "a".repeat(MOST_BYTES + ADDED))));
        assert!(read(&inline).unwrap_err().to_string().contains("do not travel in jobs"));
    }

    #[test]
    fn a_message_of_version_1_leaves_sizes_and_scores_to_the_worker() {
        let mut message = with("version", json!(1));
        message["faces"] = json!("largest");
        message["retry_of"] = json!(ID);
        let job = read(&message).unwrap();
        assert_eq!(
            job.selection,
            JobSelection { faces: Faces::Largest, min_size_px: None, min_score: None }
        );
        let written: Value = serde_json::from_slice(&encode(&job).unwrap()).unwrap();
        // As version 1 again: a worker that knows no other may take it next.
        assert_eq!(
            (&written["version"], written.get("min_face_px"), written.get("retry_of")),
            (&json!(1), None, None)
        );
        let newer =
            Job { selection: JobSelection { min_score: Some(0.5), ..job.selection }, ..job };
        let written: Value = serde_json::from_slice(&encode(&newer).unwrap()).unwrap();
        assert_eq!(written["version"], json!(2));
    }

    #[test]
    fn what_is_no_trace_is_no_reason_to_refuse_a_job() {
        assert_eq!(read(&with("trace", json!("00-nonsense"))).unwrap().trace, None);
    }
}
