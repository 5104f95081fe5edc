//! Ground truth for photos: subjects, groups, and pairs that are mated or not; and the quality
//! measures of other tools.
//!
//! Reads tables as people have them: in any usual encoding, with any usual separator, and with
//! columns in any order, found by name.

mod columns;
mod other;
mod pair_list;
mod subjects;
mod table;
mod text;

use std::collections::HashSet;

pub use other::{OtherColumns, OtherMeasures};
pub use pair_list::PairList;
pub use subjects::{GroupError, Label, Labels};

use self::table::{Beginning, Table};
use super::pairs::PairError;
use crate::domain::SubjectName;

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The file is not a text.
    #[error("it is {0}")]
    NoText(String),
    /// The file is not a table.
    #[error("not a table: {0}")]
    Table(#[from] csv::Error),
    /// A column is missing.
    #[error("no column {wanted} among {found}: name it in the first line")]
    Column {
        /// Its name, and other accepted names.
        wanted: String,
        /// The columns of the file.
        found: String,
    },
    /// Several columns may be the one that is needed.
    #[error(
        "columns {candidates} could all be the {wanted}: give the right one the name '{wanted}'"
    )]
    Ambiguous {
        /// The column that is needed.
        wanted: &'static str,
        /// The columns that it may be.
        candidates: String,
    },
    /// A row cannot be used.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The file has no row.
    #[error("it lists nothing")]
    Empty,
}

/// What the user's file says of photos.
#[derive(Debug, Clone, PartialEq)]
pub enum GroundTruth {
    /// Subjects and groups of files.
    Labels(Labels),
    /// Pairs of files.
    Pairs(PairList),
}

/// A photo as a file of labels names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPhoto<'a> {
    /// Its file.
    pub file: &'a str,
    /// The line that names it first.
    pub line: u64,
    /// Its subject; none in a list of pairs.
    pub subject: Option<&'a SubjectName>,
}

/// Reads a table of labels or a list of pairs, and returns its encoding where that was guessed. A
/// table begins with the names of its columns; every other text is a list of pairs.
///
/// # Errors
/// If it is neither, or one of its lines cannot be used.
pub fn read(bytes: &[u8]) -> Result<(GroundTruth, Option<&'static str>), LabelError> {
    let text::Text { text, assumed } = text::decode(bytes)?;
    Ok((parse(&text)?, assumed))
}

fn parse(text: &str) -> Result<GroundTruth, LabelError> {
    let beginning = Beginning::of(text)?;
    let (line, first) = beginning.first;
    if beginning.separator.is_none() {
        if pair_list::begins_lfw(&beginning) {
            return Ok(GroundTruth::Pairs(PairList::of_lfw(text)?));
        }
        if pair_list::pair(first).is_some() && !pair_list::is_header(first) {
            return Ok(GroundTruth::Pairs(PairList::read(text)?));
        }
    }
    let Some(table) = Table::read(text, &beginning)? else {
        return Err(neither_table_nor_pairs(line, first));
    };
    match PairList::of_table(&table)? {
        Some(list) => Ok(GroundTruth::Pairs(list)),
        None => Ok(GroundTruth::Labels(Labels::of_table(table)?)),
    }
}

fn neither_table_nor_pairs(number: u64, first: &str) -> LabelError {
    match pair_list::not_a_pair(number, first) {
        LabelError::Line { line, reason } if first.trim().contains([' ', '\t']) => {
            let reason = format!(
                "{reason}; and it names no columns, as the first line of a table does, such as \
                 file,subject"
            );
            LabelError::Line { line, reason }
        }
        _ => {
            let reason = format!(
                "'{}' names no columns: the first line of a table does, such as file,subject; \
                 a line of a list of pairs is two files and 1 or 0",
                pair_list::short(first)
            );
            LabelError::Line { line: number, reason }
        }
    }
}

impl GroundTruth {
    /// The photos, in the file's order.
    pub fn photos(&self) -> Vec<NamedPhoto<'_>> {
        match self {
            Self::Labels(labels) => labels
                .photos
                .iter()
                .map(|Label { file, line, subject, .. }| NamedPhoto {
                    file,
                    line: *line,
                    subject: Some(subject),
                })
                .collect(),
            Self::Pairs(list) => list
                .files
                .iter()
                .zip(&list.lines)
                .map(|(file, line)| NamedPhoto { file, line: *line, subject: None })
                .collect(),
        }
    }

    /// For each photo, a text that is the same for all photos of its subject: the subject's name,
    /// or a number where only pairs are known.
    pub fn subjects(&self) -> Vec<String> {
        match self {
            Self::Labels(labels) => {
                labels.photos.iter().map(|photo| photo.subject.as_str().to_owned()).collect()
            }
            Self::Pairs(list) => list.subjects().iter().map(u32::to_string).collect(),
        }
    }

    /// Refuses, before anything is scored, labels without a mated or without a non-mated pair.
    ///
    /// # Errors
    /// If there is no mated pair, or no non-mated one.
    pub fn check(&self) -> Result<(), PairError> {
        let (mated, non_mated) = match self {
            Self::Pairs(list) => {
                let any = |wanted: bool| list.pairs.iter().any(|(_, _, same)| *same == wanted);
                (any(true), any(false))
            }
            Self::Labels(labels) => {
                let subjects: HashSet<&SubjectName> =
                    labels.photos.iter().map(|photo| &photo.subject).collect();
                (subjects.len() < labels.photos.len(), subjects.len() > 1)
            }
        };
        match (mated, non_mated) {
            (true, true) => Ok(()),
            (false, _) => Err(PairError::NoMated),
            (true, false) => Err(PairError::NoNonMated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_header_distinguishes_a_table_from_a_list_of_pairs() {
        for table in [
            "file,subject\na,A\n",
            "file;subject\na;A\n",
            "\n\"file\"\t\"subject\"\na\tA\n",
            "subject,file\n1,a\n",
        ] {
            assert!(matches!(parse(table), Ok(GroundTruth::Labels(_))), "{table:?}");
        }
        for pairs in [
            "# LFW, pairs\na b 1\n",
            "a,1.jpg b 0\n",
            "1\nAnn 1 2\n",
            "File1;File2;Same\na;b;Yes\n",
            "a,b,label\nx,y,0\n",
        ] {
            assert!(matches!(parse(pairs), Ok(GroundTruth::Pairs(_))), "{pairs:?}");
        }
        // Headers that could be read as a pair and its label.
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
                Ok(GroundTruth::Pairs(list)) => {
                    assert_eq!(list.files, ["x.jpg", "y.jpg"], "{header}")
                }
                other => panic!("{header}: {other:?}"),
            }
        }
        assert!(matches!(parse("same,file1,file2\n1,x,y\n"), Ok(GroundTruth::Pairs(list))
                if list.files == ["x", "y"]));
        for (text, same) in [
            ("file1,file2,different\nx,y,1\nx,z,0\n", [false, true]),
            ("different;file1;file2\nno;x;y\nyes;x;z\n", [true, false]),
            ("file1,file2,different\nx,y,same\nx,z,different\n", [true, false]),
            ("file1,file2,different,same\nx,y,0,1\nx,z,1,0\n", [true, false]),
        ] {
            let Ok(GroundTruth::Pairs(list)) = parse(text) else {
                panic!("{text}: {:?}", parse(text))
            };
            assert_eq!(list.pairs.iter().map(|pair| pair.2).collect::<Vec<_>>(), same, "{text}");
        }
    }

    #[test]
    fn the_error_says_what_the_first_line_must_be() {
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
