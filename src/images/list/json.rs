//! A list as JSON lines: one object a line.

use std::io::{BufRead, Result};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::columns::ListColumns;
use super::lines::{BoundedLines, TextLine, too_long};
use super::row::{ReadRows, RowContent, row_of_cells};

/// Reads an object from each line.
pub(super) struct JsonRows<R> {
    lines: BoundedLines<R>,
    ignored: Vec<String>,
    is_first: bool,
}

/// The fields that are read.
#[derive(Deserialize)]
struct JsonRow {
    uri: Option<String>,
    url: Option<String>,
    file: Option<String>,
    path: Option<String>,
    image: Option<String>,
    subject: Option<Value>,
    expected_hash: Option<String>,
    content_hash: Option<String>,
    bucket: Option<String>,
    key: Option<String>,
    #[serde(alias = "e_tag")]
    etag: Option<String>,
}

impl<R: BufRead> JsonRows<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { lines: BoundedLines::new(reader), ignored: Vec::new(), is_first: true }
    }
}

impl<R: BufRead + Send> ReadRows for JsonRows<R> {
    fn next_row(&mut self) -> Result<Option<(u64, RowContent)>> {
        loop {
            let content = match self.lines.next()? {
                None => return Ok(None),
                Some(TextLine::TooLong) => RowContent::Bad(too_long()),
                Some(TextLine::Whole(line)) if line.trim_ascii().is_empty() => continue,
                Some(TextLine::Whole(line)) => {
                    if std::mem::take(&mut self.is_first)
                        && let Ok(object) = serde_json::from_slice::<Map<String, Value>>(line)
                    {
                        let names: Vec<&String> = object.keys().collect();
                        self.ignored = ListColumns::of(&names).ignored;
                    }
                    content(line)
                }
            };
            return Ok(Some((self.lines.number(), content)));
        }
    }

    fn ignored(&self) -> Vec<String> {
        self.ignored.clone()
    }
}

fn content(line: &[u8]) -> RowContent {
    let row: JsonRow = match serde_json::from_slice(line) {
        Ok(row) => row,
        // Its text may show values of the line, such as a subject: name the place alone.
        Err(error) => {
            let place = error.column();
            return RowContent::Bad(format!(
                "it is not a JSON object with the fields of a list (column {place})"
            ));
        }
    };
    let subject = match row.subject {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => return RowContent::Bad("its subject is neither a text nor a number".into()),
    };
    let image = first([row.uri, row.url, row.file, row.path, row.image]);
    let hash = first([row.expected_hash, row.content_hash]);
    let cells = [image, row.bucket, row.key, row.etag, subject, hash];
    let columns = ListColumns::of(&["uri", "bucket", "key", "etag", "subject", "expected_hash"]);
    row_of_cells(&columns, |index| cells[index].clone(), Ok)
}

/// The first text that is not empty.
fn first<const N: usize>(texts: [Option<String>; N]) -> Option<String> {
    texts.into_iter().flatten().find(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::row::{ListRow, RowPlace};
    use super::*;

    #[test]
    fn an_empty_text_is_none() {
        let text =
            "{\"uri\": \"\", \"path\": \"a.jpg\", \"subject\": \"\", \"content_hash\": \" \"}";
        let found = JsonRows::new(text.as_bytes()).next_row().unwrap().unwrap();
        let place = RowPlace::Text(b"a.jpg".to_vec());
        let row = ListRow { place, subject: None, hash: None, tag: None };
        assert_eq!(found, (1, RowContent::Image(row)));
    }

    #[test]
    fn objects_are_read_by_name_and_other_lines_are_bad() {
        let text = "{\"id\": 1, \"uri\": \"a.jpg\", \"subject\": 17}\n\n\
                    {\"image\": \"b.jpg\", \"uri\": null, \"subject\": \"Ann\"}\n\
                    {\"subject\": \"Bob\"}\n[\"c.jpg\"]\n{\"uri\": {\"Bob\": 1}}\n\
                    {\"bucket\": \"faces\", \"key\": \"a b.jpg\"}\n";
        let mut rows = JsonRows::new(text.as_bytes());
        let found: Vec<(u64, RowContent)> =
            std::iter::from_fn(|| rows.next_row().unwrap()).collect();
        let image = |text: &str, subject: &str| {
            let place = RowPlace::Text(text.as_bytes().to_vec());
            let subject = Some(subject.to_owned());
            RowContent::Image(ListRow { place, subject, hash: None, tag: None })
        };
        assert_eq!(found[0], (1, image("a.jpg", "17")));
        assert_eq!(found[1], (3, image("b.jpg", "Ann")));
        for (number, content) in &found[2..5] {
            let RowContent::Bad(reason) = content else { panic!("{content:?}") };
            assert!(!reason.contains("Bob"), "line {number}: {reason}");
        }
        assert!(matches!(&found[5].1, RowContent::Image(_)), "{found:?}");
        assert_eq!(rows.ignored(), ["id"]);
    }
}
