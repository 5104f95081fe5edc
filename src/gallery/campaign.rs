//! Campaigns as operators see them: what a scan lists, whether an interrupted one can be resumed,
//! and how a campaign's state changes.

use std::str::FromStr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::GalleryError;
use super::again::AgainQuery;
use super::follow::{self, CampaignCounts, CampaignEvent, CampaignRun, FollowUntil};
use super::list::Images;
use crate::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, GalleryName, InvalidName, Lane,
    ProfileId, Selection,
};
use crate::images::Root;
use crate::queue::JobQueue;
use crate::store::{Campaigns, ListingKey, Store, StoreError};

/// A campaign of the scan lane that has listed nothing yet. `source` says what it lists.
pub fn new_campaign(
    gallery: GalleryName,
    profile: ProfileId,
    selection: Selection,
    source: String,
) -> Campaign {
    Campaign {
        id: CampaignId::new(),
        lane: Lane::Scan,
        gallery,
        profile,
        selection: Some(selection),
        source,
        state: CampaignState::Running,
        progress: CampaignProgress::default(),
        started_at: String::new(),
    }
}

/// What a scan lists, and into which gallery.
#[derive(Debug, Clone)]
pub struct ScanPlan {
    /// The gallery of its results.
    pub gallery: GalleryName,
    /// Folders, files, buckets.
    pub roots: Vec<Root>,
    /// Lists.
    pub lists: Option<ListSource>,
    /// Images of the gallery to scan again.
    pub again: Option<AgainQuery>,
    /// Globs that leave images out.
    pub exclude: Vec<String>,
    /// Globs of the only images to list; empty for all.
    pub include: Vec<String>,
    /// Which faces are wanted.
    pub selection: Selection,
}

/// The lists of a scan, as its campaign names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSource {
    /// Their names.
    pub names: Vec<String>,
    /// A hash of what they say: other lists of these names are another source.
    pub digest: String,
}

impl ScanPlan {
    /// A new campaign of this scan under `profile`.
    pub fn campaign(&self, profile: ProfileId) -> Campaign {
        new_campaign(self.gallery.clone(), profile, self.selection, self.source())
    }

    /// The run of `campaign` over `images`.
    pub fn run(&self, campaign: Campaign, images: Images) -> CampaignRun {
        CampaignRun { images, campaign, selection: self.selection, claim: None }
    }

    /// The campaign `id`, if this scan under `profile` can resume it. `has_order`: its images come
    /// in the same order each time.
    ///
    /// # Errors
    /// If it cannot, or the store fails.
    pub async fn resume(
        &self,
        id: CampaignId,
        profile: &ProfileId,
        has_order: bool,
        store: &dyn Campaigns,
    ) -> Result<Campaign, ResumeError> {
        if !has_order {
            return Err(ResumeError::NoOrder);
        }
        resume(id, &self.campaign(profile.clone()), store).await
    }

    /// The globs of `exclude` that left nothing out. A scan that did not list everything cannot
    /// tell.
    pub fn unused_excludes(&self, counts: &CampaignCounts) -> Vec<&str> {
        if !counts.progress.listing_done {
            return Vec::new();
        }
        let rules = &counts.not_listed.counts.left_out.rules;
        let globs = self.exclude.iter().map(String::as_str);
        globs.filter(|glob| !rules.contains_key(&format!("--exclude {glob}"))).collect()
    }

    /// What is listed, for people: the roots, and the globs that choose what is listed below them.
    fn source(&self) -> String {
        let mut parts: Vec<String> = self.roots.iter().map(Root::recorded).collect();
        parts.extend(self.again.as_ref().map(AgainQuery::source));
        if let Some(ListSource { names, digest }) = &self.lists {
            parts.push(format!("--from {} (digest {digest})", names.join(" --from ")));
        }
        let mut source = parts.join(", ");
        for (option, globs) in [("--exclude", &self.exclude), ("--include", &self.include)] {
            for glob in globs {
                source += &format!(" {option} {glob}");
            }
        }
        source
    }
}

/// The campaign `id`, if it lists what the new campaign `wanted` would list.
///
/// # Errors
/// If it does not, it was cancelled, or the store fails.
pub async fn resume(
    id: CampaignId,
    wanted: &Campaign,
    store: &dyn Campaigns,
) -> Result<Campaign, ResumeError> {
    let found = store.campaign(id).await?.ok_or(ResumeError::Unknown(id))?;
    let lists = |campaign: &Campaign| {
        let Campaign { lane, gallery, profile, source, .. } = campaign;
        (*lane, gallery.clone(), profile.clone(), source.clone())
    };
    if lists(&found) != lists(wanted) {
        return Err(ResumeError::OtherScan(Box::new(found)));
    }
    let differing = found.selection.zip(wanted.selection);
    let differing = differing.map(|(wanted, own)| differing_settings(&wanted, &own));
    if let Some(settings) = differing.filter(|settings| !settings.is_empty()) {
        return Err(ResumeError::OtherFaces { id, settings: settings.join(", ") });
    }
    if found.state == CampaignState::Cancelled {
        return Err(ResumeError::Cancelled(id));
    }
    Ok(found)
}

/// Why a scan cannot resume a campaign.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// A listing of folders has no order that is the same each time.
    #[error(
        "--resume works for buckets and for lists that can be read again, because folders are \
            listed in no fixed order: run the same scan again; it skips images that are up to date"
    )]
    NoOrder,
    /// There is no campaign of this id.
    #[error("there is no campaign {0}")]
    Unknown(CampaignId),
    /// It lists something else, or under another profile.
    #[error(
        "campaign {} lists {} into gallery {} under profile {}: to resume it, use these \
            sources, globs, gallery and profile",
        .0.id, .0.source, .0.gallery, .0.profile
    )]
    OtherScan(Box<Campaign>),
    /// Its jobs ask for other faces.
    #[error(
        "campaign {id} was started with another selection of faces: set {settings} to resume it"
    )]
    OtherFaces {
        /// The campaign.
        id: CampaignId,
        /// The settings to change, with the values that it wants.
        settings: String,
    },
    /// It was cancelled.
    #[error(
        "campaign {0} was cancelled: run the scan without --resume, and it skips images that are \
            up to date"
    )]
    Cancelled(CampaignId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The settings to change from `own` to `wanted`.
fn differing_settings(wanted: &Selection, own: &Selection) -> Vec<String> {
    let settings = [
        ("faces", wanted.faces.to_string(), own.faces.to_string()),
        ("min_face_px", wanted.min_size_px.to_string(), own.min_size_px.to_string()),
        ("min_score", wanted.min_score.to_string(), own.min_score.to_string()),
    ];
    let differ = settings.into_iter().filter(|(_, wanted, own)| wanted != own);
    differ
        .map(|(key, wanted, own)| format!("detector.{key} = {wanted} (it is {own} here)"))
        .collect()
}

/// Begins a campaign. In a gallery that was erased, every image would end as erased.
///
/// # Errors
/// If the gallery was erased, or the store fails.
pub async fn begin(
    store: &dyn Store,
    campaign: &Campaign,
    claim: Option<Uuid>,
) -> Result<(), GalleryError> {
    if store.is_gallery_erased(&campaign.gallery).await? {
        return Err(GalleryError::Erased(campaign.gallery.clone()));
    }
    Ok(store.begin_campaign(campaign, claim).await?)
}

/// Lists `run` into a queue that other processes work on. With `wait`, follows the campaign until
/// they have ended every image or `stop` is cancelled.
///
/// # Errors
/// As [`follow::run`].
pub async fn run_on_fleet(
    run: CampaignRun,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    wait: bool,
    stop: CancellationToken,
    on_event: impl FnMut(&CampaignCounts, CampaignEvent<'_>),
) -> Result<CampaignCounts, GalleryError> {
    let (listing, sub_queue) = (run.listing(), run.campaign.sub_queue());
    begin(store.as_ref(), &run.campaign, run.claim).await?;
    let until = if wait { FollowUntil::Ended } else { FollowUntil::Published };
    let counts = follow::run(run, queue.clone(), store.clone(), until, stop, on_event).await;
    if let Err(error) = &counts {
        // The store may be what failed.
        store.fail_listing(listing, &error.to_string()).await.ok();
    }
    let counts = counts?;
    let found = store.campaign(listing.campaign).await?;
    if found.is_some_and(|found| found.state == CampaignState::Cancelled) {
        // Jobs that were published while the campaign was being cancelled.
        queue.remove(&sub_queue).await?;
    }
    Ok(counts)
}

/// Closes a campaign whose queue was in this process, and cancels it if images are left. One whose
/// listing failed keeps its state, and one that another process goes on with is left to it.
///
/// # Errors
/// If the store fails.
pub async fn close_local(store: &dyn Store, listing: ListingKey) -> Result<(), StoreError> {
    let id = listing.campaign;
    if !store.campaign(id).await?.is_some_and(|found| found.progress.is_over()) {
        match store.cancel_listing(listing).await {
            Err(StoreError::TakenOver(_)) => return Ok(()),
            cancelled => cancelled?,
        }
    }
    store.close_campaign(id).await
}

/// A campaign as an operator names it: an id, or `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignRef {
    /// The campaign that began last.
    Latest,
    /// The campaign of this id.
    Id(CampaignId),
}

impl FromStr for CampaignRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "latest" { Ok(Self::Latest) } else { text.parse().map(Self::Id) }
    }
}

/// The campaign that `which` names.
///
/// # Errors
/// If there is no such campaign, or the store fails.
pub async fn find(store: &dyn Campaigns, which: CampaignRef) -> Result<Campaign, GalleryError> {
    let found = match which {
        CampaignRef::Latest => store.campaigns(1).await?.pop(),
        CampaignRef::Id(id) => store.campaign(id).await?,
    };
    found.ok_or(GalleryError::NoSuchCampaign)
}

/// Sets a campaign's state and returns the campaign as it was before.
///
/// # Errors
/// If there is no such campaign, it was cancelled, or the store fails.
pub async fn set_state(
    store: &dyn Campaigns,
    which: CampaignRef,
    state: CampaignState,
) -> Result<Campaign, GalleryError> {
    let campaign = find(store, which).await?;
    if campaign.state == CampaignState::Cancelled {
        return Err(GalleryError::Cancelled(campaign.id));
    }
    if let Some(reason) = campaign.progress.listing_error.clone()
        && (state, campaign.state) == (CampaignState::Running, CampaignState::Running)
    {
        return Err(GalleryError::ListingFailed(campaign.id, reason));
    }
    store.set_campaign_state(campaign.id, state).await?;
    Ok(campaign)
}
