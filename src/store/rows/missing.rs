//! Rows of images that are missing from their source.

use uuid::Uuid;

use super::{parsed, time};
use crate::domain::{CampaignId, ImageId};
use crate::store::fault::Fault;
use crate::store::row::row;
use crate::store::{MissingImage, NotFoundImage};

row! {
    /// An image that a listing did not bring.
    pub(in crate::store) struct NotFoundRow {
        id: i64,
        uri: String,
    }
}

row! {
    /// An image that is missing.
    pub(in crate::store) struct MissingRow {
        image_id: i64,
        uri: String,
        campaign_id: Uuid,
        since_ms: i64,
        moved_to: Option<i64>,
    }
}

impl NotFoundRow {
    pub(in crate::store) fn image(self) -> Result<NotFoundImage, Fault> {
        Ok(NotFoundImage { id: ImageId(self.id), uri: parsed(&self.uri)? })
    }
}

impl MissingRow {
    pub(in crate::store) fn image(self) -> Result<MissingImage, Fault> {
        Ok(MissingImage {
            id: ImageId(self.image_id),
            uri: parsed(&self.uri)?,
            campaign: CampaignId(self.campaign_id),
            since: time(self.since_ms)?,
            moved_to: self.moved_to.map(ImageId),
        })
    }
}
