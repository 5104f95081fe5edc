//! An export as CSV: the table of [`table`](super::table) as text.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::table::{self, Column, TableRow, Value};

/// Writes CSV row by row.
pub(super) struct CsvEncoder<W: Write> {
    writer: csv::Writer<W>,
    columns: Vec<&'static Column>,
    /// The text of the value at hand.
    cell: Vec<u8>,
    /// The bytes of the template at hand.
    floats: Vec<u8>,
}

impl<W: Write> CsvEncoder<W> {
    pub(super) fn new(templates: bool, out: W) -> io::Result<Self> {
        let columns: Vec<_> = table::columns(templates).collect();
        let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(out);
        writer.write_record(columns.iter().map(|column| column.name))?;
        Ok(Self { writer, columns, cell: Vec::new(), floats: Vec::new() })
    }

    pub(super) fn write(&mut self, row: &TableRow<'_>) -> io::Result<()> {
        let Self { writer, columns, cell, floats } = self;
        for column in columns {
            cell.clear();
            match column.value(row) {
                Value::Null => {}
                Value::Text(text) => {
                    if runs_as_a_formula(&text) {
                        cell.push(b'\'');
                    }
                    cell.extend_from_slice(text.as_bytes());
                }
                Value::Time(time) => write!(cell, "{time}")?,
                Value::Int(int) => write!(cell, "{int}")?,
                Value::Float32(float) => write!(cell, "{float}")?,
                Value::Float64(float) => write!(cell, "{float}")?,
                Value::Template(template) => base64(template, floats, cell),
            }
            writer.write_field(&*cell)?;
        }
        Ok(writer.write_record(None::<&[u8]>)?)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        self.writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Appends the base64 of little-endian 32-bit floats.
fn base64(template: &[f32], bytes: &mut Vec<u8>, text: &mut Vec<u8>) {
    bytes.clear();
    bytes.resize(size_of_val(template), 0);
    for (bytes, float) in bytes.as_chunks_mut().0.iter_mut().zip(template) {
        *bytes = float.to_le_bytes();
    }
    let start = text.len();
    text.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(&*bytes, &mut text[start..]);
    text.truncate(start + written.unwrap_or_default());
}

/// Whether a spreadsheet would run a cell with this text: file names and reasons may come from
/// anybody.
pub(super) fn runs_as_a_formula(text: &str) -> bool {
    const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    text.starts_with(FORMULA)
}
