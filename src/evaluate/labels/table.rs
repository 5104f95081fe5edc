//! A table with a header. Commas, semicolons, tabs or spaces separate its cells; a cell that
//! contains the separator is in quotes.

use std::borrow::Cow;
use std::io::Cursor;

use csv::{Position, Reader, ReaderBuilder, StringRecord, Trim};

use super::LabelError;
use super::columns::{DIFFERENT, FILE, SAME, SUBJECT, find_pair};

/// The separator of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// One character.
    Byte(u8),
    /// One or more spaces and tabs.
    Spaces,
}

/// A row that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its first line, from 1.
    pub line: u64,
    /// Its cells, trimmed.
    pub cells: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// All other rows, as long as the header.
    pub rows: Vec<Row>,
    separator: Separator,
}

/// The beginning of a table: a named separator, and the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning<'a> {
    /// The separator that a first line `sep=;` names, as Excel writes and reads it.
    pub separator: Option<Separator>,
    /// Index of the byte after that line, or 0.
    pub start: usize,
    /// The number and text of the first line that is neither empty nor a comment.
    pub first: (u64, &'a str),
}

impl<'a> Beginning<'a> {
    /// The beginning of `text`, without empty lines and lines that begin with `#`.
    pub(super) fn of(text: &'a str) -> Result<Self, LabelError> {
        let (mut separator, mut start) = (None, 0);
        let mut end = 0;
        for (number, line) in (1..).zip(text.split('\n')) {
            end += line.len() + 1;
            if is_silent(line) {
                continue;
            }
            match named_separator(line) {
                Some(found) if separator.is_none() => {
                    (separator, start) = (Some(found), end.min(text.len()))
                }
                _ => return Ok(Self { separator, start, first: (number, line) }),
            }
        }
        Err(LabelError::Empty)
    }
}

/// Whether a line is empty or a comment. After the header, a line that begins with `#` may also be
/// a row.
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
    /// Reads a table. None if its first line names no column known here.
    pub(super) fn read(text: &str, beginning: &Beginning<'_>) -> Result<Option<Self>, LabelError> {
        match separator(beginning) {
            Some(separator) => Self::separated(text, beginning, separator).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a table with any column names.
    pub(super) fn of_any_columns(
        text: &str,
        beginning: &Beginning<'_>,
    ) -> Result<Self, LabelError> {
        let most = || {
            let bytes = *b",;\t|";
            let count = |byte: &u8| cells(beginning.first.1, Separator::Byte(*byte)).len();
            // Reversed, because of equal counts `max_by_key` returns the last.
            bytes.into_iter().rev().max_by_key(count).map(Separator::Byte)
        };
        let separator = separator(beginning).or_else(most).unwrap_or(Separator::Byte(b','));
        Self::separated(text, beginning, separator)
    }

    fn separated(
        text: &str,
        beginning: &Beginning<'_>,
        separator: Separator,
    ) -> Result<Self, LabelError> {
        let mut rows = rows(text, beginning.start, separator)?.into_iter();
        let Some(Row { cells: header, .. }) = rows.next() else { return Err(LabelError::Empty) };
        let mut table = Self { header, rows: Vec::new(), separator };
        let columns = columns(&table.header);
        table.header.truncate(columns);
        for mut row in rows {
            if row.cells.iter().all(String::is_empty) {
                continue;
            }
            if !is_row(&row.cells, columns) {
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
            "it has {} columns, the header has {}; put a name that contains a {separator} in \
             quotes, and leave the cell of an unknown value empty",
            row.cells.len(),
            self.header.len()
        );
        LabelError::Line { line: row.line, reason }
    }

    /// Whether the decimal point of numbers may be a comma.
    pub(super) fn has_decimal_commas(&self) -> bool {
        self.separator != Separator::Byte(b',')
    }
}

/// The separator that splits the first line into known column names.
fn separator(beginning: &Beginning<'_>) -> Option<Separator> {
    let known = |separator: Separator| {
        let header = cells(beginning.first.1, separator);
        let pair = find_pair(&header).is_some();
        let verdict = SAME.is_among(&header) || (pair && DIFFERENT.is_among(&header));
        let found = [pair, pair, FILE.is_among(&header), SUBJECT.is_among(&header), verdict];
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
    // Names of columns may contain spaces.
    let spaces = known(Separator::Spaces);
    best = if best.0 < 2 && spaces.0 > best.0 { spaces } else { best };
    (best.0 > 0).then_some(best.1)
}

/// The number of columns. Empty cells at the end do not count: Excel ends all lines with as many
/// separators as the longest line has.
fn columns(header: &[String]) -> usize {
    filled(header).max(1)
}

/// The number of cells without the empty ones at the end.
fn filled(cells: &[String]) -> usize {
    cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1)
}

/// Whether the cells fit a header of so many columns.
fn is_row(cells: &[String], columns: usize) -> bool {
    cells.len() >= columns && filled(cells) <= columns
}

/// The cells of a line.
pub(super) fn cells(line: &str, separator: Separator) -> Vec<String> {
    let (line, delimiter) = delimited(line, separator);
    let record = reader(&line, delimiter).into_records().next().and_then(Result::ok);
    record.map(|record| cells_of(&record, separator)).unwrap_or_default()
}

/// The rows of `text` from the byte `start` on, the header first. After the header, a line that
/// begins with `#` is a comment only if it does not have the cells of a row: a file's name may
/// begin with `#`.
fn rows(text: &str, start: usize, separator: Separator) -> Result<Vec<Row>, LabelError> {
    let (body, delimiter) = delimited(&text[start..], separator);
    let mut reader = reader(&body, delimiter);
    let (mut rows, mut line, mut counted) = (Vec::new(), 1 + newlines(&text[..start]), 0);
    let mut header: Option<usize> = None;
    let mut record = StringRecord::new();
    while reader.read_record(&mut record)? {
        // The position of a record is the end of the previous one: empty lines may come between.
        let mut offset =
            record.position().map_or(0, |position| position.byte() as usize).min(body.len());
        offset += body[offset..].bytes().take_while(|byte| *byte == b'\n').count();
        line += newlines(&body[counted..offset]);
        counted = offset;
        let first = body[offset..].split('\n').next().unwrap_or_default();
        let cells = cells_of(&record, separator);
        // Separated by spaces, the comment `# people` has two cells.
        let is_text =
            separator == Separator::Spaces && cells.first().is_some_and(|cell| cell == "#");
        if is_silent(first) && (is_text || header.is_none_or(|columns| !is_row(&cells, columns))) {
            // A quote in a comment does not open a cell of several lines.
            let end = (offset + first.len() + 1) as u64;
            if reader.position().byte() > end {
                let mut next = Position::new();
                next.set_byte(end);
                reader.seek(next)?;
            }
            continue;
        }
        header = header.or_else(|| Some(columns(&cells)));
        rows.push(Row { line, cells });
    }
    Ok(rows)
}

/// The text, and the byte that separates its cells. The text keeps its length, so that positions
/// are the same.
fn delimited(text: &str, separator: Separator) -> (Cow<'_, str>, u8) {
    match separator {
        Separator::Byte(byte) => (Cow::Borrowed(text), byte),
        Separator::Spaces => (Cow::Owned(text.replace('\t', " ")), b' '),
    }
}

fn reader(text: &str, delimiter: u8) -> Reader<Cursor<&[u8]>> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(Trim::All)
        // Small for single lines: a list is read line by line.
        .buffer_capacity(text.len().clamp(64, 1 << 16))
        .from_reader(Cursor::new(text.as_bytes()))
}

fn cells_of(record: &StringRecord, separator: Separator) -> Vec<String> {
    let is_cell = |cell: &&str| separator != Separator::Spaces || !cell.is_empty();
    record.iter().filter(is_cell).map(str::to_owned).collect()
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
            assert_eq!(
                shown(&format!("{sep}\nfile;subject\na.jpg;Ann\n")),
                row(line, "a.jpg"),
                "{sep}"
            );
        }
        assert_eq!(shown("sep=\t\nfile\tsubject\na.jpg\tAnn\n"), row(3, "a.jpg"));
    }

    #[test]
    fn comments_empty_lines_and_cells_of_two_lines_count_as_lines() {
        let rows =
            shown("# people\n\nfile,subject\n\n# first\na.jpg,\"Ann\nLee\"\n\nb.jpg,Bob\n,\n");
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [6, 9]);
    }

    #[test]
    fn a_line_that_begins_with_a_hash_is_a_row_if_it_has_the_cells_of_one() {
        let row =
            |line, file: &str, subject: &str| (line, vec![file.to_owned(), subject.to_owned()]);
        assert_eq!(
            shown(
                "file,subject,\n#recycle/a.jpg,Ann,\n# \
                    checked\n#b.jpg,\"Bob\nLee\",\n\nc.jpg,Joe,\n"
            ),
            [row(2, "#recycle/a.jpg", "Ann"), row(4, "#b.jpg", "Bob\nLee"), row(7, "c.jpg", "Joe")]
        );
        // A quote in a comment does not hide a row.
        assert_eq!(
            shown(
                "# \"people\"\nfile subject\n# people\n#a.jpg Ann\n# the \"first\nb.jpg Bob\n# \
                    the \"last"
            ),
            [row(4, "#a.jpg", "Ann"), row(6, "b.jpg", "Bob")]
        );
    }

    #[test]
    fn rows_of_another_length_are_refused_but_not_what_excel_appends() {
        assert_eq!(shown("file,subject,,\na.jpg,Ann,,\nb.jpg,Bob,,\n").len(), 2);
        for (text, line) in [
            ("file,subject\na.jpg,Ann\nb,c.jpg,Bob\n", "line 3"),
            ("file,subject,age\na.jpg,Ann\n", "line 2"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains("in quotes"), "{error}");
        }
    }

    #[test]
    fn a_table_of_unknown_columns_is_none() {
        let text = "a.jpg,Ann\n";
        assert_eq!(Table::read(text, &Beginning::of(text).unwrap()).unwrap(), None);
        let text = "tool;mos\nx;1\n";
        assert_eq!(
            Table::of_any_columns(text, &Beginning::of(text).unwrap()).unwrap().header,
            ["tool", "mos"]
        );
    }
}
