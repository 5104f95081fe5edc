//! The lines of a text, none longer than a limit.

use std::io::{BufRead, Result};

/// Longest line that is read, bytes: as long as the message of a job may be.
pub(super) const MOST_LINE_BYTES: usize = 65_536;

/// Reads lines one by one. A line over the limit takes no more memory than the limit.
pub(super) struct BoundedLines<R> {
    reader: R,
    /// The number of the line that was read last, from 1.
    number: u64,
    line: Vec<u8>,
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextLine<'a> {
    /// Its bytes, without the end of line.
    Whole(&'a [u8]),
    /// It is longer than [`MOST_LINE_BYTES`].
    TooLong,
}

impl<R: BufRead> BoundedLines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, number: 0, line: Vec::new() }
    }

    /// The number of the line that was read last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<TextLine<'_>>> {
        self.line.clear();
        let (mut too_long, mut any) = (false, false);
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            any = true;
            let end = memchr::memchr(b'\n', bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            // Two bytes more than the limit: a mark at the start or a `\r` at the end is no part.
            too_long |= self.line.len() + part.len() > MOST_LINE_BYTES + 4;
            if !too_long {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        let mut line = self.line.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        let too_long = too_long || line.len() > MOST_LINE_BYTES;
        Ok(Some(if too_long { TextLine::TooLong } else { TextLine::Whole(line) }))
    }
}

/// Why a line over the limit is not read.
pub(super) fn too_long() -> String {
    format!("it is longer than {MOST_LINE_BYTES} bytes")
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn lines(text: &[u8]) -> Vec<Option<Vec<u8>>> {
        // A small buffer: lines span several reads.
        let mut lines = BoundedLines::new(BufReader::with_capacity(7, text));
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(match line {
                TextLine::Whole(line) => Some(line.to_vec()),
                TextLine::TooLong => None,
            });
        }
        found
    }

    #[test]
    fn lines_end_as_on_every_system_and_a_mark_at_the_start_is_no_part() {
        let whole = |line: &str| Some(line.as_bytes().to_vec());
        assert_eq!(
            lines("\u{feff}a.jpg\r\n\nb c.jpg\nlast".as_bytes()),
            [whole("a.jpg"), whole(""), whole("b c.jpg"), whole("last")]
        );
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_line_over_the_limit_is_told_and_the_next_is_read() {
        let longest = "x".repeat(MOST_LINE_BYTES);
        let text = format!("{longest}\r\n{longest}y\nshort\n");
        let found = lines(text.as_bytes());
        assert_eq!(found[0].as_ref().map(Vec::len), Some(MOST_LINE_BYTES));
        assert_eq!((found[1].as_ref(), found[2].as_deref()), (None, Some(&b"short"[..])));
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let endless = std::io::repeat(b'x').take(1 << 28);
        let mut lines = BoundedLines::new(BufReader::new(endless));
        assert_eq!(lines.next().unwrap(), Some(TextLine::TooLong));
        assert!(lines.line.capacity() <= 4 * MOST_LINE_BYTES, "{}", lines.line.capacity());
        assert_eq!(lines.next().unwrap(), None);
    }
}
