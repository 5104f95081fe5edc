//! A list as a Parquet file: read row by row, with no more than a page of each column in memory.

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use std::io::{BufReader, Error, Read, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::columns::{ListColumns, names_no_images};
use super::file::{FileCursor, FileRange};
use super::row::{ReadRows, RowContent, row_of_cells};

/// Longest text of a cell, bytes, and most bytes of the file's description of itself.
const MOST_CELL_BYTES: usize = super::lines::MOST_LINE_BYTES;
const MOST_FOOTER_BYTES: u32 = 64 << 20;
/// Largest part of a column that is read, bytes.
const MOST_CHUNK_BYTES: i64 = 1 << 30;

/// Reads the rows of a Parquet file.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    columns: ListColumns,
    number: u64,
}

/// A file whose readers do not share a position.
struct ChunkFile(FileRange);

impl Length for ChunkFile {
    fn len(&self) -> u64 {
        self.0.length
    }
}

impl ChunkReader for ChunkFile {
    type T = BufReader<FileCursor>;

    fn get_read(&self, start: u64) -> std::result::Result<Self::T, ParquetError> {
        Ok(BufReader::new(FileCursor::at(&self.0, start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> std::result::Result<Bytes, ParquetError> {
        // The length comes from the file: allocate no more than is there.
        let left = self.len().saturating_sub(start);
        let mut bytes = Vec::with_capacity(length.min(usize::try_from(left).unwrap_or(0)));
        let read = FileCursor::at(&self.0, start).take(length as u64).read_to_end(&mut bytes)?;
        if read != length {
            return Err(ParquetError::EOF("the file ends early".into()));
        }
        Ok(bytes.into())
    }
}

impl ParquetRows {
    /// Reads the description of the file. The inner error says why it is no list.
    pub(super) fn new(file: FileRange) -> Result<std::result::Result<Self, String>> {
        if let Some(reason) = too_large(&file)? {
            return Ok(Err(reason));
        }
        guarded(|| Self::open(file))
    }

    fn open(
        file: FileRange,
    ) -> std::result::Result<std::result::Result<Self, String>, ParquetError> {
        let reader = SerializedFileReader::new(ChunkFile(file))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let root = schema.root_schema();
        let names: Vec<&str> = root.get_fields().iter().map(|field| field.name()).collect();
        let all = ListColumns::of(&names);
        if !all.name_images() {
            return Ok(Err(names_no_images(&names)));
        }
        let wanted = all.indexes();
        if wanted.iter().any(|index| !root.get_fields()[*index].is_primitive()) {
            return Ok(Err("a column of a list holds one value a row, not a group of them".into()));
        }
        for group in reader.metadata().row_groups() {
            let read = group.columns().iter().filter(|chunk| {
                let name = chunk.column_path().parts().first();
                wanted.iter().any(|index| name.is_some_and(|name| name == names[*index]))
            });
            if let Some(codec) = read.clone().find_map(|chunk| unread_codec(chunk.compression())) {
                return Ok(Err(format!(
                    "it is compressed with {codec}: write it with zstd, snappy, gzip, lz4 or \
                        uncompressed"
                )));
            }
            if read.clone().any(|chunk| chunk.uncompressed_size() > MOST_CHUNK_BYTES) {
                return Ok(Err("a row group has more than 1 GiB of a column: write smaller row \
                     groups"
                    .into()));
            }
        }
        let fields = wanted.iter().map(|index| root.get_fields()[*index].clone()).collect();
        let projection = Type::group_type_builder(root.name()).with_fields(fields).build()?;
        let mut columns = ListColumns::of(&wanted.iter().map(|i| names[*i]).collect::<Vec<_>>());
        columns.ignored = all.ignored;
        let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection))?;
        Ok(Ok(Self { rows, columns, number: 0 }))
    }
}

impl ReadRows for ParquetRows {
    fn next_row(&mut self) -> Result<Option<(u64, RowContent)>> {
        let rows = &mut self.rows;
        let Some(row) = guarded(|| rows.next().transpose())? else { return Ok(None) };
        self.number += 1;
        let mut cells = Vec::with_capacity(self.columns.count);
        for (_, field) in row.get_column_iter() {
            match text_of(field) {
                Ok(text) => cells.push(text),
                Err(reason) => return Ok(Some((self.number, RowContent::Bad(reason)))),
            }
        }
        let cell = |index: usize| cells.get(index).cloned().flatten();
        Ok(Some((self.number, row_of_cells(&self.columns, cell, Ok))))
    }

    fn ignored(&self) -> Vec<String> {
        self.columns.ignored.clone()
    }
}

/// The text of a cell; `None` if it is empty.
fn text_of(field: &Field) -> std::result::Result<Option<String>, String> {
    let text = match field {
        Field::Null => return Ok(None),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => {
            bytes.as_utf8().map_err(|_| "it is not UTF-8".to_owned())?.to_owned()
        }
        Field::Bool(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        _ => return Err("a column of a list holds texts or whole numbers".into()),
    };
    if text.len() > MOST_CELL_BYTES {
        return Err(format!("a cell is longer than {MOST_CELL_BYTES} bytes"));
    }
    Ok(Some(text))
}

/// The name of a codec that is not read.
fn unread_codec(codec: Compression) -> Option<&'static str> {
    match codec {
        Compression::BROTLI(_) => Some("Brotli"),
        Compression::LZO => Some("LZO"),
        _ => None,
    }
}

/// Why the description of the file is not read into memory, if it is not.
fn too_large(file: &FileRange) -> Result<Option<String>> {
    let length = file.length;
    if length < 12 {
        return Ok(Some("it is not a Parquet file: it is too short".into()));
    }
    let (mut footer, mut end) = ([0; 4], [0; 4]);
    FileCursor::at(file, length - 8).read_exact(&mut footer)?;
    FileCursor::at(file, length - 4).read_exact(&mut end)?;
    if &end != b"PAR1" {
        return Ok(Some("it does not end as a Parquet file does: it may be cut".into()));
    }
    let footer = u32::from_le_bytes(footer);
    Ok((footer > MOST_FOOTER_BYTES)
        .then(|| format!("its footer has {footer} bytes, more than {MOST_FOOTER_BYTES}")))
}

/// Runs `read`. A damaged file must not end the program: a panic is an error.
fn guarded<T>(read: impl FnOnce() -> std::result::Result<T, ParquetError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::other(format!("it is a damaged Parquet file: {error}"))),
        Err(_) => Err(Error::other("it is a damaged Parquet file")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parquet::basic::BrotliLevel;
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::row::RowPlace;
    use super::*;

    /// A file of two row groups, with a column that is not read between others.
    fn file(codec: Compression) -> FileRange {
        let schema = "message list { optional binary subject (UTF8); required int64 rank; \
                      required binary uri (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = tempfile::tempfile().unwrap();
        let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
        let copy = file.try_clone().unwrap();
        let mut writer = SerializedFileWriter::new(copy, schema, properties).unwrap();
        for group in 0..2 {
            let mut rows = writer.next_row_group().unwrap();
            let text = |text: String| ByteArray::from(text.into_bytes());
            let mut column = rows.next_column().unwrap().unwrap();
            column
                .typed::<ByteArrayType>()
                .write_batch(&[text("Ann".into())], Some(&[1, 0]), None)
                .unwrap();
            column.close().unwrap();
            let mut column = rows.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&[1, 2], None, None).unwrap();
            column.close().unwrap();
            let mut column = rows.next_column().unwrap().unwrap();
            let uris = [0, 1].map(|row| text(format!("s3://faces/{group}{row}.jpg")));
            column.typed::<ByteArrayType>().write_batch(&uris, None, None).unwrap();
            column.close().unwrap();
            rows.close().unwrap();
        }
        writer.close().unwrap();
        FileRange::whole(file)
    }

    #[test]
    fn columns_are_read_by_name() {
        let mut rows = ParquetRows::new(file(Compression::UNCOMPRESSED)).unwrap().unwrap();
        assert_eq!(rows.ignored(), ["rank"]);
        let found: Vec<(u64, RowContent)> =
            std::iter::from_fn(|| rows.next_row().unwrap()).collect();
        let brief: Vec<_> = found
            .into_iter()
            .map(|(number, content)| match content {
                RowContent::Image(row) => (number, row.place, row.subject),
                other => panic!("{other:?}"),
            })
            .collect();
        let place = |name: &str| RowPlace::Text(format!("s3://faces/{name}.jpg").into_bytes());
        let ann = || Some("Ann".to_owned());
        assert_eq!(
            brief,
            [
                (1, place("00"), ann()),
                (2, place("01"), None),
                (3, place("10"), ann()),
                (4, place("11"), None)
            ]
        );
    }

    #[test]
    fn common_codecs_are_read_and_others_are_named() {
        for codec in [
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::ZSTD(Default::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
        ] {
            let mut rows = ParquetRows::new(file(codec)).unwrap().unwrap();
            assert_eq!(rows.next_row().unwrap().unwrap().0, 1, "{codec:?}");
            assert_eq!(unread_codec(codec), None);
        }
        let brotli = Compression::BROTLI(BrotliLevel::default());
        assert_eq!(unread_codec(brotli), Some("Brotli"));
        assert_eq!(unread_codec(Compression::LZO), Some("LZO"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_a_panic() {
        let whole = {
            let mut bytes = Vec::new();
            FileCursor::at(&file(Compression::UNCOMPRESSED), 0).read_to_end(&mut bytes).unwrap();
            bytes
        };
        for at in 0..whole.len() {
            for change in [0x00, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = change;
                let mut damaged = tempfile::tempfile().unwrap();
                damaged.write_all(&bytes).unwrap();
                let damaged = FileRange::whole(damaged);
                let Ok(Ok(mut rows)) = ParquetRows::new(damaged) else { continue };
                for _ in 0..10 {
                    if !matches!(rows.next_row(), Ok(Some(_))) {
                        break;
                    }
                }
            }
        }
    }
}
