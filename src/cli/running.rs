//! A campaign that a command shows while it runs: in this process, or on a fleet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use tokio::task::JoinHandle;

use super::interrupt::{StopOnSignal, stop_on_signal};
use super::printable;
use super::progress::{ScanDisplay, ScanEnd};
use crate::app::session::Session;
use crate::domain::SeenWorker;
use crate::gallery::campaign::run_on_fleet;
use crate::gallery::follow::{CampaignCounts, CampaignRun};
use crate::gallery::list::count_images;
use crate::gallery::takers::{Wanted, missing, refusal, watch};
use crate::images::Listing;
use crate::queue::JobQueue;
use crate::store::Store;

/// A campaign that is shown while it runs.
pub(super) struct RunningCampaign {
    display: ScanDisplay,
    stop: StopOnSignal,
    counting: JoinHandle<()>,
    started: Instant,
}

/// How following a campaign ended.
pub(super) struct EndedCampaign {
    pub(super) counts: CampaignCounts,
    pub(super) end: ScanEnd,
    pub(super) elapsed: Duration,
}

/// The queue and the store of a fleet, and what the jobs need of its workers.
pub(super) struct Fleet {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) store: Arc<dyn Store>,
    pub(super) wanted: Wanted,
    /// Whether to wait until every image has ended.
    pub(super) wait: bool,
}

impl RunningCampaign {
    fn start(count: CountAhead, json: bool, on_stop: &'static str) -> Result<Self> {
        let display = ScanDisplay::new(json);
        let bar = display.bar();
        let stop = stop_on_signal(move || bar.suspend(|| eprintln!("{on_stop}")))?;
        let counting = tokio::spawn(count.run(display.bar()));
        Ok(Self { display, stop, counting, started: Instant::now() })
    }

    /// Runs a campaign in this process.
    ///
    /// # Errors
    /// If it fails.
    pub(super) async fn run_here(
        session: Session,
        run: CampaignRun,
        count: CountAhead,
        json: bool,
    ) -> Result<EndedCampaign> {
        let mut running = Self::start(
            count,
            json,
            "stopping: jobs in flight are finished first; interrupt again to stop at once",
        )?;
        let (stop, display) = (running.stop.token(), &mut running.display);
        let counts = session.run(run, stop, |counts, event| display.show(counts, &event)).await;
        let end = if running.stop.is_stopped() { ScanEnd::Interrupted } else { ScanEnd::Complete };
        running.finish(counts, end)
    }

    /// Publishes the jobs of a campaign for a fleet and, if wanted, waits for them.
    ///
    /// # Errors
    /// If it fails.
    pub(super) async fn run_on_fleet(
        fleet: Fleet,
        run: CampaignRun,
        count: CountAhead,
        json: bool,
    ) -> Result<EndedCampaign> {
        let mut running = Self::start(
            count,
            json,
            "stopping: published jobs stay in the queue; interrupt again to stop at once",
        )?;
        let Fleet { queue, store, wanted, wait } = fleet;
        let bar = running.display.bar();
        let tell = |text: &str| bar.suspend(|| eprintln!("{}", printable(text)));
        // Before anything is published: workers would refuse it at once.
        let refusal = if wait { told(store.as_ref(), &wanted, refusal).await } else { None };
        let (stop, display) = (running.stop.token(), &mut running.display);
        let (queue_of_run, store_of_run) = (queue.clone(), store.clone());
        let following =
            run_on_fleet(run, queue_of_run, store_of_run, wait, stop, |counts, event| {
                display.show(counts, &event);
            });
        let counts = tokio::select! {
            counts = following => counts,
            never = watch(store.as_ref(), &wanted, refusal, tell), if wait => match never {},
        };
        if let Ok(counts) = &counts {
            if !wait && counts.progress.left() > 0 {
                told(store.as_ref(), &wanted, missing).await;
            }
            queue.close().await;
            store.close().await;
        }
        let end = match () {
            () if running.stop.is_stopped() => ScanEnd::LeftToWorkers,
            () if !wait => ScanEnd::Published,
            () => ScanEnd::Complete,
        };
        running.finish(counts.map_err(Into::into), end)
    }

    fn finish(self, counts: Result<CampaignCounts>, end: ScanEnd) -> Result<EndedCampaign> {
        self.counting.abort();
        self.display.finish();
        Ok(EndedCampaign { counts: counts?, end, elapsed: self.started.elapsed() })
    }
}

/// Says what `lack` finds that workers do not have, of what the jobs need.
pub(super) async fn told(
    store: &dyn Store,
    wanted: &Wanted,
    lack: fn(&[SeenWorker], &Wanted) -> Option<String>,
) -> Option<String> {
    // Without it, the scan goes on: a store that fails is no reason to fail here.
    let found = store.workers().await.ok().and_then(|workers| lack(&workers, wanted))?;
    eprintln!("{}", printable(&found));
    Some(found)
}

/// Counts the images for the length of the bar, while the scan lists no further than the queue has
/// room.
pub(super) enum CountAhead {
    /// Those of a listing. Buckets are not counted: listing them twice costs money.
    Listing(Box<Listing>),
    /// They are counted already.
    Known(u64),
}

impl CountAhead {
    async fn run(self, bar: ProgressBar) {
        match self {
            Self::Known(count) => bar.set_length(count),
            Self::Listing(listing) if !bar.is_hidden() && listing.is_local() => {
                let in_lists = listing.lists().map_or(0, |lists| lists.survey().images);
                bar.set_length(in_lists + count_images(&listing).await);
            }
            Self::Listing(_) => {}
        }
    }
}
