//! Checks this user's permissions on the broker, each time on a new channel, because the broker
//! caches permissions per channel.
//!
//! The check of publishing uses an AMQP transaction that is rolled back. Consuming has no
//! transactions, and a job that is delivered and requeued counts as delivered. So the check sends a
//! `basic.consume` with an argument of the wrong type: the broker checks the permission first, then
//! refuses the argument, and delivers nothing.

use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ErrorKind};

use super::Broker;
use super::reply::{PRECONDITION_FAILED, has_code, queue_error, reply};
use crate::domain::Lane;
use crate::queue::QueueError;

/// Attempts to find out why the broker closed the channel.
const MOST_TRIES: usize = 5;

/// Checks that this user may publish to every exchange.
pub(super) async fn try_publishing(broker: &Broker) -> Result<(), QueueError> {
    for _ in 0..MOST_TRIES {
        let refused_at = publish_nothing(broker).await.map_err(|error| advise(error, "write"))?;
        let Some(exchange) = refused_at else {
            broker.publisher.note_allowed();
            return Ok(());
        };
        publish_refused(broker, &exchange).await.map_err(|error| advise(error, "write"))?;
    }
    Err(QueueError::Unavailable(
        "the broker closes each publishing channel and gives no reason".into(),
    ))
}

/// Returns the exchange at which the broker closed the channel, if the reason is lost: lapin
/// reports it to pending requests, and the broker may be faster than the next request.
async fn publish_nothing(broker: &Broker) -> Result<Option<String>, QueueError> {
    let (channel, topology) = (broker.publisher.connection().channel().await?, &broker.topology);
    reply(channel.tx_select()).await?;
    for exchange in
        [topology.jobs(), topology.waiting(), topology.back(), topology.events(), topology.dead()]
    {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let (to, key) = (exchange.as_str().into(), "check".into());
        let publish = channel.basic_publish(to, key, options, b"", properties);
        let (published, rolled_back) = tokio::join!(publish, raw_reply(channel.tx_rollback()));
        match rolled_back?.and(published.map(drop)) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::InvalidChannelState(..)) => {
                return Ok(Some(exchange));
            }
            Err(error) => return Err(queue_error(&error)),
        }
    }
    channel.close(200, "done".into()).await.ok();
    Ok(None)
}

/// Publishes a message that the broker refuses in any case, and returns its reason unless that is
/// the message. The broker checks the permission first. lapin expects a confirm before it sends the
/// message, so this reason is never lost; but each check leaves an error in the broker's log.
async fn publish_refused(broker: &Broker, exchange: &str) -> Result<(), QueueError> {
    let channel = broker.publisher.connection().confirming_channel().await?;
    let properties = BasicProperties::default().with_expiration("permission check".into());
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish(exchange.into(), "check".into(), options, b"", properties);
    match raw_reply(async { confirm.await?.await }).await? {
        Err(error) if !has_code(&error, PRECONDITION_FAILED) => Err(queue_error(&error)),
        _ => Ok(()),
    }
}

/// Checks that this user may consume every lane.
pub(super) async fn try_consuming(broker: &Broker) -> Result<(), QueueError> {
    for queue in Lane::ALL
        .into_iter()
        .flat_map(|lane| [broker.topology.lane(lane), broker.topology.isolation(lane)])
    {
        let channel = broker.consumers.channel().await?;
        let mut wrong = FieldTable::default();
        wrong.insert("x-priority".into(), AMQPValue::LongString("permission check".into()));
        match raw_reply(channel.basic_consume(
            queue.into(),
            "check".into(),
            BasicConsumeOptions::default(),
            wrong,
        ))
        .await?
        {
            Err(error) if has_code(&error, PRECONDITION_FAILED) => {}
            Err(error) => return Err(advise(queue_error(&error), "read")),
            // The broker ignored the argument: closing the channel requeues what it delivered.
            Ok(_) => {
                reply(channel.basic_cancel("check".into(), BasicCancelOptions::default())).await?;
                channel.close(200, "done".into()).await.ok();
            }
        }
    }
    Ok(())
}

/// The broker's reply, which may be a refusal.
async fn raw_reply<T>(
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<lapin::Result<T>, QueueError> {
    reply(async { Ok(request.await) }).await
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
