//! What a scan says of images that are gone from their source, as text.

use crate::domain::{GalleryName, counted};
use crate::gallery::curate::Pruned;
use crate::gallery::missing::SourceCheck;

/// A line for each kind.
pub(super) fn text(
    gallery: &GalleryName,
    check: Option<SourceCheck>,
    pruned: Option<&Pruned>,
) -> String {
    let mut text = String::new();
    let SourceCheck { missing, unsure } = check.unwrap_or_default();
    if unsure > 0 {
        text += &format!(
            "{} not there, in folders that are empty: if their file systems are mounted, remove \
                the folders, and they count as gone\n",
            counted(unsure, "image")
        );
    }
    match pruned {
        None if missing > 0 => {
            text += &format!(
                "{} gone from the source: `facefleet curate gone --gallery {gallery}` shows those \
                    with results, --prune takes all of them out\n",
                counted(missing, "image")
            );
        }
        Some(pruned) if pruned.gone + pruned.moved > 0 => {
            text += &format!("{} gone, {} moved\n", counted(pruned.gone, "image"), pruned.moved);
            for curation in &pruned.curations {
                text += &format!(
                    "`facefleet curate undo --curation {curation} --gallery {gallery}` undoes it\n"
                );
            }
        }
        _ => {}
    }
    text
}
