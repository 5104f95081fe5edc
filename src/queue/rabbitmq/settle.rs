//! Settlement of deliveries. The message is acknowledged last, when the broker has confirmed what
//! replaces it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use tokio::runtime::Handle;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Broker;
use super::buffer::{Buffer, Prefetched};
use super::message::Outgoing;
use super::reply::reply;
use super::topology::Topology;
use crate::domain::{Disposition, Job, Lane};
use crate::queue::{Delivery, QueueError, Settle, next_attempt};

/// How long a settlement tries to publish what replaces its message; after that, the message is
/// requeued instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a job is deferred whose sub-queue cannot be declared.
const NO_SUB_QUEUE: Duration = Duration::from_secs(30);

/// Settles one delivery.
struct Settlement {
    broker: Arc<Broker>,
    buffer: Arc<Buffer>,
    acker: Acker,
    history: Vec<String>,
    /// Counts the delivery as unsettled in this process.
    unsettled: TaskTrackerToken,
    /// A delivery may be dropped on any thread.
    runtime: Handle,
}

/// Makes a delivery of `job`, which was taken out of `buffer`.
pub(super) fn deliver(broker: &Arc<Broker>, buffer: &Arc<Buffer>, job: Prefetched) -> Delivery {
    let Prefetched { received, acker } = job;
    let settlement = Settlement {
        broker: Arc::clone(broker),
        buffer: Arc::clone(buffer),
        acker,
        history: received.history,
        unsettled: broker.unsettled.token(),
        runtime: Handle::current(),
    };
    Delivery::new(received.job, Arc::new(settlement))
}

/// Counts the delivery as settled when it is dropped, however the settlement ends.
struct CountSettled {
    buffer: Arc<Buffer>,
    lane: Lane,
    _unsettled: TaskTrackerToken,
}

impl Drop for CountSettled {
    fn drop(&mut self) {
        self.buffer.settled(self.lane);
    }
}

impl Settlement {
    fn count_settled(&self, lane: Lane) -> CountSettled {
        let (buffer, _unsettled) = (Arc::clone(&self.buffer), self.unsettled.clone());
        CountSettled { buffer, lane, _unsettled }
    }
}

impl Settle for Settlement {
    // In its own task, which completes even if the caller drops the future.
    fn settle(
        &self,
        job: Job,
        disposition: Disposition,
    ) -> BoxFuture<'static, Result<bool, QueueError>> {
        let (broker, acker, history) =
            (Arc::clone(&self.broker), self.acker.clone(), self.history.clone());
        let count_settled = self.count_settled(job.lane);
        let settling = self.runtime.spawn(async move {
            let settled = replace(&broker, &acker, &job, disposition, &history).await;
            drop(count_settled);
            settled
        });
        settling
            .map(|settled| {
                settled.unwrap_or_else(|_| {
                    Err(QueueError::Unavailable("the process is ending".into()))
                })
            })
            .boxed()
    }

    fn abandon(&self, job: Job) {
        let (acker, count_settled) = (self.acker.clone(), self.count_settled(job.lane));
        self.runtime.spawn(async move {
            requeue(&acker).await;
            drop(count_settled);
        });
    }
}

/// Publishes what replaces the message according to `disposition`, and acknowledges the message.
async fn replace(
    broker: &Broker,
    acker: &Acker,
    job: &Job,
    disposition: Disposition,
    history: &[String],
) -> Result<bool, QueueError> {
    if !acker.usable() {
        return Ok(false);
    }
    let sets_aside = matches!(disposition, Disposition::SetAside(_));
    let mut published = publish(broker, job, disposition, history).await;
    // This user may not declare the sub-queue. That does not count as an attempt.
    if let Err(QueueError::Unusable(reason)) = &published
        && sets_aside
    {
        tracing::warn!(reason, "a job cannot wait in its sub-queue; it is deferred for 30 s");
        published = publish(broker, job, Disposition::Defer(NO_SUB_QUEUE), history).await;
    }
    match published {
        Ok(()) => Ok(acknowledge(acker).await),
        Err(error) => {
            requeue(acker).await;
            Err(error)
        }
    }
}

/// Publishes what replaces the message of `job`.
async fn publish(
    broker: &Broker,
    job: &Job,
    disposition: Disposition,
    history: &[String],
) -> Result<(), QueueError> {
    let replacement = replacement(broker, job, disposition, history).await?;
    broker.publisher.publish(replacement.into_iter().collect(), PATIENCE, None).await
}

/// What replaces the message of `job`, if anything does.
async fn replacement(
    broker: &Broker,
    job: &Job,
    disposition: Disposition,
    history: &[String],
) -> Result<Option<Outgoing>, QueueError> {
    let delayed = |wait, job: &Job| {
        Outgoing::waiting(&broker.topology, Topology::delay_key(job.lane, wait), job, history)
    };
    Ok(match disposition {
        Disposition::Done => None,
        Disposition::Retry(wait) => Some(delayed(wait, &next_attempt(job.clone()))?),
        Disposition::Defer(wait) => Some(delayed(wait, job)?),
        Disposition::SetAside(sub_queue) => {
            broker.ensure_declared(&sub_queue).await?;
            Some(Outgoing::to_sub_queue(&broker.topology, &sub_queue, job, history)?)
        }
        Disposition::Bury(reason) => {
            Some(Outgoing::dead_job(&broker.topology, job, &reason, history)?)
        }
    })
}

/// Acknowledges the message. False if the broker had already requeued it.
pub(super) async fn acknowledge(acker: &Acker) -> bool {
    reply(acker.ack(BasicAckOptions::default())).await.unwrap_or(false)
}

/// Requeues the message and lets the broker count a delivery: from 4.3 on, it counts a reject but
/// not a nack. After an error the broker requeues it anyway.
pub(super) async fn requeue(acker: &Acker) {
    reply(acker.reject(BasicRejectOptions { requeue: true })).await.ok();
}
