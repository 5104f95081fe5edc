//! The results of one image.

use std::collections::HashMap;

use super::{corrupt, parsed};
use crate::store::fault::Fault;
use crate::store::row::direct_row;
use crate::store::{KnownResult, ResultState, StoredImage};

direct_row! {
    /// A result with its gallery and its profile.
    pub(in crate::store) struct HistoryRow {
        result_id: i64,
        gallery: String,
        profile_id: String,
        superseded: bool,
        noted: bool,
        excluded: bool,
    }
}

impl HistoryRow {
    pub(in crate::store) fn id(&self) -> i64 {
        self.result_id
    }
}

/// The results in `rows`; `images` are theirs.
pub(in crate::store) fn history(
    rows: Vec<HistoryRow>,
    images: Vec<StoredImage>,
) -> Result<Vec<KnownResult>, Fault> {
    let mut images: HashMap<i64, StoredImage> =
        images.into_iter().map(|image| (image.cursor, image)).collect();
    let known = |row: HistoryRow| {
        let image = images.remove(&row.result_id);
        let mut image = image.ok_or_else(|| corrupt("a result without its image"))?;
        let state = match (row.noted, row.superseded) {
            (true, _) => ResultState::Noted,
            (false, true) => ResultState::Superseded,
            (false, false) => ResultState::Current,
        };
        if state != ResultState::Current {
            image.noted = None;
        }
        Ok(KnownResult {
            gallery: parsed(&row.gallery)?,
            profile: parsed(&row.profile_id)?,
            state,
            excluded: row.excluded,
            image,
        })
    };
    rows.into_iter().map(known).collect()
}
