//! Images to re-score.

use super::{corrupt, hash, parsed};
use crate::store::RescoreImage;
use crate::store::fault::Fault;
use crate::store::row::row;

row! {
    /// An image that a profile has a result of.
    pub(in crate::store) struct RescoreRow {
        result_id: i64,
        uri: String,
        content_hash: Vec<u8>,
        stamp: Option<String>,
        superseded: bool,
        gone: bool,
        done: bool,
    }
}

impl RescoreRow {
    pub(in crate::store) fn image(self) -> Result<RescoreImage, Fault> {
        let without = || corrupt("an image to re-score without bytes");
        Ok(RescoreImage {
            cursor: self.result_id,
            image: parsed(&self.uri)?,
            hash: hash(&self.content_hash)?.ok_or_else(without)?,
            stamp: self.stamp.as_deref().map(parsed).transpose()?,
            superseded: self.superseded,
            gone: self.gone,
            done: self.done,
        })
    }
}
