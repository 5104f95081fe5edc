//! Messages: what producers may send, what subscribers receive, and their documentation.

use std::path::{Path, PathBuf};
use std::process::Command;

use facefleet::domain::{Disposition, JobId, OutcomeEvent};
use facefleet::queue::{DeadLetterFilter, wire};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use super::*;
use crate::support::broker::receive;
use crate::support::pages::Page;
use crate::support::{job, scored};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn minimal(lane: &str) -> Value {
    json!({"id": JobId::new(), "lane": lane, "gallery": "staff", "image": "s3://photos/a.jpg"})
}

#[tokio::test]
async fn any_client_can_send_a_job_of_four_fields() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let mut headers = FieldTable::default();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent".into(), AMQPValue::LongString(trace.into()));
    let message = minimal("enrol");
    let properties = BasicProperties::default().with_headers(headers);
    send(&broker, "enrol", properties, message.to_string().as_bytes()).await;
    let delivery = next(&mut queue.consume(&Lane::ALL, 1).await.unwrap()).await;
    let job = delivery.job();
    assert_eq!((json!(job.id), job.lane, job.attempt), (message["id"].clone(), Lane::Enrol, 1));
    assert_eq!(job.trace.as_ref().unwrap().as_str(), trace);
    assert!(delivery.settle(Disposition::Done).await.unwrap());
    broker.remove().await;
}

#[tokio::test]
async fn a_message_that_is_not_a_job_is_dead_lettered_unchanged_with_the_reason() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let mut newer = minimal("scan");
    newer["version"] = json!(3);
    newer["priority"] = json!("high");
    let bodies = [newer.to_string(), "not JSON".to_owned(), minimal("enrol").to_string()];
    for body in &bodies {
        send(&broker, "scan", BasicProperties::default(), body.as_bytes()).await;
    }
    let good = job(Lane::Scan, "good");
    queue.publish(vec![good.clone()]).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
    assert_eq!(*next(&mut consumer).await.job(), good, "the invalid messages stop no job");

    let letters = dead(&queue, 3).await;
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    for reason in ["its version is 3", "not valid JSON (line 1", "its lane is 'enrol'"] {
        assert!(reasons.iter().any(|text| text.contains(reason)), "{reasons:?}");
    }
    assert_eq!(letters.iter().filter(|letter| letter.job.is_none()).count(), 2);

    // A message that is not a job cannot be retried, and stays.
    let all = DeadLetterFilter { reason: Some("version".into()), ..DeadLetterFilter::default() };
    assert_eq!(queue.resolve_dead(&all, true).await.unwrap(), 0);
    let channel = broker.channel().await;
    let mut kept = Vec::new();
    while kept.len() < 3 {
        let got = channel
            .basic_get(format!("{}.dead", broker.prefix).into(), Default::default())
            .await
            .unwrap();
        kept.extend(got.map(|got| String::from_utf8(got.delivery.data).unwrap()));
    }
    kept.sort();
    let mut bodies = bodies.to_vec();
    bodies.sort();
    assert_eq!(kept, bodies);
    broker.remove().await;
}

/// The schema in the documentation, which a unit test compares with the code.
fn schema(message: &str) -> Value {
    let path = root().join(format!("docs/{message}.schema.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn events_are_routed_by_gallery_lane_and_outcome_and_match_the_schema() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let (_connection, mut staff) = broker.listen("events", "staff.*.*").await;
    let mut event = crate::support::event(&scored("a", &[77]));
    event.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
    let other = OutcomeEvent { gallery: "staff.v1".parse().unwrap(), ..event.clone() };
    // The second is a duplicate, as after a redelivery.
    queue.announce(&[other, event.clone(), event.clone()]).await.unwrap();

    let schema = jsonschema::validator_for(&schema("event")).unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let message = receive(&mut staff).await;
        assert_eq!(message.routing_key.as_str(), "staff.scan.scored");
        assert_eq!(
            message.properties.content_type().as_ref().unwrap().as_str(),
            "application/cloudevents+json"
        );
        let value: Value = serde_json::from_slice(&message.data).unwrap();
        assert!(schema.is_valid(&value), "{:?}", schema.iter_errors(&value).collect::<Vec<_>>());
        assert_eq!(
            (&value["type"], &value["data"]["quality"]),
            (&json!("facefleet.image.scored"), &json!(77))
        );
        assert!(
            value["traceparent"]
                .as_str()
                .unwrap()
                .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
        );
        ids.push(value["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    broker.remove().await;
}

#[tokio::test]
async fn jobs_match_the_schema() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let (_connection, mut jobs) = broker.listen("jobs", "#").await;
    let full = facefleet::domain::Job {
        expected_hash: Some(facefleet::domain::ContentHash::of(b"bytes")),
        subject: Some("Grace Hopper".parse().unwrap()),
        campaign: Some(facefleet::domain::CampaignId::new()),
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
        ..job(Lane::Rescore, "a")
    };
    queue.publish(vec![full, job(Lane::Enrol, "b")]).await.unwrap();
    let schema = jsonschema::validator_for(&schema("job")).unwrap();
    for lane in ["rescore", "enrol"] {
        let message = receive(&mut jobs).await;
        assert_eq!(message.routing_key.as_str(), lane);
        let value: Value = serde_json::from_slice(&message.data).unwrap();
        assert!(schema.is_valid(&value), "{:?}", schema.iter_errors(&value).collect::<Vec<_>>());
    }
    assert!(schema.is_valid(&minimal("scan")));
    for (field, bad) in [
        ("lane", json!("express")),
        ("gallery", json!("a/b")),
        ("version", json!(3)),
        ("min_face_px", json!(65_536)),
        ("min_score", json!(0)),
        ("expected_hsah", json!("ab")),
    ] {
        let mut message = minimal("scan");
        message[field] = bad;
        assert!(!schema.is_valid(&message), "{field}");
        assert!(wire::decode(message.to_string().as_bytes()).is_err(), "{field}");
    }
    broker.remove().await;
}

#[tokio::test]
async fn the_python_example_of_the_documentation_sends_a_job() {
    let page = Page::read("docs/queues.md");
    let example = &page.blocks("python").next().unwrap().text;
    let client: PathBuf = root().join(".facefleet/downloads/pika-1.3.2-py3-none-any.whl");
    assert!(
        client.exists(),
        "{} is missing: run `python3 scripts/setup.py test`",
        client.display()
    );
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let mut command = Command::new("python3");
    command.args(["-c", example, "s3://photos/ada.jpg"]).env("PYTHONPATH", client);
    command.env("AMQP_URL", broker.url.as_str()).env("PREFIX", &broker.prefix);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let delivery = next(&mut queue.consume(&Lane::ALL, 1).await.unwrap()).await;
    let job = delivery.job();
    assert_eq!(
        (job.lane, job.gallery.as_str(), job.image.as_str()),
        (Lane::Enrol, "staff", "s3://photos/ada.jpg")
    );
    broker.remove().await;
}
