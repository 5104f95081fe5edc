//! Which job is where. Plain data behind the queue's lock: waits for nothing and wakes nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::{Job, JobId, Lane, OutcomeEvent, SubQueue, SubQueueOf};
use crate::queue::{DeadLetter, DeadLetterFilter, QueueStatus, revived};

/// Dead letters are rare (a bad image is an outcome). Beyond this many something is wrong with the
/// system, and memory goes first: the oldest letters are then written to the log, with their
/// reasons, and forgotten.
pub(super) const MOST_DEAD: usize = 10_000;

/// Jobs put aside that keep no publisher waiting: some hundred MB of them.
const MOST_ASIDE: usize = 200_000;

/// A time that nobody waits for, where a longer one could overflow the clock.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Which job is where.
#[derive(Default)]
pub(super) struct State {
    /// Nothing comes in or out any more; what is out may be settled.
    pub(super) closed: bool,
    /// By lane, as in [`Lane::ALL`].
    ready: [VecDeque<Job>; 3],
    /// What waits apart from its lane.
    places: BTreeMap<SubQueue, VecDeque<Job>>,
    /// From where a consumer takes.
    taken: BTreeSet<SubQueue>,
    /// By the time of the next attempt, then in order of settlement.
    delayed: BTreeMap<(Instant, u64), Job>,
    /// Number of jobs that were ever delayed.
    sequence: u64,
    unsettled: u64,
    /// The oldest first.
    pub(super) dead: VecDeque<DeadLetter>,
    /// Why jobs that are retried were buried before.
    history: HashMap<JobId, Vec<String>>,
    /// Whoever reads the news. None once they ended.
    pub(super) subscribers: Vec<mpsc::Sender<OutcomeEvent>>,
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn place(lane: Lane) -> usize {
    match lane {
        Lane::Enrol => 0,
        Lane::Scan => 1,
        Lane::Rescore => 2,
    }
}

impl State {
    /// Number of jobs that publishers brought and nobody has taken. What was put aside keeps no
    /// publisher waiting, unless there is very much of it.
    pub(super) fn published(&self) -> usize {
        let (mut published, mut aside) = (self.ready.iter().map(VecDeque::len).sum::<usize>(), 0);
        for (place, jobs) in &self.places {
            *if matches!(place.of, SubQueueOf::Campaign(_)) {
                &mut published
            } else {
                &mut aside
            } += jobs.len();
        }
        published + aside.saturating_sub(MOST_ASIDE)
    }

    /// Makes `job` ready, behind its lane's others.
    pub(super) fn push(&mut self, job: Job) {
        self.ready[place(job.lane)].push_back(job);
    }

    /// Puts `job` behind the others at `place`.
    pub(super) fn push_at(&mut self, place: &SubQueue, job: Job) {
        self.places.entry(place.clone()).or_default().push_back(job);
    }

    /// Notes from where a consumer takes.
    pub(super) fn take_from(&mut self, places: &BTreeSet<SubQueue>) {
        self.taken.clone_from(places);
    }

    /// Number of jobs at `place`.
    pub(super) fn waiting(&self, place: &SubQueue) -> u64 {
        self.places.get(place).map_or(0, |jobs| count(jobs.len()))
    }

    /// Drops `place` with its jobs.
    pub(super) fn remove(&mut self, place: &SubQueue) {
        self.places.remove(place);
    }

    /// Takes a job of `lane` out for delivery: the first of the lane itself and of those of
    /// `places`, one after the other, each `turn` from the next.
    pub(super) fn deliver(
        &mut self,
        lane: Lane,
        places: &BTreeSet<SubQueue>,
        turn: usize,
    ) -> Option<Job> {
        let own = &mut self.ready[place(lane)];
        let apart = self
            .places
            .iter_mut()
            .filter(|(at, _)| at.lane == lane && places.contains(at))
            .map(|(_, jobs)| jobs);
        let mut queues: Vec<&mut VecDeque<Job>> =
            std::iter::once(own).chain(apart).filter(|jobs| !jobs.is_empty()).collect();
        let next = turn.checked_rem(queues.len())?;
        let job = queues[next].pop_front()?;
        self.unsettled += 1;
        Some(job)
    }

    /// A delivery ended, one way or another.
    pub(super) fn end_delivery(&mut self) {
        self.unsettled -= 1;
        self.end_news_if_over();
    }

    /// Makes `job` ready after `wait`.
    pub(super) fn delay(&mut self, job: Job, wait: Duration) {
        self.sequence += 1;
        self.delayed.insert((Instant::now() + wait.min(FAR_AWAY), self.sequence), job);
    }

    /// Makes the delayed jobs ready whose time has come.
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

    /// Keeps `job` among the dead letters.
    pub(super) fn bury(&mut self, job: Job, reason: String) {
        if self.dead.len() >= MOST_DEAD
            && let Some(oldest) = self.dead.pop_front()
        {
            let job = oldest.job.map(|job| job.id.to_string());
            tracing::warn!(
                job,
                reason = oldest.reason,
                "Too many dead letters, forgetting the oldest"
            );
        }
        let (died_at, deliveries) = (Some(Timestamp::now().to_string()), job.attempt);
        let history = self.history.remove(&job.id).unwrap_or_default();
        self.dead.push_back(DeadLetter { job: Some(job), reason, died_at, deliveries, history });
    }

    /// Forgets a job that is done.
    pub(super) fn forget(&mut self, job: JobId) {
        self.history.remove(&job);
    }

    /// Removes the dead letters of `selection` and, with `retry`, makes the job of each ready
    /// again.
    pub(super) fn resolve_dead(&mut self, selection: &DeadLetterFilter, retry: bool) -> u64 {
        let before = self.dead.len();
        for letter in std::mem::take(&mut self.dead) {
            if !selection.matches(&letter) {
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
        self.end_news_if_over();
    }

    /// Whether nothing can be announced any more: every job that could still end has ended.
    pub(super) fn news_over(&self) -> bool {
        self.closed && self.unsettled == 0
    }

    fn end_news_if_over(&mut self) {
        if self.news_over() {
            self.subscribers.clear();
        }
    }

    pub(super) fn status(&self) -> QueueStatus {
        let at = |wanted: &dyn Fn(&SubQueue) -> bool| -> u64 {
            self.places
                .iter()
                .filter(|(place, _)| wanted(place))
                .map(|(_, jobs)| count(jobs.len()))
                .sum()
        };
        let ready = |lane| {
            count(self.ready[place(lane)].len())
                + at(&|at| at.lane == lane && self.taken.contains(at))
        };
        QueueStatus {
            ready: Lane::ALL.into_iter().map(|lane| (lane, ready(lane))).collect(),
            waiting: at(&|at| !self.taken.contains(at)),
            delayed: count(self.delayed.len()),
            unsettled: Some(self.unsettled),
            dead: count(self.dead.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::JobSelection;

    #[test]
    fn beyond_the_bound_the_oldest_dead_letter_goes() {
        let job = Job {
            id: JobId::new(),
            lane: Lane::Scan,
            gallery: "g".parse().unwrap(),
            image: "file:///a.jpg".parse().unwrap(),
            stamp: None,
            expected_hash: None,
            subject: None,
            selection: JobSelection::default(),
            profile: None,
            campaign: None,
            trace: None,
            attempt: 1,
        };
        let mut state = State::default();
        for number in 0..=MOST_DEAD {
            state.bury(job.clone(), number.to_string());
        }
        assert_eq!(state.dead.len(), MOST_DEAD);
        assert_eq!(state.dead.front().unwrap().reason, "1");
        assert_eq!(state.dead.back().unwrap().reason, MOST_DEAD.to_string());
    }
}
