//! Subscriptions to events: an exclusive queue, bound to all events, that is deleted with its
//! connection.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Broker;
use super::connection::reconnect_backoff;
use super::count::count;
use super::reply::reply;
use crate::domain::OutcomeEvent;
use crate::queue::{QueueError, event};

/// Events buffered in this process for a subscriber; further ones are buffered by the broker.
const BACKLOG: u16 = 256;
/// Events buffered by the broker for a subscriber, at most; then the oldest are dropped.
const MOST_BUFFERED: i32 = 1_000_000;
/// After the queue is closed: how long to wait for an event before the queue is checked again.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

const TAG: &str = "events";

struct Subscription {
    channel: Channel,
    queue: String,
    incoming: Consumer,
}

/// The events that are announced from now on.
pub(super) async fn subscribe(
    broker: &Arc<Broker>,
) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
    let mut subscription = open(broker).await?;
    let (sender, receiver) = mpsc::channel(usize::from(BACKLOG));
    let broker = Arc::clone(broker);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = ended(&broker) => break,
                incoming = subscription.incoming.next() => {
                    if let Some(Ok(message)) = incoming {
                        send(&sender, &message.data).await;
                        continue;
                    }
                }
            }
            tracing::warn!("the subscription to events is interrupted; events may be missed");
            let mut backoff = reconnect_backoff();
            subscription = loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = ended(&broker) => return,
                    () = sleep(backoff.next().unwrap_or_default()) => {}
                }
                match open(&broker).await {
                    Ok(subscription) => break subscription,
                    Err(error) => tracing::warn!(%error, "the broker cannot be used; trying again"),
                }
            };
        }
        if let Err(error) = finish(subscription, &sender).await {
            tracing::debug!(%error, "the last events were not read: the connection is lost");
        }
    });
    Ok(stream::unfold(
        receiver,
        |mut receiver| async move { Some((receiver.recv().await?, receiver)) },
    )
    .boxed())
}

/// Waits until this process can announce no more events.
async fn ended(broker: &Broker) {
    broker.closed.cancelled().await;
    broker.unsettled.wait().await;
}

async fn send(sender: &mpsc::Sender<OutcomeEvent>, body: &[u8]) {
    if let Some(event) = event::decode(body) {
        // An error means that the subscriber dropped its stream, which ends the task.
        sender.send(event).await.ok();
    }
}

async fn open(broker: &Broker) -> Result<Subscription, QueueError> {
    let channel = broker.consumers.channel().await?;
    let mut bound = FieldTable::default();
    bound.insert("x-max-length".into(), AMQPValue::LongInt(MOST_BUFFERED));
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let name = format!("{}.events.{}", broker.topology.prefix(), uuid::Uuid::now_v7());
    let queue = reply(channel.queue_declare(name.into(), exclusive, bound))
        .await?
        .name()
        .as_str()
        .to_owned();
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    reply(channel.queue_bind(
        queue.as_str().into(),
        broker.topology.events().into(),
        "#".into(),
        options,
        none,
    ))
    .await?;
    // Without acknowledgements: the queue is lost with the connection anyway.
    let consume =
        BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    let incoming = reply(channel.basic_consume(
        queue.as_str().into(),
        TAG.into(),
        consume,
        FieldTable::default(),
    ))
    .await?;
    Ok(Subscription { channel, queue, incoming })
}

/// Reads the remaining events: all have arrived once the queue is empty and its consumer is
/// cancelled.
async fn finish(
    mut subscription: Subscription,
    sender: &mpsc::Sender<OutcomeEvent>,
) -> Result<(), QueueError> {
    let Subscription { channel, queue, incoming } = &mut subscription;
    while count(channel, queue).await? > 0 {
        while let Ok(Some(Ok(message))) = timeout(CHECK_INTERVAL, incoming.next()).await {
            send(sender, &message.data).await;
        }
    }
    reply(channel.basic_cancel(TAG.into(), BasicCancelOptions::default())).await?;
    while let Some(Ok(message)) = incoming.next().await {
        send(sender, &message.data).await;
    }
    Ok(())
}
