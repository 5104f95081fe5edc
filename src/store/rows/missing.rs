//! Rows of images that are missing from their source.

use uuid::Uuid;

use super::{parsed, time};
use crate::domain::{CampaignId, ImageId};
use crate::store::fault::Fault;
use crate::store::row::row;
use crate::store::{MissingImage, PlacedImage};

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
        moved_to_uri: Option<String>,
        copied_to: Option<i64>,
    }
}

impl NotFoundRow {
    pub(in crate::store) fn image(self) -> Result<PlacedImage, Fault> {
        Ok(PlacedImage { id: ImageId(self.id), uri: parsed(&self.uri)? })
    }
}

impl MissingRow {
    pub(in crate::store) fn image(self) -> Result<MissingImage, Fault> {
        let placed = |(id, uri): (i64, &String)| {
            Ok::<_, Fault>(PlacedImage { id: ImageId(id), uri: parsed(uri)? })
        };
        let moved_to = self.moved_to.zip(self.moved_to_uri.as_ref()).map(placed).transpose()?;
        Ok(MissingImage {
            id: ImageId(self.image_id),
            uri: parsed(&self.uri)?,
            campaign: CampaignId(self.campaign_id),
            since: time(self.since_ms)?,
            copied_to: self.copied_to.filter(|_| moved_to.is_none()).map(ImageId),
            moved_to,
        })
    }
}
