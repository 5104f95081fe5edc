//! Curation: what a gallery could do without, or has wrong, and what people decide about it.
//!
//! `verdicts.rs` writes what people decide. A view ([`preview`]) reads the images of a gallery
//! (`load.rs`) and suggests verdicts, which [`apply`] gives: `quality.rs`, `duplicates.rs`,
//! `people.rs` and `gone.rs` find them. [`newcomer`] tells names that nobody has.

mod duplicates;
mod gone;
mod load;
mod near_pairs;
mod newcomer;
mod people;
mod preview;
mod quality;
mod suggestion;
mod verdicts;

use std::cmp::Ordering;

pub use self::gone::{Pruned, prune};
use self::load::CuratedImage;
pub use self::newcomer::newcomer;
pub use self::preview::{CuratePreview, CurateQuery, apply, preview};
pub use self::suggestion::{CurateView, Evidence, ShownImage, Suggestion};
pub use self::verdicts::{CurateError, Curator, Undone, decide, find_image, undo};

/// The order of two numbers.
fn order(a: f64, b: f64) -> Ordering {
    a.total_cmp(&b)
}

fn shown(image: &CuratedImage) -> ShownImage {
    ShownImage { image: image.image.clone(), face: image.face.clone() }
}
