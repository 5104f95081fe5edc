//! Lists of pairs of photos: a pair a line, a table with a header, or the `pairs.txt` of Labeled
//! Faces in the Wild.

use std::collections::HashMap;

use super::LabelError;
use super::columns::{DIFFERENT, SAME, find_pair};
use super::table::{Beginning, Separator, Table, cells, is_silent};

/// A list of pairs, each of them two files, and whether they show one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairList {
    /// The files, in the order they are first named.
    pub files: Vec<String>,
    /// The line that first names each file.
    pub lines: Vec<u64>,
    /// Places in `files`, and whether they show one person.
    pub pairs: Vec<(u32, u32, bool)>,
}

impl PairList {
    /// Reads a list: a line each, two files and 1 if they show one person or 0 if two. Between them
    /// are spaces, tabs, commas or semicolons; a name with spaces stands in quotes, or has
    /// something else around it. Empty lines say nothing, nor do lines that begin with `#` and are
    /// no pair.
    ///
    /// # Errors
    /// If a line is no pair, repeats or contradicts others, or there is none.
    pub fn read(text: &str) -> Result<Self, LabelError> {
        // `# no match` has three words, and is a comment.
        let pair = |line: &str| pair(line).filter(|(first, ..)| first != "#" || !is_silent(line));
        Builder::default().read(lines(text), pair, not_a_pair)
    }

    /// Reads a table with columns such as `file1,file2,same` (or `different`) in any order; others
    /// are left alone. None if it has no two columns of files.
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
    /// two. The photos are `Name/Name_0001.jpg` and so on, as LFW is packed.
    pub(super) fn of_lfw(text: &str) -> Result<Self, LabelError> {
        // The first line that says something tells how many there are.
        let pairs = lines(text).skip_while(|(_, line)| is_silent(line)).skip(1);
        Builder::default().read(pairs, lfw_pair, |line, text| {
            let reason = format!(
                "'{}' is neither 'Name 1 2' nor 'Name 1 Other 3', as LFW's pairs.txt has it",
                short(text)
            );
            LabelError::Line { line, reason }
        })
    }

    /// For each file a number that the files of one person share, as far as the list tells: whoever
    /// is linked by pairs of one person.
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

/// Collects pairs and refuses those that repeat or contradict others.
#[derive(Default)]
struct Builder {
    files: Vec<String>,
    lines: Vec<u64>,
    places: HashMap<String, u32>,
    pairs: Vec<(u32, u32, bool)>,
    /// The line of each pair, the smaller place first.
    seen: HashMap<(u32, u32), u64>,
}

impl Builder {
    fn place(&mut self, line: u64, file: &str) -> u32 {
        if let Some(place) = self.places.get(file) {
            return *place;
        }
        let place = self.files.len() as u32;
        self.files.push(file.to_owned());
        self.lines.push(line);
        self.places.insert(file.to_owned(), place);
        place
    }

    fn add(&mut self, line: u64, a: &str, b: &str, same: bool) -> Result<(), LabelError> {
        let refused = |reason: String| Err(LabelError::Line { line, reason });
        if a == b {
            return refused(format!("{a} is compared with itself"));
        }
        let (first, second) = (self.place(line, a), self.place(line, b));
        if let Some(earlier) = self.seen.insert((first.min(second), first.max(second)), line) {
            return refused(format!("the pair of {a} and {b} is in line {earlier} already"));
        }
        self.pairs.push((first, second, same));
        Ok(())
    }

    /// Adds the pair that each line is. A line that is none is refused, unless it is a comment.
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
                    "{} and {} are said to show two people, and other pairs link them as one",
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

/// A line of LFW's list as a pair.
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

/// Whether a first line is that of LFW's `pairs.txt`: the number of pairs, or of sets and of pairs
/// in each.
pub(super) fn begins_lfw(beginning: &Beginning<'_>) -> bool {
    let words: Vec<&str> = beginning.first.1.split_whitespace().collect();
    matches!(words.len(), 1 | 2) && words.iter().all(|word| word.parse::<u32>().is_ok())
}

/// Whether a line names the columns of a table of pairs. `file1,file2,same` could be read as a pair
/// too: `same` is also a label.
pub(super) fn is_header(line: &str) -> bool {
    SEPARATORS.into_iter().any(|separator| {
        let columns = cells(line, separator);
        find_pair(&columns).is_some() && verdict(&columns).is_ok()
    })
}

const SEPARATORS: [Separator; 4] =
    [Separator::Byte(b'\t'), Separator::Byte(b','), Separator::Byte(b';'), Separator::Spaces];

/// A line as a pair, by the first separator that makes one of it.
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

/// Why a line is no pair, and what to do.
pub(super) fn not_a_pair(number: u64, line: &str) -> LabelError {
    let words = cells(line, Separator::Spaces);
    let last = words.last().map(String::as_str).unwrap_or_default();
    let reason = if words.len() == 3 {
        neither(last)
    } else if words.len() > 3 && truth(last).is_some() {
        format!(
            "'{}' could be many names: put names with spaces into quotes, or tabs or commas \
                between the names",
            short(line)
        )
    } else {
        format!(
            "'{}' is no pair, which is two files and 1 (one person) or 0 (two people)",
            short(line)
        )
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

/// Reads a cell: whether the pair shows one person.
type ReadVerdict = fn(&str) -> Option<bool>;

/// The column that tells whether a pair shows one person, and how it is read.
///
/// # Errors
/// If there is none, or several that could be meant.
fn verdict(header: &[String]) -> Result<(usize, ReadVerdict), LabelError> {
    match SAME.find(header) {
        Err(LabelError::Column { wanted, found }) => match DIFFERENT.find(header) {
            Ok(place) => {
                Ok((place, |text| answer(text).map(|different| !different).or_else(|| word(text))))
            }
            Err(LabelError::Column { .. }) => Err(LabelError::Column { wanted, found }),
            Err(ambiguous) => Err(ambiguous),
        },
        found => found.map(|place| (place, truth as ReadVerdict)),
    }
}

/// Whether a pair shows one person, as people write it.
fn truth(text: &str) -> Option<bool> {
    answer(text).or_else(|| word(text))
}

/// Yes or no, to whatever the column asks.
fn answer(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" | "y" => Some(true),
        "0" | "0.0" | "-1" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// Words that say by themselves whether a pair shows one person.
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
    fn people_of_a_pair_list_are_those_who_are_linked() {
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
    fn names_with_spaces_are_read_where_something_else_separates_them() {
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
    fn lfws_own_list_names_the_photos_as_lfw_is_packed() {
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
