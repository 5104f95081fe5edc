//! What other tools say of the same photos.

use std::collections::HashMap;

use super::LabelError;
use super::columns::{FILE, find_named};
use super::table::{Beginning, Table};
use super::text::decode;

/// What another tool says of photos: a table with a column `file` (or `image`) and columns of
/// numbers, higher being better.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherMeasures {
    /// Names of the number columns.
    pub names: Vec<String>,
    /// For each file, its numbers; none where the tool gave none.
    pub values: HashMap<String, Vec<Option<f64>>>,
}

impl OtherMeasures {
    /// Reads the columns `wanted` of a table; all that hold numbers, and in no row anything else,
    /// if none is wanted by name. Of a table with a row a face, which has a column `face`, the rows
    /// of the primary face, 0, count.
    ///
    /// # Errors
    /// If it is no such table, tells a file's numbers twice, or a wanted column is not there or
    /// holds something that is no number.
    pub fn read(bytes: &[u8], wanted: &[String]) -> Result<Self, LabelError> {
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
        // Another tool may mean something else by the word.
        let face = face.filter(|&face| table.rows.iter().any(|row| row.cells[face] == "0"));
        table
            .rows
            .retain(|row| face.is_none_or(|face| matches!(row.cells[face].as_str(), "" | "0")));
        let columns: Vec<usize> = if wanted.is_empty() {
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
            wanted.iter().map(|name| find(name)).collect::<Result<_, _>>()?
        };
        if table.rows.is_empty() || columns.is_empty() {
            return Err(LabelError::Empty);
        }
        let mut values = HashMap::new();
        for row in &table.rows {
            let numbers: Result<Vec<_>, String> =
                columns.iter().map(|&column| number(&row.cells[column], commas)).collect();
            let refused = |reason| LabelError::Line { line: row.line, reason };
            if values.insert(row.cells[key].clone(), numbers.map_err(refused)?).is_some() {
                return Err(refused(format!("there is a row of {} already", row.cells[key])));
            }
        }
        Ok(Self { names: columns.iter().map(|&column| header[column].clone()).collect(), values })
    }
}

/// The number of a cell; with `commas`, it may have one for a decimal point.
fn number(text: &str, commas: bool) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = match text.split_once(',') {
        Some((whole, rest)) if commas => format!("{whole}.{rest}").parse::<f64>(),
        _ => text.parse(),
    };
    match parsed {
        // What is not finite is how tools say that they have no value.
        Ok(value) => Ok(value.is_finite().then_some(value)),
        Err(_) => Err(format!("'{text}' is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tools_columns_are_taken_by_name_or_if_they_hold_numbers() {
        let table = "tool,file,unified,sharpness\nx,a.jpg,57,nan\nx,b.jpg,,2.5\n";
        let all = OtherMeasures::read(table.as_bytes(), &[]).unwrap();
        assert_eq!(all.names, ["unified", "sharpness"]);
        assert_eq!(all.values["a.jpg"], [Some(57.0), None]);
        assert_eq!(all.values["b.jpg"], [None, Some(2.5)]);
        let one = OtherMeasures::read(table.as_bytes(), &["sharpness".to_owned()]).unwrap();
        assert_eq!(one.values["b.jpg"], [Some(2.5)]);
        assert!(
            OtherMeasures::read(table.as_bytes(), &["tool".to_owned()])
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
        assert!(
            OtherMeasures::read(table.as_bytes(), &["mos".to_owned()])
                .unwrap_err()
                .to_string()
                .contains("unified")
        );
        let twice = OtherMeasures::read("file,x\na.jpg,1\na.jpg,2\n".as_bytes(), &[])
            .unwrap_err()
            .to_string();
        assert!(twice.contains("line 3") && twice.contains("a.jpg"), "{twice}");
    }

    #[test]
    fn of_a_row_a_face_the_primary_face_counts() {
        let export = "image,outcome,reason,face,score\na.jpg,scored,,0,0.9\na.jpg,scored,,1,0.1\nb.jpg,no_face,,,\n";
        let measures = OtherMeasures::read(export.as_bytes(), &[]).unwrap();
        assert_eq!(
            measures.names,
            ["score"],
            "neither the number of the face nor a column of nothing"
        );
        assert_eq!(
            (&measures.values["a.jpg"][..], &measures.values["b.jpg"][..]),
            (&[Some(0.9)][..], &[None][..])
        );
    }

    #[test]
    fn a_table_of_a_spreadsheet_may_have_semicolons_and_decimal_commas() {
        let table = "sep=;\nDatei;Bild\n";
        assert!(
            OtherMeasures::read(table.as_bytes(), &[]).unwrap_err().to_string().contains("'file'")
        );
        let measures = OtherMeasures::read(
            "sep=;\nFile Name;Unified\na.jpg;57,5\n".as_bytes(),
            &["unified".to_owned()],
        )
        .unwrap();
        assert_eq!(
            (&measures.names[..], &measures.values["a.jpg"][..]),
            (&["Unified".to_owned()][..], &[Some(57.5)][..])
        );
    }
}
