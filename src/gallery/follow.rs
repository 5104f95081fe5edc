//! Follows a campaign to its end.
//!
//! The campaign's row in the store holds the counts: a job counts once, whichever worker ran it and
//! however often it was delivered. The queue's events show each image, and say when to read the
//! counts again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::GalleryError;
use super::failures::{self, FailureReasons};
use super::list::{Images, Lister, NotAnImage};
use super::missing::{MissingTracker, SourceCheck};
use super::not_listed::NotListedCounter;
use super::pace::Pace;
use crate::domain::{Campaign, CampaignProgress, CampaignState, OutcomeEvent, Selection};
use crate::images::{ListingError, NotListed};
use crate::queue::{JobQueue, QueueError};
use crate::store::{ListingKey, Store, StoreError};

/// How often the counts are read.
const READ_EVERY: Duration = Duration::from_millis(500);
/// How long a store that cannot be used is waited for: workers wait for it, too.
const STORE_PATIENCE: Duration = Duration::from_secs(300);
/// How long the last events are waited for, once the counts say that everything has ended: workers
/// record a result first and then announce it.
const LAST_EVENTS: Duration = Duration::from_secs(5);
/// Capacity of the channel of entries that are not images.
const AHEAD: usize = 16;

/// A campaign to list and follow.
pub struct CampaignRun {
    /// Its images.
    pub images: Images,
    /// The campaign, begun in the store. One that has listed something already continues there.
    pub campaign: Campaign,
    /// Which faces its jobs ask for.
    pub selection: Selection,
    /// The claim of the schedule's run that lists it, if one does.
    pub claim: Option<Uuid>,
}

impl CampaignRun {
    /// Whose listing it is.
    pub fn listing(&self) -> ListingKey {
        ListingKey { campaign: self.campaign.id, claim: self.claim }
    }
}

/// The counts of a campaign and of its listing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CampaignCounts {
    /// The campaign's counts.
    pub progress: CampaignProgress,
    /// Counts of what is not listed as an image.
    pub not_listed: NotListedCounter,
    /// Folders and files that could not be listed.
    pub unlisted: u64,
    /// What is missing at the source. None if this listing cannot tell.
    pub source: Option<SourceCheck>,
    /// Images that this process saw end and that were not read, because the chip cache had what
    /// was found in them.
    pub from_chips: u64,
    /// Why images ended without a result.
    pub failures: FailureReasons,
}

/// What happens while a campaign is followed.
#[derive(Debug)]
pub enum CampaignEvent<'a> {
    /// An image ended.
    Ended(&'a OutcomeEvent),
    /// The counts were read.
    Counted,
    /// Something is not listed as an image.
    NotListed(&'a NotListed),
    /// Something could not be listed.
    Unlisted(&'a ListingError),
}

/// Until when a campaign is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUntil {
    /// Until everything is published.
    Published,
    /// Until every image is skipped or ended, or the campaign is cancelled; then for up to five
    /// seconds until every event has come.
    Ended,
    /// As [`Self::Ended`], by a worker of this process: the queue is then closed, and the campaign
    /// followed until the last event. If the queue is closed earlier, nothing more will end.
    QueueClosed,
}

/// Lists a campaign's images into `queue` and follows the campaign. When `stop` is cancelled, the
/// listing ends. The function then returns at once or, with [`FollowUntil::QueueClosed`], when the
/// queue's events end.
///
/// # Errors
/// If a root cannot be listed, or the store or the queue fails.
pub async fn run(
    run: CampaignRun,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    until: FollowUntil,
    stop: CancellationToken,
    on_event: impl FnMut(&CampaignCounts, CampaignEvent<'_>),
) -> Result<CampaignCounts, GalleryError> {
    let listing = run.listing();
    let CampaignRun { images, campaign, selection, .. } = run;
    let (scan_anyway, pace) = (images.scan_anyway(), images.rate().map(Pace::new));
    let tracker = MissingTracker::new(&images, &campaign);
    let ended_before = campaign.progress.ended();
    let entries = images.entries(&campaign.progress)?;
    // Subscribe before the first job is published, so that no event is missed.
    let events = match until {
        FollowUntil::Published => stream::pending().boxed(),
        FollowUntil::Ended | FollowUntil::QueueClosed => queue.events().await?,
    };
    let (not_images, from_lister) = mpsc::channel(AHEAD);
    let stop_listing = stop.child_token();
    let mut next_read = interval(READ_EVERY);
    next_read.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut follower = Follower {
        listing_of: listing,
        queue: queue.clone(),
        store: store.clone(),
        until,
        stop,
        stop_listing: stop_listing.clone(),
        counts: CampaignCounts::default(),
        listing: true,
        listing_error: None,
        events_since_read: 0,
        events_seen: ended_before,
        next_read,
        store_away_since: None,
        on_event,
    };
    let stop = stop_listing;
    let lister = Lister {
        listing,
        campaign,
        selection,
        scan_anyway,
        pace,
        tracker,
        queue,
        store,
        stop,
        not_images,
    };
    let mut lister = tokio::spawn(lister.run(entries));
    let followed = follower.follow(&mut lister, from_lister, events).await;
    // It still runs if the events ended first: nothing takes what it publishes.
    lister.abort();
    followed?;
    follower.finish().await
}

struct Follower<F> {
    listing_of: ListingKey,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    until: FollowUntil,
    stop: CancellationToken,
    /// Ends the listing, which a cancelled campaign does too.
    stop_listing: CancellationToken,
    counts: CampaignCounts,
    /// Whether the lister runs.
    listing: bool,
    /// The error that ended the listing. Images listed before it are still followed.
    listing_error: Option<ListingError>,
    events_since_read: u64,
    /// Events that were seen, also repeated ones, and images that had ended before.
    events_seen: u64,
    next_read: Interval,
    /// Since when the store cannot be used.
    store_away_since: Option<Instant>,
    on_event: F,
}

impl<F: FnMut(&CampaignCounts, CampaignEvent<'_>)> Follower<F> {
    async fn follow(
        &mut self,
        lister: &mut JoinHandle<Result<Option<SourceCheck>, GalleryError>>,
        mut not_images: mpsc::Receiver<NotAnImage>,
        mut events: BoxStream<'static, OutcomeEvent>,
    ) -> Result<(), GalleryError> {
        loop {
            let may_stop = self.until == FollowUntil::Ended && !self.listing;
            let over = tokio::select! {
                met = not_images.recv(), if self.listing => match met {
                    Some(met) => self.met(&met),
                    None => self.listing_ended((&mut *lister).await?).await?,
                },
                event = events.next() => match event {
                    Some(event) => self.job_ended(&event),
                    None if self.until == FollowUntil::QueueClosed => true,
                    // The broker may be gone. The store has the counts.
                    None => {
                        events = stream::pending().boxed();
                        false
                    }
                },
                _ = self.next_read.tick() => self.try_reading().await?,
                () = self.stop.cancelled(), if may_stop => true,
            };
            if over {
                if self.until == FollowUntil::Ended {
                    timeout(LAST_EVENTS, self.see_last(&mut events)).await.ok();
                }
                return Ok(());
            }
        }
    }

    /// Takes the events that are still on their way.
    async fn see_last(&mut self, events: &mut BoxStream<'static, OutcomeEvent>) {
        while self.events_seen < self.counts.progress.ended() {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.job_ended(&event),
                    None => return,
                },
                () = self.stop.cancelled() => return,
            };
        }
    }

    fn met(&mut self, met: &NotAnImage) -> bool {
        match met {
            NotAnImage::NotListed(other) => {
                self.counts.not_listed.count(other);
                (self.on_event)(&self.counts, CampaignEvent::NotListed(other));
            }
            NotAnImage::Unlisted(error) => {
                self.counts.unlisted += 1;
                (self.on_event)(&self.counts, CampaignEvent::Unlisted(error));
            }
        }
        false
    }

    /// Whether there is nothing more to follow, now that the lister has ended.
    async fn listing_ended(
        &mut self,
        listed: Result<Option<SourceCheck>, GalleryError>,
    ) -> Result<bool, GalleryError> {
        self.listing = false;
        match listed {
            // The queue was closed to stop.
            Ok(check) => self.counts.source = check,
            Err(GalleryError::Queue(QueueError::Closed)) => {}
            Err(GalleryError::Listing(error)) => {
                // At once: others see it, and it stays if this process is stopped.
                self.store.fail_listing(self.listing_of, &error.to_string()).await?;
                self.listing_error = Some(error);
            }
            Err(error) => return Err(error),
        }
        self.next_read.reset_immediately();
        Ok(match self.until {
            FollowUntil::Published => true,
            FollowUntil::Ended => self.stop.is_cancelled(),
            FollowUntil::QueueClosed => false,
        })
    }

    fn job_ended(&mut self, event: &OutcomeEvent) -> bool {
        if event.campaign == Some(self.listing_of.campaign) {
            self.events_since_read += 1;
            self.events_seen += 1;
            self.counts.from_chips += u64::from(event.from_chips);
            self.counts.failures.count(&event.image, &event.end);
            (self.on_event)(&self.counts, CampaignEvent::Ended(event));
            // It may be the last: read the counts now.
            if !self.listing && self.events_since_read >= self.counts.progress.left() {
                self.next_read.reset_immediately();
            }
        }
        false
    }

    /// As [`Self::read_counts`]; goes on for a while if the store cannot be used.
    async fn try_reading(&mut self) -> Result<bool, GalleryError> {
        let read = self.read_counts().await;
        let Err(GalleryError::Store(StoreError::Unavailable(reason))) = &read else {
            self.store_away_since = None;
            return read;
        };
        if self.store_away_since.is_none() {
            let most = STORE_PATIENCE.as_secs();
            tracing::warn!(
                reason,
                "the store cannot be used; waiting for it, for {most} s at most"
            );
        }
        let since = *self.store_away_since.get_or_insert_with(Instant::now);
        if since.elapsed() < STORE_PATIENCE { Ok(false) } else { read }
    }

    /// Reads the counts; whether there is nothing more to follow.
    async fn read_counts(&mut self) -> Result<bool, GalleryError> {
        let campaign = self.read_campaign().await?;
        self.events_since_read = 0;
        let progress = &self.counts.progress;
        let cancelled = campaign.state == CampaignState::Cancelled;
        if cancelled {
            self.stop_listing.cancel();
        }
        let nothing_left =
            progress.is_complete() || (self.listing_error.is_some() && progress.left() == 0);
        let ended = !self.listing && (nothing_left || cancelled);
        if ended && self.until == FollowUntil::QueueClosed {
            // The last events have not arrived yet; the stream ends after them.
            self.queue.close().await;
            return Ok(false);
        }
        Ok(ended)
    }

    async fn read_campaign(&mut self) -> Result<Campaign, GalleryError> {
        let id = self.listing_of.campaign;
        let campaign = self.store.campaign(id).await?.ok_or(GalleryError::Gone(id))?;
        self.counts.progress = campaign.progress.clone();
        (self.on_event)(&self.counts, CampaignEvent::Counted);
        Ok(campaign)
    }

    async fn finish(mut self) -> Result<CampaignCounts, GalleryError> {
        let campaign = self.read_campaign().await?;
        // Events are lost if the connection to the broker breaks, and those of an earlier process
        // were never seen.
        let CampaignCounts { failures, progress, .. } = &mut self.counts;
        let failed = failures::failed(progress).min(failures::MOST_READ);
        // Whoever interrupts does not wait for the last few.
        let enough = if self.stop.is_cancelled() { failed.div_ceil(2) } else { failed };
        if self.until != FollowUntil::Published
            && failures.images() < enough
            && let Ok(own) = FailureReasons::of_campaign(self.store.as_ref(), &campaign).await
            && own.images() > failures.images()
        {
            *failures = own;
        }
        self.listing_error.map_or(Ok(self.counts), |error| Err(error.into()))
    }
}
