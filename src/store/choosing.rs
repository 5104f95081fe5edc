//! Which images an erasure takes: those that are meant, the other versions at their places, and the
//! same bytes elsewhere. What somebody else has at such a place stays.

use std::collections::BTreeSet;

use super::NewErasure;
use super::erasing::ErasureTables;
use super::fault::Fault;
use super::remains::RemainRow;
use super::rows::corrupt;
use crate::domain::{
    ErasureCounts, ErasurePlace, ErasureTarget, ImageId, TakenBecause, TakenImage,
};

/// The images that stay although an erasure is about them.
#[derive(Default)]
pub(super) struct Staying {
    /// Those that another subject has too.
    shared: BTreeSet<i64>,
    /// Those at the place of an erased one whose bytes are somebody else's.
    pub(super) others: BTreeSet<i64>,
}

impl Staying {
    pub(super) fn count(&self, counts: &mut ErasureCounts) {
        counts.add(ErasurePlace::Kept, self.shared.len() as u64);
        counts.add(ErasurePlace::OthersThere, self.others.difference(&self.shared).count() as u64);
    }
}

/// Chooses the images of a target.
pub(super) async fn choose(
    tables: &mut impl ErasureTables,
    gallery: i64,
    target: &ErasureTarget,
) -> Result<Staying, Fault> {
    let mut staying = Staying::default();
    tables.choose(gallery, target).await?;
    match target {
        ErasureTarget::Gallery => {}
        ErasureTarget::Image(_) => tables.choose_contents(gallery).await?,
        ErasureTarget::Numbered(id, _) => {
            let people = people_of(tables, &[id.0]).await?;
            let versions = tables.choose_versions(gallery).await?;
            staying.others = leave_others(tables, &versions, &people).await?;
            tables.choose_contents(gallery).await?;
        }
        ErasureTarget::Subject(name) => {
            let people = BTreeSet::from([name.as_str().to_owned()]);
            staying.shared.extend(tables.spare(name.as_str()).await?);
            let versions = tables.choose_versions(gallery).await?;
            staying.others = leave_others(tables, &versions, &people).await?;
            tables.choose_contents(gallery).await?;
            staying.shared.extend(tables.spare(name.as_str()).await?);
        }
    }
    Ok(staying)
}

/// The images that the erasure of an image would take.
pub(super) async fn taken(
    tables: &mut impl ErasureTables,
    new: &NewErasure,
) -> Result<Vec<TakenImage>, Fault> {
    let (place, number) = match &new.target {
        ErasureTarget::Image(uri) => (uri, None),
        ErasureTarget::Numbered(id, uri) => (uri, Some(id.0)),
        _ => return Ok(Vec::new()),
    };
    let Some(gallery) = tables.find_gallery(&new.gallery).await? else { return Ok(Vec::new()) };
    choose(tables, gallery, &new.target).await?;
    let rows = tables.chosen_images().await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let owners = tables.owners(&ids).await?;
    let meant = rows.iter().find(|row| Some(row.id) == number).map(|row| &row.content_hash);
    let image = |row: &RemainRow| {
        let is_placed = row.uri == place.as_str() && meant != Some(&row.content_hash);
        let subjects = owners.iter().filter(|(id, _)| *id == row.id);
        Ok(TakenImage {
            image_id: ImageId(row.id),
            uri: row.uri.parse().map_err(corrupt)?,
            subjects: subjects
                .map(|(_, name)| name.parse().map_err(corrupt))
                .collect::<Result<_, Fault>>()?,
            because: if is_placed { TakenBecause::Place } else { TakenBecause::Bytes },
        })
    };
    rows.iter().map(image).collect()
}

/// The people of these images.
pub(super) async fn people_of(
    tables: &mut impl ErasureTables,
    images: &[i64],
) -> Result<BTreeSet<String>, Fault> {
    Ok(tables.owners(images).await?.into_iter().map(|(_, name)| name).collect())
}

/// Takes those of these images out of what is chosen that somebody else than these people has, and
/// returns them.
pub(super) async fn leave_others(
    tables: &mut impl ErasureTables,
    images: &[i64],
    people: &BTreeSet<String>,
) -> Result<BTreeSet<i64>, Fault> {
    let others = of_others(tables, images, people).await?;
    if !others.is_empty() {
        tables.leave_out(&others.iter().copied().collect::<Vec<_>>()).await?;
    }
    Ok(others)
}

/// Those of these images that somebody else than these people has: by their bytes, also if another
/// image has the same.
pub(super) async fn of_others(
    tables: &mut impl ErasureTables,
    images: &[i64],
    people: &BTreeSet<String>,
) -> Result<BTreeSet<i64>, Fault> {
    if images.is_empty() {
        return Ok(BTreeSet::new());
    }
    let owners = tables.owners(images).await?.into_iter();
    Ok(owners.filter(|(_, name)| !people.contains(name)).map(|(image, _)| image).collect())
}
