//! Runs schedules. There is no leader: every process claims slots that are due and does what they
//! say. The store lets one claim of a slot succeed, and the slot's campaign has the same id whoever
//! begins it. A run whose process died is taken over by another one.

mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::work::{ClaimedRun, PlannedRun, RunError, RunNowError, SlotWork, WorkEnd};
use crate::domain::{
    Campaign, CampaignId, RunPlan, SLOT_GRACE, Schedule, ScheduleName, ScheduleRun, UtcTime,
};
use crate::store::{
    NewRun, RUN_BEAT_EVERY, RUN_LOST_AFTER, RunKey, RunOwner, RunQuery, SlotClaim, Store,
    StoreError, StoredSchedule,
};

/// Runs that are read to find those of dead processes.
const MOST_RUNNING: u32 = 1000;
/// A silent run that no process can go on with fails after this time.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60 * 60);

/// Claims and runs the schedules of the settings.
#[derive(Clone)]
pub struct Scheduler {
    /// The store that has the schedules and their runs.
    pub store: Arc<dyn Store>,
    /// What does the work.
    pub work: Arc<dyn SlotWork>,
    /// This process.
    pub owner: RunOwner,
    /// The schedules of this process's settings. The store says what they are: the process that
    /// began last defined them.
    pub own: Vec<Schedule>,
    /// Whether a slot that this process cannot run is left to others for a while.
    pub patient: bool,
}

impl Scheduler {
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

    /// Runs what is due, every `poll`, at most `at_once` at a time, until `stop` is cancelled.
    /// `ended` is called after each run.
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
        loop {
            tokio::select! {
                _ = next.tick() => {}
                Some(run) = runs.join_next() => if let Ok(run) = run { ended(&run) },
                () = stop.cancelled() => break,
            }
            let looked = self.look(&mut defined, &mut runs, at_once, &stop).await;
            if let Err(error) = &looked
                && !failing
            {
                tracing::warn!(%error, "failed to look for schedules that are due; trying again");
            }
            failing = looked.is_err();
        }
        while runs.join_next().await.is_some() {}
    }

    /// Starts the runs that are due.
    async fn look(
        &self,
        defined: &mut bool,
        runs: &mut JoinSet<ClaimedRun>,
        at_once: usize,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        if !*defined {
            self.define().await?;
            *defined = true;
        }
        while runs.len() < at_once {
            let Some(run) = self.next_run().await? else { break };
            let (this, stop) = (self.clone(), stop.clone());
            runs.spawn(async move {
                this.carry_out(&run, stop).await;
                run
            });
        }
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

    /// A run to carry out: one whose process died, or that of a slot that is due.
    async fn next_run(&self) -> Result<Option<ClaimedRun>, StoreError> {
        let query = RunQuery { schedule: None, running: true, limit: MOST_RUNNING };
        let now = self.store.clock().await?;
        for run in self.store.schedule_runs(&query).await? {
            if let Some(run) = self.take_over(run, now).await? {
                return Ok(Some(run));
            }
        }
        for of in self.store.schedules().await? {
            if let Some(run) = self.claim_due(of, now).await? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    async fn take_over(
        &self,
        run: ScheduleRun,
        now: UtcTime,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let ScheduleRun { schedule, slot, campaign, silent, started_at, plan, .. } = run;
        let Some(plan) = plan.filter(|_| silent) else { return Ok(None) };
        let age = now.as_millisecond() - started_at.as_millisecond();
        let given_up = age > GIVEN_UP_AFTER.as_millis() as i64 || !self.patient;
        match self.work.plan(&plan.action).await {
            Err(RunError::NotHere(_)) if !given_up => return Ok(None),
            Err(RunError::Later(_)) => return Ok(None),
            _ => {}
        }
        let key = RunKey { schedule, slot };
        if !self.store.take_over_run(&key, &self.owner).await? {
            return Ok(None);
        }
        tracing::info!(schedule = %key.schedule, slot = %key.slot, "took over a run");
        Ok(Some(ClaimedRun { key, plan, campaign, failed: None }))
    }

    /// Claims the slots of a schedule that are due.
    async fn claim_due(
        &self,
        mut of: StoredSchedule,
        now: UtcTime,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        if !self.own.iter().any(|own| own.enabled && own.name == of.schedule.name) {
            return Ok(None);
        }
        loop {
            let due = of.next_due.and_then(|next_due| of.schedule.due(next_due, now));
            let Some(due) = due else { return Ok(None) };
            let late = due.run.is_some_and(|slot| {
                now.as_millisecond() - slot.as_millisecond() > SLOT_GRACE.as_millis() as i64 / 2
            });
            let moved = StoredSchedule { next_due: due.next_due, ..of.clone() };
            let claimed = self.claim(of, due.next_due, due.run, due.skipped, late).await;
            match claimed {
                Ok(Some(run)) => return Ok(Some(run)),
                // Only missed slots: the next one may be due.
                Ok(None) if due.run.is_none() => of = moved,
                Ok(None) => return Ok(None),
                Err(RunError::Later(reason)) => return Err(StoreError::Unavailable(reason)),
                Err(error) => {
                    let schedule = &moved.schedule.name;
                    tracing::info!(%schedule, %error, "left to other workers");
                    return Ok(None);
                }
            }
        }
    }

    /// Claims a slot, and the skipped ones. `last`: nobody else is waited for. `None`: somebody
    /// else has it.
    async fn claim(
        &self,
        of: StoredSchedule,
        next_due: Option<UtcTime>,
        slot: Option<UtcTime>,
        skipped: Vec<UtcTime>,
        last: bool,
    ) -> Result<Option<ClaimedRun>, RunError> {
        let name = of.schedule.name.clone();
        let run = match slot {
            None => None,
            Some(slot) => Some(match self.work.plan(&of.schedule.action).await {
                Ok(PlannedRun { plan, campaign }) => {
                    let id = CampaignId::of_slot(&name, slot);
                    let campaign = campaign.map(|campaign| Campaign { id, ..campaign });
                    NewRun { slot, plan: Some(plan), campaign, error: None }
                }
                Err(RunError::NotHere(reason)) if self.patient && !last => {
                    return Err(RunError::NotHere(reason));
                }
                Err(RunError::Later(reason)) => return Err(RunError::Later(reason)),
                Err(RunError::NotHere(error) | RunError::Impossible(error)) => {
                    let plan = RunPlan { action: of.schedule.action.clone(), from: None };
                    NewRun { slot, plan: Some(plan), campaign: None, error: Some(error) }
                }
            }),
        };
        let owner = self.owner.clone();
        let claim = SlotClaim { of, next_due, run, skipped, owner };
        let begun = self.store.claim_slots(&claim).await?;
        let Some(NewRun { slot, plan: Some(plan), campaign, error }) = claim.run.filter(|_| begun)
        else {
            return Ok(None);
        };
        let key = RunKey { schedule: name, slot };
        let campaign = campaign.map(|campaign| campaign.id);
        Ok(Some(ClaimedRun { key, plan, campaign, failed: error }))
    }

    /// Carries out a run of this process and notes how it ended.
    async fn carry_out(&self, run: &ClaimedRun, stop: CancellationToken) {
        let (schedule, slot) = (&run.key.schedule, run.key.slot);
        if let Some(error) = &run.failed {
            tracing::warn!(%schedule, %slot, %error, "a schedule failed");
            return;
        }
        tracing::info!(%schedule, %slot, "running a schedule");
        let lost = stop.child_token();
        let worked = {
            let working = self.work.work(run, lost.clone());
            tokio::pin!(working);
            tokio::select! {
                worked = &mut working => worked,
                () = self.beat(&run.key) => {
                    tracing::warn!(%schedule, %slot, "another process may have taken over the run");
                    lost.cancel();
                    drop(working.await);
                    return;
                }
            }
        };
        let ended = match worked {
            Ok(WorkEnd::Done) => self.store.end_run(&run.key, &self.owner, None).await.map(drop),
            Ok(WorkEnd::Stopped) => self.store.release_run(&run.key, &self.owner).await,
            Err(RunError::Later(error)) => {
                // By whoever finds it silent: not at once, for the same fault.
                tracing::warn!(%schedule, %slot, %error, "a schedule waits; it is tried again");
                Ok(())
            }
            Err(RunError::NotHere(error) | RunError::Impossible(error)) => {
                tracing::warn!(%schedule, %slot, %error, "a schedule failed");
                self.fail(run, &error).await
            }
        };
        if let Err(error) = ended {
            tracing::warn!(%schedule, %slot, %error, "failed to note how a run ended; a process \
                takes it over");
        }
    }

    /// Ends a run that failed, and its campaign, which nobody lists any more.
    async fn fail(&self, run: &ClaimedRun, error: &str) -> Result<(), StoreError> {
        if let Some(campaign) = run.campaign {
            self.store.fail_listing(campaign, error).await?;
        }
        self.store.end_run(&run.key, &self.owner, Some(error)).await.map(drop)
    }

    /// Notes every while that this process is at a run. Ends if it is not its own any more.
    async fn beat(&self, run: &RunKey) {
        let mut next = interval(RUN_BEAT_EVERY);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = Instant::now();
        loop {
            next.tick().await;
            let left = RUN_LOST_AFTER.saturating_sub(noted.elapsed());
            let began = Instant::now();
            match tokio::time::timeout(left, self.store.beat_run(run, &self.owner)).await {
                Ok(Ok(true)) => noted = began,
                Ok(Ok(false)) => return,
                Ok(Err(_)) | Err(_) if noted.elapsed() >= RUN_LOST_AFTER => return,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}
