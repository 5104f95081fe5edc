//! A table with a header: separated by commas, semicolons, tabs or spaces, with quotes where a cell holds its separator.

use super::LabelError;
use super::columns::{FILE, SAME, SUBJECT, find_pair};

/// What stands between cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// One character.
    Byte(u8),
    /// Spaces and tabs, any number of them.
    Spaces,
}

/// A row that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The line that it begins in, from 1.
    pub line: u64,
    /// Its cells, without blanks around them.
    pub cells: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// All other rows, each as long as the header.
    pub rows: Vec<Row>,
    separator: Separator,
}

/// What separates cells, and where the rows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning<'a> {
    /// What a first line `sep=;` says, as Excel writes and reads it.
    pub separator: Option<Separator>,
    /// Byte after that line, or 0.
    pub start: usize,
    /// The first line that says something, and its number.
    pub first: (u64, &'a str),
}

impl<'a> Beginning<'a> {
    /// The beginning of `text`; empty lines and lines that begin with `#` say nothing.
    pub(super) fn of(text: &'a str) -> Result<Self, LabelError> {
        let (mut separator, mut start) = (None, 0);
        let mut end = 0;
        for (number, line) in (1..).zip(text.split('\n')) {
            end += line.len() + 1;
            if is_silent(line) {
                continue;
            }
            match named_separator(line) {
                Some(found) if separator.is_none() => (separator, start) = (Some(found), end.min(text.len())),
                _ => return Ok(Self { separator, start, first: (number, line) }),
            }
        }
        Err(LabelError::Empty)
    }
}

/// Whether a line says nothing.
pub(super) fn is_silent(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn named_separator(line: &str) -> Option<Separator> {
    let line = line.trim_start().trim_start_matches('"');
    let named = line.get(..4).filter(|key| key.eq_ignore_ascii_case("sep=")).map(|_| &line[4..])?;
    let byte = named.bytes().next().filter(u8::is_ascii)?;
    Some(if byte == b' ' { Separator::Spaces } else { Separator::Byte(byte) })
}

impl Table {
    /// Reads a table; none if its first line names no column that is known here.
    pub(super) fn read(text: &str, beginning: &Beginning<'_>) -> Result<Option<Self>, LabelError> {
        match separator(beginning) {
            Some(separator) => Self::separated(text, beginning, separator).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a table whatever its columns are called.
    pub(super) fn of_any_columns(text: &str, beginning: &Beginning<'_>) -> Result<Self, LabelError> {
        let most = || {
            let bytes = *b",;\t|";
            let count = |byte: &u8| cells(beginning.first.1, Separator::Byte(*byte)).len();
            // The first of those with as many.
            bytes.into_iter().rev().max_by_key(count).map(Separator::Byte)
        };
        let separator = separator(beginning).or_else(most).unwrap_or(Separator::Byte(b','));
        Self::separated(text, beginning, separator)
    }

    fn separated(text: &str, beginning: &Beginning<'_>, separator: Separator) -> Result<Self, LabelError> {
        let mut rows = rows(text, beginning.start, separator)?.into_iter();
        let Some(Row { cells: header, .. }) = rows.next() else { return Err(LabelError::Empty) };
        let mut table = Self { header, rows: Vec::new(), separator };
        // Excel ends all lines with as many separators as the longest has.
        while table.header.len() > 1 && table.header.last().is_some_and(String::is_empty) {
            table.header.pop();
        }
        let columns = table.header.len();
        for mut row in rows {
            if row.cells.iter().all(String::is_empty) {
                continue;
            }
            let is_longer = row.cells.iter().skip(columns).any(|cell| !cell.is_empty());
            if is_longer || row.cells.len() < columns {
                return Err(table.wrong_length(&row));
            }
            row.cells.truncate(columns);
            table.rows.push(row);
        }
        Ok(table)
    }

    fn wrong_length(&self, row: &Row) -> LabelError {
        let separator = match self.separator {
            Separator::Spaces => "space".to_owned(),
            Separator::Byte(b'\t') => "tab".to_owned(),
            Separator::Byte(byte) => format!("'{}'", char::from(byte)),
        };
        let reason = format!(
            "it has {} columns, the header has {}; a name with a {separator} in it stands in quotes, a value that is not known leaves \
             its place empty",
            row.cells.len(),
            self.header.len()
        );
        LabelError::Line { line: row.line, reason }
    }

    /// Whether numbers may have a comma for a decimal point.
    pub(super) fn has_decimal_commas(&self) -> bool {
        self.separator != Separator::Byte(b',')
    }
}

/// The separator that makes known column names of the first line.
fn separator(beginning: &Beginning<'_>) -> Option<Separator> {
    let known = |separator: Separator| {
        let header = cells(beginning.first.1, separator);
        let pair = find_pair(&header).is_some();
        let found = [pair, pair, FILE.is_among(&header), SUBJECT.is_among(&header), SAME.is_among(&header)];
        (found.into_iter().filter(|found| *found).count(), separator)
    };
    if let Some(separator) = beginning.separator {
        return Some(separator);
    }
    let mut best = (0, Separator::Spaces);
    for byte in *b",;\t|" {
        let found = known(Separator::Byte(byte));
        best = if found.0 > best.0 { found } else { best };
    }
    // Names of columns may have spaces.
    let spaces = known(Separator::Spaces);
    best = if best.0 < 2 && spaces.0 > best.0 { spaces } else { best };
    (best.0 > 0).then_some(best.1)
}

/// The cells of a line.
pub(super) fn cells(line: &str, separator: Separator) -> Vec<String> {
    rows(line, 0, separator).ok().and_then(|rows| rows.into_iter().next()).map(|row| row.cells).unwrap_or_default()
}

/// The rows of `text` from the byte `start` on.
fn rows(text: &str, start: usize, separator: Separator) -> Result<Vec<Row>, LabelError> {
    let spaced;
    let (body, delimiter) = match separator {
        Separator::Byte(byte) => (&text[start..], byte),
        Separator::Spaces => {
            // As many bytes as before, so that places are the same.
            spaced = text[start..].replace('\t', " ");
            (spaced.as_str(), b' ')
        }
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        // Single lines are read so too, as many as a list has.
        .buffer_capacity(body.len().clamp(64, 1 << 16))
        .from_reader(body.as_bytes());
    let (mut rows, mut line, mut counted) = (Vec::new(), 1 + newlines(&text[..start]), 0);
    for record in reader.records() {
        let record = record?;
        // The place of a record is where the one before it ended: empty lines and comments may come between.
        let mut place = record.position().map_or(0, |position| position.byte() as usize).min(body.len());
        while let Some(end) = body[place..].find('\n').filter(|end| *end == 0 || body[place..].starts_with('#')) {
            place += end + 1;
        }
        line += newlines(&body[counted..place]);
        counted = place;
        if is_silent(body[place..].split('\n').next().unwrap_or_default()) {
            continue;
        }
        let mut cells: Vec<String> = record.iter().map(str::to_owned).collect();
        if separator == Separator::Spaces {
            cells.retain(|cell| !cell.is_empty());
        }
        rows.push(Row { line, cells });
    }
    Ok(rows)
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, LabelError> {
        Ok(Table::read(text, &Beginning::of(text)?)?.expect("known columns"))
    }

    fn shown(text: &str) -> Vec<(u64, Vec<String>)> {
        read(text).unwrap().rows.into_iter().map(|row| (row.line, row.cells)).collect()
    }

    #[test]
    fn every_separator_is_understood() {
        let row = |line, file: &str| vec![(line, vec![file.to_owned(), "Ann".to_owned()])];
        assert_eq!(shown("file,subject\na b.jpg,Ann"), row(2, "a b.jpg"));
        assert_eq!(shown("file;subject\na,b.jpg;Ann\n"), row(2, "a,b.jpg"));
        assert_eq!(shown("file\tsubject\na b.jpg\tAnn\n"), row(2, "a b.jpg"));
        assert_eq!(shown("File Name , Person Name\n a b.jpg , Ann \n"), row(2, "a b.jpg"));
        assert_eq!(shown("file  subject\n\"a b.jpg\"\tAnn\n"), row(2, "a b.jpg"));
        assert_eq!(shown("\"file\",\"subject\"\n\"a \"\"b\"\".jpg\",Ann"), row(2, "a \"b\".jpg"));
        for sep in ["sep=;", "SEP=;", "\"sep=;\"", "# table\n\nsep=;"] {
            let line = 2 + sep.lines().count() as u64;
            assert_eq!(shown(&format!("{sep}\nfile;subject\na.jpg;Ann\n")), row(line, "a.jpg"), "{sep}");
        }
        assert_eq!(shown("sep=\t\nfile\tsubject\na.jpg\tAnn\n"), row(3, "a.jpg"));
    }

    #[test]
    fn lines_are_counted_over_comments_empty_lines_and_cells_of_two_lines() {
        let rows = shown("# people\n\nfile,subject\n\n# first\na.jpg,\"Ann\nLee\"\n\nb.jpg,Bob\n,\n");
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [6, 9]);
    }

    #[test]
    fn rows_of_another_length_are_named_and_what_excel_appends_is_not() {
        assert_eq!(shown("file,subject,,\na.jpg,Ann,,\nb.jpg,Bob,,\n").len(), 2);
        for (text, line) in [("file,subject\na.jpg,Ann\nb,c.jpg,Bob\n", "line 3"), ("file,subject,age\na.jpg,Ann\n", "line 2")] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains("in quotes"), "{error}");
        }
    }

    #[test]
    fn a_table_of_unknown_columns_is_none() {
        let text = "a.jpg,Ann\n";
        assert_eq!(Table::read(text, &Beginning::of(text).unwrap()).unwrap(), None);
        let text = "tool;mos\nx;1\n";
        assert_eq!(Table::of_any_columns(text, &Beginning::of(text).unwrap()).unwrap().header, ["tool", "mos"]);
    }
}
