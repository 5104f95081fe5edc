//! Tries what this user may do on the broker, each time on a new channel: the broker caches
//! permissions per channel.
//!
//! Publishing is tried inside an AMQP transaction that is rolled back. Consuming has no such thing,
//! and a job that is delivered and requeued counts as delivered. So `basic.consume` carries an
//! argument of the wrong type: the broker checks the user's rights first, then refuses the
//! argument, and sends nothing.

use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ErrorKind};

use super::Broker;
use super::answer::{answer, explain, has_code};
use crate::domain::Lane;
use crate::queue::QueueError;

/// What the broker answers to an argument of a wrong type.
const PRECONDITION_FAILED: u16 = 406;

/// Attempts to learn why the broker closed the channel.
const MOST_TRIES: usize = 5;

/// Whether this user may publish all that a worker publishes.
pub(super) async fn try_publishing(broker: &Broker) -> Result<(), QueueError> {
    for _ in 0..MOST_TRIES {
        match publish_nothing(broker).await {
            Ok(Some(())) => {
                broker.publisher.note_allowed();
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => return Err(advise(error, "write")),
        }
    }
    Err(QueueError::Unavailable(
        "the broker closes every channel that tries to publish, and does not say why".into(),
    ))
}

/// None if the broker closed the channel and the reason is lost: lapin hands it to a pending
/// request, and none was pending.
async fn publish_nothing(broker: &Broker) -> Result<Option<()>, QueueError> {
    let (channel, topology) = (broker.publisher.link().channel().await?, &broker.topology);
    answer(channel.tx_select()).await?;
    for exchange in
        [topology.jobs(), topology.waiting(), topology.back(), topology.events(), topology.dead()]
    {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let publish =
            channel.basic_publish(exchange.into(), "trial".into(), options, b"", properties);
        let (published, rolled_back) = tokio::join!(publish, answer_raw(channel.tx_rollback()));
        match rolled_back?.and(published.map(drop)) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::InvalidChannelState(..)) => {
                return Ok(None);
            }
            Err(error) => return Err(explain(&error)),
        }
    }
    channel.close(200, "done".into()).await.ok();
    Ok(Some(()))
}

/// Whether this user may take jobs from every lane's queues.
pub(super) async fn try_consuming(broker: &Broker) -> Result<(), QueueError> {
    for queue in Lane::ALL
        .into_iter()
        .flat_map(|lane| [broker.topology.lane(lane), broker.topology.solo(lane)])
    {
        let channel = broker.consumers.channel().await?;
        let mut wrong = FieldTable::default();
        wrong.insert("x-priority".into(), AMQPValue::LongString("a trial of rights".into()));
        match answer_raw(channel.basic_consume(
            queue.into(),
            "trial".into(),
            BasicConsumeOptions::default(),
            wrong,
        ))
        .await?
        {
            Err(error) if has_code(&error, PRECONDITION_FAILED) => {}
            Err(error) => return Err(advise(explain(&error), "read")),
            // A broker that ignores the argument: what it sent is requeued with the channel.
            Ok(_) => {
                answer(channel.basic_cancel("trial".into(), BasicCancelOptions::default())).await?;
                channel.close(200, "done".into()).await.ok();
            }
        }
    }
    Ok(())
}

/// The broker's answer, an objection included.
async fn answer_raw<T>(
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<lapin::Result<T>, QueueError> {
    answer(async { Ok(request.await) }).await
}

fn advise(error: QueueError, right: &str) -> QueueError {
    match error {
        QueueError::Unusable(reason) => QueueError::Unusable(format!(
            "{reason}: give it the right to {right} with `rabbitmqctl set_permissions` \
                (docs/queues.md, Users)"
        )),
        other => other,
    }
}
