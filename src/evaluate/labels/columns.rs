//! Finds the columns of a table by name, in any order: `file` and `subject`, or their common other
//! names.

use super::LabelError;

/// A column to find.
pub(super) struct ColumnSpec {
    /// The name that wins over all others.
    pub name: &'static str,
    /// Other accepted names, for error messages.
    others: &'static str,
    /// Other accepted names, each with or without one of `endings`.
    words: &'static [&'static str],
    endings: &'static [&'static str],
    /// Names that are accepted if no column has a better one.
    weak: &'static [&'static str],
}

/// The photo.
pub(super) const FILE: ColumnSpec = ColumnSpec {
    name: "file",
    others: "filename, image, photo, path",
    words: &[
        "file",
        "image",
        "img",
        "photo",
        "picture",
        "pic",
        "path",
        "fullpath",
        "filepath",
        "relativepath",
        "relpath",
    ],
    endings: &["", "s", "name", "path", "file", "filename"],
    weak: &["uri", "url", "imageuri", "imageurl"],
};

/// The person that the photo shows.
pub(super) const SUBJECT: ColumnSpec = ColumnSpec {
    name: "subject",
    others: "person, identity, name, label, id",
    words: &["subject", "person", "identity", "individual", "name", "label", "celebrity"],
    endings: &["", "id", "name", "no", "number", "label"],
    // It often numbers the rows.
    weak: &["id"],
};

/// Whether the photos of a pair show one person.
pub(super) const SAME: ColumnSpec = ColumnSpec {
    name: "same",
    others: "label, match, genuine",
    words: &[
        "same",
        "issame",
        "label",
        "match",
        "ismatch",
        "genuine",
        "isgenuine",
        "mated",
        "ismated",
        "target",
        "class",
    ],
    endings: &["", "person", "subject", "identity"],
    weak: &[],
};

/// Whether the photos of a pair show two people.
pub(super) const DIFFERENT: ColumnSpec = ColumnSpec {
    name: "different",
    others: "impostor",
    words: &[
        "different",
        "isdifferent",
        "impostor",
        "isimpostor",
        "imposter",
        "isimposter",
        "nonmated",
        "isnonmated",
    ],
    endings: &["", "person", "subject", "identity", "people", "persons", "subjects", "identities"],
    weak: &[],
};

/// Names of the two columns of a pair, in addition to those of [`FILE`] with a number or letter.
const PAIRS: [(&str, &str); 5] = [
    ("a", "b"),
    ("left", "right"),
    ("first", "second"),
    ("probe", "reference"),
    ("probe", "gallery"),
];

/// Names of columns that number the rows. They are groups only if `--group` names them.
const NUMBERS: [&str; 6] = ["", "id", "index", "row", "no", "unnamed0"];

impl ColumnSpec {
    fn accepts(&self, column: &str) -> bool {
        self.words.iter().any(|word| {
            column.strip_prefix(word).is_some_and(|ending| self.endings.contains(&ending))
        })
    }

    /// Whether one of the columns of `header` may be this one.
    pub(super) fn is_among(&self, header: &[String]) -> bool {
        header
            .iter()
            .map(|column| plain(column))
            .any(|column| self.accepts(&column) || self.weak.contains(&column.as_str()))
    }

    /// The index of the column.
    ///
    /// # Errors
    /// If no column, or more than one, may be this one.
    pub(super) fn find(&self, header: &[String]) -> Result<usize, LabelError> {
        let columns: Vec<String> = header.iter().map(|column| plain(column)).collect();
        let rules: [&dyn Fn(&str) -> bool; 3] =
            [&|column| column == self.name, &|column| self.accepts(column), &|column| {
                self.weak.contains(&column)
            }];
        for rule in rules {
            let found: Vec<usize> =
                (0..columns.len()).filter(|index| rule(&columns[*index])).collect();
            match found[..] {
                [] => {}
                [index] => return Ok(index),
                _ => {
                    let candidates: Vec<String> =
                        found.iter().map(|index| format!("'{}'", header[*index])).collect();
                    return Err(LabelError::Ambiguous {
                        wanted: self.name,
                        candidates: candidates.join(" and "),
                    });
                }
            }
        }
        Err(LabelError::Column {
            wanted: format!("'{}' (or {})", self.name, self.others),
            found: header.iter().map(|column| format!("'{column}'")).collect::<Vec<_>>().join(", "),
        })
    }
}

/// The indices of the two columns of files of a table of pairs.
pub(super) fn find_pair(header: &[String]) -> Option<(usize, usize)> {
    let columns: Vec<String> = header.iter().map(|column| plain(column)).collect();
    let index = |name: &str| columns.iter().position(|column| column == name);
    for (a, b) in PAIRS {
        if let (Some(a), Some(b)) = (index(a), index(b)) {
            return Some((a, b));
        }
    }
    let numbered = |number: [&str; 2]| {
        let is_file = |column: &str| {
            number.iter().any(|n| column.strip_suffix(n).is_some_and(|word| FILE.accepts(word)))
        };
        columns.iter().position(|column| is_file(column))
    };
    Some((numbered(["1", "a"])?, numbered(["2", "b"])?))
}

/// The index of the column `name`. If no column has exactly this name, capitals, spaces and signs
/// do not matter.
pub(super) fn find_named(header: &[String], name: &str) -> Option<usize> {
    let exact = header.iter().position(|column| column == name);
    exact.or_else(|| header.iter().position(|column| plain(column) == plain(name)))
}

/// Whether the name is one of columns that only number the rows.
pub(super) fn is_number(column: &str) -> bool {
    NUMBERS.contains(&plain(column).as_str())
}

/// A name in lower case, with only its letters and digits.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(columns: &str) -> Vec<String> {
        columns.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_found_by_their_common_names() {
        for (columns, file, subject) in [
            ("file,subject", 0, 1),
            ("File,SUBJECT", 0, 1),
            ("id,file,subject", 1, 2),
            ("id,file", 1, 0),
            ("identity,Image Path", 1, 0),
            ("file_name,person_id,id", 0, 1),
            ("name,photo", 1, 0),
            ("URI,label,image", 2, 1),
        ] {
            let header = header(columns);
            assert_eq!(
                (FILE.find(&header).unwrap(), SUBJECT.find(&header).unwrap()),
                (file, subject),
                "{columns}"
            );
        }
    }

    #[test]
    fn ambiguous_columns_are_named_in_the_error() {
        let error = SUBJECT.find(&header("file,person,Name")).unwrap_err().to_string();
        assert!(error.contains("'person' and 'Name'") && error.contains("'subject'"), "{error}");
        let error = FILE.find(&header("file,File,subject")).unwrap_err().to_string();
        assert!(error.contains("'file' and 'File'"), "{error}");
        let error = FILE.find(&header("subject,age")).unwrap_err().to_string();
        assert!(error.contains("'file'") && error.contains("'age'"), "{error}");
    }

    #[test]
    fn columns_of_pairs_have_a_number_or_a_side() {
        for (columns, pair) in [
            ("file1,file2,same", Some((0, 1))),
            ("same,Image A,Image B", Some((1, 2))),
            ("a,b,label", Some((0, 1))),
            ("left,right,y", Some((0, 1))),
            ("file,subject", None),
            ("file1,subject", None),
        ] {
            assert_eq!(find_pair(&header(columns)), pair, "{columns}");
        }
    }
}
