//! Why a message is not a valid job.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{JobMessage, OLDEST, VERSION, is_supported};

/// Why a message is not a valid job. Holds no value of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid job message: {0}")]
pub struct InvalidJob(pub(super) String);

/// The fields of a job message, each with its rule, for reasons.
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

/// Field `field` breaks its rule.
pub(super) fn wrong(field: &str) -> InvalidJob {
    let rule =
        FIELDS.iter().find(|(name, _)| *name == field).map_or("is invalid", |(_, rule)| *rule);
    InvalidJob(format!("field '{field}' {rule}"))
}

/// The message has an unsupported version.
pub(super) fn unknown_version(version: u64) -> InvalidJob {
    InvalidJob(format!(
        "its version is {version}, and this worker supports versions {OLDEST} to {VERSION}: \
            update the workers before the producers"
    ))
}

/// Why a body could not be read. Serde's own messages are not used, because they quote values.
pub(super) fn diagnose(body: &[u8]) -> InvalidJob {
    let object: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return InvalidJob("it is not a JSON object".into()),
        Err(error) => {
            return InvalidJob(format!(
                "it is not valid JSON (line {}, column {})",
                error.line(),
                error.column()
            ));
        }
    };
    // Checked first, because another version may have other fields.
    if let Some(version) = object.get("version").and_then(Value::as_u64)
        && !is_supported(version)
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
        return InvalidJob(format!("it has an unknown field: use {}", names.join(", ")));
    }
    // Tries each field in an otherwise valid message.
    let culprit = object.keys().find(|name| {
        let mut rest = valid();
        rest.insert((*name).clone(), object[*name].clone());
        serde_json::from_value::<JobMessage>(Value::Object(rest)).is_err()
    });
    culprit.map_or_else(|| InvalidJob("a field occurs twice".into()), |name| wrong(name))
}

/// The fields of a valid message.
fn valid() -> Map<String, Value> {
    let fields = [
        ("id", Uuid::nil().to_string()),
        ("lane", "scan".into()),
        ("gallery", "g".into()),
        ("image", "file:///a".into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}
