//! Whether what was erased is absent from the store, the dead letters and the chip cache.

use super::GalleryError;
use super::erase::Eraser;
use crate::domain::{Erasure, ErasureKind};
use crate::view::erasure::{SearchResult, VerifiedPlace};

impl Eraser<'_> {
    /// Looks for what an erasure erased, in every place but the files of the store.
    ///
    /// # Errors
    /// If the store, the queue or the chip cache fails.
    pub async fn verify(&self, erasure: &Erasure) -> Result<Vec<VerifiedPlace>, GalleryError> {
        let rows = self.store.remains(erasure).await?;
        let mut places = vec![VerifiedPlace::new("rows of the store", rows > 0)];
        places.push(match self.queue {
            Some(queue) => {
                VerifiedPlace::new("dead letters", !self.dead_letters(queue).await?.is_empty())
            }
            None => VerifiedPlace::skipped("dead letters", "the queue ends with its process"),
        });
        places.push(match self.chips {
            None => VerifiedPlace::skipped("chip cache", "it is off (setting chips.url)"),
            Some(_) if erasure.kind == ErasureKind::Gallery => VerifiedPlace::skipped(
                "chip cache",
                "the contents of a whole gallery are not kept, not even as hashes",
            ),
            Some(chips) => {
                let erased = self.erased_chips(chips, &erasure.gallery).await?;
                VerifiedPlace::new("chip cache", !erased.is_empty())
            }
        });
        if erasure.ended_at.is_none() {
            let mut unfinished =
                VerifiedPlace::skipped("erasure", "it was interrupted: run the same command again");
            unfinished.result = SearchResult::Found;
            places.push(unfinished);
        }
        Ok(places)
    }
}
