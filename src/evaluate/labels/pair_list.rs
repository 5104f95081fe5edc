//! Lists of pairs of photos: a pair on each line, a table with a header, or the `pairs.txt` of
//! Labeled Faces in the Wild (LFW).

use std::collections::HashMap;

use super::LabelError;
use super::columns::{DIFFERENT, SAME, find_pair};
use super::table::{Beginning, Separator, Table, cells, is_silent};

/// A list of pairs: two files each, and whether they are mated (show one person).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairList {
    /// The files, in the order in which the list first names them.
    pub files: Vec<String>,
    /// The line that first names each file.
    pub lines: Vec<u64>,
    /// Indices in `files`, and whether the pair is mated.
    pub pairs: Vec<(u32, u32, bool)>,
}

impl PairList {
    /// Reads a list. Each line has two files, and 1 if they show one person or 0 if they show two.
    /// Separators are spaces, tabs, commas or semicolons; a name with spaces is in quotes, or the
    /// line has another separator. Skips empty lines, and lines that begin with `#` and are not a
    /// pair.
    ///
    /// # Errors
    /// If a line is not a pair, repeats or contradicts another one, or there is no pair.
    pub fn read(text: &str) -> Result<Self, LabelError> {
        // `# no match` could be read as a pair, but is a comment.
        let pair = |line: &str| pair(line).filter(|(first, ..)| first != "#" || !is_silent(line));
        Builder::default().read(lines(text), pair, not_a_pair)
    }

    /// Reads a table with columns such as `file1,file2,same` (or `different`) in any order, and
    /// ignores others. None if it does not have two columns of files.
    pub(super) fn of_table(table: &Table) -> Result<Option<Self>, LabelError> {
        let Some((a, b)) = find_pair(&table.header) else { return Ok(None) };
        let (verdict, read) = verdict(&table.header)?;
        let mut list = Builder::default();
        for row in &table.rows {
            let refused = |reason| LabelError::Line { line: row.line, reason };
            let (first, second) = (&row.cells[a], &row.cells[b]);
            if first.is_empty() || second.is_empty() {
                return Err(refused(format!("a file is missing in '{}'", row.cells.join(" "))));
            }
            let found = &row.cells[verdict];
            let same = read(found)
                .ok_or_else(|| refused(format!("'{}' is neither 1 nor 0", short(found))))?;
            list.add(row.line, first, second, same)?;
        }
        list.finish().map(Some)
    }

    /// Reads the format of LFW: `Name 1 2` is two photos of one person, `Name 1 Other 3` photos of
    /// two. The files are `Name/Name_0001.jpg` and so on, as in LFW's archive.
    pub(super) fn of_lfw(text: &str) -> Result<Self, LabelError> {
        // The first line that is not a comment has the number of pairs.
        let pairs = lines(text).skip_while(|(_, line)| is_silent(line)).skip(1);
        Builder::default().read(pairs, lfw_pair, |line, text| {
            let reason = format!(
                "'{}' is neither 'Name 1 2' nor 'Name 1 Other 3', as LFW's pairs.txt has it",
                short(text)
            );
            LabelError::Line { line, reason }
        })
    }

    /// For each file, the number of its person: files that mated pairs link, directly or through
    /// other files, have the same number.
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
        // Path halving keeps the chains short.
        parents[file as usize] = parents[parents[file as usize] as usize];
        file = parents[file as usize];
    }
    file
}

/// Collects pairs and refuses those that repeat or contradict others.
#[derive(Default)]
struct Builder {
    files: Vec<String>,
    lines: Vec<u64>,
    indices: HashMap<String, u32>,
    pairs: Vec<(u32, u32, bool)>,
    /// The line of each pair, the smaller index first.
    seen: HashMap<(u32, u32), u64>,
}

impl Builder {
    fn index(&mut self, line: u64, file: &str) -> u32 {
        if let Some(index) = self.indices.get(file) {
            return *index;
        }
        let index = self.files.len() as u32;
        self.files.push(file.to_owned());
        self.lines.push(line);
        self.indices.insert(file.to_owned(), index);
        index
    }

    fn add(&mut self, line: u64, a: &str, b: &str, same: bool) -> Result<(), LabelError> {
        let refused = |reason: String| Err(LabelError::Line { line, reason });
        if a == b {
            return refused(format!("{a} is compared with itself"));
        }
        let (first, second) = (self.index(line, a), self.index(line, b));
        if let Some(earlier) = self.seen.insert((first.min(second), first.max(second)), line) {
            return refused(format!("the pair of {a} and {b} is in line {earlier} already"));
        }
        self.pairs.push((first, second, same));
        Ok(())
    }

    /// Adds the pair of each line. Refuses a line that is neither a pair nor a comment.
    fn read<'a>(
        mut self,
        lines: impl Iterator<Item = (u64, &'a str)>,
        pair: impl Fn(&str) -> Option<(String, String, bool)>,
        refused: impl Fn(u64, &str) -> LabelError,
    ) -> Result<PairList, LabelError> {
        for (number, line) in lines {
            match pair(line) {
                Some((a, b, same)) => self.add(number, &a, &b, same)?,
                None if is_silent(line) => {}
                None => return Err(refused(number, line)),
            }
        }
        self.finish()
    }

    fn finish(self) -> Result<PairList, LabelError> {
        let list = PairList { files: self.files, lines: self.lines, pairs: self.pairs };
        let subjects = list.subjects();
        let of_two = list
            .pairs
            .iter()
            .find(|(a, b, same)| !same && subjects[*a as usize] == subjects[*b as usize]);
        match of_two {
            _ if list.pairs.is_empty() => Err(LabelError::Empty),
            None => Ok(list),
            Some((a, b, _)) => Err(LabelError::Line {
                line: self.seen[&(*a.min(b), *a.max(b))],
                reason: format!(
                    "{} and {} are labelled as two people, but other pairs imply that they are one",
                    list.files[*a as usize], list.files[*b as usize]
                ),
            }),
        }
    }
}

/// All lines with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines())
}

/// The pair of a line of LFW's list.
fn lfw_pair(line: &str) -> Option<(String, String, bool)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let photo = |name: &str, number: &str| {
        Some(format!("{name}/{name}_{:04}.jpg", number.parse::<u32>().ok()?))
    };
    match words[..] {
        ["#", ..] => None,
        [name, a, b] => Some((photo(name, a)?, photo(name, b)?, true)),
        [name, a, other, b] => Some((photo(name, a)?, photo(other, b)?, false)),
        _ => None,
    }
}

/// Whether the first line is that of LFW's `pairs.txt`: the number of pairs, or the number of sets
/// and that of pairs in each.
pub(super) fn begins_lfw(beginning: &Beginning<'_>) -> bool {
    let words: Vec<&str> = beginning.first.1.split_whitespace().collect();
    matches!(words.len(), 1 | 2) && words.iter().all(|word| word.parse::<u32>().is_ok())
}

/// Whether a line names the columns of a table of pairs. `file1,file2,same` could be read as a
/// pair, too, because `same` is also a label.
pub(super) fn is_header(line: &str) -> bool {
    SEPARATORS.into_iter().any(|separator| {
        let columns = cells(line, separator);
        find_pair(&columns).is_some() && verdict(&columns).is_ok()
    })
}

const SEPARATORS: [Separator; 4] =
    [Separator::Byte(b'\t'), Separator::Byte(b','), Separator::Byte(b';'), Separator::Spaces];

/// The pair of a line, by the first separator that gives one.
pub(super) fn pair(line: &str) -> Option<(String, String, bool)> {
    SEPARATORS.into_iter().find_map(|separator| {
        let [a, b, c]: [String; 3] = cells(line, separator).try_into().ok()?;
        let found = match (truth(&c), truth(&a)) {
            (Some(same), _) => (a, b, same),
            (None, Some(same)) => (b, c, same),
            (None, None) => return None,
        };
        (!found.0.is_empty() && !found.1.is_empty()).then_some(found)
    })
}

/// Why a line is not a pair, and what to do.
pub(super) fn not_a_pair(number: u64, line: &str) -> LabelError {
    let words = cells(line, Separator::Spaces);
    let last = words.last().map(String::as_str).unwrap_or_default();
    let reason = if words.len() == 3 {
        neither(last)
    } else if words.len() > 3 && truth(last).is_some() {
        format!(
            "'{}' could be many names: put names with spaces in quotes, or use tabs or commas as \
             separators",
            short(line)
        )
    } else {
        format!("'{}' is not a pair: two files and 1 (one person) or 0 (two people)", short(line))
    };
    LabelError::Line { line: number, reason }
}

fn neither(found: &str) -> String {
    format!("'{}' is neither 1 (one person) nor 0 (two people)", short(found))
}

/// The beginning of a long line.
pub(super) fn short(line: &str) -> String {
    const SHOWN: usize = 80;
    let line = line.trim();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Reads a cell: whether the pair is mated.
type ReadVerdict = fn(&str) -> Option<bool>;

/// The column that says whether a pair is mated, and how to read it.
///
/// # Errors
/// If no column, or more than one, may be this one.
fn verdict(header: &[String]) -> Result<(usize, ReadVerdict), LabelError> {
    match SAME.find(header) {
        Err(LabelError::Column { wanted, found }) => match DIFFERENT.find(header) {
            Ok(index) => {
                Ok((index, |text| answer(text).map(|different| !different).or_else(|| word(text))))
            }
            Err(LabelError::Column { .. }) => Err(LabelError::Column { wanted, found }),
            Err(ambiguous) => Err(ambiguous),
        },
        found => found.map(|index| (index, truth as ReadVerdict)),
    }
}

/// Whether a pair is mated, as people write it.
fn truth(text: &str) -> Option<bool> {
    answer(text).or_else(|| word(text))
}

/// Yes or no. The name of the column says what it means.
fn answer(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" | "y" => Some(true),
        "0" | "0.0" | "-1" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// Words that mean the same in any column.
fn word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "same" | "match" | "genuine" | "mated" => Some(true),
        "different" | "diff" | "impostor" | "imposter" | "nonmatch" | "non-match" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mated_pairs_link_the_files_of_a_person() {
        let list = PairList::read("# LFW\na b 1\nc d 1\n\nb e 1\na c 0\n").unwrap();
        assert_eq!(list.files, ["a", "b", "c", "d", "e"]);
        assert_eq!(list.lines, [2, 2, 3, 3, 5]);
        assert_eq!(list.pairs[3], (0, 2, false));
        assert_eq!(list.subjects(), [0, 0, 2, 2, 0]);
        assert!(PairList::read("a b 2").unwrap_err().to_string().contains("line 1"));
        assert!(PairList::read("a b").is_err());
        for (text, line) in [
            ("a b 1\na a 1", "line 2: a is compared"),
            ("a b 1\nb a 0", "line 2: the pair"),
            ("a b 1\nb c 1\nc a 0", "line 3"),
        ] {
            let error = PairList::read(text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn a_line_that_begins_with_a_hash_is_a_pair_if_it_can_be_read_as_one() {
        let list = PairList::read("#recycle/a b 1\nb c 0\n# no match\n#d b\n#e,c,1\n").unwrap();
        assert_eq!(list.files, ["#recycle/a", "b", "c", "#e"]);
        assert_eq!(list.lines, [1, 1, 2, 5]);
        let list = PairList::of_lfw("# LFW\n2\nAnn 1 2\n# 1 2\n# people\n#Bob 1 Ann 1\n").unwrap();
        assert_eq!(list.lines, [3, 3, 6]);
        assert_eq!(list.files[2], "#Bob/#Bob_0001.jpg");
    }

    #[test]
    fn names_may_have_spaces_if_there_is_another_separator_or_quotes() {
        let expected = Some(("a b.jpg".to_owned(), "c, d.jpg".to_owned(), true));
        for line in [
            "\"a b.jpg\" \"c, d.jpg\" 1",
            "a b.jpg\tc, d.jpg\tyes",
            "a b.jpg,\"c, d.jpg\",TRUE",
            "a b.jpg ; c, d.jpg ; same",
            "1;a b.jpg;c, d.jpg",
        ] {
            assert_eq!(pair(line), expected, "{line}");
        }
        assert_eq!(pair("a,1.jpg b 0"), Some(("a,1.jpg".to_owned(), "b".to_owned(), false)));
        let error = PairList::read("a b 0\na b.jpg c.jpg 1\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("quotes"), "{error}");
    }

    #[test]
    fn lfws_own_list_names_the_files_of_lfws_archive() {
        for first in ["2\t1", "1"] {
            let list = PairList::of_lfw(&format!("{first}\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBob\t13\n"))
                .unwrap();
            assert_eq!(
                list.files,
                ["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg", "Bob/Bob_0013.jpg"]
            );
            assert_eq!(list.pairs, [(0, 1, true), (0, 2, false)]);
        }
        let error = PairList::of_lfw("1\nAnn one 2\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("Ann one 2"), "{error}");
    }
}
