//! Quality measures of other tools for the same photos.

use std::collections::HashMap;

use super::LabelError;
use super::columns::{FILE, find_named};
use super::table::{Beginning, Table};
use super::text::decode;

/// Which columns of another tool's table to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherColumns {
    /// These columns; if empty, all that contain numbers and nothing else.
    pub wanted: Vec<String>,
    /// Columns in which lower is better. They are read even if `wanted` does not name them.
    pub lower_is_better: Vec<String>,
}

/// The measures of another tool: a table with a column `file` (or `image`) and columns of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherMeasures {
    /// Names of the measures.
    pub names: Vec<String>,
    /// For each measure, whether lower is better in the table.
    pub lower_is_better: Vec<bool>,
    /// The values of each file, higher being better: those of columns in which lower is better are
    /// negated. None where the tool gave none.
    pub values: HashMap<String, Vec<Option<f64>>>,
}

impl OtherMeasures {
    /// Reads the columns `choice` of a table. In a table with a row for each face, which has a
    /// column `face`, only the rows of primary faces, 0, count.
    ///
    /// # Errors
    /// If it is not such a table, has two rows for a file, or a column of `choice` is missing or
    /// contains something other than numbers.
    pub fn read(bytes: &[u8], choice: &OtherColumns) -> Result<Self, LabelError> {
        let text = decode(bytes)?.text;
        let mut table = Table::of_any_columns(&text, &Beginning::of(&text)?)?;
        let header = &table.header;
        let find = |name: &str| {
            find_named(header, name).ok_or_else(|| LabelError::Column {
                wanted: format!("'{name}'"),
                found: header.join(", "),
            })
        };
        let key = FILE.find(header)?;
        let face = find("face").ok();
        let commas = table.has_decimal_commas();
        // In another tool's table, `face` may mean something else. It counts the faces if there are
        // zeros.
        let face = face.filter(|&face| table.rows.iter().any(|row| row.cells[face] == "0"));
        table
            .rows
            .retain(|row| face.is_none_or(|face| matches!(row.cells[face].as_str(), "" | "0")));
        let mut columns: Vec<usize> = if choice.wanted.is_empty() {
            let numeric = |column: &usize| {
                let numbers = || table.rows.iter().map(|row| number(&row.cells[*column], commas));
                numbers().all(|number| number.is_ok())
                    && numbers().flatten().flatten().next().is_some()
            };
            (0..header.len())
                .filter(|column| *column != key && Some(*column) != face)
                .filter(numeric)
                .collect()
        } else {
            choice.wanted.iter().map(|name| find(name)).collect::<Result<_, _>>()?
        };
        let lower: Vec<usize> =
            choice.lower_is_better.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
        columns.extend(lower.iter().filter(|column| !columns.contains(column)).collect::<Vec<_>>());
        if table.rows.is_empty() || columns.is_empty() {
            return Err(LabelError::Empty);
        }
        let mut values = HashMap::new();
        for row in &table.rows {
            let value = |&column: &usize| {
                let number = number(&row.cells[column], commas)?;
                Ok(if lower.contains(&column) { number.map(|number| -number) } else { number })
            };
            let numbers: Result<Vec<_>, String> = columns.iter().map(value).collect();
            let refused = |reason| LabelError::Line { line: row.line, reason };
            if values.insert(row.cells[key].clone(), numbers.map_err(refused)?).is_some() {
                return Err(refused(format!("there is a row of {} already", row.cells[key])));
            }
        }
        Ok(Self {
            names: columns.iter().map(|&column| header[column].clone()).collect(),
            lower_is_better: columns.iter().map(|column| lower.contains(column)).collect(),
            values,
        })
    }
}

/// The number of a cell. With `commas`, the decimal point may be a comma.
fn number(text: &str, commas: bool) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = match text.split_once(',') {
        Some((whole, rest)) if commas => format!("{whole}.{rest}").parse::<f64>(),
        _ => text.parse(),
    };
    match parsed {
        // Tools write NaN and infinities where they have no value.
        Ok(value) => Ok(value.is_finite().then_some(value)),
        Err(_) => Err(format!("'{text}' is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(wanted: &[&str], lower_is_better: &[&str]) -> OtherColumns {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        OtherColumns { wanted: names(wanted), lower_is_better: names(lower_is_better) }
    }

    #[test]
    fn columns_in_which_lower_is_better_are_negated() {
        let table = "file,unified,noise,tool\na.jpg,57,0.5,x\nb.jpg,40,,x\n";
        let read = |choice| OtherMeasures::read(table.as_bytes(), &choice);
        let all = read(columns(&[], &["NOISE"])).unwrap();
        assert_eq!(
            (&all.names[..], &all.lower_is_better[..]),
            (&["unified".to_owned(), "noise".to_owned()][..], &[false, true][..])
        );
        assert_eq!(all.values["a.jpg"], [Some(57.0), Some(-0.5)]);
        assert_eq!(all.values["b.jpg"], [Some(40.0), None]);
        let added = read(columns(&["unified"], &["noise"])).unwrap();
        assert_eq!(added.names, ["unified", "noise"]);
        let error = read(columns(&[], &["sharpness"])).unwrap_err().to_string();
        assert!(error.contains("sharpness") && error.contains("unified"), "{error}");
        assert!(read(columns(&[], &["tool"])).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn columns_are_read_by_name_or_if_they_contain_only_numbers() {
        let table = "tool,file,unified,sharpness\nx,a.jpg,57,nan\nx,b.jpg,,2.5\n";
        let all = OtherMeasures::read(table.as_bytes(), &columns(&[], &[])).unwrap();
        assert_eq!(all.names, ["unified", "sharpness"]);
        assert_eq!(all.values["a.jpg"], [Some(57.0), None]);
        assert_eq!(all.values["b.jpg"], [None, Some(2.5)]);
        let one = OtherMeasures::read(table.as_bytes(), &columns(&["sharpness"], &[])).unwrap();
        assert_eq!(one.values["b.jpg"], [Some(2.5)]);
        assert!(
            OtherMeasures::read(table.as_bytes(), &columns(&["tool"], &[]))
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
        assert!(
            OtherMeasures::read(table.as_bytes(), &columns(&["mos"], &[]))
                .unwrap_err()
                .to_string()
                .contains("unified")
        );
        let twice =
            OtherMeasures::read("file,x\na.jpg,1\na.jpg,2\n".as_bytes(), &columns(&[], &[]))
                .unwrap_err()
                .to_string();
        assert!(twice.contains("line 3") && twice.contains("a.jpg"), "{twice}");
    }

    #[test]
    fn only_primary_faces_count_in_a_table_with_a_row_for_each_face() {
        let export = "image,outcome,reason,face,score\na.jpg,scored,,0,0.9\na.jpg,scored,,1,0.1\n\
                      b.jpg,no_face,,,\n";
        let measures = OtherMeasures::read(export.as_bytes(), &columns(&[], &[])).unwrap();
        assert_eq!(measures.names, ["score"], "neither the number of the face nor an empty column");
        assert_eq!(
            (&measures.values["a.jpg"][..], &measures.values["b.jpg"][..]),
            (&[Some(0.9)][..], &[None][..])
        );
    }

    #[test]
    fn a_spreadsheets_table_may_have_semicolons_and_decimal_commas() {
        let table = "sep=;\nDatei;Bild\n";
        assert!(
            OtherMeasures::read(table.as_bytes(), &columns(&[], &[]))
                .unwrap_err()
                .to_string()
                .contains("'file'")
        );
        let measures = OtherMeasures::read(
            "sep=;\nFile Name;Unified\na.jpg;57,5\n".as_bytes(),
            &columns(&["unified"], &[]),
        )
        .unwrap();
        assert_eq!(
            (&measures.names[..], &measures.values["a.jpg"][..]),
            (&["Unified".to_owned()][..], &[Some(57.5)][..])
        );
    }
}
