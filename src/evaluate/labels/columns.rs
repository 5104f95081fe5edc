//! Columns of a table, found by their names in any order: `file` and `subject`, or what people call
//! them.

use super::LabelError;

/// A column that is looked for.
pub(super) struct ColumnSpec {
    /// The name that is always understood.
    pub name: &'static str,
    /// Other names, as an error tells them.
    others: &'static str,
    /// Words that mean it, with or without one of `endings`.
    words: &'static [&'static str],
    endings: &'static [&'static str],
    /// Names that mean it where no other column does.
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

/// Whose photo it is.
pub(super) const SUBJECT: ColumnSpec = ColumnSpec {
    name: "subject",
    others: "person, identity, name, label, id",
    words: &["subject", "person", "identity", "individual", "name", "label", "celebrity"],
    endings: &["", "id", "name", "no", "number", "label"],
    // Often it only numbers the rows.
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

/// Whether they show two people.
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

/// Names of the two photos of a pair, without what [`FILE`] says with a number or letter after it.
const PAIRS: [(&str, &str); 5] = [
    ("a", "b"),
    ("left", "right"),
    ("first", "second"),
    ("probe", "reference"),
    ("probe", "gallery"),
];

/// Names of columns that number the rows: they are no groups unless they are asked for.
const NUMBERS: [&str; 6] = ["", "id", "index", "row", "no", "unnamed0"];

impl ColumnSpec {
    fn is_meant_by(&self, column: &str) -> bool {
        self.words.iter().any(|word| {
            column.strip_prefix(word).is_some_and(|ending| self.endings.contains(&ending))
        })
    }

    /// Whether a column of this name could be it.
    pub(super) fn is_among(&self, header: &[String]) -> bool {
        header
            .iter()
            .map(|column| plain(column))
            .any(|column| self.is_meant_by(&column) || self.weak.contains(&column.as_str()))
    }

    /// The place of the column.
    ///
    /// # Errors
    /// If there is none, or more than one that could be meant.
    pub(super) fn find(&self, header: &[String]) -> Result<usize, LabelError> {
        let columns: Vec<String> = header.iter().map(|column| plain(column)).collect();
        let rules: [&dyn Fn(&str) -> bool; 3] =
            [&|column| column == self.name, &|column| self.is_meant_by(column), &|column| {
                self.weak.contains(&column)
            }];
        for rule in rules {
            let found: Vec<usize> =
                (0..columns.len()).filter(|place| rule(&columns[*place])).collect();
            match found[..] {
                [] => {}
                [place] => return Ok(place),
                _ => {
                    let candidates: Vec<String> =
                        found.iter().map(|place| format!("'{}'", header[*place])).collect();
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

/// The places of the two photos of a pair.
pub(super) fn find_pair(header: &[String]) -> Option<(usize, usize)> {
    let columns: Vec<String> = header.iter().map(|column| plain(column)).collect();
    let place = |name: &str| columns.iter().position(|column| column == name);
    for (a, b) in PAIRS {
        if let (Some(a), Some(b)) = (place(a), place(b)) {
            return Some((a, b));
        }
    }
    let numbered = |number: [&str; 2]| {
        let is_file = |column: &str| {
            number.iter().any(|n| column.strip_suffix(n).is_some_and(|word| FILE.is_meant_by(word)))
        };
        columns.iter().position(|column| is_file(column))
    };
    Some((numbered(["1", "a"])?, numbered(["2", "b"])?))
}

/// The place of the column `name`, spelt in whatever way.
pub(super) fn find_named(header: &[String], name: &str) -> Option<usize> {
    let exact = header.iter().position(|column| column == name);
    exact.or_else(|| header.iter().position(|column| plain(column) == plain(name)))
}

/// Whether a column only numbers the rows.
pub(super) fn is_number(column: &str) -> bool {
    NUMBERS.contains(&plain(column).as_str())
}

/// A name in lower case without blanks, dashes and the like.
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
    fn columns_are_found_by_what_people_call_them() {
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
    fn two_columns_that_could_be_meant_are_named() {
        let error = SUBJECT.find(&header("file,person,Name")).unwrap_err().to_string();
        assert!(error.contains("'person' and 'Name'") && error.contains("'subject'"), "{error}");
        let error = FILE.find(&header("file,File,subject")).unwrap_err().to_string();
        assert!(error.contains("'file' and 'File'"), "{error}");
        let error = FILE.find(&header("subject,age")).unwrap_err().to_string();
        assert!(error.contains("'file'") && error.contains("'age'"), "{error}");
    }

    #[test]
    fn columns_of_pairs_are_numbered_or_have_a_side() {
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
