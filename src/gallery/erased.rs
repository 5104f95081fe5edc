//! Whether what was erased is absent from the store, the dead letters and the chip cache.

use super::GalleryError;
use super::erase::Eraser;
use crate::domain::{Erasure, ErasureKind, SearchedKind};
use crate::view::erasure::VerifiedPlace;

impl Eraser<'_> {
    /// Looks for what an erasure erased, in every place but the files of the store.
    ///
    /// # Errors
    /// If the store, the queue or the chip cache fails.
    pub async fn verify(&self, erasure: &Erasure) -> Result<Vec<VerifiedPlace>, GalleryError> {
        let rows = self.store.remains(erasure).await?;
        let mut places =
            vec![VerifiedPlace::counted(SearchedKind::Rows, "rows of the store", rows)];
        let (kind, place) = (SearchedKind::DeadLetters, "dead letters");
        places.push(match self.queue {
            Some(queue) => {
                let erased = self.dead_letters(queue).await?.len() as u64;
                VerifiedPlace::counted(kind, place, erased)
            }
            None => VerifiedPlace::skipped(kind, place, "the queue ends with its process"),
        });
        let (kind, place) = (SearchedKind::Chips, "chip cache");
        places.push(match self.chips {
            None => VerifiedPlace::skipped(kind, place, "it is off (setting chips.url)"),
            Some(_) if erasure.kind == ErasureKind::Gallery => VerifiedPlace::skipped(
                kind,
                place,
                "the contents of a whole gallery are not kept, not even as hashes",
            ),
            Some(chips) => {
                let erased = self.erased_chips(chips, &erasure.gallery).await?.len() as u64;
                VerifiedPlace::counted(kind, place, erased)
            }
        });
        if erasure.ended_at.is_none() {
            places.push(VerifiedPlace::unfinished());
        }
        Ok(places)
    }
}
