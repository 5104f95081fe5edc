//! The first reading of lists: what is in them.

use std::sync::Arc;

use super::repeats::RepeatFinder;
use super::row::RowContent;
use super::second::SurveyedLists;
use super::{ImageLists, ListPart};
use crate::domain::LabelledImage;
use crate::images::allowed::{ImageFolders, OutsideCounts, Places};
use crate::images::listing::ListingError;

/// What is in some lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListSurvey {
    /// All rows.
    pub rows: u64,
    /// Rows that name an image which is scanned: repeats and the rows below are not counted.
    pub images: u64,
    /// Rows that name an image and a subject, repeats included.
    pub named: u64,
    /// Rows that name the image of an earlier row.
    pub repeats: u64,
    /// Rows that name something else than images, in inventories.
    pub others: u64,
    /// Rows that cannot be used, among them those that name another subject than an earlier row
    /// of the same image.
    pub bad: u64,
    /// Where they are.
    pub folders: ImageFolders,
    /// Images outside of what may be read.
    pub outside: OutsideCounts,
    /// For each list with columns that are not read: its name and theirs.
    pub ignored: Vec<(String, Vec<String>)>,
    /// A hash of everything that is read: the same for the same lists.
    pub digest: String,
}

/// Most names of columns that are kept.
const MOST_IGNORED: usize = 20;

impl ImageLists {
    /// Reads the lists for the first time. `allowed`: what may be read, if that is known here.
    /// Images below `roots`, which the same scan lists, may be read in any case.
    ///
    /// # Errors
    /// If a list is damaged or has no column of images.
    pub async fn survey(
        self,
        allowed: Option<Places>,
        roots: Places,
    ) -> Result<SurveyedLists, ListingError> {
        let surveyed = tokio::task::spawn_blocking(move || self.read(allowed, &roots)).await;
        surveyed.unwrap_or_else(|error| {
            Err(ListingError { what: LISTS.into(), reason: error.to_string() })
        })
    }

    fn read(self, allowed: Option<Places>, roots: &Places) -> Result<SurveyedLists, ListingError> {
        let is_known = allowed.is_some();
        let readable = allowed.unwrap_or_default().and(roots);
        let mut first = FirstReading {
            is_known,
            readable: &readable,
            roots,
            any_below_roots: false,
            survey: ListSurvey::default(),
            finder: RepeatFinder::new(),
            digest: blake3::Hasher::new(),
        };
        for part in &self.parts {
            first.read(part)?;
        }
        let FirstReading { mut survey, any_below_roots, finder, digest, .. } = first;
        let found = finder.finish(any_below_roots);
        let (repeats, named) = found.map_err(|error| no_room(&error))?;
        survey.repeats = repeats.same.count;
        survey.bad += repeats.conflicting.count;
        survey.images -= repeats.same.count + repeats.conflicting.count;
        survey.digest = digest.finalize().to_hex()[..12].to_owned();
        Ok(SurveyedLists {
            parts: Arc::new(self.parts),
            repeats: Arc::new(repeats),
            named: named.map(Arc::new),
            readable: Arc::new(readable),
            survey,
            is_again: self.is_again,
        })
    }
}

struct FirstReading<'a> {
    /// Whether it is known here what may be read.
    is_known: bool,
    readable: &'a Places,
    roots: &'a Places,
    any_below_roots: bool,
    survey: ListSurvey,
    finder: RepeatFinder,
    digest: blake3::Hasher,
}

impl FirstReading<'_> {
    fn read(&mut self, part: &ListPart) -> Result<(), ListingError> {
        let mut rows = part.rows()?;
        while let Some((number, content)) = rows.next_row().map_err(|error| part.damaged(&error))? {
            let index = self.survey.rows;
            self.survey.rows += 1;
            match content {
                RowContent::Image(row) => match part.image(&row) {
                    Ok(image) => self.image(part, number, index, &image)?,
                    Err(_) => self.survey.bad += 1,
                },
                RowContent::Other(..) => self.survey.others += 1,
                RowContent::Bad(_) => self.survey.bad += 1,
            }
        }
        let mut ignored = rows.ignored();
        if !ignored.is_empty() {
            ignored.truncate(MOST_IGNORED);
            self.survey.ignored.push((part.name.clone(), ignored));
        }
        Ok(())
    }

    fn image(
        &mut self,
        part: &ListPart,
        number: u64,
        index: u64,
        row: &LabelledImage,
    ) -> Result<(), ListingError> {
        let LabelledImage { image, subject, expected_hash, .. } = row;
        self.digest.update(&index.to_le_bytes());
        self.digest.update(image.as_str().as_bytes());
        let subject = subject.as_ref().map(|subject| subject.as_str()).unwrap_or_default();
        self.digest.update(b"\0").update(subject.as_bytes());
        self.digest.update(&expected_hash.map_or([0; 32], |hash| hash.0));
        self.survey.images += 1;
        self.survey.named += u64::from(row.subject.is_some());
        self.any_below_roots |= self.roots.cover(image);
        self.survey.folders.add(image);
        if self.is_known && !self.readable.cover(image) {
            self.survey.outside.count(image, || part.row_name(number));
        }
        self.finder.add(image, row.subject.as_ref(), index).map_err(|error| no_room(&error))
    }
}

/// How errors name the lists together.
const LISTS: &str = "the images of the lists";

pub(super) fn no_room(error: &std::io::Error) -> ListingError {
    let reason = format!(
        "the folder for temporary files (TMPDIR) is needed to find images that it repeats: {error}"
    );
    ListingError { what: LISTS.into(), reason }
}
