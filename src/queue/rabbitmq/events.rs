//! The news of outcomes: an exclusive queue, bound to all events, that goes with its reader's
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

use super::answer::answer;
use super::connection::Backoff;
use super::{Broker, count};
use crate::domain::OutcomeEvent;
use crate::queue::{QueueError, event};

/// Events that a reader may be behind before they wait on the broker.
const BACKLOG: u16 = 256;
/// Events that wait on the broker for a reader, at most; then the oldest go.
const MOST_WAITING: i32 = 1_000_000;
/// Between looks whether the last news was read, once the queue is closed.
const LOOK: Duration = Duration::from_millis(50);

const TAG: &str = "news";

struct Subscription {
    channel: Channel,
    queue: String,
    incoming: Consumer,
}

/// The events announced from now on.
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
                () = over(&broker) => break,
                incoming = subscription.incoming.next() => {
                    if let Some(Ok(message)) = incoming {
                        send(&sender, &message.data).await;
                        continue;
                    }
                }
            }
            tracing::warn!("the news of outcomes is interrupted; some of it may be missed");
            let mut backoff = Backoff::new();
            subscription = loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = over(&broker) => return,
                    () = backoff.wait() => {}
                }
                match open(&broker).await {
                    Ok(subscription) => break subscription,
                    Err(error) => tracing::warn!(%error, "the broker cannot be used; trying again"),
                }
            };
        }
        if let Err(error) = finish(subscription, &sender).await {
            tracing::debug!(%error, "the last news was not read: the connection is lost");
        }
    });
    Ok(stream::unfold(
        receiver,
        |mut receiver| async move { Some((receiver.recv().await?, receiver)) },
    )
    .boxed())
}

/// Waits until nothing can be announced by this process any more.
async fn over(broker: &Broker) {
    broker.closed.cancelled().await;
    broker.out.until_zero().await;
}

async fn send(sender: &mpsc::Sender<OutcomeEvent>, body: &[u8]) {
    if let Some(event) = event::decode(body) {
        // An error means that the reader left, which ends the task.
        sender.send(event).await.ok();
    }
}

async fn open(broker: &Broker) -> Result<Subscription, QueueError> {
    let channel = broker.consumers.channel().await?;
    let mut bound = FieldTable::default();
    bound.insert("x-max-length".into(), AMQPValue::LongInt(MOST_WAITING));
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let name = format!("{}.news.{}", broker.topology.prefix(), uuid::Uuid::now_v7());
    let queue = answer(channel.queue_declare(name.into(), exclusive, bound))
        .await?
        .name()
        .as_str()
        .to_owned();
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    answer(channel.queue_bind(
        queue.as_str().into(),
        broker.topology.events().into(),
        "#".into(),
        options,
        none,
    ))
    .await?;
    // Not acknowledged: what is lost with the connection is lost with the queue too.
    let consume =
        BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    let incoming = answer(channel.basic_consume(
        queue.as_str().into(),
        TAG.into(),
        consume,
        FieldTable::default(),
    ))
    .await?;
    Ok(Subscription { channel, queue, incoming })
}

/// Reads what was announced before the end: once the queue is empty and its consumer cancelled,
/// everything is here.
async fn finish(
    mut subscription: Subscription,
    sender: &mpsc::Sender<OutcomeEvent>,
) -> Result<(), QueueError> {
    let Subscription { channel, queue, incoming } = &mut subscription;
    while count(channel, queue).await? > 0 {
        while let Ok(Some(Ok(message))) = tokio::time::timeout(LOOK, incoming.next()).await {
            send(sender, &message.data).await;
        }
    }
    answer(channel.basic_cancel(TAG.into(), BasicCancelOptions::default())).await?;
    while let Some(Ok(message)) = incoming.next().await {
        send(sender, &message.data).await;
    }
    Ok(())
}
