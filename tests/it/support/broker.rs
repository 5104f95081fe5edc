//! The broker of the local stack, with separate queues for each test.

use std::time::Duration;

use facefleet::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use futures::StreamExt;
use lapin::options::{
    BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer, Queue};
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use super::stack::address;

/// A name prefix on the broker that no other test uses.
pub struct TestBroker {
    pub url: Url,
    pub prefix: String,
}

impl TestBroker {
    pub fn new() -> Self {
        Self {
            url: address("FACEFLEET__QUEUE__URL").parse().unwrap(),
            prefix: format!("test-{}", Uuid::now_v7()),
        }
    }

    pub fn settings(&self) -> RabbitSettings {
        RabbitSettings {
            url: self.url.as_str().to_owned().into(),
            prefix: self.prefix.clone(),
            delivery_limit: 20,
            ca_file: None,
        }
    }

    /// The same queues, reached through another port of this machine.
    pub fn settings_through(&self, port: u16) -> RabbitSettings {
        let mut url = self.url.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        RabbitSettings { url: url.as_str().to_owned().into(), ..self.settings() }
    }

    pub async fn queue(&self) -> RabbitQueue {
        RabbitQueue::connect(&self.settings()).await.unwrap()
    }

    /// A separate connection, as another client would have.
    pub async fn connection(&self) -> Connection {
        Connection::connect(self.url.as_str(), ConnectionProperties::default()).await.unwrap()
    }

    pub async fn channel(&self) -> Channel {
        self.connection().await.create_channel().await.unwrap()
    }

    /// What is published to one of the exchanges with `key` from now on.
    pub async fn listen(&self, exchange: &str, key: &str) -> (Connection, Consumer) {
        let connection = self.connection().await;
        let channel = connection.create_channel().await.unwrap();
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue =
            channel.queue_declare("".into(), exclusive, FieldTable::default()).await.unwrap();
        let exchange = format!("{}.{exchange}", self.prefix).into();
        let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.name().clone(), exchange, key.into(), bind, none).await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel
            .basic_consume(queue.name().clone(), "".into(), options, FieldTable::default())
            .await
            .unwrap();
        (connection, consumer)
    }

    /// The names of all queues of the prefix.
    pub fn queues(&self) -> Vec<String> {
        let lanes = ["enrol", "scan", "rescore", "enrol.solo", "scan.solo", "rescore.solo"];
        let others = ["wait.1s", "wait.5s", "wait.30s", "wait.2m", "wait.10m", "dead"];
        lanes.iter().chain(&others).map(|name| format!("{}.{name}", self.prefix)).collect()
    }

    /// Deletes all queues and exchanges of the prefix. A failed test leaves them behind until the
    /// stack is removed.
    pub async fn remove(self) {
        let channel = self.channel().await;
        for queue in self.queues() {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
        }
        for exchange in ["jobs", "waiting", "back", "events", "dead"] {
            channel
                .exchange_delete(format!("{}.{exchange}", self.prefix).into(), Default::default())
                .await
                .unwrap();
        }
    }
}

/// What the broker says of a queue.
///
/// # Errors
/// If there is no such queue; the broker then closes the channel.
pub async fn declared(channel: &Channel, queue: &str) -> lapin::Result<Queue> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), passive, FieldTable::default()).await
}

/// The next message.
pub async fn receive(consumer: &mut Consumer) -> lapin::message::Delivery {
    timeout(Duration::from_secs(60), consumer.next())
        .await
        .expect("a message should come")
        .unwrap()
        .unwrap()
}
