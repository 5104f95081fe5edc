//! What becomes of a delivery. Its message is acknowledged last: what takes its place is then safe
//! on the broker.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use tokio::runtime::Handle;

use super::Broker;
use super::answer::answer;
use super::counter::Counted;
use super::hands::Hands;
use super::message::Outgoing;
use super::shelf::Parcel;
use super::topology::Topology;
use crate::domain::{Disposition, Job, Lane};
use crate::queue::{Delivery, QueueError, Settle};

/// How long a settlement tries to put something in the place of its message; then the job comes
/// again instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a job is put back for that has no place to wait at.
const WITHOUT_PLACE: Duration = Duration::from_secs(30);

/// The broker's end of a delivery.
struct Settlement {
    broker: Arc<Broker>,
    hands: Arc<Hands>,
    acker: Acker,
    history: Vec<String>,
    out: Arc<Counted>,
    /// A delivery may be dropped on any thread.
    runtime: Handle,
}

/// Hands `parcel` out. Called by whoever took it off the shelf.
pub(super) fn deliver(broker: &Arc<Broker>, hands: &Arc<Hands>, parcel: Parcel) -> Delivery {
    let Parcel { arrived, acker } = parcel;
    let settlement = Settlement {
        broker: Arc::clone(broker),
        hands: Arc::clone(hands),
        acker,
        history: arrived.history,
        out: Arc::new(broker.out.one()),
        runtime: Handle::current(),
    };
    Delivery::new(arrived.job, Arc::new(settlement))
}

/// Ends the delivery in the books, however its settlement ends.
struct Ended {
    hands: Arc<Hands>,
    lane: Lane,
    _out: Arc<Counted>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.hands.release(self.lane);
    }
}

impl Settlement {
    fn ended(&self, lane: Lane) -> Ended {
        Ended { hands: Arc::clone(&self.hands), lane, _out: Arc::clone(&self.out) }
    }
}

impl Settle for Settlement {
    // A task of its own: whoever waits for it may go away, and it is finished all the same.
    fn settle(
        &self,
        job: Job,
        disposition: Disposition,
    ) -> BoxFuture<'static, Result<bool, QueueError>> {
        let (broker, acker, history) =
            (Arc::clone(&self.broker), self.acker.clone(), self.history.clone());
        let ended = self.ended(job.lane);
        let settling = self.runtime.spawn(async move {
            let settled = replace(&broker, &acker, &job, disposition, &history).await;
            drop(ended);
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
        let (acker, ended) = (self.acker.clone(), self.ended(job.lane));
        self.runtime.spawn(async move {
            give_up(&acker).await;
            drop(ended);
        });
    }
}

/// Puts in place of the message what `disposition` asks for, and acknowledges it.
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
    let held = matches!(disposition, Disposition::SetAside(_));
    let mut published = publish(broker, job, disposition, history).await;
    // This user may not declare the place's queue. The job is not charged for that.
    if let Err(QueueError::Unusable(reason)) = &published
        && held
    {
        tracing::warn!(reason, "a job cannot wait at its place; it is put back for half a minute");
        published = publish(broker, job, Disposition::Defer(WITHOUT_PLACE), history).await;
    }
    match published {
        Ok(()) => Ok(acknowledge(acker).await),
        Err(error) => {
            give_up(acker).await;
            Err(error)
        }
    }
}

/// Makes safe what comes after a delivery of `job`.
async fn publish(
    broker: &Broker,
    job: &Job,
    disposition: Disposition,
    history: &[String],
) -> Result<(), QueueError> {
    let successor = successor(broker, job, disposition, history).await?;
    broker.publisher.publish(successor.into_iter().collect(), PATIENCE, None).await
}

/// What comes after a delivery of `job`, if anything does.
async fn successor(
    broker: &Broker,
    job: &Job,
    disposition: Disposition,
    history: &[String],
) -> Result<Option<Outgoing>, QueueError> {
    let later = |wait, job: &Job| {
        Outgoing::later(&broker.topology, Topology::delay_key(job.lane, wait), job, history)
    };
    Ok(match disposition {
        Disposition::Done => None,
        Disposition::Retry(wait) => {
            Some(later(wait, &Job { attempt: job.attempt.saturating_add(1), ..job.clone() })?)
        }
        Disposition::Defer(wait) => Some(later(wait, job)?),
        Disposition::SetAside(place) => {
            broker.meet(&place).await?;
            Some(Outgoing::at(&broker.topology, &place, job, history)?)
        }
        Disposition::Bury(reason) => {
            Some(Outgoing::dead_job(&broker.topology, job, &reason, history)?)
        }
    })
}

/// False if the broker had taken the message back.
pub(super) async fn acknowledge(acker: &Acker) -> bool {
    answer(acker.ack(BasicAckOptions::default())).await.unwrap_or(false)
}

/// Lets the broker deliver the message again, and count that: from 4.3 on it counts a reject, and
/// no nack. An error means that it does so anyway.
pub(super) async fn give_up(acker: &Acker) {
    answer(acker.reject(BasicRejectOptions { requeue: true })).await.ok();
}
