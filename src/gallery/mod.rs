//! What is done with a gallery as a whole: list its images into the queue and follow them to their
//! outcomes.
//!
//! [`campaign`] begins, resumes and ends campaigns, [`enrol`] those that enrol subjects, [`list`]
//! publishes their jobs, [`pace`] limits how fast, [`again`] finds images to scan once more,
//! [`rescore`] those to score under another profile, [`follow`] reads how far they are,
//! [`not_listed`] counts what is not an image, [`failures`] why images became no results,
//! [`waiting`] says which jobs wait apart from their lanes and why, [`takers`] whether any worker
//! takes a scan's jobs. [`profiles`] activates profiles, [`retirement`] ends them, [`schedules`]
//! does all that at certain times, [`remap`] gives the results another mapping. [`search`] finds
//! the people or faces that are most similar to others, [`verify`] compares with one person, and
//! [`subjects`] shows and changes the people of a gallery. [`curate`] keeps what people decide
//! about images, [`erase`] removes an image, a person or a gallery for good, and [`retention`] what
//! nobody needs any more; [`audit`] lists what was decided.

pub mod again;
pub mod audit;
pub mod campaign;
pub mod curate;
mod cursor;
pub mod enrol;
pub mod erase;
mod erased;
pub mod failures;
pub mod follow;
pub mod list;
pub mod missing;
pub mod not_listed;
pub mod pace;
pub mod profiles;
pub mod remap;
pub mod rescore;
pub mod retention;
pub mod retirement;
pub mod schedules;
pub mod search;
pub mod subjects;
pub mod takers;
pub mod verify;
pub mod waiting;

use crate::domain::{CampaignId, GalleryName};
use crate::images::{FetchError, ListingError};
use crate::queue::QueueError;
use crate::store::StoreError;

/// Why something could not be done with a gallery.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// A folder or bucket cannot be listed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The campaign was deleted from the store while it ran.
    #[error("campaign {0} is not in the store any more")]
    Gone(CampaignId),
    /// No campaign has this id, or there is no campaign at all.
    #[error("there is no such campaign; `facefleet campaign list` shows all campaigns")]
    NoSuchCampaign,
    /// The state of a cancelled campaign cannot change: its jobs may be gone from the queue.
    #[error("campaign {0} was cancelled; scan again: images that are up to date are skipped")]
    Cancelled(CampaignId),
    /// The listing of a campaign failed. Its state is what was wanted before.
    #[error(
        "the listing of campaign {0} failed ({1}): run the same scan with --resume {0}, or without \
            it if it lists folders"
    )]
    ListingFailed(CampaignId, String),
    /// The gallery was erased.
    #[error(
        "gallery {0} was erased: nothing is accepted in it again, and its name cannot be used again"
    )]
    Erased(GalleryName),
    /// The chip cache failed.
    #[error("the chip cache (setting chips.url): {0}")]
    Chips(#[from] FetchError),
    /// The task that lists images panicked.
    #[error("the listing task panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}
