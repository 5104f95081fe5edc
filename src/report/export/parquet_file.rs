//! An export as a Parquet file: the table of [`table`](super::table) in groups of rows of bounded
//! size, compressed with Snappy.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::arrow_schema;
use super::table::{self, Column, Kind, TableRow, Value};

/// Most rows of a group.
const GROUP_ROWS: usize = 65_536;
/// Most bytes of a group in memory, a row more or less.
pub(super) const GROUP_BYTES: usize = 8 << 20;
/// Rows whose templates are handed to the writer at once.
const TEMPLATE_ROWS: usize = 512;

/// Writes a Parquet file row by row.
pub(super) struct ParquetEncoder<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<ColumnBuffer>,
    templates: bool,
    rows: usize,
    bytes: usize,
}

impl<W: Write + Send> ParquetEncoder<W> {
    /// `dimension` is that of templates, if it is known.
    pub(super) fn new(templates: bool, dimension: Option<usize>, out: W) -> io::Result<Self> {
        let schema = parse_message_type(&message(templates)).map_err(failed)?;
        let properties = Arc::new(properties(templates));
        Ok(Self {
            file: SerializedFileWriter::new(out, Arc::new(schema), properties).map_err(failed)?,
            columns: table::columns(templates)
                .map(|column| ColumnBuffer::new(column, dimension))
                .collect(),
            templates,
            rows: 0,
            bytes: 0,
        })
    }

    pub(super) fn write(&mut self, row: &TableRow<'_>) -> io::Result<()> {
        for column in &mut self.columns {
            self.bytes += column.push(column.column.value(row))?;
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.file.next_row_group().map_err(failed)?;
        for column in &mut self.columns {
            let writer = group.next_column().map_err(failed)?;
            let mut writer = writer.ok_or_else(|| io::Error::other("a column without a writer"))?;
            column.write(&mut writer).map_err(failed)?;
            writer.close().map_err(failed)?;
            column.clear();
        }
        group.close().map_err(failed)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Writes what is left and the file's end.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.rows > 0 {
            self.write_group()?;
        }
        let dimension = self.columns.iter().find_map(|column| column.dimension);
        if let Some(dimension) = dimension.and_then(|dimension| i32::try_from(dimension).ok()) {
            let schema = arrow_schema::encoded(table::columns(self.templates), dimension);
            let entry = KeyValue::new(arrow_schema::KEY.to_owned(), schema);
            self.file.append_key_value_metadata(entry);
        }
        let mut out = self.file.into_inner().map_err(failed)?;
        out.flush()?;
        Ok(out)
    }
}

/// The error of the output itself, if that is the cause: a closed pipe is told as one.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => {
            cause.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error)
        }
        error => io::Error::other(error),
    }
}

/// The schema in Parquet's notation.
fn message(templates: bool) -> String {
    let mut message = "message facefleet {".to_owned();
    for Column { name, kind, nullable, .. } in table::columns(templates) {
        let repetition = if *nullable { "OPTIONAL" } else { "REQUIRED" };
        message += &match kind {
            Kind::Category | Kind::Text => format!("{repetition} BYTE_ARRAY {name} (STRING);"),
            Kind::Int32 => format!("{repetition} INT32 {name};"),
            Kind::Int64 => format!("{repetition} INT64 {name};"),
            Kind::Float32 => format!("{repetition} FLOAT {name};"),
            Kind::Float64 => format!("{repetition} DOUBLE {name};"),
            Kind::Time => format!("{repetition} INT64 {name} (TIMESTAMP(MILLIS,true));"),
            Kind::Template => format!(
                "{repetition} GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED FLOAT \
                 element; }} }}"
            ),
        };
    }
    message + "}"
}

fn properties(templates: bool) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("facefleet version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // A dictionary of values that are all different is built in vain.
        .set_dictionary_enabled(false);
    for Column { name, kind, .. } in table::columns(templates) {
        let path = ColumnPath::from(*name);
        properties = match kind {
            Kind::Category | Kind::Int32 => properties.set_column_dictionary_enabled(path, true),
            Kind::Template => {
                let path = ["template", "list", "element"].map(str::to_owned);
                let path = ColumnPath::new(path.to_vec());
                properties.set_column_statistics_enabled(path, EnabledStatistics::None)
            }
            _ => properties,
        };
    }
    properties.build()
}

/// The values of a column that wait for their group to be written.
struct ColumnBuffer {
    column: &'static Column,
    values: Values,
    /// For a column that may be null: 1 for a row with a value, 0 for one without.
    present: Vec<i16>,
    /// Components of a template.
    dimension: Option<usize>,
}

enum Values {
    /// The texts one after the other, and where each ends.
    Text(Vec<u8>, Vec<usize>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
}

impl ColumnBuffer {
    fn new(column: &'static Column, dimension: Option<usize>) -> Self {
        let values = match column.kind {
            Kind::Category | Kind::Text => Values::Text(Vec::new(), Vec::new()),
            Kind::Int32 => Values::Int32(Vec::new()),
            Kind::Int64 | Kind::Time => Values::Int64(Vec::new()),
            Kind::Float32 | Kind::Template => Values::Float32(Vec::new()),
            Kind::Float64 => Values::Float64(Vec::new()),
        };
        let dimension = dimension.filter(|_| column.kind == Kind::Template);
        Self { column, values, present: Vec::new(), dimension }
    }

    /// Adds the value of a row, and returns the bytes that it takes.
    fn push(&mut self, value: Value<'_>) -> io::Result<usize> {
        if self.column.nullable {
            self.present.push(i16::from(!matches!(value, Value::Null)));
        }
        Ok(match (&mut self.values, value) {
            (_, Value::Null) if self.column.nullable => 2,
            (Values::Text(bytes, ends), Value::Text(text)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
                text.len() + size_of::<usize>()
            }
            (Values::Int32(values), Value::Int(int)) => {
                values.push(i32::try_from(int).map_err(io::Error::other)?);
                4
            }
            (Values::Int64(values), Value::Int(int)) => {
                values.push(int);
                8
            }
            (Values::Int64(values), Value::Time(time)) => {
                values.push(time.as_millisecond());
                8
            }
            (Values::Float32(values), Value::Float32(float)) => {
                values.push(float);
                4
            }
            (Values::Float64(values), Value::Float64(float)) => {
                values.push(float);
                8
            }
            (Values::Float32(values), Value::Template(template)) => {
                let dimension = *self.dimension.get_or_insert(template.len());
                if dimension != template.len() {
                    return Err(io::Error::other(format!(
                        "templates of {dimension} and of {} numbers in one profile",
                        template.len()
                    )));
                }
                values.extend_from_slice(template);
                size_of_val(template)
            }
            _ => {
                let name = self.column.name;
                return Err(io::Error::other(format!("column {name} cannot hold its value")));
            }
        })
    }

    fn write(&self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = self.column.nullable.then_some(&self.present[..]);
        match &self.values {
            Values::Text(bytes, ends) => {
                // One allocation, which all texts share.
                let bytes = bytes::Bytes::copy_from_slice(bytes);
                let mut start = 0;
                let texts: Vec<ByteArray> = ends
                    .iter()
                    .map(|&end| {
                        let text = bytes.slice(start..end);
                        start = end;
                        text.into()
                    })
                    .collect();
                writer.typed::<ByteArrayType>().write_batch(&texts, levels, None)?;
            }
            Values::Int32(ints) => {
                writer.typed::<Int32Type>().write_batch(ints, levels, None)?;
            }
            Values::Int64(ints) => {
                writer.typed::<Int64Type>().write_batch(ints, levels, None)?;
            }
            Values::Float32(floats) if self.column.kind == Kind::Template => {
                self.write_templates(floats, writer)?;
            }
            Values::Float32(floats) => {
                writer.typed::<FloatType>().write_batch(floats, levels, None)?;
            }
            Values::Float64(floats) => {
                writer.typed::<DoubleType>().write_batch(floats, levels, None)?;
            }
        }
        Ok(())
    }

    /// Writes lists of floats: a component is at level 2, a row without a template at 0; the first
    /// component of a row repeats nothing, the others their list.
    fn write_templates(
        &self,
        floats: &[f32],
        writer: &mut SerializedColumnWriter<'_>,
    ) -> Result<(), ParquetError> {
        let dimension = self.dimension.unwrap_or_default();
        let (mut definition, mut repetition, mut rest) = (Vec::new(), Vec::new(), floats);
        for rows in self.present.chunks(TEMPLATE_ROWS) {
            definition.clear();
            repetition.clear();
            for &present in rows {
                let components = if present == 1 { dimension } else { 1 };
                definition.resize(definition.len() + components, 2 * present);
                repetition.push(0);
                repetition.resize(definition.len(), 1);
            }
            let with = rows.iter().filter(|&&present| present == 1).count();
            let (batch, after) = rest.split_at(with * dimension);
            writer.typed::<FloatType>().write_batch(batch, Some(&definition), Some(&repetition))?;
            rest = after;
        }
        Ok(())
    }

    /// Empties it, and keeps its memory.
    fn clear(&mut self) {
        self.present.clear();
        match &mut self.values {
            Values::Text(bytes, ends) => {
                bytes.clear();
                ends.clear();
            }
            Values::Int32(values) => values.clear(),
            Values::Int64(values) => values.clear(),
            Values::Float32(values) => values.clear(),
            Values::Float64(values) => values.clear(),
        }
    }
}
