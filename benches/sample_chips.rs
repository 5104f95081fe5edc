//! Real faces to measure on: the time of a pass on a CPU depends on the input.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use facefleet::app::App;
use facefleet::domain::Chip;
use facefleet::images::{ListingEntry, Root};
use futures::StreamExt;

/// `count` chips of the photos in `folder`, repeated if it has fewer faces.
pub fn sample_chips(app: &App, folder: PathBuf, count: usize) -> Result<Vec<Chip>> {
    let processor = app.processor(&[], false)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let listing = app.listing(&[Root::Path(folder)]).context("run `make setup` first")?;
    let chips = runtime.block_on(async {
        let (mut chips, mut entries) = (Vec::new(), listing.entries(None)?);
        while let Some(entry) = entries.next().await {
            let ListingEntry::Image { image, .. } = entry? else { continue };
            let uri = image.image;
            let Some(path) = uri.to_path() else { continue };
            chips
                .extend(processor.analyse(std::fs::read(path)?).await?.chips.into_iter().flatten());
            if chips.len() >= count {
                break;
            }
        }
        anyhow::Ok(chips)
    })?;
    ensure!(!chips.is_empty(), "no face in this folder");
    Ok(chips.into_iter().cycle().take(count).collect())
}
