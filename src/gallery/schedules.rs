//! Runs schedules. There is no leader: every process claims slots that are due and does what they
//! say. The store lets one claim of a slot succeed, and the slot's campaign has the same id whoever
//! begins it. A run whose process died is taken over by another one.

mod carry_out;
mod claim;
mod patience;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::patience::Patience;
pub use self::work::{ClaimedRun, PlannedRun, RunError, RunNowError, SlotWork, WorkEnd};
use crate::domain::{Schedule, ScheduleName};
use crate::store::{Store, StoreError, StoredSchedule};
use crate::telemetry::metrics;

/// Schedules that a process of a fleet runs at once, without those that wait for their pace. A slow
/// one must not keep the others waiting.
pub const RUNS_AT_ONCE: usize = 4;

/// Runs that are read to find those of dead processes.
const MOST_RUNNING: u32 = 1000;

/// Claims and runs the schedules of the settings.
#[derive(Clone)]
pub struct Scheduler {
    store: Arc<dyn Store>,
    work: Arc<dyn SlotWork>,
    /// This process, for people.
    name: String,
    /// The schedules of this process's settings. The store says what they are: the process that
    /// began last defined them.
    own: Vec<Schedule>,
    /// Whether what this process cannot do is left to others for a while.
    patient: bool,
    /// The slots that are left to others.
    slots: Patience,
    /// The silent runs that are left to others.
    silent_runs: Patience,
}

impl Scheduler {
    /// What runs the schedules `own` of this process's settings. `name`: this process, for people.
    /// `patient`: what this process cannot do is left to others for a while.
    pub fn new(
        store: Arc<dyn Store>,
        work: Arc<dyn SlotWork>,
        name: String,
        own: Vec<Schedule>,
        patient: bool,
    ) -> Self {
        let (slots, silent_runs) = Default::default();
        Self { store, work, name, own, patient, slots, silent_runs }
    }

    /// Whether the settings of this process have no schedule.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Defines the schedules of the settings in the store.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn define(&self) -> Result<(), StoreError> {
        let now = self.store.clock().await?;
        for schedule in &self.own {
            let next_due = if schedule.enabled { schedule.timing.next(now) } else { None };
            self.store.set_schedule(schedule, next_due).await?;
        }
        Ok(())
    }

    /// Runs what is due, every `poll`, at most `at_once` at a time, until `stop` is cancelled. Runs
    /// with a pace mostly wait, and do not count. `ended` is called after each run.
    pub async fn watch(
        self,
        poll: Duration,
        at_once: usize,
        stop: CancellationToken,
        ended: impl Fn(&ClaimedRun) + Send,
    ) {
        let mut next = interval(poll);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut runs, mut failing, mut defined) = (JoinSet::new(), false, false);
        let room = Arc::new(Semaphore::new(at_once));
        loop {
            tokio::select! {
                // A process that stops claims nothing.
                biased;
                () = stop.cancelled() => break,
                Some(run) = runs.join_next() => if let Ok(run) = run { ended(&run) },
                _ = next.tick() => {}
            }
            let looked = self.look(&mut defined, &mut runs, &room, &stop).await;
            if let Err(error) = &looked
                && !failing
            {
                tracing::warn!(%error, "failed to look for schedules that are due; trying again");
            }
            failing = looked.is_err();
        }
        while runs.join_next().await.is_some() {}
    }

    /// Starts the runs that are due, while there is `room`.
    async fn look(
        &self,
        defined: &mut bool,
        runs: &mut JoinSet<ClaimedRun>,
        room: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        if !*defined {
            self.define().await?;
            *defined = true;
        }
        while let Ok(place) = Arc::clone(room).try_acquire_owned() {
            let Some(run) = self.next_run().await? else { break };
            let (this, stop) = (self.clone(), stop.clone());
            // A process that is not patient computes what it lists.
            let waits = self.patient && run.plan.is_paced();
            let place = (!waits).then_some(place);
            runs.spawn(async move {
                this.carry_out(&run, stop).await;
                drop(place);
                run
            });
        }
        self.note_overdue().await
    }

    /// Notes how late the most overdue slot of this process's schedules is.
    async fn note_overdue(&self) -> Result<(), StoreError> {
        let now = self.store.clock().await?;
        let stored = self.store.schedules().await?;
        let is_own = |of: &&StoredSchedule| {
            self.own.iter().any(|own| own.enabled && own.name == of.schedule.name)
        };
        let first = stored.iter().filter(is_own).filter_map(|of| of.next_due).min();
        let late = first.map_or(0, |due| now.as_millisecond() - due.as_millisecond());
        metrics::slots_overdue(Duration::from_millis(u64::try_from(late).unwrap_or_default()));
        Ok(())
    }

    /// Runs what is due, one after the other, until nothing is or `stop` is cancelled. Returns the
    /// runs.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_due(&self, stop: &CancellationToken) -> Result<Vec<ClaimedRun>, StoreError> {
        let mut runs = Vec::new();
        while !stop.is_cancelled() {
            let Some(run) = self.next_run().await? else { break };
            self.carry_out(&run, stop.clone()).await;
            runs.push(run);
        }
        Ok(runs)
    }

    /// Runs a schedule now, whether or not it is due. Its slot is now.
    ///
    /// # Errors
    /// If there is no such schedule in the settings, it is running, it cannot be run, or the store
    /// fails.
    pub async fn run_now(
        &self,
        name: &ScheduleName,
        stop: &CancellationToken,
    ) -> Result<ClaimedRun, RunNowError> {
        let known = self.own.iter().any(|schedule| schedule.name == *name);
        let stored = self.store.schedules().await?;
        let of = stored.into_iter().find(|stored| known && stored.schedule.name == *name);
        let of = of.ok_or_else(|| RunNowError::Unknown(name.clone()))?;
        let slot = self.store.clock().await?;
        let next_due = of.next_due;
        let run = self.claim(of, next_due, Some(slot), Vec::new(), true).await;
        let run = run.map_err(|error| RunNowError::NotRun(name.clone(), error.to_string()))?;
        let run = run.ok_or_else(|| RunNowError::Running(name.clone()))?;
        self.carry_out(&run, stop.clone()).await;
        Ok(run)
    }
}
