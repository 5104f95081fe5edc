//! What is specific to the queue on `RabbitMQ`: topology, messages, isolation, and recovery from
//! failures.

mod busy;
mod failures;
mod isolation;
mod messages;
mod sub_queues;
mod tls;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::Lane;
use facefleet::queue::{Consumer, DeadLetter, Delivery, JobQueue, QueueError};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation};
use tokio::time::{Instant, timeout};

use crate::support::broker::TestBroker;

/// Everything that is expected happens within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What does not happen within this time is taken not to happen.
const QUIET: Duration = Duration::from_secs(1);

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    timeout(PATIENCE, consumer.next())
        .await
        .expect("a delivery should come")
        .expect("the queue should be open")
}

async fn nothing_comes(consumer: &mut Box<dyn Consumer>) -> bool {
    timeout(QUIET, consumer.next()).await.is_err()
}

/// Waits until there are `count` dead letters.
async fn dead(queue: &dyn JobQueue, count: usize) -> Vec<DeadLetter> {
    let due = Instant::now() + PATIENCE;
    loop {
        let letters = queue.dead_letters(100).await.unwrap();
        if letters.len() == count {
            return letters;
        }
        assert!(Instant::now() < due, "{} of {count} dead letters", letters.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Publishes like any AMQP client, and waits for the confirm.
async fn send(broker: &TestBroker, key: &str, properties: BasicProperties, body: &[u8]) {
    let connection = broker.connection().await;
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let exchange = format!("{}.jobs", broker.prefix);
    let confirm = channel
        .basic_publish(exchange.into(), key.into(), options, body, properties)
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(confirm, Confirmation::Ack(None));
}
