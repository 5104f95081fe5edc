//! The schema of an exported Parquet file in Arrow's own words, which writers of Arrow put beside
//! Parquet's: Parquet has lists, and cannot say that every one has the same length. Readers that
//! know Arrow (pyarrow, pandas, Polars) then read a template as an array of that length.
//!
//! The format is that of a message of Arrow's IPC with a schema: Schema.fbs and Message.fbs of the
//! Arrow project give the tables, and the numbers of their fields, types and values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, VOffsetT, WIPOffset};

use super::table::{Column, Kind};

/// The key of the schema in the metadata of a Parquet file.
pub(super) const KEY: &str = "ARROW:schema";

/// A table that is complete.
type FinishedTable = WIPOffset<TableFinishedWIPOffset>;

/// Where the table of a field of this number is in the table's index.
const fn slot(field: VOffsetT) -> VOffsetT {
    4 + 2 * field
}

/// The schema of `columns`, in which a template has `dimension` components.
pub(super) fn encoded(columns: impl Iterator<Item = &'static Column>, dimension: i32) -> String {
    const VERSION_5: i16 = 4;
    const SCHEMA: u8 = 1;
    let mut builder = FlatBufferBuilder::new();
    let fields: Vec<FinishedTable> =
        columns.map(|column| column_field(&mut builder, column, dimension)).collect();
    let fields = builder.create_vector(&fields);
    let schema = builder.start_table();
    builder.push_slot_always(slot(1), fields);
    let schema = builder.end_table(schema);
    let message = builder.start_table();
    builder.push_slot_always(slot(0), VERSION_5);
    builder.push_slot_always(slot(1), SCHEMA);
    builder.push_slot_always(slot(2), schema);
    let message = builder.end_table(message);
    builder.finish_minimal(message);

    // A marker, the length of the message, and the message, padded to eight bytes.
    let mut bytes = builder.finished_data().to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    STANDARD.encode([&[0xff; 4], &length, &bytes[..]].concat())
}

fn column_field(
    builder: &mut FlatBufferBuilder<'_>,
    column: &Column,
    dimension: i32,
) -> FinishedTable {
    let element = match column.kind {
        Kind::Template => {
            let (number, kind) = data_type(builder, Kind::Float32, dimension);
            vec![field(builder, "element", false, number, kind, &[])]
        }
        _ => Vec::new(),
    };
    let (number, kind) = data_type(builder, column.kind, dimension);
    field(builder, column.name, column.nullable, number, kind, &element)
}

fn field(
    builder: &mut FlatBufferBuilder<'_>,
    name: &str,
    nullable: bool,
    type_number: u8,
    data_type: FinishedTable,
    children: &[FinishedTable],
) -> FinishedTable {
    let name = builder.create_string(name);
    let children = builder.create_vector(children);
    let field = builder.start_table();
    builder.push_slot_always(slot(0), name);
    builder.push_slot_always(slot(1), nullable);
    builder.push_slot_always(slot(2), type_number);
    builder.push_slot_always(slot(3), data_type);
    builder.push_slot_always(slot(5), children);
    builder.end_table(field)
}

/// The number of a type, and its table.
fn data_type(
    builder: &mut FlatBufferBuilder<'_>,
    kind: Kind,
    dimension: i32,
) -> (u8, FinishedTable) {
    const MILLISECOND: i16 = 1;
    const SINGLE: i16 = 1;
    const DOUBLE: i16 = 2;
    let utc = builder.create_string("UTC");
    let table = builder.start_table();
    let number = match kind {
        Kind::Category | Kind::Text => 5,
        Kind::Int32 | Kind::Int64 => {
            builder.push_slot_always(slot(0), if kind == Kind::Int32 { 32_i32 } else { 64 });
            builder.push_slot_always(slot(1), true);
            2
        }
        Kind::Float32 | Kind::Float64 => {
            let precision = if kind == Kind::Float32 { SINGLE } else { DOUBLE };
            builder.push_slot_always(slot(0), precision);
            3
        }
        Kind::Time => {
            builder.push_slot_always(slot(0), MILLISECOND);
            builder.push_slot_always(slot(1), utc);
            10
        }
        Kind::Template => {
            builder.push_slot_always(slot(0), dimension);
            16
        }
    };
    (number, builder.end_table(table))
}
