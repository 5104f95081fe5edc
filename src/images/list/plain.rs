//! A list as plain text: one path or URI a line.

use std::io::{BufRead, Result};

use super::lines::{BoundedLines, TextLine, too_long};
use super::row::{ListRow, ReadRows, RowContent, RowPlace};

/// Reads a path or URI from each line. Blank lines, and lines that begin with `#`, are no rows.
pub(super) struct PlainRows<R> {
    lines: BoundedLines<R>,
}

impl<R: BufRead> PlainRows<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { lines: BoundedLines::new(reader) }
    }
}

impl<R: BufRead + Send> ReadRows for PlainRows<R> {
    fn next_row(&mut self) -> Result<Option<(u64, RowContent)>> {
        loop {
            let content = match self.lines.next()? {
                None => return Ok(None),
                Some(TextLine::TooLong) => RowContent::Bad(too_long()),
                Some(TextLine::Whole(line)) if is_silent(line) => continue,
                Some(TextLine::Whole(line)) => RowContent::Image(ListRow {
                    place: RowPlace::Text(line.to_vec()),
                    subject: None,
                    hash: None,
                    tag: None,
                }),
            };
            return Ok(Some((self.lines.number(), content)));
        }
    }
}

/// Whether a line is blank or a comment.
pub(super) fn is_silent(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    line.is_empty() || line.starts_with(b"#")
}
