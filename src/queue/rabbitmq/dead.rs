//! Listing, retrying and dropping dead letters. To list a letter, it is fetched, left
//! unacknowledged, and requeued; if this process ends meanwhile, the broker requeues it. A letter
//! is acknowledged only after the broker confirmed what replaces it.

use std::time::Duration;

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use tokio::time::{sleep, timeout};

use super::Broker;
use super::count::{count, count_now};
use super::message::{self, Outgoing};
use super::publisher::PATIENCE;
use super::reply::reply;
use crate::queue::dead_letter::revived;
use crate::queue::{DeadLetter, DeadLetterFilter, QueueError};

/// Letters that are resolved together, at most. The broker holds acknowledgements back while a
/// quorum queue has not applied 32 others of the channel, and forgets them if the channel closes
/// then. So a batch is far smaller, and the next letter is fetched from the same queue: what was
/// acknowledged before is applied by then.
const BATCH: usize = 10;
/// The time between checks of whether requeued letters are ready again, and the longest wait for
/// that.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);
const MOST_WAIT: Duration = Duration::from_secs(2);

/// Lists at most `limit` dead letters. Those that were listed and requeued before come last.
pub(super) async fn list(broker: &Broker, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
    let queue = broker.topology.dead();
    let channel = broker.consumers.channel().await?;
    let mut letters = Vec::new();
    while letters.len() < limit
        && let Some(got) = get(&channel, &queue).await?
    {
        letters.push(message::read_dead(&got.properties, &got.data));
    }
    requeue(&channel, &queue, letters.len()).await?;
    letters.sort_by(|a: &DeadLetter, b| a.died_at.cmp(&b.died_at));
    Ok(letters)
}

/// Removes the letters that match `filter`; with `retry`, publishes the job of each again first.
pub(super) async fn resolve(
    broker: &Broker,
    filter: &DeadLetterFilter,
    retry: bool,
) -> Result<u64, QueueError> {
    let queue = broker.topology.dead();
    let channel = broker.consumers.channel().await?;
    let (mut resolved, mut kept) = (0, 0);
    let mut batch = Batch::default();
    // Not more than there are now: later letters are for the next call.
    for _ in 0..count(&channel, &queue).await? {
        let Some(got) = get(&channel, &queue).await? else { break };
        let letter = message::read_dead(&got.properties, &got.data);
        if !filter.matches(&letter) {
            kept += 1;
            continue;
        }
        match (&letter.job, retry) {
            (Some(job), true) => {
                let history = [letter.history, vec![letter.reason]].concat();
                batch.retries.push(Outgoing::retried(&broker.topology, &revived(job), &history)?);
            }
            // Its message is not a valid job.
            (None, true) => {
                kept += 1;
                continue;
            }
            (_, false) => {}
        }
        batch.tags.push(got.delivery.delivery_tag);
        if batch.tags.len() == BATCH {
            resolved += batch.finish(broker, &channel).await?;
        }
    }
    resolved += batch.finish(broker, &channel).await?;
    requeue(&channel, &queue, kept).await?;
    Ok(resolved)
}

/// Letters that were fetched to be resolved.
#[derive(Default)]
struct Batch {
    retries: Vec<Outgoing>,
    tags: Vec<u64>,
}

impl Batch {
    async fn finish(&mut self, broker: &Broker, channel: &Channel) -> Result<u64, QueueError> {
        broker
            .publisher
            .publish(std::mem::take(&mut self.retries), PATIENCE, Some(&broker.closed))
            .await?;
        let mut resolved = 0;
        for tag in self.tags.drain(..) {
            reply(channel.basic_ack(tag, BasicAckOptions::default())).await?;
            resolved += 1;
        }
        Ok(resolved)
    }
}

async fn get(channel: &Channel, queue: &str) -> Result<Option<BasicGetMessage>, QueueError> {
    reply(channel.basic_get(queue.into(), BasicGetOptions::default())).await
}

/// Requeues the `kept` letters that were fetched and not resolved, and waits until they are ready
/// again, so that the next call finds them: a quorum queue requeues asynchronously.
async fn requeue(channel: &Channel, queue: &str, kept: usize) -> Result<(), QueueError> {
    let rest = count_now(channel, queue).await?;
    let all = BasicNackOptions { multiple: true, requeue: true };
    reply(channel.basic_nack(0, all)).await?;
    let back = async {
        // If another process lists letters too, fewer are ready.
        while count_now(channel, queue).await? < rest + u64::try_from(kept).unwrap_or(u64::MAX) {
            sleep(CHECK_INTERVAL).await;
        }
        Ok::<_, QueueError>(())
    };
    timeout(MOST_WAIT, back).await.unwrap_or(Ok(()))?;
    reply(channel.close(200, "done".into())).await
}
