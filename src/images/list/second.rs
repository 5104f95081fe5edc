//! The second reading of lists: their rows as entries of a listing.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::repeats::{ListedNames, Repeats};
use super::row::RowContent;
use super::survey::no_room;
use super::versions::ImageVersions;
use super::{ListPart, ListSurvey};
use crate::domain::LabelledImage;
use crate::images::Objects;
use crate::images::allowed::Places;
use crate::images::listing::{ListingEntry, ListingError, NotListed, NotListedReason};
use crate::images::walk::stamp_of_path;

/// Rows that are read ahead of the reader of the listing.
const BUFFER: usize = 256;
/// Objects whose version is asked for at the same time.
const VERSIONS_AT_ONCE: usize = 64;

type ListedRow = Result<ListingEntry, ListingError>;

/// Lists that were read once.
#[derive(Clone)]
pub struct SurveyedLists {
    pub(super) parts: Arc<Vec<ListPart>>,
    /// The rows that are left out, because they repeat others.
    pub(super) repeats: Arc<Repeats>,
    /// The images of all rows, if some are below roots of the same scan.
    pub(super) named: Option<Arc<ListedNames>>,
    /// What may be read, as far as that is known here.
    pub(super) readable: Arc<Places>,
    pub(super) survey: ListSurvey,
    pub(super) is_again: bool,
}

impl SurveyedLists {
    /// What is in them.
    pub fn survey(&self) -> &ListSurvey {
        &self.survey
    }

    /// Whether they can be opened again, to resume.
    pub fn is_resumable(&self) -> bool {
        self.is_again
    }

    /// An image that a root lists, with its position; unless a row names the image: then the row
    /// lists it, with the subject and the hash that the list gives it.
    pub(in crate::images) fn unless_named(
        &self,
        image: LabelledImage,
        position: Option<String>,
    ) -> ListedRow {
        let is_named = self.named.as_ref().map_or(Ok(false), |named| named.contain(&image.image));
        if !is_named.map_err(|error| no_room(&error))? {
            return Ok(ListingEntry::Image { image, position });
        }
        let uri = image.image;
        let name = uri.to_path().map_or_else(|| uri.to_string(), |path| path.display().to_string());
        let reason = NotListedReason::Repeated;
        Ok(ListingEntry::NotListed(NotListed { name, uri: Some(uri), reason }))
    }

    /// The entries after the row with the index `after`, or all. Their positions begin with
    /// `number`.
    pub(in crate::images) fn entries(
        &self,
        number: usize,
        after: Option<u64>,
        objects: Arc<Objects>,
    ) -> BoxStream<'static, ListedRow> {
        let (sender, rows) = mpsc::channel(BUFFER);
        let lists = self.clone();
        let read = tokio::task::spawn_blocking(move || lists.send(number, after, &sender));
        let versions = Arc::new(ImageVersions::new(objects, Arc::clone(&self.readable)));
        let rows = stream::unfold((rows, read), |(mut rows, read)| async move {
            match rows.recv().await {
                Some(row) => Some((row, (rows, read))),
                None => {
                    // Do not hide a panic: it would look like the end of the list.
                    if let Err(error) = read.await
                        && error.is_panic()
                    {
                        std::panic::resume_unwind(error.into_panic());
                    }
                    None
                }
            }
        });
        let with_version = move |entry: ListedRow| {
            let versions = Arc::clone(&versions);
            async move {
                match entry {
                    Ok(ListingEntry::Image { mut image, position }) => {
                        if image.stamp.is_none() {
                            image.stamp = versions.stamp(&image.image).await;
                        }
                        Ok(ListingEntry::Image { image, position })
                    }
                    other => other,
                }
            }
        };
        rows.map(with_version).buffered(VERSIONS_AT_ONCE).boxed()
    }

    /// Reads the rows and sends them. Ends early if nobody receives them.
    fn send(&self, number: usize, after: Option<u64>, to: &mpsc::Sender<ListedRow>) {
        let mut index = 0;
        for part in self.parts.iter() {
            let mut rows = match part.rows() {
                Ok(rows) => rows,
                Err(error) => return drop(to.blocking_send(Err(error))),
            };
            loop {
                let entry = match rows.next_row() {
                    Ok(None) => break,
                    Ok(Some((row, content))) => {
                        let at = index;
                        index += 1;
                        if after.is_some_and(|after| at <= after) {
                            continue;
                        }
                        Ok(self.entry(part, number, at, row, content))
                    }
                    Err(error) => Err(part.damaged(&error)),
                };
                let is_end = entry.is_err();
                if to.blocking_send(entry).is_err() || is_end {
                    return;
                }
            }
        }
    }

    fn entry(
        &self,
        part: &ListPart,
        number: usize,
        index: u64,
        row: u64,
        content: RowContent,
    ) -> ListingEntry {
        let bad = |reason| ListingEntry::Failed(ListingError { what: part.row_name(row), reason });
        let listed = match content {
            RowContent::Image(listed) => listed,
            RowContent::Other(name, reason) => {
                return ListingEntry::NotListed(NotListed { name, uri: None, reason });
            }
            RowContent::Bad(reason) => return bad(reason),
        };
        let mut image = match part.image(&listed) {
            Ok(image) => image,
            Err(reason) => return bad(reason),
        };
        if self.repeats.conflicting.contains(index) {
            return bad("an earlier row names the same image with another subject".into());
        }
        if self.repeats.same.contains(index) {
            let name = format!("{} ({})", image.image, part.row_name(row));
            let (uri, reason) = (Some(image.image), NotListedReason::Repeated);
            return ListingEntry::NotListed(NotListed { name, uri, reason });
        }
        if let Some(path) = image.image.to_path() {
            image.stamp = stamp_of_path(&path);
        }
        // Positions are compared as texts.
        ListingEntry::Image { image, position: Some(format!("{number} {index:020}")) }
    }
}
