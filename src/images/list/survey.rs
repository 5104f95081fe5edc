//! The first reading of lists: what is in them.

use std::sync::Arc;

use super::repeats::{RepeatFinder, RowMarks};
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
    /// Rows that name an image which is scanned: those below, repeats and bad rows are not.
    pub images: u64,
    /// Rows that name the image of an earlier row, or one below a root of the same scan.
    pub repeats: u64,
    /// Rows that name something else than images, in inventories.
    pub others: u64,
    /// Rows that cannot be used.
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
    /// Images below `roots` are left to the listing of these.
    ///
    /// # Errors
    /// If a list is damaged or has no column of images.
    pub async fn survey(
        self,
        allowed: Option<Places>,
        roots: Places,
    ) -> Result<SurveyedLists, ListingError> {
        let surveyed =
            tokio::task::spawn_blocking(move || self.read(allowed.as_ref(), &roots)).await;
        surveyed.unwrap_or_else(|error| {
            Err(ListingError { what: "the list".into(), reason: error.to_string() })
        })
    }

    fn read(self, allowed: Option<&Places>, roots: &Places) -> Result<SurveyedLists, ListingError> {
        let mut first = FirstReading {
            allowed,
            roots,
            survey: ListSurvey::default(),
            marks: RowMarks::default(),
            finder: RepeatFinder::new(),
            digest: blake3::Hasher::new(),
        };
        for part in &self.parts {
            first.read(part)?;
        }
        let FirstReading { mut survey, mut marks, finder, digest, .. } = first;
        finder.finish(&mut marks).map_err(|error| no_room(&error))?;
        survey.repeats = marks.count;
        survey.images -= marks.count;
        survey.digest = digest.finalize().to_hex()[..12].to_owned();
        let (parts, marks) = (Arc::new(self.parts), Arc::new(marks));
        Ok(SurveyedLists { parts, marks, survey, is_again: self.is_again })
    }
}

struct FirstReading<'a> {
    allowed: Option<&'a Places>,
    roots: &'a Places,
    survey: ListSurvey,
    marks: RowMarks,
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
        if self.roots.cover(image) {
            self.marks.mark(index);
            return Ok(());
        }
        self.survey.folders.add(image);
        if self.allowed.is_some_and(|allowed| !allowed.cover(image)) {
            self.survey.outside.count(image, || part.row_name(number));
        }
        self.finder.add(image, index).map_err(|error| no_room(&error))
    }
}

fn no_room(error: &std::io::Error) -> ListingError {
    let reason = format!(
        "the folder for temporary files (TMPDIR) is needed to find images that it repeats: {error}"
    );
    ListingError { what: "the list".into(), reason }
}
