//! The steps of an erasure, the same in both backends: choose the images, leave tombstones, delete
//! rows, note what was deleted.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::choosing::choose;
use super::erasing::{ErasureKey, ErasureTables, NewErasureRow, TombstoneHash, Trace};
use super::erasures::NewErasure;
use super::fault::Fault;
use super::remains::{RemainTables, named_by_campaigns};
use super::rows::corrupt;
use crate::domain::{
    Erasure, ErasureCounts, ErasureKind, ErasurePlace, ErasureTarget, ImageUri, OperatorName,
};

/// Erases; the caller commits, or rolls back if it only wants to know. Returns the erasure, with
/// the counts of every time that it ran, and those of this time.
pub(super) async fn erase(
    tables: &mut impl RemainTables,
    new: &NewErasure,
) -> Result<(Erasure, ErasureCounts), Fault> {
    tables.keep_out().await?;
    tables.make_key().await?;
    let key = tables.erasure_key().await?.ok_or_else(|| corrupt("no key of erasures"))?;
    let target = key.hash(new.gallery.as_str(), Trace::from(&new.target));
    let row = NewErasureRow {
        id: Uuid::now_v7(),
        gallery: &new.gallery,
        kind: new.target.kind(),
        target,
        by: &new.by,
    };
    let erasure = tables.begin_erasure(&row).await?.erasure()?;
    let mut burial = Burial {
        key,
        erasure,
        counts: ErasureCounts::default(),
        tombstones: match &new.target {
            // Its place may be somebody else's.
            ErasureTarget::Numbered(..) => BTreeSet::new(),
            _ => BTreeSet::from([target]),
        },
        uris: match &new.target {
            ErasureTarget::Image(uri) => vec![uri.as_str().to_owned()],
            _ => Vec::new(),
        },
    };
    if let Some(gallery) = tables.find_gallery(&new.gallery).await? {
        choose(tables, gallery, &new.target).await?.count(&mut burial.counts);
        burial.delete(tables, gallery, Some(&new.target)).await?;
    }
    burial.read_campaigns(tables).await?;
    burial.end(tables, &new.by).await
}

/// An erasure inside its transaction.
pub(super) struct Burial {
    pub(super) key: ErasureKey,
    pub(super) erasure: Erasure,
    /// What was removed this time.
    pub(super) counts: ErasureCounts,
    pub(super) tombstones: BTreeSet<TombstoneHash>,
    /// What texts may name: URIs, and places of campaigns.
    pub(super) uris: Vec<String>,
}

impl Burial {
    /// Deletes the chosen images, and the subject or the gallery.
    pub(super) async fn delete(
        &mut self,
        tables: &mut impl ErasureTables,
        gallery: i64,
        target: Option<&ErasureTarget>,
    ) -> Result<(), Fault> {
        let Self { key, erasure, counts, tombstones, uris } = self;
        let name = erasure.gallery.as_str();
        // The tombstone of a gallery covers all its images.
        if erasure.kind != ErasureKind::Gallery {
            uris.extend(tables.chosen_uris(gallery).await?);
            let contents = tables.chosen_contents(gallery).await?;
            tombstones.extend(uris.iter().map(|uri| key.hash(name, Trace::Uri(uri))));
            tombstones.extend(contents.iter().map(|hash| key.hash(name, Trace::Content(hash))));
        }
        if erasure.kind == ErasureKind::Image {
            let numbers = tables.chosen_numbers().await?;
            tombstones.extend(numbers.iter().map(|number| key.hash(name, Trace::Number(*number))));
        }
        tables.note_contents(erasure.id.0).await?;
        tables.delete_chosen(counts).await?;
        match target {
            None | Some(ErasureTarget::Image(_) | ErasureTarget::Numbered(..)) => Ok(()),
            Some(ErasureTarget::Subject(name)) => {
                let reasons = tables.reasons_with(gallery, name.as_str()).await?.into_iter();
                let of_name = reasons.filter(|(_, reason)| has_words(reason, name.as_str()));
                tables.clear_reasons(&of_name.map(|(id, _)| id).collect::<Vec<_>>()).await?;
                tables.delete_subject(gallery, name.as_str(), counts).await
            }
            Some(ErasureTarget::Gallery) => tables.delete_gallery(gallery, name, counts).await,
        }
    }

    /// Notes what campaigns name of this erasure, also of what it erased before.
    async fn read_campaigns(&mut self, tables: &mut impl RemainTables) -> Result<(), Fault> {
        let Self { key, erasure, tombstones, .. } = self;
        let left: HashSet<Vec<u8>> =
            tables.tombstones_of(erasure.id.0).await?.into_iter().collect();
        let is_erased = |trace: Trace<'_>| {
            let hash = key.hash(erasure.gallery.as_str(), trace);
            tombstones.contains(&hash) || left.contains(hash.as_slice())
        };
        let named = named_by_campaigns(tables, &erasure.gallery, &is_erased).await?;
        self.uris.extend(named);
        Ok(())
    }

    /// Takes the URIs out of texts and leaves the tombstones. Returns the erasure, with the counts
    /// of every time that it ran, and those of this time. One that had ended, and finds nothing
    /// left, stays as it was: whose it was, and when.
    pub(super) async fn end(
        self,
        tables: &mut impl ErasureTables,
        by: &OperatorName,
    ) -> Result<(Erasure, ErasureCounts), Fault> {
        let Self { mut erasure, mut counts, tombstones, uris, .. } = self;
        tables.forget_uris(erasure.gallery.as_str(), &texts(&uris), &mut counts).await?;
        tables.bury(erasure.id.0, tombstones.into_iter().collect()).await?;
        // What stays is counted anew each time.
        let mut total = erasure.counts.clone().plus(&counts);
        for place in ErasurePlace::STAYS {
            total.set(place, counts.of(place));
        }
        tables.set_counts(erasure.id.0, &total).await?;
        if !counts.removed().is_empty() {
            tables.reopen(erasure.id.0, by).await?;
            (erasure.by, erasure.ended_at) = (by.clone(), None);
        }
        Ok((Erasure { counts: total, ..erasure }, counts))
    }
}

/// Whether a text contains these words whole: the name `an` is not in `can`.
fn has_words(text: &str, words: &str) -> bool {
    let is_part = |of: Option<char>| of.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + words.len()..]);
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    })
}

/// How images are named in texts: by URI, and files by their path.
pub(super) fn texts(uris: &[String]) -> Vec<String> {
    let path = |uri: &String| uri.parse().ok().map(|uri: ImageUri| uri.for_people());
    uris.iter().flat_map(|uri| [Some(uri.clone()), path(uri)]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::has_words;

    #[test]
    fn a_name_is_found_as_a_whole_word_only() {
        for text in ["looks like An", "An, again", "(An)", "Ban An", "An"] {
            assert!(has_words(text, "An"), "{text}");
        }
        for text in ["Anna", "Ban", "An1", "Änna", "ÉAn", "an"] {
            assert!(!has_words(text, "An"), "{text}");
        }
        assert!(has_words("it is Ann Lee!", "Ann Lee"));
    }
}
