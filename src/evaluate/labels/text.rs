//! Decodes the text of a table: UTF-8, UTF-16 or Windows-1252, as spreadsheets write it.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::LabelError;

/// A decoded text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its text, with `\n` at line ends and without a byte order mark.
    pub text: String,
    /// The encoding, if it is a guess: not UTF-8, and without a byte order mark.
    pub assumed: Option<&'static str>,
}

/// Bytes that are examined to detect UTF-16 without a byte order mark.
const EXAMINED: usize = 4096;

/// Decodes a text file.
///
/// # Errors
/// If it is not a text, or damaged.
pub fn decode(bytes: &[u8]) -> Result<Text, LabelError> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return no_text("a workbook of a spreadsheet program: save the sheet as 'CSV UTF-8'");
    }
    if bytes.starts_with(&[0xff, 0xfe, 0, 0]) || bytes.starts_with(&[0, 0, 0xfe, 0xff]) {
        return no_text("in UTF-32: save it as UTF-8");
    }
    if let Some(rest) = bytes.strip_prefix(&[0xff, 0xfe]) {
        return wide(rest, UTF_16LE, None);
    }
    if let Some(rest) = bytes.strip_prefix(&[0xfe, 0xff]) {
        return wide(rest, UTF_16BE, None);
    }
    match zeros(bytes) {
        (0, 0) => {}
        (even, odd) if odd > 10 * even => {
            return wide(bytes, UTF_16LE, Some("UTF-16 (little endian)"));
        }
        (even, odd) if even > 10 * odd => {
            return wide(bytes, UTF_16BE, Some("UTF-16 (big endian)"));
        }
        _ => return no_text("not a text: it contains zero bytes"),
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => checked(text, None),
        Err(_) => checked(&WINDOWS_1252.decode_without_bom_handling(bytes).0, Some("Windows-1252")),
    }
}

/// Counts the zero bytes at even and at odd positions near the beginning: in UTF-16, one byte of
/// each Latin letter is zero.
fn zeros(bytes: &[u8]) -> (usize, usize) {
    let bytes = &bytes[..bytes.len().min(EXAMINED)];
    let at = |first: usize| bytes.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    (at(0), at(1))
}

fn wide(
    bytes: &[u8],
    encoding: &'static Encoding,
    assumed: Option<&'static str>,
) -> Result<Text, LabelError> {
    let (text, damaged) = encoding.decode_without_bom_handling(bytes);
    if damaged {
        return no_text("damaged UTF-16: save it as UTF-8");
    }
    checked(&text, assumed)
}

fn checked(text: &str, assumed: Option<&'static str>) -> Result<Text, LabelError> {
    let text = text.trim_end_matches('\u{1a}').replace("\r\n", "\n").replace('\r', "\n");
    let strange = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\t');
    for (line, row) in (1..).zip(text.lines()) {
        if let Some(control) = row.chars().find(|c| strange(*c)) {
            let reason = format!(
                "it contains the control character {}, which a text cannot have; name a file with \
                 such a name by its file: URI",
                control.escape_default()
            );
            return Err(LabelError::Line { line, reason });
        }
    }
    Ok(Text { text, assumed })
}

fn no_text(what: &str) -> Result<Text, LabelError> {
    Err(LabelError::NoText(what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_that_spreadsheets_write_is_read() {
        let expected = "file,subject\nRené.jpg,Ann\n";
        let text = "file,subject\r\nRené.jpg,Ann\r\n";
        let marked = format!("\u{feff}{text}");
        for (bytes, assumed) in [
            (text.as_bytes().to_vec(), None),
            (text.replace("\r\n", "\r").into_bytes(), None),
            (marked.as_bytes().to_vec(), None),
            (utf16(&marked, u16::to_le_bytes), None),
            (utf16(&marked, u16::to_be_bytes), None),
            (utf16(text, u16::to_le_bytes), Some("UTF-16 (little endian)")),
            (utf16(text, u16::to_be_bytes), Some("UTF-16 (big endian)")),
            (WINDOWS_1252.encode(text).0.into_owned(), Some("Windows-1252")),
        ] {
            assert_eq!(
                decode(&bytes).unwrap(),
                Text { text: expected.to_owned(), assumed },
                "{assumed:?}"
            );
        }
    }

    #[test]
    fn the_error_says_what_a_file_is_if_it_is_not_a_text() {
        for (bytes, text) in [
            (&b"PK\x03\x04\x14\x00"[..], "CSV UTF-8"),
            (b"\xff\xfe\0\0f\0\0\0", "UTF-32"),
            (b"\0\0\0\0abcd", "zero bytes"),
            (b"\xff\xfef\0i", "damaged UTF-16"),
            (b"file,subject\na\x1b.jpg,Ann", "line 2: it contains the control character \\u{1b}"),
        ] {
            let error = decode(bytes).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
