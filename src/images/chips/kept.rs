//! The entries of a chip cache, of every alignment and selection: to remove those of an image.

use std::sync::Arc;

use super::place::ChipPlace;
use crate::domain::ContentHash;
use crate::images::{FetchError, Objects, Root};

/// All entries of a chip cache.
pub struct KeptChips(ChipPlace);

impl KeptChips {
    /// Those at `root`; none if it is no place of a chip cache.
    pub fn new(root: Root, objects: Arc<Objects>) -> Option<Self> {
        ChipPlace::new(root, objects).map(Self)
    }

    /// The contents that it keeps something of.
    ///
    /// # Errors
    /// If the cache is out of reach.
    pub async fn contents(&self) -> Result<Vec<ContentHash>, FetchError> {
        self.0.contents().await
    }

    /// How many entries there are of these contents.
    ///
    /// # Errors
    /// If the cache is out of reach.
    pub async fn count(&self, contents: &[ContentHash]) -> Result<u64, FetchError> {
        let mut count = 0;
        for hash in contents {
            count += self.0.count(*hash).await?;
        }
        Ok(count)
    }

    /// Removes the entries of these contents; returns how many there were.
    ///
    /// # Errors
    /// If the cache is out of reach. Some may have been removed: remove them again.
    pub async fn remove(&self, contents: &[ContentHash]) -> Result<u64, FetchError> {
        let mut removed = 0;
        for hash in contents {
            removed += self.0.remove(*hash).await?;
        }
        Ok(removed)
    }
}
