//! What is looked at before `facefleet erase` does anything: whether there is such a thing, whose
//! it is, and which receipt would be overwritten.

use anyhow::{Result, bail, ensure};

use super::verify::read;
use super::{EraseArgs, of_image};
use crate::domain::{ErasureTarget, TakenImage};
use crate::gallery::subjects::require_gallery;
use crate::store::{NewErasure, Store};

/// What to do where images of different people were at a place.
pub(super) const DIFFERENT_PEOPLE: &str = "images of different people were at that place: name one \
    by its number (--image NUMBER; the others stay), or add --whole-place to erase them all";

/// Fails unless the store has something of what is to be erased.
pub(super) async fn check_known(store: &dyn Store, new: &NewErasure) -> Result<()> {
    if store.is_known(&new.gallery, &new.target).await? {
        return Ok(());
    }
    require_gallery(store, &new.gallery).await?;
    let gallery = &new.gallery;
    let all = match &new.target {
        ErasureTarget::Subject(_) => {
            format!("`facefleet subject list --gallery {gallery}` shows all subjects")
        }
        _ => format!("`facefleet export --gallery {gallery}` lists all images"),
    };
    bail!(
        "nothing was erased: the store has nothing of that in gallery {gallery}, and never erased \
            it. Is the name right? {all}. With --absent, nothing of it is accepted from now on"
    )
}

/// Says which other galleries have a person of that name: an erasure is of one gallery.
pub(super) async fn tell_other_galleries(store: &dyn Store, new: &NewErasure) -> Result<()> {
    if !matches!(new.target, ErasureTarget::Subject(_)) {
        return Ok(());
    }
    for (other, _) in store.galleries().await? {
        if other != new.gallery && store.is_known(&other, &new.target).await? {
            eprintln!(
                "gallery {other} has a person of that name, too: `facefleet erase` with --gallery \
                    {other} erases them there"
            );
        }
    }
    Ok(())
}

/// Fails if images of different people were at the named place.
pub(super) fn check_people(images: &[TakenImage]) -> Result<()> {
    if let Some((one, other)) = TakenImage::of_different_people(images) {
        bail!("nothing was erased: {DIFFERENT_PEOPLE}\n{}\n{}", of_image(one), of_image(other));
    }
    Ok(())
}

impl EraseArgs {
    /// Fails if the receipt would overwrite one that is about something else than these targets of
    /// erasures, or, in a trial, one that is not about a trial.
    pub(super) fn check_receipt(&self, targets: &[&str]) -> Result<()> {
        let Some(path) = self.receipt.as_deref() else { return Ok(()) };
        let Ok(found) = path.metadata() else { return Ok(()) };
        if !found.is_file() || found.len() == 0 {
            return Ok(());
        }
        let is_same = |target: &Option<String>| match target {
            // A trial may be written anew.
            None => true,
            Some(target) => !self.dry_run && targets.contains(&target.as_str()),
        };
        let same = read(path).is_ok_and(|found| found.iter().all(|each| is_same(&each.target)));
        ensure!(
            same,
            "nothing was erased: {} is there already, and is no receipt of this erasure. A receipt \
                is needed for as long as backups from before: name another file",
            path.display()
        );
        Ok(())
    }
}
