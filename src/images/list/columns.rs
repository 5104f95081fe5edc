//! The columns of a list, by name. Capitals, spaces and signs in names do not matter.

/// A column that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListColumn {
    /// A path or URI.
    Image,
    /// The subject.
    Subject,
    /// The BLAKE3 hash that the bytes must have.
    Hash,
    /// The bucket of an object.
    Bucket,
    /// The key of an object.
    Key,
    /// The `ETag` of an object.
    Tag,
    /// The bytes of an object.
    Size,
    /// Whether the version of an object is the latest one.
    IsLatest,
    /// Whether the version of an object says that it was deleted.
    IsDeleteMarker,
}

/// The names, in plain form. Of several columns with one meaning, the first name here wins.
const NAMES: [(&str, ListColumn); 14] = [
    ("uri", ListColumn::Image),
    ("url", ListColumn::Image),
    ("file", ListColumn::Image),
    ("path", ListColumn::Image),
    ("image", ListColumn::Image),
    ("subject", ListColumn::Subject),
    ("expectedhash", ListColumn::Hash),
    ("contenthash", ListColumn::Hash),
    ("bucket", ListColumn::Bucket),
    ("key", ListColumn::Key),
    ("etag", ListColumn::Tag),
    ("size", ListColumn::Size),
    ("islatest", ListColumn::IsLatest),
    ("isdeletemarker", ListColumn::IsDeleteMarker),
];

/// Where the columns of a table are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListColumns {
    found: Vec<(ListColumn, usize)>,
    /// How many columns the table has.
    pub(super) count: usize,
    /// The names of columns that are not read.
    pub(super) ignored: Vec<String>,
}

impl ListColumns {
    /// The columns of a table with these names.
    pub(super) fn of<S: AsRef<str>>(header: &[S]) -> Self {
        let plain: Vec<String> = header.iter().map(|name| plain(name.as_ref())).collect();
        let mut found: Vec<(ListColumn, usize)> = Vec::new();
        for (name, column) in NAMES {
            let index = plain.iter().position(|found| found == name);
            if let Some(index) = index.filter(|_| found.iter().all(|(known, _)| *known != column)) {
                found.push((column, index));
            }
        }
        // An inventory's columns are all known: those of an object matter only for objects.
        let is_read = |index: usize| found.iter().any(|(_, read)| *read == index);
        let unread = (0..header.len()).filter(|index| !is_read(*index));
        let ignored = unread.map(|index| header[index].as_ref().to_owned());
        let ignored = ignored.filter(|name| !name.is_empty()).collect();
        Self { found, count: header.len(), ignored }
    }

    /// The index of a column.
    pub(super) fn index(&self, column: ListColumn) -> Option<usize> {
        self.found.iter().find(|(found, _)| *found == column).map(|(_, index)| *index)
    }

    /// Whether the columns name images: by path or URI, or by bucket and key.
    pub(super) fn name_images(&self) -> bool {
        self.index(ListColumn::Image).is_some() || self.name_objects()
    }

    /// Whether the columns name objects by bucket and key.
    pub(super) fn name_objects(&self) -> bool {
        self.index(ListColumn::Bucket).is_some() && self.index(ListColumn::Key).is_some()
    }

    /// How many columns are read.
    pub(super) fn read(&self) -> usize {
        self.found.len()
    }

    /// The indexes of the columns that are read, in order.
    pub(super) fn indexes(&self) -> Vec<usize> {
        let mut indexes: Vec<usize> = self.found.iter().map(|(_, index)| *index).collect();
        indexes.sort_unstable();
        indexes
    }
}

/// Why a table of these columns is no list.
pub(super) fn names_no_images<S: AsRef<str>>(header: &[S]) -> String {
    let header: Vec<String> =
        header.iter().take(20).map(|name| format!("'{:.40}'", name.as_ref())).collect();
    format!(
        "it has no column uri (or url, file, path, image, or bucket and key) among {}: name the \
         columns in the first line",
        header.join(", ")
    )
}

/// A name in lower case, with only its letters and digits.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_others_are_ignored() {
        let columns = ListColumns::of(&["id", "Image", "URI", "Subject", "content_hash", ""]);
        assert_eq!(columns.index(ListColumn::Image), Some(2));
        assert_eq!(columns.index(ListColumn::Subject), Some(3));
        assert_eq!(columns.index(ListColumn::Hash), Some(4));
        assert_eq!(columns.ignored, ["id", "Image"]);
        assert_eq!((columns.indexes(), columns.count), (vec![2, 3, 4], 6));
        assert!(columns.name_images() && !columns.name_objects());
        let inventory = ListColumns::of(&["Bucket", "Key", "Size", "ETag"]);
        assert!(inventory.name_images() && inventory.name_objects());
        assert!(!ListColumns::of(&["name", "bucket"]).name_images());
        let error = names_no_images(&["name", "age"]);
        assert!(error.contains("uri") && error.contains("'name', 'age'"), "{error}");
    }
}
