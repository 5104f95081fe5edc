//! What a process claims: slots that are due, and runs whose process died.

use std::collections::HashMap;
use std::time::Duration;

use super::patience::Patience;
use super::work::{ClaimedRun, PlannedRun, RunError};
use super::{MOST_RUNNING, RUNS_AT_ONCE, Scheduler};
use crate::domain::{
    Campaign, CampaignId, RunPlan, RunState, SLOT_GRACE, ScheduleName, ScheduleRun, UtcTime,
};
use crate::store::{NewRun, RunKey, RunOwner, RunQuery, SlotClaim, StoreError, StoredSchedule};
use crate::telemetry::metrics;

/// How long a process leaves a slot that it cannot run to others. Then the slot fails.
const SLOT_PATIENCE: Duration = Duration::from_secs(60);
/// How long a process leaves a silent run that it cannot go on with to others. Longer, because a
/// part of it is done, and whoever can do the rest may be starting.
const RUN_PATIENCE: Duration = Duration::from_secs(60 * 60);
/// So many processes in a row may die at a run. Then it is what kills them.
const MOST_TAKE_OVERS: u32 = 3;

impl Scheduler {
    /// A run to carry out: one whose process died, or that of a slot that is due.
    pub(super) async fn next_run(&self) -> Result<Option<ClaimedRun>, StoreError> {
        let query = RunQuery { schedule: None, running: true, limit: MOST_RUNNING };
        let now = self.store.clock().await?;
        let running = self.store.schedule_runs(&query).await?;
        let wait = self.patient && self.another_is_busy(&running);
        for run in running {
            if let Some(run) = self.take_over(run, wait).await? {
                return Ok(Some(run));
            }
        }
        for of in self.store.schedules().await? {
            if let Some(run) = self.claim_due(of, now, wait).await? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// Whether another process is at as many runs as it may be. It may be the only one that can do
    /// what this one cannot.
    fn another_is_busy(&self, running: &[ScheduleRun]) -> bool {
        let mut runs: HashMap<&str, usize> = HashMap::new();
        let paced = |run: &ScheduleRun| run.plan.as_ref().is_some_and(RunPlan::is_paced);
        for run in running.iter().filter(|run| !run.silent && !paced(run)) {
            *runs.entry(&run.claimed_by).or_default() += 1;
        }
        runs.into_iter().any(|(name, runs)| name != self.name && runs >= RUNS_AT_ONCE)
    }

    /// Whether nobody else is waited for any more. `wait`: another process is busy, and has its
    /// time for `run` once it is not.
    fn is_last(&self, patience: &Patience, run: &RunKey, time: Duration, wait: bool) -> bool {
        if wait {
            patience.restart(run);
        }
        !wait && (!self.patient || patience.is_over(run, time))
    }

    /// Takes over a run of a schedule of this process's settings, if its process is silent.
    async fn take_over(
        &self,
        run: ScheduleRun,
        wait: bool,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let ScheduleRun { schedule, slot, campaign, silent, plan, take_overs, .. } = run;
        let is_own = self.own.iter().any(|own| own.name == schedule);
        let Some(plan) = plan.filter(|_| silent && is_own) else { return Ok(None) };
        let key = RunKey { schedule, slot };
        let failed = (take_overs >= MOST_TAKE_OVERS).then(|| {
            format!(
                "{} processes in a row died or lost the store while at it: see their logs",
                take_overs + 1
            )
        });
        let last = self.is_last(&self.silent_runs, &key, RUN_PATIENCE, wait);
        match self.work.can_go_on(&plan).await {
            _ if failed.is_some() => {}
            Err(error @ (RunError::NotHere(_) | RunError::NoRight(_)))
                if !last || matches!(error, RunError::NoRight(_)) =>
            {
                if self.silent_runs.leave(&key) {
                    tracing::info!(schedule = %key.schedule, slot = %key.slot, %error,
                        "left a silent run to other workers");
                }
                return Ok(None);
            }
            Err(RunError::Later(_)) => return Ok(None),
            _ => {}
        }
        let owner = RunOwner::new(&self.name);
        if !self.store.take_over_run(&key, &owner).await? {
            return Ok(None);
        }
        tracing::info!(schedule = %key.schedule, slot = %key.slot, "took over a run");
        let run = ClaimedRun { key, owner, plan, campaign, failed };
        if let Some(error) = &run.failed {
            self.fail(&run, error).await?;
        }
        Ok(Some(run))
    }

    /// Claims the slots of a schedule that are due.
    async fn claim_due(
        &self,
        mut of: StoredSchedule,
        now: UtcTime,
        wait: bool,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let name = of.schedule.name.clone();
        if !self.own.iter().any(|own| own.enabled && own.name == name) {
            return Ok(None);
        }
        loop {
            let due = of.next_due.and_then(|first| Some((first, of.schedule.due(first, now)?)));
            let Some((first, due)) = due else {
                self.put_right(of, now).await?;
                return Ok(None);
            };
            let first = RunKey { schedule: name.clone(), slot: first };
            let last = self.is_last(&self.slots, &first, SLOT_PATIENCE, wait);
            let moved = StoredSchedule { next_due: due.next_due, ..of.clone() };
            let claimed = self.claim(of, due.next_due, due.run, due.skipped, last).await;
            match claimed {
                Ok(Some(run)) => return Ok(Some(run)),
                // Only missed slots: the next one may be due.
                Ok(None) if due.run.is_none() => of = moved,
                Ok(None) => return Ok(None),
                Err(RunError::Later(reason) | RunError::Lost(reason)) => {
                    return Err(StoreError::Unavailable(reason));
                }
                Err(error @ (RunError::NotHere(_) | RunError::NoRight(_))) => {
                    if self.slots.leave(&first) {
                        tracing::info!(schedule = %name, %error, "left a slot to other workers");
                    }
                    return Ok(None);
                }
                Err(RunError::Impossible(reason)) => return Err(StoreError::Unusable(reason)),
            }
        }
    }

    /// Makes a schedule due at its next slot if it is due later than that, or never: a process
    /// claimed slots while the clock was ahead.
    async fn put_right(&self, of: StoredSchedule, now: UtcTime) -> Result<(), StoreError> {
        let timing = &of.schedule.timing;
        // Another process may have claimed the next slot since `now` was read.
        let soon = now.as_millisecond().saturating_add(SLOT_GRACE.as_millis() as i64);
        let latest = UtcTime::from_millisecond(soon).ok().and_then(|soon| timing.next(soon));
        let is_right = match (of.next_due, latest) {
            (Some(next_due), Some(latest)) => next_due <= latest,
            (None, Some(_)) => !of.schedule.enabled,
            (_, None) => true,
        };
        if is_right {
            return Ok(());
        }
        let (next_due, name) = (timing.next(now), of.schedule.name.clone());
        let (skipped, owner) = (Vec::new(), RunOwner::new(&self.name));
        let claim = SlotClaim { of, next_due, run: None, skipped, owner };
        if self.store.claim_slots(&claim).await? {
            tracing::warn!(schedule = %name, "was due only after its next slot, as if the clock \
                had been ahead: it is due at its next slot again");
        }
        Ok(())
    }

    /// Claims a slot, and the skipped ones. `last`: nobody else is waited for. `None`: somebody
    /// else has it.
    pub(super) async fn claim(
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
            Some(slot) => Some(match self.work.plan(&of.schedule.action, last).await {
                Ok(planned) => begun(&name, slot, planned),
                Err(RunError::NotHere(reason)) if !last => return Err(RunError::NotHere(reason)),
                Err(error @ (RunError::Later(_) | RunError::Lost(_) | RunError::NoRight(_))) => {
                    return Err(error);
                }
                Err(RunError::NotHere(error) | RunError::Impossible(error)) => {
                    let plan = RunPlan { action: of.schedule.action.clone(), from: None };
                    NewRun { slot, plan: Some(plan), campaign: None, error: Some(error) }
                }
            }),
        };
        let owner = RunOwner::new(&self.name);
        let claim = SlotClaim { of, next_due, run, skipped, owner };
        if !self.store.claim_slots(&claim).await? {
            return Ok(None);
        }
        let SlotClaim { run, skipped, owner, .. } = claim;
        metrics::runs_ended(&name, RunState::Skipped, skipped.len());
        let Some(NewRun { slot, plan: Some(plan), campaign, error }) = run else {
            return Ok(None);
        };
        metrics::runs_ended(&name, RunState::Failed, usize::from(error.is_some()));
        let key = RunKey { schedule: name, slot };
        let campaign = campaign.map(|campaign| campaign.id);
        Ok(Some(ClaimedRun { key, owner, plan, campaign, failed: error }))
    }
}

/// The run of a slot, with its campaign.
fn begun(name: &ScheduleName, slot: UtcTime, planned: PlannedRun) -> NewRun {
    let PlannedRun { plan, campaign } = planned;
    let id = CampaignId::of_slot(name, slot);
    let campaign = campaign.map(|campaign| Campaign { id, ..campaign });
    NewRun { slot, plan: Some(plan), campaign, error: None }
}
