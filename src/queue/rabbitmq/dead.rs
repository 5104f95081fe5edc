//! The dead letters: looked at, retried and dropped, without ever being out of the broker's hands
//! before something safe is in their place. A letter that is looked at is taken out unacknowledged
//! and let go again; if this process ends meanwhile, the broker puts it back.

use std::time::Duration;

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use tokio::time::{sleep, timeout};

use super::answer::answer;
use super::message::{self, Outgoing};
use super::publisher::PATIENCE;
use super::{Broker, count};
use crate::queue::{DeadLetter, DeadLetterFilter, QueueError, revived};

/// Letters that are resolved together.
const BATCH: usize = 256;
/// Between looks whether the queue has taken letters back, and the longest wait for it.
const TAKEN_IN: Duration = Duration::from_millis(5);
const MOST_TAKEN_IN: Duration = Duration::from_secs(2);

/// Dead letters, at most `limit`. Those that were looked at before and let go come after those that
/// were not.
pub(super) async fn list(broker: &Broker, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
    let queue = broker.topology.dead();
    let channel = broker.consumers.channel().await?;
    let mut letters = Vec::new();
    while letters.len() < limit
        && let Some(got) = get(&channel, &queue).await?
    {
        letters.push(message::read_dead(&got.properties, &got.data));
    }
    let_go(&channel, &queue, letters.len()).await?;
    letters.sort_by(|a: &DeadLetter, b| a.died_at.cmp(&b.died_at));
    Ok(letters)
}

/// Removes the letters of `selection` and, with `retry`, publishes the job of each again first.
pub(super) async fn resolve(
    broker: &Broker,
    selection: &DeadLetterFilter,
    retry: bool,
) -> Result<u64, QueueError> {
    let queue = broker.topology.dead();
    let channel = broker.consumers.channel().await?;
    let (mut resolved, mut kept) = (0, 0);
    let mut batch = Batch::default();
    // Not more than there are now: what dies meanwhile is for the next call.
    for _ in 0..count(&channel, &queue).await? {
        let Some(got) = get(&channel, &queue).await? else { break };
        let letter = message::read_dead(&got.properties, &got.data);
        if !selection.matches(&letter) {
            kept += 1;
            continue;
        }
        match (&letter.job, retry) {
            (Some(job), true) => {
                let history = [letter.history, vec![letter.reason]].concat();
                batch.retries.push(Outgoing::again(&broker.topology, &revived(job), &history)?);
            }
            // It cannot be retried as it is.
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
    let_go(&channel, &queue, kept).await?;
    Ok(resolved)
}

/// Letters that were taken out to be resolved.
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
            answer(channel.basic_ack(tag, BasicAckOptions::default())).await?;
            resolved += 1;
        }
        Ok(resolved)
    }
}

async fn get(channel: &Channel, queue: &str) -> Result<Option<BasicGetMessage>, QueueError> {
    answer(channel.basic_get(queue.into(), BasicGetOptions::default())).await
}

/// Gives back the `kept` letters that were taken out and not resolved. A quorum queue takes them in
/// when it gets to it: whoever looks next should find them.
async fn let_go(channel: &Channel, queue: &str, kept: usize) -> Result<(), QueueError> {
    let rest = count(channel, queue).await?;
    let all = BasicNackOptions { multiple: true, requeue: true };
    answer(channel.basic_nack(0, all)).await?;
    let back = async {
        // Another process may look too, and then they are not all there.
        while count(channel, queue).await? < rest + u64::try_from(kept).unwrap_or(u64::MAX) {
            sleep(TAKEN_IN).await;
        }
        Ok::<_, QueueError>(())
    };
    timeout(MOST_TAKEN_IN, back).await.unwrap_or(Ok(()))?;
    answer(channel.close(200, "done".into())).await
}
