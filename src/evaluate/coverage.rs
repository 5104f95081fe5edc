//! How far another tool's table covers the photos of an evaluation: which photos have no row, and
//! which values are missing.

use std::collections::HashSet;
use std::fmt;

use super::labels::OtherMeasures;

/// Names kept as examples.
const EXAMPLES: usize = 3;

/// A number of things, and the first of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// How many there are.
    pub count: usize,
    /// The first ones.
    pub first: Vec<String>,
}

impl Examples {
    fn of<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let mut examples = Self::default();
        for name in names {
            if examples.count < EXAMPLES {
                examples.first.push(name.clone());
            }
            examples.count += 1;
        }
        examples
    }
}

/// The count and the examples: `12, for example a.jpg, b.jpg`.
impl fmt::Display for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count <= self.first.len() {
            return write!(f, "{}: {}", self.count, self.first.join(", "));
        }
        write!(f, "{}, for example {}", self.count, self.first.join(", "))
    }
}

/// How far another tool's table covers the photos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCoverage {
    /// Photos of the evaluation.
    pub photos: usize,
    /// Photos without a row.
    pub without_row: Examples,
    /// Rows that belong to no photo of the evaluation.
    pub rows_without_photo: Examples,
    /// Each measure.
    pub measures: Vec<MeasureCoverage>,
}

/// How far one measure covers the photos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasureCoverage {
    /// Its name.
    pub name: String,
    /// Whether lower is better in the table.
    pub lower_is_better: bool,
    /// Photos whose row has no value of it.
    pub without_value: Examples,
}

/// A row of another tool's table: the photo's name there, and its values.
pub(super) type OtherRow<'a> = (&'a String, &'a Vec<Option<f64>>);

impl TableCoverage {
    /// The coverage by `rows`, which has the row of each of the photos `names`.
    pub(super) fn new(
        other: &OtherMeasures,
        names: &[String],
        rows: &[Option<OtherRow<'_>>],
    ) -> Self {
        let photos = || names.iter().zip(rows);
        let without_value = |column: usize| {
            photos()
                .filter(move |(_, row)| row.is_some_and(|(_, row)| row[column].is_none()))
                .map(|(name, _)| name)
        };
        let used: HashSet<&String> = rows.iter().flatten().map(|(name, _)| *name).collect();
        let mut unused: Vec<&String> =
            other.values.keys().filter(|name| !used.contains(name)).collect();
        unused.sort_unstable();
        let measure = |(column, name): (usize, &String)| MeasureCoverage {
            name: name.clone(),
            lower_is_better: other.lower_is_better[column],
            without_value: Examples::of(without_value(column)),
        };
        Self {
            photos: names.len(),
            without_row: Examples::of(
                photos().filter(|(_, row)| row.is_none()).map(|(name, _)| name),
            ),
            rows_without_photo: Examples::of(unused.into_iter()),
            measures: other.names.iter().enumerate().map(measure).collect(),
        }
    }

    /// What there is to know, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let covered = self.photos - self.without_row.count;
        let names: Vec<String> = self
            .measures
            .iter()
            .map(|measure| {
                let lower = if measure.lower_is_better { " (lower is better)" } else { "" };
                format!("{}{lower}", measure.name)
            })
            .collect();
        let mut sentences = vec![format!(
            "{covered} of {} photos have a row in the other tool's table; measures: {}",
            self.photos,
            names.join(", ")
        )];
        if self.without_row.count > 0 {
            sentences.push(format!("photos without a row: {}", self.without_row));
        }
        for measure in self.measures.iter().filter(|measure| measure.without_value.count > 0) {
            let Examples { count, .. } = measure.without_value;
            let all = if count == covered { ": the table has none at all" } else { "" };
            sentences.push(format!(
                "rows without a value of {}: {}{all}",
                measure.name, measure.without_value
            ));
        }
        if sentences.len() > 1 {
            sentences.push(
                "a photo without a value is the first that its measure discards: the tool could \
                 not assess it"
                    .to_owned(),
            );
        }
        if self.rows_without_photo.count > 0 {
            sentences.push(format!(
                "rows that belong to no photo with a score: {}",
                self.rows_without_photo
            ));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::labels::OtherColumns;

    #[test]
    fn gaps_are_counted_and_named() {
        let table = "file,unified,noise\na,1,\nb,,\nx,3,4\n";
        let columns =
            OtherColumns { wanted: Vec::new(), lower_is_better: vec!["noise".to_owned()] };
        let other = OtherMeasures::read(table.as_bytes(), &columns).unwrap();
        let names = ["a", "b", "c", "d", "e", "f"].map(str::to_owned);
        let rows: Vec<_> = names.iter().map(|name| other.values.get_key_value(name)).collect();
        let coverage = TableCoverage::new(&other, &names, &rows);
        assert_eq!(
            coverage.sentences(),
            [
                "2 of 6 photos have a row in the other tool's table; measures: unified, noise \
                 (lower is better)",
                "photos without a row: 4, for example c, d, e",
                "rows without a value of unified: 1: b",
                "rows without a value of noise: 2: a, b: the table has none at all",
                "a photo without a value is the first that its measure discards: the tool could \
                 not assess it",
                "rows that belong to no photo with a score: 1: x",
            ]
        );
        let whole = TableCoverage::new(&other, &names[..1], &rows[..1]);
        assert_eq!(whole.without_row, Examples::default());
    }
}
