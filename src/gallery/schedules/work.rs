//! What a run of a schedule is, and what does its work.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::domain::{Campaign, CampaignId, RunPlan, ScheduleAction, ScheduleName};
use crate::gallery::GalleryError;
use crate::queue::QueueError;
use crate::store::{RunKey, RunOwner, StoreError};

/// What a slot does, decided when it is claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// What.
    pub plan: RunPlan,
    /// Its campaign, under any id. `None`: it has none.
    pub campaign: Option<Campaign>,
}

/// Why a run is not done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// This process cannot do it; another one may.
    #[error("{0}")]
    NotHere(String),
    /// This process has no right to do it. However late it is, it is for one that has.
    #[error("{0}")]
    NoRight(String),
    /// Nobody can do it.
    #[error("{0}")]
    Impossible(String),
    /// Something is out of order for a while: it is tried again.
    #[error("{0}")]
    Later(String),
    /// Another process has taken the run over.
    #[error("{0}")]
    Lost(String),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Later(error.to_string()),
            StoreError::TakenOver(_) => Self::Lost(error.to_string()),
            error => Self::Impossible(error.to_string()),
        }
    }
}

/// How the work of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkEnd {
    /// All of it is done.
    Done,
    /// It was stopped, and can go on.
    Stopped,
}

/// Does what slots say.
#[async_trait]
pub trait SlotWork: Send + Sync {
    /// What a slot of `action` does. `last`: nobody else is waited for; otherwise the slot is left
    /// to others also if they would do it under a profile that is rather meant.
    ///
    /// # Errors
    /// If it cannot be done.
    async fn plan(&self, action: &ScheduleAction, last: bool) -> Result<PlannedRun, RunError>;

    /// Whether this process can go on with a run of another one, under the profile of the run.
    ///
    /// # Errors
    /// If it cannot.
    async fn can_go_on(&self, plan: &RunPlan) -> Result<(), RunError>;

    /// Does what a run says, or what is left of it, until `stop` is cancelled.
    ///
    /// # Errors
    /// If it cannot be done.
    async fn work(&self, run: &ClaimedRun, stop: CancellationToken) -> Result<WorkEnd, RunError>;
}

/// A run of this process.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// Which.
    pub key: RunKey,
    /// The claim.
    pub owner: RunOwner,
    /// What it does.
    pub plan: RunPlan,
    /// Its campaign.
    pub campaign: Option<CampaignId>,
    /// Why it failed when it was claimed.
    pub failed: Option<String>,
}

/// Why a schedule was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunNowError {
    /// The settings have no such schedule.
    #[error("the settings have no schedule '{0}': `facefleet schedule list` shows all")]
    Unknown(ScheduleName),
    /// A run of it is running, or was begun at this moment.
    #[error("schedule {0} is running already: `facefleet schedule history {0}` shows by whom")]
    Running(ScheduleName),
    /// It cannot be run.
    #[error("schedule {0} was not run: {1}")]
    NotRun(ScheduleName, String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<GalleryError> for RunError {
    fn from(error: GalleryError) -> Self {
        match error {
            GalleryError::Store(error) => error.into(),
            GalleryError::Queue(QueueError::Unavailable(_) | QueueError::Closed) => {
                Self::Later(error.to_string())
            }
            error => Self::Impossible(error.to_string()),
        }
    }
}
