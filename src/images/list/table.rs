//! A list as a table: commas, semicolons, tabs or bars separate its cells, and the first line names
//! its columns. In an inventory, the manifest names them.

use std::io::{BufRead, Result};

use percent_encoding::percent_decode_str;

use super::columns::{ListColumns, names_no_images};
use super::lines::{BoundedLines, MOST_LINE_BYTES, TextLine, too_long};
use super::plain::is_silent;
use super::row::{ReadRows, RowContent, row_of_cells};

/// The separators that are tried.
const SEPARATORS: [u8; 4] = *b",;\t|";

/// Reads the rows of a table.
pub(super) struct TableRows<R> {
    lines: BoundedLines<R>,
    separator: u8,
    columns: ListColumns,
    /// Whether keys are encoded, as inventories do.
    encoded: bool,
    cells: Vec<Vec<u8>>,
}

/// All rows would be in the header.
const CARRIAGE_RETURNS: &str = "its lines end with carriage returns alone: let them end with line \
    feeds (`tr '\\r' '\\n' < LIST`)";

impl<R: BufRead> TableRows<R> {
    /// Reads the header. The inner error says why it is none. Without one, there are no rows.
    pub(super) fn new(reader: R) -> Result<std::result::Result<Self, String>> {
        let mut lines = BoundedLines::new(reader);
        let mut named = None;
        loop {
            let header = match lines.next()? {
                None => return Ok(Ok(Self::of_columns(lines, b',', ListColumns::default()))),
                Some(TextLine::TooLong) => return Ok(Err(format!("its header: {}", too_long()))),
                Some(TextLine::Whole(line)) if is_no_header(line) => continue,
                Some(TextLine::Whole(line)) => match named_separator(line) {
                    Some(separator) if named.is_none() => {
                        named = Some(separator);
                        continue;
                    }
                    _ if line.contains(&b'\r') => return Ok(Err(CARRIAGE_RETURNS.to_owned())),
                    _ => line.to_vec(),
                },
            };
            return Ok(columns_of(&header, named)
                .map(|(separator, columns)| Self::of_columns(lines, separator, columns)));
        }
    }

    fn of_columns(lines: BoundedLines<R>, separator: u8, columns: ListColumns) -> Self {
        Self { lines, separator, columns, encoded: false, cells: Vec::new() }
    }

    /// Reads an inventory's table, which has these columns and no header.
    pub(super) fn of_inventory(reader: R, columns: ListColumns) -> Self {
        Self { encoded: true, ..Self::of_columns(BoundedLines::new(reader), b',', columns) }
    }

    /// The content of a row. `line` is its first line; the others of a quoted cell are read.
    fn row(&mut self, line: Vec<u8>) -> Result<Option<RowContent>> {
        let (first, mut text) = (self.lines.number(), line);
        while !split(&text, self.separator, &mut self.cells) {
            text.push(b'\n');
            match self.lines.next()? {
                Some(TextLine::Whole(more)) if text.len() + more.len() <= MOST_LINE_BYTES => {
                    text.extend_from_slice(more);
                }
                _ => {
                    let last = self.lines.number();
                    return Ok(Some(RowContent::Bad(format!(
                        "a quote opens and does not close: lines {first} to {last} are not read"
                    ))));
                }
            }
        }
        if self.cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return Ok(None);
        }
        Ok(Some(self.content()))
    }

    fn content(&self) -> RowContent {
        let (cells, columns) = (&self.cells, &self.columns);
        let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        // Spreadsheets end all lines with as many separators as the longest line has.
        let fits = filled <= columns.count && cells.len() >= columns.count;
        if !fits && !self.encoded {
            return RowContent::Bad(format!(
                "it has {} columns, the header has {}: put a name that contains '{}' in quotes",
                cells.len(),
                columns.count,
                char::from(self.separator).escape_default()
            ));
        }
        let read = columns.indexes();
        if read.iter().any(|index| cells.get(*index).is_some_and(|c| str::from_utf8(c).is_err())) {
            return RowContent::Bad("it is not UTF-8: save the list as UTF-8".into());
        }
        let cell = |index: usize| {
            let text = str::from_utf8(cells.get(index)?).ok()?;
            Some(text.trim().to_owned())
        };
        let decoded = |key: String| if self.encoded { decoded_key(&key) } else { Ok(key) };
        row_of_cells(columns, cell, decoded)
    }
}

impl<R: BufRead + Send> ReadRows for TableRows<R> {
    fn next_row(&mut self) -> Result<Option<(u64, RowContent)>> {
        loop {
            let line = match self.lines.next()? {
                None => return Ok(None),
                Some(TextLine::TooLong) => {
                    return Ok(Some((self.lines.number(), RowContent::Bad(too_long()))));
                }
                Some(TextLine::Whole(line)) if line.trim_ascii().is_empty() => continue,
                Some(TextLine::Whole(line)) => line.to_vec(),
            };
            let number = self.lines.number();
            if let Some(content) = self.row(line)? {
                return Ok(Some((number, content)));
            }
        }
    }

    fn ignored(&self) -> Vec<String> {
        if self.encoded { Vec::new() } else { self.columns.ignored.clone() }
    }
}

/// Whether a line before the header is blank or a comment. `#` may be the name of a first column.
pub(super) fn is_no_header(line: &[u8]) -> bool {
    let is_name = line.get(1).is_some_and(|next| SEPARATORS.contains(next));
    is_silent(line) && !(is_name && columns_of(line, None).is_ok())
}

/// Whether a line is the header of a list.
pub(super) fn is_header(line: &[u8]) -> bool {
    named_separator(line).is_some() || columns_of(line, None).is_ok()
}

/// The separator and the columns of a header; or why it is none.
fn columns_of(header: &[u8], named: Option<u8>) -> std::result::Result<(u8, ListColumns), String> {
    let names = |separator: u8| -> Vec<String> {
        let mut cells = Vec::new();
        split(header, separator, &mut cells);
        let text = |cell: &Vec<u8>| String::from_utf8_lossy(cell).trim().to_owned();
        let mut names: Vec<String> = cells.iter().map(text).collect();
        while names.len() > 1 && names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        names
    };
    let mut best: Option<(u8, ListColumns)> = None;
    for separator in named.map_or_else(|| SEPARATORS.to_vec(), |separator| vec![separator]) {
        let columns = ListColumns::of(&names(separator));
        let better = best.as_ref().is_none_or(|(_, best)| columns.read() > best.read());
        if columns.name_images() && better {
            best = Some((separator, columns));
        }
    }
    best.ok_or_else(|| names_no_images(&names(named.unwrap_or(b','))))
}

/// The separator of a first line `sep=;`, as Excel writes and reads it.
fn named_separator(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii().strip_prefix(b"\"").unwrap_or(line.trim_ascii());
    let named = line.get(..4)?.eq_ignore_ascii_case(b"sep=").then(|| &line[4..])?;
    named.first().copied().filter(|separator| SEPARATORS.contains(separator))
}

/// Splits a row into cells. False if a quote is not closed.
fn split(text: &[u8], separator: u8, cells: &mut Vec<Vec<u8>>) -> bool {
    let mut count = 0;
    let mut rest = text;
    loop {
        if count == cells.len() {
            cells.push(Vec::new());
        }
        let cell = &mut cells[count];
        cell.clear();
        count += 1;
        if rest.first() == Some(&b'"') {
            rest = &rest[1..];
            loop {
                let Some(quote) = memchr::memchr(b'"', rest) else { return false };
                cell.extend_from_slice(&rest[..quote]);
                rest = &rest[quote + 1..];
                if rest.first() != Some(&b'"') {
                    break;
                }
                cell.push(b'"');
                rest = &rest[1..];
            }
        }
        let end = memchr::memchr(separator, rest);
        cell.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => break,
        }
    }
    cells.truncate(count);
    true
}

/// The key that an inventory's CSV encodes.
fn decoded_key(key: &str) -> std::result::Result<String, String> {
    let key = key.replace('+', " ");
    let decoded = percent_decode_str(&key).decode_utf8();
    decoded.map(|key| key.into_owned()).map_err(|_| "its key is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::super::row::RowPlace;
    use super::*;

    fn rows(text: &str) -> Vec<(u64, RowContent)> {
        let mut rows = TableRows::new(text.as_bytes()).unwrap().unwrap();
        std::iter::from_fn(|| rows.next_row().unwrap()).collect()
    }

    /// The text and the subject of each row, or why it is bad.
    fn brief(text: &str) -> Vec<(u64, String, Option<String>)> {
        let brief = |(number, content)| match content {
            RowContent::Image(row) => {
                let RowPlace::Text(text) = row.place else { panic!("{:?}", row.place) };
                (number, String::from_utf8(text).unwrap(), row.subject)
            }
            RowContent::Bad(reason) => (number, reason, None),
            RowContent::Other(..) => panic!("an image"),
        };
        rows(text).into_iter().map(brief).collect()
    }

    #[test]
    fn every_separator_is_understood() {
        let expected = [(2, "a b.jpg".to_owned(), Some("Ann".to_owned()))];
        for text in [
            "uri,subject\na b.jpg,Ann\n",
            "File;Subject\r\na b.jpg;Ann\r\n",
            "subject\turl\nAnn\ta b.jpg",
            "\"path\",\"subject\"\n\"a b.jpg\",\"Ann\"\n",
            "id|image|subject\n7|a b.jpg|Ann\n",
            "uri,subject,,\na b.jpg,Ann,,\n",
        ] {
            assert_eq!(brief(text), expected, "{text}");
        }
        let text = "sep=;\nfile;subject\na,b.jpg;Ann\n";
        assert_eq!(brief(text), [(3, "a,b.jpg".to_owned(), Some("Ann".to_owned()))]);
    }

    #[test]
    fn bad_rows_have_their_number_and_reason_and_the_next_row_is_read() {
        let found =
            brief("# list\nuri,note\na.jpg,x\nb,c.jpg,x\n,x\n\n\"d \"\"1\"\".jpg\",\"x\ny\"\n");
        assert_eq!((found[0].0, found[0].1.as_str()), (3, "a.jpg"));
        assert!(found[1].0 == 4 && found[1].1.contains("in quotes"), "{found:?}");
        assert!(found[2].0 == 5 && found[2].1.contains("empty"), "{found:?}");
        assert_eq!((found[3].0, found[3].1.as_str()), (7, "d \"1\".jpg"));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn a_row_that_begins_with_a_number_sign_is_a_row() {
        let found = brief("subject,uri\n#17,a.jpg\n#,b.jpg\n");
        let row = |number, image: &str, subject: &str| {
            (number, image.to_owned(), Some(subject.to_owned()))
        };
        assert_eq!(found, [row(2, "a.jpg", "#17"), row(3, "b.jpg", "#")]);
        assert_eq!(brief("#,file\n1,a.jpg\n"), [(2, "a.jpg".to_owned(), None)]);
        assert_eq!(brief("file\n#1.jpg\n"), [(2, "#1.jpg".to_owned(), None)]);
    }

    #[test]
    fn a_table_without_any_line_has_no_rows() {
        assert_eq!(brief(""), []);
        assert_eq!(brief("# nothing today\n\n"), []);
    }

    #[test]
    fn a_quote_that_does_not_close_ends_with_the_limit_and_is_told() {
        let text = format!("uri\n\"a.jpg\n{}", "b.jpg\n".repeat(20_000));
        let found = brief(&text);
        assert!(found[0].1.contains("lines 2 to"), "{}", found[0].1);
        assert_eq!((found[1].1.as_str(), found.last().unwrap().0), ("b.jpg", 20_002));
        assert!(brief("uri\n\"a.jpg\n")[0].1.contains("lines 2 to 2"));
    }

    #[test]
    fn lines_that_end_with_carriage_returns_alone_are_an_error() {
        let error = TableRows::new(&b"file,subject\rp0.jpg,Ann\rp1.jpg,Bo\r"[..]);
        let error = error.unwrap().err().unwrap();
        assert!(error.contains("carriage returns") && error.contains("tr '\\r' '\\n'"), "{error}");
        assert_eq!(brief("file,subject\r\np0.jpg,Ann\r\n").len(), 1);
    }

    #[test]
    fn a_header_without_images_is_an_error_that_names_its_columns() {
        let error = TableRows::new(&b"name,age\nx,1\n"[..]).unwrap().err().unwrap();
        assert!(error.contains("'name', 'age'"), "{error}");
        assert!(is_header(b"uri") && is_header(b"Bucket,Key") && !is_header(b"photos/uri.jpg"));
    }

    #[test]
    fn an_inventory_has_objects_with_their_versions() {
        let columns = ListColumns::of(&["Bucket", "Key", "IsLatest", "Size", "ETag"]);
        let text = "\"faces\",\"a+b%2Bc/%C3%BC.jpg\",\"true\",\"7\",\"9b2c\"\n\
                    \"faces\",\"a/notes.txt\",\"true\",\"7\",\"1\"\n\
                    \"faces\",\"a/\",\"true\",\"0\",\"1\"\n\
                    \"faces\",\"old.jpg\",\"false\",\"7\",\"1\"\n";
        let mut rows = TableRows::of_inventory(text.as_bytes(), columns);
        let found: Vec<RowContent> =
            std::iter::from_fn(|| rows.next_row().unwrap()).map(|row| row.1).collect();
        let RowContent::Image(row) = &found[0] else { panic!("{found:?}") };
        let (bucket, key) = ("faces".to_owned(), "a b+c/ü.jpg".to_owned());
        assert_eq!(row.place, RowPlace::Object { bucket, key });
        assert_eq!(row.tag.as_deref(), Some("\"9b2c\""), "as a listing gives it");
        assert!(found[1..].iter().all(|row| matches!(row, RowContent::Other(..))), "{found:?}");
        assert_eq!(found.len(), 4);
    }
}
