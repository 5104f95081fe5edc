//! What a job message may say, and what its refusal says.

use serde_json::{Value, json};

use super::*;

const ID: &str = "019abcde-0000-7000-8000-000000000001";

fn read(message: &Value) -> Result<Job, InvalidJob> {
    decode(message.to_string().as_bytes())
}

fn minimal() -> Value {
    json!({"id": ID, "lane": "enrol", "gallery": "staff", "image": "s3://photos/a.jpg"})
}

fn with(field: &str, value: Value) -> Value {
    let mut message = minimal();
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
    let job = read(&minimal()).unwrap();
    assert_eq!((job.lane, job.attempt, job.selection), (Lane::Enrol, 1, JobSelection::default()));
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
        ..read(&minimal()).unwrap()
    };
    assert_eq!(decode(&encode(&job).unwrap()).unwrap(), job);
}

#[test]
fn a_refusal_names_the_field_and_none_of_its_values() {
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
        (with(secret, json!(1)), "unknown field: use"),
        (json!({"id": ID}), "'lane' is missing"),
        (json!([secret]), "not a JSON object"),
    ] {
        let error = read(&message).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("Hopper"), "{error}");
    }
    assert!(
        decode(b"{\"id\": Hopper}")
            .unwrap_err()
            .to_string()
            .contains("not valid JSON (line 1, column 8)")
    );
    let inline = with("image", json!(format!("data:,{}", "a".repeat(MOST_BYTES + ADDED))));
    assert!(read(&inline).unwrap_err().to_string().contains("jobs hold no images"));
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
    // As version 1 again: the next worker may support only that.
    assert_eq!(
        (&written["version"], written.get("min_face_px"), written.get("retry_of")),
        (&json!(1), None, None)
    );
    let newer = Job { selection: JobSelection { min_score: Some(0.5), ..job.selection }, ..job };
    let written: Value = serde_json::from_slice(&encode(&newer).unwrap()).unwrap();
    assert_eq!(written["version"], json!(2));
}

#[test]
fn an_invalid_trace_is_ignored() {
    assert_eq!(read(&with("trace", json!("00-nonsense"))).unwrap().trace, None);
}
