//! Isolation of suspected poison jobs, and the return of prefetched jobs to the broker.
//!
//! When a worker dies, the broker requeues everything that it had and counts a delivery of each
//! job, also of those that did not kill it. A job that was requeued [`SUSPECT`] times is therefore
//! moved to its lane's isolation queue. To process it, the receive loop returns what is prefetched,
//! waits until the worker has settled all deliveries, fetches one isolated job, and hands out
//! nothing else until that is settled. If the worker dies of it, no other job's deliveries are
//! counted.
//!
//! The attempts of a poison job go on being counted, and the worker ends it as failed, unprocessed,
//! once they are used up; the broker's own delivery limit is the last resort. A job that does not
//! crash its worker ends normally. This needs at least `SUSPECT + 1` attempts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::StreamExt;
use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicGetOptions};
use tokio::time::timeout;

use super::buffer::{Mode, Prefetched};
use super::count::count_now;
use super::message::{Outgoing, ReceivedJob};
use super::publisher;
use super::receive::ReceiveLoop;
use super::reply::{queue_error, reply};
use super::session::BrokerSession;
use super::settle::{acknowledge, requeue};
use super::topology::Topology;
use crate::queue::QueueError;

/// The number of deliveries that were never settled after which a job is isolated.
const SUSPECT: u32 = 2;

/// How long to wait for consumers of sub-queues that are being started, before all are cancelled.
const STARTING: Duration = Duration::from_secs(3);

/// How long to try to return prefetched jobs.
const RETURN_PATIENCE: Duration = Duration::from_secs(5);

impl ReceivedJob {
    /// Whether it is to be isolated.
    pub(super) fn is_suspect(&self) -> bool {
        self.requeued >= SUSPECT
    }
}

impl ReceiveLoop {
    /// Moves a suspected poison job to its lane's isolation queue.
    pub(super) async fn isolate(&self, suspect: Prefetched) -> Result<(), QueueError> {
        let Prefetched { received: ReceivedJob { job, history, .. }, acker } = suspect;
        tracing::warn!(job = %job.id, attempt = job.attempt, "a job was requeued unsettled too \
            often; it will be processed in isolation");
        let key = Topology::isolation_key(job.lane);
        let message = Outgoing::waiting(&self.broker.topology, key, &job, &history)?;
        let publishing =
            self.broker.publisher.publish(vec![message], publisher::PATIENCE, Some(&self.stop));
        if publishing.await.is_ok() {
            acknowledge(&acker).await;
        } else {
            requeue(&acker).await;
        }
        Ok(())
    }

    /// Whether an isolation queue of its lanes has jobs.
    pub(super) async fn has_isolated_jobs(&self, channel: &Channel) -> Result<bool, QueueError> {
        for &lane in &self.lanes {
            if count_now(channel, &self.broker.topology.isolation(lane)).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Processes the jobs of the isolation queues one at a time, with nothing else in flight; then
    /// resumes consuming.
    pub(super) async fn process_isolated(
        &self,
        session: &mut BrokerSession,
    ) -> Result<(), QueueError> {
        self.buffer.set_mode(Mode::Isolation);
        self.stop_consuming(session).await?;
        if !self.until_idle_or_stopped().await {
            return Ok(());
        }
        for &lane in &self.lanes {
            let queue = self.broker.topology.isolation(lane);
            loop {
                let get =
                    session.channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
                let Some(message) = reply(get).await? else { break };
                match self.parse(&message.delivery) {
                    Ok(received) => {
                        let acker = message.delivery.acker;
                        self.buffer.push_isolated(Prefetched { received, acker });
                    }
                    Err(invalid) => self.dead_letter(message.delivery, invalid.to_string()),
                }
                if !self.until_idle_or_stopped().await {
                    return Ok(());
                }
            }
        }
        self.start_consuming(session).await?;
        self.buffer.set_mode(Mode::Lanes);
        Ok(())
    }

    /// False if it was stopped first.
    async fn until_idle_or_stopped(&self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = self.buffer.until_idle() => true,
        }
    }

    /// Cancels all consumers, and returns what was prefetched to the broker.
    async fn stop_consuming(&self, session: &mut BrokerSession) -> Result<(), QueueError> {
        for lane in &self.lanes {
            let tag = lane.as_str().into();
            reply(session.channel.basic_cancel(tag, BasicCancelOptions::default())).await?;
        }
        while let Ok(Some(Ok(started))) =
            timeout(STARTING, session.sub_queues.starting.join_next()).await
        {
            session.add_sub_queue(started, &BTreeSet::new()).await;
        }
        session.sub_queues.cancel_all_but(&BTreeSet::new()).await;
        while let Some((from, incoming)) = session.incoming.next().await {
            if let Some(incoming) = incoming {
                self.accept(&from, incoming.map_err(|error| queue_error(&error))?).await?;
            }
        }
        self.return_prefetched().await;
        Ok(())
    }

    /// Publishes the prefetched jobs again, because a job that no worker had was not attempted. If
    /// that fails, the broker requeues them and counts a delivery.
    async fn return_prefetched(&self) {
        let (isolated, jobs) = self.buffer.drain();
        if let Some(isolated) = isolated {
            requeue(&isolated.acker).await;
        }
        let topology = &self.broker.topology;
        let messages = jobs
            .iter()
            .map(|job| Outgoing::returned(topology, &job.received))
            .collect::<Result<Vec<_>, _>>();
        let published = match messages {
            Ok(messages) => self.broker.publisher.publish(messages, RETURN_PATIENCE, None).await,
            Err(error) => Err(error),
        };
        match published {
            Ok(()) => {
                for job in jobs {
                    acknowledge(&job.acker).await;
                }
            }
            Err(error) => {
                tracing::warn!(jobs = jobs.len(), %error, "prefetched jobs could not be returned; \
                    the broker will deliver them again");
            }
        }
    }

    /// Returns what was prefetched, and closes the session's channels once every delivery is
    /// settled.
    pub(super) async fn end(&self, mut session: BrokerSession) {
        if let Err(error) = self.stop_consuming(&mut session).await {
            tracing::debug!(%error, "prefetched jobs were not returned: the connection is lost");
        }
        let (buffer, channel) = (Arc::clone(&self.buffer), session.channel);
        let channels: Vec<Channel> = session.sub_queues.into_channels().chain([channel]).collect();
        // The reply to a close means that the broker has read every acknowledgement. What a process
        // wrote just before its end may otherwise be lost with it. (A quorum queue may still drop a
        // few behind the 32 that it passes on at once; those jobs are delivered twice and recorded
        // once.)
        let close = async move {
            buffer.until_idle().await;
            for channel in channels {
                channel.close(200, "done".into()).await.ok();
            }
        };
        if self.buffer.is_idle() {
            close.await;
        } else {
            tokio::spawn(close);
        }
    }
}
