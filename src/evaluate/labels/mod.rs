//! What people know of photos: whose they are, which group the person belongs to, which pairs show
//! one person, and what other tools say.
//!
//! Tables are read as people have them: in any usual encoding, with any usual separator, columns
//! found by name in any order.

mod columns;
mod other;
mod pair_list;
mod table;
mod text;

use std::collections::{HashMap, HashSet};

pub use columns::{find_named, is_number};
pub use other::OtherMeasures;
pub use pair_list::PairList;

use self::columns::{FILE, SUBJECT};
use self::table::{Beginning, Table};
use super::pairs::PairError;
use crate::domain::SubjectName;

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// No text.
    #[error("it is {0}")]
    NoText(String),
    /// No table.
    #[error("not a table: {0}")]
    Table(#[from] csv::Error),
    /// A column that is not there.
    #[error("there is no column {wanted}, only {found}: name it in the first line")]
    Column {
        /// Its name, and others that would do.
        wanted: String,
        /// Those there are.
        found: String,
    },
    /// More than one column that could be meant.
    #[error(
        "columns {candidates} could all be the {wanted}: give the one that is meant the name \
            '{wanted}'"
    )]
    Ambiguous {
        /// What is looked for.
        wanted: &'static str,
        /// The columns.
        candidates: String,
    },
    /// A row that cannot be used.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// No row.
    #[error("it lists nothing")]
    Empty,
}

/// A table of files, subjects and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The photos, in the table's order.
    pub photos: Vec<Label>,
    /// Names of the group columns: all others.
    pub group_columns: Vec<String>,
}

/// One photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its file, as the table names it.
    pub file: String,
    /// Who it shows.
    pub subject: String,
    /// A value for each group column; empty where unknown.
    pub groups: Vec<String>,
    /// The line of the table.
    pub line: u64,
}

impl Labels {
    fn of_table(table: Table) -> Result<Self, LabelError> {
        let (file, subject) = (FILE.find(&table.header)?, SUBJECT.find(&table.header)?);
        let group =
            |place: &usize| *place != file && *place != subject && !table.header[*place].is_empty();
        let groups: Vec<usize> = (0..table.header.len()).filter(group).collect();
        let (mut photos, mut lines) = (Vec::new(), HashMap::new());
        for row in table.rows {
            let line = row.line;
            let refused = |reason: String| Err(LabelError::Line { line, reason });
            let (file, subject) = (row.cells[file].clone(), row.cells[subject].clone());
            if file.is_empty() || subject.is_empty() {
                return refused("file and subject must not be empty".into());
            }
            if let Err(error) = subject.parse::<SubjectName>() {
                return refused(error.to_string());
            }
            if let Some(first) = lines.insert(file.clone(), line) {
                return refused(format!(
                    "file {file} is in line {first} already: keep one of the two"
                ));
            }
            photos.push(Label {
                file,
                subject,
                groups: groups.iter().map(|place| row.cells[*place].clone()).collect(),
                line,
            });
        }
        let group_columns = groups.iter().map(|place| table.header[*place].clone()).collect();
        if photos.is_empty() { Err(LabelError::Empty) } else { Ok(Self { photos, group_columns }) }
    }
}

/// What is known beside the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// Subjects and groups of files.
    Labels(Labels),
    /// Pairs of files.
    Pairs(PairList),
    /// Only what the store holds.
    Gallery,
}

/// A file of labels, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it says.
    pub known: Known,
    /// Its encoding, where that was guessed.
    pub assumed: Option<&'static str>,
}

/// Reads a table of labels or a list of pairs. A table begins with the names of its columns;
/// everything else is a list of pairs.
///
/// # Errors
/// If it is neither, or a line of it cannot be used.
pub fn read(bytes: &[u8]) -> Result<Reading, LabelError> {
    let text::Text { text, assumed } = text::decode(bytes)?;
    Ok(Reading { known: parse(&text)?, assumed })
}

fn parse(text: &str) -> Result<Known, LabelError> {
    let beginning = Beginning::of(text)?;
    let (line, first) = beginning.first;
    if beginning.separator.is_none() {
        if pair_list::begins_lfw(&beginning) {
            return Ok(Known::Pairs(PairList::of_lfw(text)?));
        }
        if pair_list::pair(first).is_some() && !pair_list::is_header(first) {
            return Ok(Known::Pairs(PairList::read(text)?));
        }
    }
    let Some(table) = Table::read(text, &beginning)? else {
        return Err(match pair_list::no_pair(line, first) {
            LabelError::Line { line, reason } if first.trim().contains([' ', '\t']) => {
                LabelError::Line {
                    line,
                    reason: format!(
                        "{reason}; and it names no columns, as a table's first line does, such as \
                            file,subject"
                    ),
                }
            }
            _ => LabelError::Line {
                line,
                reason: format!(
                    "'{}' names no columns: the first line of a table does, such as file,subject; \
                        a line of a list of pairs is two \
                     files and 1 or 0",
                    pair_list::short(first)
                ),
            },
        });
    };
    match PairList::of_table(&table)? {
        Some(list) => Ok(Known::Pairs(list)),
        None => Ok(Known::Labels(Labels::of_table(table)?)),
    }
}

impl Known {
    /// Each file that is named, with its line and subject, if that is named too.
    pub fn files(&self) -> Vec<(&str, u64, Option<&str>)> {
        match self {
            Self::Labels(labels) => labels
                .photos
                .iter()
                .map(|label| (label.file.as_str(), label.line, Some(label.subject.as_str())))
                .collect(),
            Self::Pairs(list) => list
                .files
                .iter()
                .zip(&list.lines)
                .map(|(file, line)| (file.as_str(), *line, None))
                .collect(),
            Self::Gallery => Vec::new(),
        }
    }

    /// Refuses what no scores could make up for, before anything is scored.
    ///
    /// # Errors
    /// If no two photos are of one person, or of two.
    pub fn check(&self) -> Result<(), PairError> {
        let (one, two) = match self {
            Self::Gallery => return Ok(()),
            Self::Pairs(list) => {
                let any = |wanted: bool| list.pairs.iter().any(|(_, _, same)| *same == wanted);
                (any(true), any(false))
            }
            Self::Labels(labels) => {
                let subjects: HashSet<&str> =
                    labels.photos.iter().map(|photo| photo.subject.as_str()).collect();
                (subjects.len() < labels.photos.len(), subjects.len() > 1)
            }
        };
        match (one, two) {
            (true, true) => Ok(()),
            (false, _) => Err(PairError::None("one person")),
            (true, false) => Err(PairError::None("two people")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        match parse(text).unwrap() {
            Known::Labels(labels) => labels,
            other => panic!("{other:?}"),
        }
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn labels_have_subjects_and_any_number_of_groups() {
        let labels = labels("file,subject,gender,age\na.jpg,Ann,f,30\nb.jpg,Bob,,\n");
        assert_eq!(labels.group_columns, ["gender", "age"]);
        assert_eq!(labels.photos[0].groups, ["f", "30"]);
        assert_eq!(
            (labels.photos[1].subject.as_str(), labels.photos[1].groups[0].as_str()),
            ("Bob", "")
        );
    }

    #[test]
    fn columns_may_be_in_any_order_and_have_other_names() {
        let labels = labels("gender;Person ID;;Image Path\nf;Ann;1;a.jpg\n");
        assert_eq!(labels.group_columns, ["gender"]);
        let [label] = &labels.photos[..] else { panic!("{labels:?}") };
        assert_eq!((label.file.as_str(), label.subject.as_str(), label.line), ("a.jpg", "Ann", 2));
    }

    #[test]
    fn labels_that_cannot_be_meant_are_named_by_line() {
        assert!(error("name,subject\na,b\n").contains("'file'"));
        assert!(error("file\na.jpg\n").contains("'subject'"));
        assert!(
            error("file,subject\na.jpg,Ann\na.jpg,Bob\n")
                .contains("line 3: file a.jpg is in line 2")
        );
        assert!(error("file,subject\na.jpg,\n").contains("line 2"));
        assert!(
            error(&format!("file,subject\na.jpg,{}\n", "x".repeat(201)))
                .contains("line 2: a subject is 1 to 200")
        );
        assert!(error("file,subject\n").contains("nothing"));
    }

    #[test]
    fn a_table_is_told_from_a_list_of_pairs_by_its_header() {
        for table in [
            "file,subject\na,A\n",
            "file;subject\na;A\n",
            "\n\"file\"\t\"subject\"\na\tA\n",
            "subject,file\n1,a\n",
        ] {
            assert!(matches!(parse(table), Ok(Known::Labels(_))), "{table:?}");
        }
        for pairs in [
            "# LFW, pairs\na b 1\n",
            "a,1.jpg b 0\n",
            "1\nAnn 1 2\n",
            "File1;File2;Same\na;b;Yes\n",
            "a,b,label\nx,y,0\n",
        ] {
            assert!(matches!(parse(pairs), Ok(Known::Pairs(_))), "{pairs:?}");
        }
        // A header whose words could be a pair and its label.
        for header in [
            "file1,file2,same",
            "a,b,same",
            "left\tright\tgenuine",
            "image1;image2;match",
            "File_A File_B Same",
        ] {
            let separator =
                header.chars().find(|c| !c.is_alphanumeric() && *c != '_').unwrap().to_string();
            let row = ["x.jpg", "y.jpg", "1"].join(&separator);
            match parse(&format!("{header}\n{row}\n")) {
                Ok(Known::Pairs(list)) => assert_eq!(list.files, ["x.jpg", "y.jpg"], "{header}"),
                other => panic!("{header}: {other:?}"),
            }
        }
        assert!(
            matches!(parse("same,file1,file2\n1,x,y\n"), Ok(Known::Pairs(list)) if list.files == ["x", "y"])
        );
        for (text, same) in [
            ("file1,file2,different\nx,y,1\nx,z,0\n", [false, true]),
            ("different;file1;file2\nno;x;y\nyes;x;z\n", [true, false]),
            ("file1,file2,different\nx,y,same\nx,z,different\n", [true, false]),
            ("file1,file2,different,same\nx,y,0,1\nx,z,1,0\n", [true, false]),
        ] {
            let Ok(Known::Pairs(list)) = parse(text) else { panic!("{text}: {:?}", parse(text)) };
            assert_eq!(list.pairs.iter().map(|pair| pair.2).collect::<Vec<_>>(), same, "{text}");
        }
    }

    #[test]
    fn what_has_no_header_and_is_no_pair_says_what_the_first_line_must_be() {
        for text in [
            "a.jpg,Ann\nb.jpg,Bob\n",
            "\n# people\na.jpg;Ann;f\n",
            "a.jpg\n",
            "a.jpg Ann\n",
            "a b.jpg c.jpg 1\n",
        ] {
            let error = error(text);
            let line = if text.starts_with('\n') { "line 3" } else { "line 1" };
            assert!(error.contains(line) && error.contains("file,subject"), "{error}");
        }
        assert!(error("a.jpg b.jpg maybe\n").contains("'maybe' is neither 1"));
        assert!(error("a,b,label\nx,y,2\n").contains("line 2: '2' is neither 1"));
    }
}
