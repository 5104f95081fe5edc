//! A table of files, their subjects and their groups.

use std::collections::HashMap;

use super::LabelError;
use super::columns::{FILE, SUBJECT, find_named, is_number};
use super::table::{Row, Table};
use crate::domain::SubjectName;

/// A table of files, subjects and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The photos, in the table's order.
    pub photos: Vec<Label>,
    /// Names of the group columns: all columns but file and subject.
    pub group_columns: Vec<String>,
}

/// One photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its file, as the table names it.
    pub file: String,
    /// The person it shows.
    pub subject: SubjectName,
    /// A value for each group column; empty where unknown.
    pub groups: Vec<String>,
    /// The line of the table.
    pub line: u64,
}

/// Why a table has no group column to use.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// No group column has the requested name.
    #[error("the labels have no column '{wanted}' of groups, only {found}")]
    Unknown {
        /// The requested name.
        wanted: String,
        /// The group columns.
        found: String,
    },
    /// The table has no group column.
    #[error("the labels have no column of groups, only file and subject")]
    None,
    /// All group columns look like row numbers.
    #[error(
        "the labels have no column of groups, only file, subject and what seem to be row numbers \
         ({0}); if a column contains groups, name it with --group"
    )]
    Numbers(String),
}

impl Labels {
    pub(super) fn of_table(table: Table) -> Result<Self, LabelError> {
        let (file, subject) = (FILE.find(&table.header)?, SUBJECT.find(&table.header)?);
        let is_group =
            |column: &usize| ![file, subject].contains(column) && !table.header[*column].is_empty();
        let groups: Vec<usize> = (0..table.header.len()).filter(is_group).collect();
        let (mut photos, mut lines) = (Vec::new(), HashMap::new());
        for row in table.rows {
            let label = label(&row, file, subject, &groups)?;
            if let Some(first) = lines.insert(label.file.clone(), row.line) {
                let reason =
                    format!("file {} is in line {first} already: keep one of the two", label.file);
                return Err(LabelError::Line { line: row.line, reason });
            }
            photos.push(label);
        }
        let group_columns = groups.iter().map(|column| table.header[*column].clone()).collect();
        if photos.is_empty() { Err(LabelError::Empty) } else { Ok(Self { photos, group_columns }) }
    }

    /// The index of the group column `wanted`, or of the first one that does not just number the
    /// rows.
    ///
    /// # Errors
    /// If the table has no such column.
    pub fn group_column(&self, wanted: Option<&str>) -> Result<usize, GroupError> {
        let columns = &self.group_columns;
        let found = || match columns.as_slice() {
            [] => "file and subject".to_owned(),
            _ => columns.iter().map(|column| format!("'{column}'")).collect::<Vec<_>>().join(", "),
        };
        match wanted {
            Some(name) => find_named(columns, name)
                .ok_or_else(|| GroupError::Unknown { wanted: name.to_owned(), found: found() }),
            None if columns.is_empty() => Err(GroupError::None),
            None => columns
                .iter()
                .position(|column| !is_number(column))
                .ok_or_else(|| GroupError::Numbers(found())),
        }
    }
}

fn label(row: &Row, file: usize, subject: usize, groups: &[usize]) -> Result<Label, LabelError> {
    let refused = |reason: String| LabelError::Line { line: row.line, reason };
    let (file, subject) = (&row.cells[file], &row.cells[subject]);
    if file.is_empty() || subject.is_empty() {
        return Err(refused("file and subject must not be empty".into()));
    }
    Ok(Label {
        file: file.clone(),
        subject: subject.parse::<SubjectName>().map_err(|error| refused(error.to_string()))?,
        groups: groups.iter().map(|column| row.cells[*column].clone()).collect(),
        line: row.line,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{GroundTruth, parse};
    use super::*;

    fn labels(text: &str) -> Labels {
        match parse(text).unwrap() {
            GroundTruth::Labels(labels) => labels,
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
    fn errors_name_the_line() {
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
    fn the_group_column_is_the_first_that_does_not_number_the_rows() {
        let named = labels("file,subject,index,gender\na.jpg,Ann,1,f\n");
        assert_eq!(named.group_column(None).unwrap(), 1);
        assert_eq!(named.group_column(Some("Index")).unwrap(), 0);
        let unknown = named.group_column(Some("age")).unwrap_err().to_string();
        assert!(unknown.contains("'age'") && unknown.contains("'gender'"), "{unknown}");
        let numbered = labels("file,subject,index\na.jpg,Ann,1\n").group_column(None);
        assert!(numbered.unwrap_err().to_string().contains("--group"));
        assert!(matches!(
            labels("file,subject\na.jpg,Ann\n").group_column(None),
            Err(GroupError::None)
        ));
    }
}
