//! The stack's broker, with queues of its own for each test.

use facefleet::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use lapin::options::QueueDeleteOptions;
use lapin::{Channel, Connection, ConnectionProperties};
use url::Url;
use uuid::Uuid;

use super::stack::address;

/// A part of the broker that no other test uses.
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

    /// A connection around the queue, as any other client's.
    pub async fn connection(&self) -> Connection {
        Connection::connect(self.url.as_str(), ConnectionProperties::default()).await.unwrap()
    }

    pub async fn channel(&self) -> Channel {
        self.connection().await.create_channel().await.unwrap()
    }

    /// Every queue of the prefix.
    pub fn queues(&self) -> Vec<String> {
        let lanes = ["enrol", "scan", "rescore", "enrol.solo", "scan.solo", "rescore.solo"];
        let others = ["wait.1s", "wait.5s", "wait.30s", "wait.2m", "wait.10m", "dead"];
        lanes.iter().chain(&others).map(|name| format!("{}.{name}", self.prefix)).collect()
    }

    /// Leaves nothing on the broker. A test that failed leaves its queues to whoever takes the
    /// stack down.
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
