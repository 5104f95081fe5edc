//! Queues on the broker, and who may use them.

use facefleet::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::*;
use crate::support::stack::CLOSED_PORT;

async fn refusal(settings: &RabbitSettings) -> QueueError {
    RabbitQueue::connect(settings).await.err().expect("the broker should be refused")
}

#[tokio::test]
async fn a_fleet_that_starts_twice_finds_its_queues() {
    let broker = TestBroker::new();
    let (first, second) = (broker.queue().await, broker.queue().await);
    first.publish(vec![crate::support::job(Lane::Scan, "a")]).await.unwrap();
    assert_eq!(
        next(&mut second.consume(&Lane::ALL, 1).await.unwrap()).await.job().lane,
        Lane::Scan
    );
    broker.remove().await;
}

#[tokio::test]
async fn a_different_queue_of_the_same_name_is_explained() {
    let broker = TestBroker::new();
    let name = format!("{}.scan", broker.prefix);
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    broker
        .channel()
        .await
        .queue_declare(name.as_str().into(), durable, FieldTable::default())
        .await
        .unwrap();
    let error = refusal(&broker.settings()).await;
    assert!(matches!(error, QueueError::Unusable(_)), "{error:?}");
    for word in [name.as_str(), "inequivalent arg", "queue.prefix"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    broker.remove().await;
}

#[tokio::test]
async fn a_changed_delivery_limit_is_explained() {
    let broker = TestBroker::new();
    broker.queue().await;
    let error = refusal(&RabbitSettings { delivery_limit: 7, ..broker.settings() }).await;
    assert!(matches!(error, QueueError::Unusable(_)), "{error:?}");
    for word in ["x-delivery-limit", "queue.delivery_limit"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    broker.remove().await;
}

#[tokio::test]
async fn a_refused_login_says_what_to_check_and_no_password() {
    let broker = TestBroker::new();
    let with = |change: &dyn Fn(&mut url::Url)| {
        let mut url = broker.url.clone();
        change(&mut url);
        RabbitSettings { url: String::from(url).into(), ..broker.settings() }
    };
    let error = refusal(&with(&|url| url.set_password(Some("hunter2")).unwrap())).await;
    assert!(matches!(error, QueueError::Unusable(_)), "{error:?}");
    assert!(
        error.to_string().contains("user and password") && !error.to_string().contains("hunter2"),
        "{error}"
    );
    let error = refusal(&with(&|url| url.set_path("/nowhere"))).await;
    assert!(matches!(error, QueueError::Unusable(_)), "{error:?}");
    assert!(error.to_string().contains("vhost 'nowhere'"), "{error}");
    let error = refusal(&broker.settings_through(CLOSED_PORT)).await;
    assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
}

#[tokio::test]
async fn invalid_settings_are_reported_before_connecting() {
    let broker = TestBroker::new();
    let error = refusal(&RabbitSettings { prefix: "a b".into(), ..broker.settings() }).await;
    assert!(error.to_string().contains("queue.prefix"), "{error}");
    let error =
        refusal(&RabbitSettings { ca_file: Some("/no/such/ca.pem".into()), ..broker.settings() })
            .await;
    assert!(error.to_string().contains("queue.ca_file: /no/such/ca.pem"), "{error}");
    let error = refusal(&RabbitSettings {
        url: String::from("amqp://u:hunter2@host:port/").into(),
        ..broker.settings()
    })
    .await;
    assert!(
        error.to_string().contains("queue.url") && !error.to_string().contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn tls_on_a_port_without_it_fails_with_a_hint_about_certificates() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let broker = TestBroker::new();
    let url = broker.url.as_str().replacen("amqp:", "amqps:", 1);
    let error = refusal(&RabbitSettings { url: url.into(), ..broker.settings() }).await;
    assert!(matches!(error, QueueError::Unusable(_)), "{error:?}");
    assert!(error.to_string().contains("queue.ca_file"), "{error}");
}
