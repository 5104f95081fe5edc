//! Carries out a run, and says so every while.

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Scheduler;
use super::work::{ClaimedRun, RunError, WorkEnd};
use crate::domain::RunState;
use crate::store::{ListingKey, RUN_BEAT_EVERY, RUN_LOST_AFTER, StoreError};
use crate::telemetry::metrics;

impl Scheduler {
    /// Carries out a run of this process and notes how it ended.
    pub(super) async fn carry_out(&self, run: &ClaimedRun, stop: CancellationToken) {
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
                () = self.beat(run) => {
                    tracing::warn!(%schedule, %slot, "another process may have taken over the run");
                    lost.cancel();
                    drop(working.await);
                    return;
                }
            }
        };
        let ended = match worked {
            Ok(WorkEnd::Done) => self.end(run, None).await,
            Ok(WorkEnd::Stopped) => self.store.release_run(&run.key, &run.owner, true).await,
            Err(RunError::Later(error)) => {
                // By whoever finds it silent: not at once, for the same fault.
                tracing::warn!(%schedule, %slot, %error, "a schedule waits; it is tried again");
                self.store.release_run(&run.key, &run.owner, false).await
            }
            Err(RunError::Lost(error)) => {
                tracing::warn!(%schedule, %slot, %error, "stopped a run");
                Ok(())
            }
            Err(
                RunError::NotHere(error) | RunError::NoRight(error) | RunError::Impossible(error),
            ) => {
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
    pub(super) async fn fail(&self, run: &ClaimedRun, error: &str) -> Result<(), StoreError> {
        if let Some(campaign) = run.campaign {
            let listing = ListingKey { campaign, claim: Some(run.owner.id) };
            self.store.fail_listing(listing, error).await?;
        }
        self.end(run, Some(error)).await
    }

    async fn end(&self, run: &ClaimedRun, error: Option<&str>) -> Result<(), StoreError> {
        if self.store.end_run(&run.key, &run.owner, error).await? {
            let state = if error.is_some() { RunState::Failed } else { RunState::Done };
            metrics::runs_ended(&run.key.schedule, state, 1);
        }
        Ok(())
    }

    /// Notes every while that this process is at a run. Ends if it is not its own any more.
    async fn beat(&self, run: &ClaimedRun) {
        let mut next = interval(RUN_BEAT_EVERY);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = Instant::now();
        loop {
            next.tick().await;
            let left = RUN_LOST_AFTER.saturating_sub(noted.elapsed());
            let began = Instant::now();
            match tokio::time::timeout(left, self.store.beat_run(&run.key, &run.owner)).await {
                Ok(Ok(true)) => noted = began,
                Ok(Ok(false)) => return,
                Ok(Err(_)) | Err(_) if noted.elapsed() >= RUN_LOST_AFTER => return,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}
