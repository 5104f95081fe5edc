//! The circuit breaker of one source: what it counts, when it opens and when it closes. It does no
//! I/O.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::health_check::SourceHealth;
use super::sample::Sample;
use super::{CircuitState, SourceOutage};
use crate::domain::{ImageUri, SourceName};
use crate::store::SOURCE_STATUS_TTL;
use crate::telemetry::metrics;

/// The wait before the first health check, doubled for each one after up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(30);
/// A breaker that opens within this time of closing continues the previous outage: its age and its
/// wait.
const REOPENS_WITHIN: Duration = Duration::from_secs(300);
/// The breaker opens when so many of the recent fetches got no answer, even if others succeed.
const RECENT: usize = 20;
const MOST_UNANSWERED: usize = 10;
/// Images of waiting jobs that a health check may read, if it needs them.
const WAITING: usize = 8;

pub(super) struct Breaker {
    pub(super) source: SourceName,
    state: Mutex<BreakerState>,
    /// When the last health check after a failure began, and its result. Locked during a check, so
    /// that concurrent failures share its result.
    pub(super) last_check: tokio::sync::Mutex<Option<(Instant, SourceHealth)>>,
}

#[derive(Default)]
struct BreakerState {
    outage: Option<Outage>,
    sample: Sample,
    /// For each of the last fetches, whether the source did not answer.
    unanswered: VecDeque<bool>,
    /// Images of waiting jobs, the latest last.
    waiting: VecDeque<ImageUri>,
    /// The outage that workers last reported.
    reported: Option<ReportedOutage>,
    /// The previous outage, and when it ended.
    previous: Option<(Outage, Instant)>,
}

#[derive(Clone)]
struct Outage {
    since: Instant,
    reason: String,
    next_check: Instant,
    wait: Duration,
    given_up: bool,
}

struct ReportedOutage {
    /// When the report was read. It counts for [`SOURCE_STATUS_TTL`].
    read_at: Instant,
    since: Instant,
    reason: String,
}

impl ReportedOutage {
    fn is_current(&self) -> bool {
        self.read_at.elapsed() < SOURCE_STATUS_TTL
    }
}

impl Breaker {
    pub(super) fn new(source: SourceName) -> Self {
        Self { source, state: Mutex::default(), last_check: tokio::sync::Mutex::default() }
    }

    /// No change of the state panics half-way, so a poisoned lock can be used.
    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outage(&self) -> Option<SourceOutage> {
        let state = self.state();
        let Outage { since, reason, given_up, .. } = state.outage.as_ref()?;
        Some(SourceOutage {
            source: self.source.clone(),
            reason: reason.clone(),
            lasting: since.elapsed(),
            given_up: *given_up,
        })
    }

    pub(super) fn is_check_due(&self) -> bool {
        let state = self.state();
        state.outage.as_ref().is_some_and(|outage| outage.next_check <= Instant::now())
    }

    pub(super) fn state_for(&self, image: &ImageUri) -> CircuitState {
        let mut state = self.state();
        match &state.outage {
            None => CircuitState::Closed,
            Some(outage) if outage.given_up => CircuitState::GivenUp(outage.reason.clone()),
            Some(outage) => {
                let reason = outage.reason.clone();
                state.add_waiting(image);
                CircuitState::Open(reason)
            }
        }
    }

    pub(super) fn note_read(&self, part: u64, image: &ImageUri) {
        let mut state = self.state();
        state.count_fetch(false);
        state.sample.count(part, image);
        state.reported = None;
        self.close(&mut state);
    }

    /// Counts a failed fetch. Returns whether the source did not answer too many of the recent
    /// ones.
    pub(super) fn note_failure(&self, unanswered: bool) -> bool {
        let mut state = self.state();
        state.count_fetch(unanswered);
        state.unanswered.iter().filter(|unanswered| **unanswered).count() >= MOST_UNANSWERED
    }

    pub(super) fn note_reported(&self, reason: &str, lasting: Duration) {
        let read_at = Instant::now();
        let since = read_at.checked_sub(lasting).unwrap_or(read_at);
        self.state().reported = Some(ReportedOutage { read_at, since, reason: reason.to_owned() });
    }

    /// Why the source does not work, as other workers reported, if this worker has read nothing
    /// from it.
    pub(super) fn reported_outage(&self) -> Option<String> {
        let state = self.state();
        let reported = state.reported.as_ref().filter(|reported| reported.is_current());
        reported.filter(|_| state.sample.is_empty()).map(|reported| reported.reason.clone())
    }

    /// Images that were read, by part of the source.
    pub(super) fn sample(&self) -> Vec<Vec<ImageUri>> {
        self.state().sample.by_part()
    }

    pub(super) fn discard_sample(&self) {
        self.state().sample = Sample::default();
    }

    /// Images of waiting jobs, the latest first.
    pub(super) fn waiting(&self) -> Vec<ImageUri> {
        self.state().waiting.iter().rev().cloned().collect()
    }

    pub(super) fn give_up(&self) {
        if let Some(outage) = &mut self.state().outage {
            outage.given_up = true;
        }
    }

    pub(super) fn open(&self, reason: &str, image: &ImageUri) {
        let mut state = self.state();
        state.add_waiting(image);
        if state.outage.is_some() {
            return;
        }
        tracing::warn!(source = %self.source, reason, "a source of images does not work; its \
            jobs wait until it does");
        metrics::source_trouble(&self.source, true);
        let now = Instant::now();
        let previous = state.previous.take();
        let previous = previous.filter(|(_, ended)| ended.elapsed() < REOPENS_WITHIN);
        let (wait, began) = match previous {
            Some((outage, _)) => (outage.wait.saturating_mul(2).min(LAST_WAIT), Some(outage.since)),
            None => (FIRST_WAIT, None),
        };
        let reported = state.reported.as_ref().filter(|reported| reported.is_current());
        let since = began.into_iter().chain(reported.map(|reported| reported.since)).min();
        state.outage = Some(Outage {
            since: since.unwrap_or(now),
            reason: reason.to_owned(),
            next_check: now + wait,
            wait,
            given_up: false,
        });
    }

    /// Closes the breaker if the source works. Otherwise schedules the next health check, and gives
    /// up jobs once the outage has lasted for `longest`.
    pub(super) fn note_checked(&self, health: SourceHealth, longest: Duration) {
        let mut state = self.state();
        let Some(outage) = &mut state.outage else { return };
        match health {
            SourceHealth::Healthy => {
                state.unanswered = VecDeque::new();
                state.reported = None;
                self.close(&mut state);
                return;
            }
            SourceHealth::Unhealthy(reason) => outage.reason = reason,
            SourceHealth::NothingRead | SourceHealth::Shortage(_) => {}
        }
        outage.wait = outage.wait.saturating_mul(2).min(LAST_WAIT);
        outage.next_check = Instant::now() + outage.wait;
        if outage.since.elapsed() >= longest && !outage.given_up {
            outage.given_up = true;
            let (source, reason) = (&self.source, &outage.reason);
            tracing::error!(%source, reason, "an outage of a source of images has lasted for \
                images.outage_seconds; its jobs end as failed");
        }
    }

    /// Ends the outage, if there is one.
    fn close(&self, state: &mut BreakerState) {
        if let Some(outage) = state.outage.take() {
            state.previous = Some((outage, Instant::now()));
            tracing::info!(source = %self.source, "a source of images works again");
            metrics::source_trouble(&self.source, false);
        }
    }
}

impl BreakerState {
    fn count_fetch(&mut self, unanswered: bool) {
        self.unanswered.push_back(unanswered);
        if self.unanswered.len() > RECENT {
            self.unanswered.pop_front();
        }
    }

    fn add_waiting(&mut self, image: &ImageUri) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(image.clone());
    }
}
