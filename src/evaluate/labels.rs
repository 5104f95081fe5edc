//! What people know of photos: whose they are, which group the person belongs to, which pairs show one person, and what other tools say.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::pairs::PairError;

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// Not a table, or a row of another length.
    #[error("not a table: {0}")]
    Table(#[from] csv::Error),
    /// A column that is not there.
    #[error("there is no column '{wanted}', only {found}")]
    Column {
        /// Its name.
        wanted: String,
        /// Those there are.
        found: String,
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

/// A table `file,subject[,group…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The photos, in the table's order.
    pub photos: Vec<Label>,
    /// Names of the group columns.
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
}

impl Labels {
    /// Reads a table whose first two columns are `file` and `subject`; all others are groups.
    ///
    /// # Errors
    /// If it is no such table, names a file twice, or leaves a file or subject empty.
    pub fn read(source: impl Read) -> Result<Self, LabelError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers()?.clone();
        for (place, wanted) in ["file", "subject"].into_iter().enumerate() {
            if header.get(place) != Some(wanted) {
                return Err(no_column(wanted, &header));
            }
        }
        let group_columns = header.iter().skip(2).map(str::to_owned).collect();
        let (mut photos, mut lines) = (Vec::new(), HashMap::new());
        for row in reader.records() {
            let row = row?;
            let line = row.position().map_or(0, csv::Position::line);
            let refused = |reason: String| Err(LabelError::Line { line, reason });
            let (file, subject) = (&row[0], &row[1]);
            if file.is_empty() || subject.is_empty() {
                return refused("file and subject must not be empty".into());
            }
            if let Some(first) = lines.insert(file.to_owned(), line) {
                return refused(format!("file {file} is in line {first} already"));
            }
            let groups = row.iter().skip(2).map(str::to_owned).collect();
            photos.push(Label { file: file.to_owned(), subject: subject.to_owned(), groups });
        }
        if photos.is_empty() { Err(LabelError::Empty) } else { Ok(Self { photos, group_columns }) }
    }
}

/// A list of pairs, a line each: two files, and 1 if they show one person or 0 if two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairList {
    /// The files, in the order they are first named.
    pub files: Vec<String>,
    /// Places in `files`, and whether they show one person.
    pub pairs: Vec<(u32, u32, bool)>,
}

impl PairList {
    /// Reads a list. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// If a line is no pair, repeats or contradicts others, or there is none.
    pub fn read(text: &str) -> Result<Self, LabelError> {
        let (mut files, mut places) = (Vec::new(), HashMap::new());
        let mut place = |file: &str| {
            *places.entry(file.to_owned()).or_insert_with(|| {
                files.push(file.to_owned());
                (files.len() - 1) as u32
            })
        };
        let (mut pairs, mut lines) = (Vec::new(), HashMap::new());
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let [a, b, same] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(LabelError::Line {
                    line: number,
                    reason: "a pair is two files and 0 or 1, with spaces between".into(),
                });
            };
            let same = match same {
                "1" => true,
                "0" => false,
                other => {
                    let reason = format!("'{other}' is neither 1 (one person) nor 0 (two)");
                    return Err(LabelError::Line { line: number, reason });
                }
            };
            let (first, second) = (place(a), place(b));
            let refused = |reason: String| Err(LabelError::Line { line: number, reason });
            if first == second {
                return refused(format!("{a} is compared with itself"));
            }
            if let Some(line) = lines.insert((first.min(second), first.max(second)), number) {
                return refused(format!("the pair of {a} and {b} is in line {line} already"));
            }
            pairs.push((first, second, same));
        }
        let list = Self { files, pairs };
        let subjects = list.subjects();
        let of_two = list.pairs.iter().find(|(a, b, same)| !same && subjects[*a as usize] == subjects[*b as usize]);
        match of_two {
            _ if list.pairs.is_empty() => Err(LabelError::Empty),
            None => Ok(list),
            Some((a, b, _)) => Err(LabelError::Line {
                line: lines[&(*a.min(b), *a.max(b))],
                reason: format!(
                    "{} and {} are said to show two people, and other pairs link them as one",
                    list.files[*a as usize], list.files[*b as usize]
                ),
            }),
        }
    }

    /// For each file a number that the files of one person share, as far as the list tells: whoever is linked by pairs of one person.
    pub fn subjects(&self) -> Vec<u32> {
        let mut parents: Vec<u32> = (0..self.files.len() as u32).collect();
        for &(a, b, _) in self.pairs.iter().filter(|(_, _, same)| *same) {
            let (a, b) = (root(&mut parents, a), root(&mut parents, b));
            parents[a.max(b) as usize] = a.min(b);
        }
        (0..self.files.len() as u32).map(|file| root(&mut parents, file)).collect()
    }
}

fn root(parents: &mut [u32], mut file: u32) -> u32 {
    while parents[file as usize] != file {
        // Every second link is shortened: chains stay short.
        parents[file as usize] = parents[parents[file as usize] as usize];
        file = parents[file as usize];
    }
    file
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

impl Known {
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
                let subjects: HashSet<&str> = labels.photos.iter().map(|photo| photo.subject.as_str()).collect();
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

/// What another tool says of photos: a table with a column `file` (or `image`) and columns of numbers, higher being better.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherMeasures {
    /// Names of the number columns.
    pub names: Vec<String>,
    /// For each file, its numbers; none where the tool gave none.
    pub values: HashMap<String, Vec<Option<f64>>>,
}

impl OtherMeasures {
    /// Reads the columns `wanted` of a table; all that hold numbers, and in no row anything else, if none is wanted by name. Of a table
    /// with a row a face, which has a column `face`, the rows of the primary face, 0, count.
    ///
    /// # Errors
    /// If it is no such table, tells a file's numbers twice, or a wanted column is not there or holds something that is no number.
    pub fn read(source: impl Read, wanted: &[String]) -> Result<Self, LabelError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers()?.clone();
        let find = |name: &str| header.iter().position(|column| column == name).ok_or_else(|| no_column(name, &header));
        let key = find("file").or_else(|_| find("image")).map_err(|_| no_column("file", &header))?;
        let face = find("face").ok();
        let mut rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        // Another tool may mean something else by the word.
        let face = face.filter(|&face| rows.iter().any(|row| &row[face] == "0"));
        rows.retain(|row| face.is_none_or(|face| matches!(&row[face], "" | "0")));
        let columns: Vec<usize> = if wanted.is_empty() {
            let numeric = |column: &usize| {
                let numbers = || rows.iter().map(|row| number(&row[*column]));
                numbers().all(|number| number.is_ok()) && numbers().flatten().flatten().next().is_some()
            };
            (0..header.len()).filter(|column| *column != key && Some(*column) != face).filter(numeric).collect()
        } else {
            wanted.iter().map(|name| find(name)).collect::<Result<_, _>>()?
        };
        if rows.is_empty() || columns.is_empty() {
            return Err(LabelError::Empty);
        }
        let mut values = HashMap::new();
        for row in &rows {
            let numbers: Result<Vec<_>, String> = columns.iter().map(|&column| number(&row[column])).collect();
            let line = row.position().map_or(0, csv::Position::line);
            let refused = |reason| LabelError::Line { line, reason };
            if values.insert(row[key].to_owned(), numbers.map_err(refused)?).is_some() {
                return Err(refused(format!("there is a row of {} already", &row[key])));
            }
        }
        Ok(Self { names: columns.iter().map(|&column| header[column].to_owned()).collect(), values })
    }
}

fn number(text: &str) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        // What is not finite is how tools say that they have no value.
        Ok(value) => Ok(value.is_finite().then_some(value)),
        Err(_) => Err(format!("'{text}' is no number")),
    }
}

fn no_column(wanted: &str, header: &csv::StringRecord) -> LabelError {
    LabelError::Column { wanted: wanted.to_owned(), found: header.iter().collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_subjects_and_any_number_of_groups() {
        let labels = Labels::read("file,subject,gender,age\na.jpg,Ann,f,30\nb.jpg,Bob,,\n".as_bytes()).unwrap();
        assert_eq!(labels.group_columns, ["gender", "age"]);
        assert_eq!(labels.photos[0].groups, ["f", "30"]);
        assert_eq!((labels.photos[1].subject.as_str(), labels.photos[1].groups[0].as_str()), ("Bob", ""));
    }

    #[test]
    fn labels_that_cannot_be_meant_are_named_by_line() {
        let error = |text: &str| Labels::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error("name,subject\na,b\n").contains("'file'"));
        assert!(error("file,subject\na.jpg,Ann\na.jpg,Bob\n").contains("line 3: file a.jpg is in line 2"));
        assert!(error("file,subject\na.jpg,\n").contains("line 2"));
        assert!(error("file,subject\n").contains("nothing"));
    }

    #[test]
    fn people_of_a_pair_list_are_those_who_are_linked() {
        let list = PairList::read("# LFW\na b 1\nc d 1\n\nb e 1\na c 0\n").unwrap();
        assert_eq!(list.files, ["a", "b", "c", "d", "e"]);
        assert_eq!(list.pairs[3], (0, 2, false));
        assert_eq!(list.subjects(), [0, 0, 2, 2, 0]);
        assert!(PairList::read("a b 2").unwrap_err().to_string().contains("line 1"));
        assert!(PairList::read("a b").is_err());
        for (text, line) in
            [("a b 1\na a 1", "line 2: a is compared"), ("a b 1\nb a 0", "line 2: the pair"), ("a b 1\nb c 1\nc a 0", "line 3")]
        {
            let error = PairList::read(text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn other_tools_columns_are_taken_by_name_or_if_they_hold_numbers() {
        let table = "tool,file,unified,sharpness\nx,a.jpg,57,nan\nx,b.jpg,,2.5\n";
        let all = OtherMeasures::read(table.as_bytes(), &[]).unwrap();
        assert_eq!(all.names, ["unified", "sharpness"]);
        assert_eq!(all.values["a.jpg"], [Some(57.0), None]);
        assert_eq!(all.values["b.jpg"], [None, Some(2.5)]);
        let one = OtherMeasures::read(table.as_bytes(), &["sharpness".to_owned()]).unwrap();
        assert_eq!(one.values["b.jpg"], [Some(2.5)]);
        assert!(OtherMeasures::read(table.as_bytes(), &["tool".to_owned()]).unwrap_err().to_string().contains("line 2"));
        assert!(OtherMeasures::read(table.as_bytes(), &["mos".to_owned()]).unwrap_err().to_string().contains("unified"));
        let twice = OtherMeasures::read("file,x\na.jpg,1\na.jpg,2\n".as_bytes(), &[]).unwrap_err().to_string();
        assert!(twice.contains("line 3") && twice.contains("a.jpg"), "{twice}");
    }

    #[test]
    fn of_a_row_a_face_the_primary_face_counts() {
        let export = "image,outcome,reason,face,score\na.jpg,scored,,0,0.9\na.jpg,scored,,1,0.1\nb.jpg,no_face,,,\n";
        let measures = OtherMeasures::read(export.as_bytes(), &[]).unwrap();
        assert_eq!(measures.names, ["score"], "neither the number of the face nor a column of nothing");
        assert_eq!((&measures.values["a.jpg"][..], &measures.values["b.jpg"][..]), (&[Some(0.9)][..], &[None][..]));
    }
}
