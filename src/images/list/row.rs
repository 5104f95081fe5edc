//! A row of a list, as its format gives it, and the trait of what reads rows.

use std::path::Path;

use super::columns::{ListColumn, ListColumns};
use crate::images::listing::{NotListedReason, ending_of};
use crate::images::walk::has_image_ending;

/// What a row names, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowPlace {
    /// A path or a URI. A path may have bytes that are not UTF-8.
    Text(Vec<u8>),
    /// An object of an S3 bucket.
    Object {
        /// The bucket.
        bucket: String,
        /// The key, exactly.
        key: String,
    },
}

/// A row that names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListRow {
    pub(super) place: RowPlace,
    pub(super) subject: Option<String>,
    /// The BLAKE3 hash that the bytes must have.
    pub(super) hash: Option<String>,
    /// The version of the object.
    pub(super) tag: Option<String>,
}

/// What a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowContent {
    /// It names an image.
    Image(ListRow),
    /// It names something that is not listed as an image: by this name, for this reason.
    Other(String, NotListedReason),
    /// It cannot be read, for this reason.
    Bad(String),
}

/// Reads the rows of a list. An error ends the list: its file is damaged.
pub(super) trait ReadRows: Send {
    /// The next row with its number (that of its line, where there are lines); `None` at the end.
    fn next_row(&mut self) -> std::io::Result<Option<(u64, RowContent)>>;

    /// The names of columns that are not read.
    fn ignored(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The rule that leaves out what an inventory keeps of the past.
const NOT_LATEST: &str = "not the latest version";

/// The row of a table whose cells are these. `decoded` decodes a key.
pub(super) fn row_of_cells(
    columns: &ListColumns,
    cell: impl Fn(usize) -> Option<String>,
    decoded: impl Fn(String) -> Result<String, String>,
) -> RowContent {
    let get = |column| {
        let text = columns.index(column).and_then(&cell);
        text.filter(|text| !text.trim().is_empty())
    };
    let row = |place, tag| {
        let (subject, hash) = (get(ListColumn::Subject), get(ListColumn::Hash));
        RowContent::Image(ListRow { place, subject, hash, tag })
    };
    if let Some(text) = get(ListColumn::Image) {
        return row(RowPlace::Text(text.into_bytes()), None);
    }
    let (Some(bucket), Some(key)) = (get(ListColumn::Bucket), get(ListColumn::Key)) else {
        return RowContent::Bad("it names no image: its cell is empty".into());
    };
    let key = match decoded(key) {
        Ok(key) => key,
        Err(reason) => return RowContent::Bad(reason),
    };
    let name = || format!("s3://{bucket}/{key}");
    let is =
        |column, wanted: &str| get(column).is_some_and(|text| text.eq_ignore_ascii_case(wanted));
    if is(ListColumn::IsLatest, "false") || is(ListColumn::IsDeleteMarker, "true") {
        let reason = NotListedReason::Rule { rule: NOT_LATEST.into(), folder: false };
        return RowContent::Other(name(), reason);
    }
    let path = Path::new(&key);
    // An empty object marks a folder. A key without an ending may be an image.
    let is_folder = key.ends_with('/') || (path.extension().is_none() && is(ListColumn::Size, "0"));
    if is_folder || (path.extension().is_some() && !has_image_ending(path)) {
        return RowContent::Other(name(), NotListedReason::NotAnImage(ending_of(path)));
    }
    // A listing gives the tag in quotes, an inventory does not: the version is the same.
    let tag = get(ListColumn::Tag).map(|tag| format!("\"{}\"", tag.trim_matches('"')));
    row(RowPlace::Object { bucket, key }, tag)
}
