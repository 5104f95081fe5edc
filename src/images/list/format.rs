//! The formats of lists, recognised by the ending of the name and the first bytes.

use super::file::SNIFFED_BYTES;
use super::table::{is_header, is_no_header};

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "snake_case", parse_err_fn = unknown_format, parse_err_ty = String)]
pub enum ListFormat {
    /// A path or URI a line.
    Text,
    /// A table with a header; commas, semicolons, tabs or bars separate its cells.
    Csv,
    /// A JSON object a line.
    #[strum(serialize = "jsonl", serialize = "ndjson", serialize = "json")]
    Jsonl,
    /// A Parquet file.
    Parquet,
    /// The manifest of an S3 inventory, or one of its CSV files.
    Inventory,
}

fn unknown_format(text: &str) -> String {
    format!("unknown format '{text}': use text, csv, jsonl, parquet or inventory")
}

/// The format of a file of this name that begins with these bytes; or why it is no list.
pub(super) fn recognise(name: &str, first: &[u8]) -> Result<ListFormat, String> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if first.starts_with(b"PAR1") {
        return Ok(ListFormat::Parquet);
    }
    refuse_other_files(first)?;
    if ends(&[".parquet", ".parq"]) {
        return Err("its name is that of a Parquet file, and its content is not one".into());
    }
    let text = first.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(first).trim_ascii_start();
    if text.starts_with(b"[") {
        return Err("it is a JSON array: write one object a line, as `jq -c '.[]'` does".into());
    }
    if text.starts_with(b"{") {
        let is_manifest =
            ends(&["manifest.json"]) || memchr::memmem::find(text, b"\"fileSchema\"").is_some();
        return Ok(if is_manifest { ListFormat::Inventory } else { ListFormat::Jsonl });
    }
    if ends(&[".jsonl", ".ndjson"]) {
        if text.is_empty() {
            return Ok(ListFormat::Jsonl);
        }
        return Err("its name is that of JSON lines, and its first line is no object".into());
    }
    let mut lines = text.split(|byte| *byte == b'\n');
    let header = lines.find(|line| !is_no_header(line)).unwrap_or_default();
    if is_header(header.trim_ascii()) || ends(&[".csv", ".tsv"]) {
        return Ok(ListFormat::Csv);
    }
    Ok(ListFormat::Text)
}

/// Refuses what cannot be a list, before millions of lines are reported.
fn refuse_other_files(first: &[u8]) -> Result<(), String> {
    let refused = |what: &str| Err(format!("it is {what}"));
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        return refused("in UTF-16: save it as UTF-8");
    }
    if first.starts_with(b"PK\x03\x04") || first.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return refused("an archive or a workbook: save the sheet as 'CSV UTF-8'");
    }
    if first.starts_with(b"ORC") {
        return refused("an ORC file: write the inventory as CSV or Parquet");
    }
    if first[..first.len().min(SNIFFED_BYTES)].contains(&0) {
        return refused("no text: it contains zero bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_ending_and_first_bytes() {
        for (name, first, expected) in [
            ("a.txt", "photos/a.jpg\n", ListFormat::Text),
            ("-", "s3://faces/a.jpg", ListFormat::Text),
            ("a", "", ListFormat::Text),
            ("a.csv", "", ListFormat::Csv),
            ("a.jsonl", " \n", ListFormat::Jsonl),
            ("a", "#,uri\n1,a.jpg\n", ListFormat::Csv),
            ("a", "#uri\na.jpg\n", ListFormat::Text),
            ("a", "# people\n\nuri,subject\nx,y", ListFormat::Csv),
            ("a", "file;subject\r\nx;y", ListFormat::Csv),
            ("a.TSV.gz", "x\ty\n", ListFormat::Csv),
            ("a", " {\"uri\": \"x\"}\n", ListFormat::Jsonl),
            ("s3://i/2026/manifest.json", "{\n  \"sourceBucket\"", ListFormat::Inventory),
            ("a.json", "{\"fileSchema\": \"Bucket, Key\"}", ListFormat::Inventory),
            ("a", "PAR1\u{0}", ListFormat::Parquet),
        ] {
            assert_eq!(recognise(name, first.as_bytes()), Ok(expected), "{name} {first}");
        }
        for (name, first, told) in [
            ("a.csv", &b"\xff\xfeu\0"[..], "UTF-16"),
            ("a.csv", b"PK\x03\x04", "workbook"),
            ("a.txt", b"a\0b", "zero bytes"),
            ("a.json", b"[\n{", "jq"),
            ("a.parquet", b"uri\n", "Parquet"),
            ("a.jsonl", b"a.jpg\n", "object"),
            ("a.orc", b"ORC\x01", "ORC"),
        ] {
            let error = recognise(name, first).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        assert_eq!("jsonl".parse(), Ok(ListFormat::Jsonl));
        assert!("xml".parse::<ListFormat>().unwrap_err().contains("jsonl"));
    }
}
