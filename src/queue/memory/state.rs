//! Where every job is. Plain data behind the queue's lock: does not wait or notify.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::{Job, JobId, Lane, OutcomeEvent, SubQueue, SubQueueOf};
use crate::queue::dead_letter::revived;
use crate::queue::{DeadLetter, DeadLetterFilter, QueueStatus};

/// Most dead letters kept in memory. Beyond this many, something is wrong with the system, because
/// a bad image is an outcome and not a dead letter; the oldest letters are then logged and dropped.
pub(super) const MOST_DEAD: usize = 10_000;

/// Publishers wait while more jobs than this are set aside (some hundred MB).
const MOST_SET_ASIDE: usize = 200_000;

/// The longest delay; a longer one could overflow the clock.
const MOST_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where every job is.
#[derive(Default)]
pub(super) struct MemoryState {
    /// Jobs are no longer published or delivered; deliveries can still be settled.
    pub(super) closed: bool,
    /// By lane, as in [`Lane::ALL`].
    ready: [VecDeque<Job>; 3],
    /// Jobs that wait in sub-queues.
    sub_queues: BTreeMap<SubQueue, VecDeque<Job>>,
    /// The sub-queues from which a consumer takes.
    consumed: BTreeSet<SubQueue>,
    /// By the time of the next attempt, then in order of settlement.
    delayed: BTreeMap<(Instant, u64), Job>,
    /// The number of jobs that were ever delayed.
    sequence: u64,
    unsettled: u64,
    /// The oldest first.
    pub(super) dead: VecDeque<DeadLetter>,
    /// Why jobs that are retried were dead-lettered before.
    history: HashMap<JobId, Vec<String>>,
    /// The subscribers to events. Empty once the events ended.
    pub(super) subscribers: Vec<mpsc::Sender<OutcomeEvent>>,
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn index(lane: Lane) -> usize {
    match lane {
        Lane::Enrol => 0,
        Lane::Scan => 1,
        Lane::Rescore => 2,
    }
}

impl MemoryState {
    /// The number of jobs that count towards the capacity: those that wait in lanes and campaigns.
    /// Jobs that were set aside do not count, up to [`MOST_SET_ASIDE`].
    pub(super) fn published(&self) -> usize {
        let (mut published, mut set_aside) =
            (self.ready.iter().map(VecDeque::len).sum::<usize>(), 0);
        for (sub_queue, jobs) in &self.sub_queues {
            *if matches!(sub_queue.of, SubQueueOf::Campaign(_)) {
                &mut published
            } else {
                &mut set_aside
            } += jobs.len();
        }
        published + set_aside.saturating_sub(MOST_SET_ASIDE)
    }

    /// Makes `job` ready, at the end of its lane.
    pub(super) fn push(&mut self, job: Job) {
        self.ready[index(job.lane)].push_back(job);
    }

    /// Adds `job` at the end of `sub_queue`.
    pub(super) fn push_to(&mut self, sub_queue: &SubQueue, job: Job) {
        self.sub_queues.entry(sub_queue.clone()).or_default().push_back(job);
    }

    /// Sets the sub-queues from which a consumer takes.
    pub(super) fn take_from(&mut self, sub_queues: &BTreeSet<SubQueue>) {
        self.consumed.clone_from(sub_queues);
    }

    /// The number of jobs in `sub_queue`.
    pub(super) fn waiting(&self, sub_queue: &SubQueue) -> u64 {
        self.sub_queues.get(sub_queue).map_or(0, |jobs| count(jobs.len()))
    }

    /// Drops `sub_queue` with its jobs.
    pub(super) fn remove(&mut self, sub_queue: &SubQueue) {
        self.sub_queues.remove(sub_queue);
    }

    /// Takes a job of `lane` out for delivery. The lane's own queue and its non-empty `sub_queues`
    /// take turns, by `turn`.
    pub(super) fn deliver(
        &mut self,
        lane: Lane,
        sub_queues: &BTreeSet<SubQueue>,
        turn: usize,
    ) -> Option<Job> {
        let own = &mut self.ready[index(lane)];
        let others = self
            .sub_queues
            .iter_mut()
            .filter(|(sub_queue, _)| sub_queue.lane == lane && sub_queues.contains(sub_queue))
            .map(|(_, jobs)| jobs);
        let mut queues: Vec<&mut VecDeque<Job>> =
            std::iter::once(own).chain(others).filter(|jobs| !jobs.is_empty()).collect();
        let next = turn.checked_rem(queues.len())?;
        let job = queues[next].pop_front()?;
        self.unsettled += 1;
        Some(job)
    }

    /// A delivery was settled or abandoned.
    pub(super) fn end_delivery(&mut self) {
        self.unsettled -= 1;
        self.end_events_if_last();
    }

    /// Makes `job` ready after `wait`.
    pub(super) fn delay(&mut self, job: Job, wait: Duration) {
        self.sequence += 1;
        self.delayed.insert((Instant::now() + wait.min(MOST_DELAY), self.sequence), job);
    }

    /// Makes the delayed jobs ready that are due.
    pub(super) fn promote_due(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            let job = first.remove();
            self.push(job);
        }
    }

    /// When the next delayed job becomes ready.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Adds `job` to the dead letters.
    pub(super) fn dead_letter(&mut self, job: Job, reason: String) {
        if self.dead.len() >= MOST_DEAD
            && let Some(oldest) = self.dead.pop_front()
        {
            let job = oldest.job.map(|job| job.id.to_string());
            tracing::warn!(
                job,
                reason = oldest.reason,
                "too many dead letters; dropping the oldest"
            );
        }
        let (died_at, deliveries) = (Some(Timestamp::now().to_string()), job.attempt);
        let history = self.history.remove(&job.id).unwrap_or_default();
        let job = Some(job);
        let letter = DeadLetter { job, reason, died_at, deliveries, history, head: None };
        self.dead.push_back(letter);
    }

    /// Drops the history of a job that is done.
    pub(super) fn forget(&mut self, job: JobId) {
        self.history.remove(&job);
    }

    /// Removes the dead letters that match `filter` and, with `retry`, makes their jobs ready
    /// again.
    pub(super) fn resolve_dead(&mut self, filter: &DeadLetterFilter, retry: bool) -> u64 {
        let before = self.dead.len();
        for letter in std::mem::take(&mut self.dead) {
            if !filter.matches(&letter) {
                self.dead.push_back(letter);
            } else if retry && let Some(job) = &letter.job {
                let job = revived(job);
                self.history.insert(job.id, [letter.history, vec![letter.reason]].concat());
                self.push(job);
            }
        }
        count(before - self.dead.len())
    }

    /// Closes the queue.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.end_events_if_last();
    }

    /// Whether the queue is closed and no delivery is unsettled: no event can follow.
    pub(super) fn events_ended(&self) -> bool {
        self.closed && self.unsettled == 0
    }

    fn end_events_if_last(&mut self) {
        if self.events_ended() {
            self.subscribers.clear();
        }
    }

    pub(super) fn status(&self) -> QueueStatus {
        let in_sub_queues = |wanted: &dyn Fn(&SubQueue) -> bool| -> u64 {
            self.sub_queues
                .iter()
                .filter(|(sub_queue, _)| wanted(sub_queue))
                .map(|(_, jobs)| count(jobs.len()))
                .sum()
        };
        let ready = |lane| {
            count(self.ready[index(lane)].len())
                + in_sub_queues(&|sub_queue| {
                    sub_queue.lane == lane && self.consumed.contains(sub_queue)
                })
        };
        QueueStatus {
            ready: Lane::ALL.into_iter().map(|lane| (lane, ready(lane))).collect(),
            waiting: in_sub_queues(&|sub_queue| !self.consumed.contains(sub_queue)),
            delayed: count(self.delayed.len()),
            unsettled: Some(self.unsettled),
            dead: count(self.dead.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_maximum_the_oldest_dead_letter_is_dropped() {
        let job = Job::sample(Lane::Scan);
        let mut state = MemoryState::default();
        for number in 0..=MOST_DEAD {
            state.dead_letter(job.clone(), number.to_string());
        }
        assert_eq!(state.dead.len(), MOST_DEAD);
        assert_eq!(state.dead.front().unwrap().reason, "1");
        assert_eq!(state.dead.back().unwrap().reason, MOST_DEAD.to_string());
    }
}
