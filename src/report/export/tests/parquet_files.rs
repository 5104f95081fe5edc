//! What other programs read in an exported Parquet file.

use bytes::Bytes;
use parquet::basic::{Compression, LogicalType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::*;
use crate::domain::{FaceId, Template, UtcTime};
use crate::report::export::parquet_file::GROUP_BYTES;

fn opened(file: Vec<u8>) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(file)).unwrap()
}

fn records(file: &SerializedFileReader<Bytes>) -> Vec<Row> {
    file.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn field(row: &Row, name: &str) -> Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap().1.clone()
}

fn floats(field: &Field) -> Vec<f32> {
    let Field::ListInternal(list) = field else { panic!("{field:?} is no list") };
    let float = |field: &Field| match field {
        Field::Float(float) => *float,
        other => panic!("{other:?} is no float"),
    };
    list.elements().iter().map(float).collect()
}

#[tokio::test]
async fn a_row_has_the_values_of_csv_as_what_they_are() {
    let (images, file) =
        exported_bytes(&gallery_of_three(), &whole(ExportFormat::Parquet, true)).await;
    let file = opened(file);
    let rows = records(&file);
    assert_eq!((images, rows.len()), (3, 4));
    let (_, csv) = exported(&gallery_of_three(), ExportFormat::Csv, true).await;
    let columns: Vec<&str> = table::columns(true).map(|column| column.name).collect();
    for (record, text) in rows.iter().zip(super::rows(&csv)) {
        let names: Vec<&String> = record.get_column_iter().map(|(name, _)| name).collect();
        assert_eq!(names, columns);
        for (name, value) in record.get_column_iter() {
            let text = text[name].trim_start_matches('\'').to_owned();
            match value {
                Field::Null => assert_eq!(text, "", "{name}"),
                Field::Str(value) => assert_eq!(*value, text, "{name}"),
                Field::Int(value) => assert_eq!(value.to_string(), text, "{name}"),
                Field::Long(value) => assert_eq!(value.to_string(), text, "{name}"),
                Field::Float(value) => assert_eq!(value.to_string(), text, "{name}"),
                Field::Double(value) => assert_eq!(value.to_string(), text, "{name}"),
                Field::TimestampMillis(value) => {
                    let time = UtcTime::from_millisecond(*value).unwrap();
                    assert_eq!(time.to_string(), text, "{name}");
                }
                Field::ListInternal(_) => {
                    let bytes: Vec<u8> =
                        floats(value).iter().flat_map(|float| float.to_le_bytes()).collect();
                    assert_eq!(STANDARD.encode(bytes), text, "{name}");
                }
                other => panic!("{name} is {other:?}"),
            }
        }
    }
    assert_eq!(field(&rows[3], "reason").to_string(), "\"=cmd|' /C calc'!A0, \"quoted\"\"");
}

#[tokio::test]
async fn columns_are_typed_and_compressed_and_templates_have_a_fixed_length() {
    let (_, file) = exported_bytes(&gallery_of_three(), &whole(ExportFormat::Parquet, true)).await;
    let file = opened(file);
    let metadata = file.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let column = |name: &str| {
        schema.columns().iter().position(|column| column.path().parts()[0] == name).unwrap()
    };
    let logical = |name: &str| schema.column(column(name)).logical_type_ref().cloned();
    assert_eq!(logical("uri"), Some(LogicalType::String));
    assert!(matches!(logical("recorded_at"), Some(LogicalType::Timestamp { .. })));
    let group = metadata.row_group(0);
    assert_eq!(group.column(column("uri")).compression(), Compression::SNAPPY);
    assert!(group.column(column("quality")).statistics().is_some());
    assert!(group.column(column("template")).statistics().is_none());
    // tests/it/recipes.rs reads it with Arrow.
    let entries = metadata.file_metadata().key_value_metadata().unwrap();
    assert!(entries.iter().any(|entry| entry.key == arrow_schema::KEY && entry.value.is_some()));

    let (_, without) =
        exported_bytes(&gallery_of_three(), &whole(ExportFormat::Parquet, false)).await;
    let without = opened(without);
    assert!(
        !without
            .metadata()
            .file_metadata()
            .schema()
            .get_fields()
            .iter()
            .any(|field| { field.name() == "template" })
    );
}

#[tokio::test]
async fn groups_of_rows_are_bounded_and_lose_no_row() {
    let mut store = Fixture::of_qualities(&[1; 3]);
    let long = "x".repeat(GROUP_BYTES / 16);
    for number in 0..24 {
        store.add(&format!("/photos/{number}/{long}"), OutcomeKind::NoFace, None);
        store.add(&format!("/photos/{number}.jpg"), OutcomeKind::Scored, None).add_face(1);
    }
    let (images, file) = exported_bytes(&store, &whole(ExportFormat::Parquet, true)).await;
    let file = opened(file);
    assert!(file.metadata().num_row_groups() > 2);
    for group in file.metadata().row_groups() {
        assert!(group.total_byte_size() < 2 * GROUP_BYTES as i64);
    }
    let rows = records(&file);
    assert_eq!((images, rows.len()), (51, 51));
    for (row, image) in rows.iter().zip(&store.images) {
        assert_eq!(field(row, "image_id"), Field::Long(image.id.0));
        match image.faces.first() {
            None => assert_eq!(field(row, "template"), Field::Null),
            Some(face) => {
                assert_eq!(
                    floats(&field(row, "template")),
                    face.template.as_ref().unwrap().as_slice()
                );
            }
        }
    }
}

#[tokio::test]
async fn an_empty_gallery_is_a_file_with_columns() {
    let (images, file) =
        exported_bytes(&Fixture::default(), &whole(ExportFormat::Parquet, true)).await;
    let file = opened(file);
    assert_eq!((images, file.metadata().file_metadata().num_rows()), (0, 0));
    assert_eq!(
        file.metadata().file_metadata().schema().get_fields().len(),
        46 + 2 * Component::COUNT
    );
}

#[tokio::test]
async fn templates_of_two_lengths_are_an_error() {
    let mut store = Fixture::of_qualities(&[1, 2]);
    let (template, _) = Template::from_embedding(&[1.0, 2.0, 3.0]).unwrap();
    store.images[1].faces[0].template = Some(template);
    let (gallery, profile) = (fixture::gallery(), fixture::profile().id());
    let options = whole(ExportFormat::Parquet, true);
    let error =
        export(&store, &gallery, &profile, &options, Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("templates of 2 and of 3 numbers"), "{error}");
    assert_eq!(store.images[0].faces[0].id, FaceId { image: store.images[0].id, index: 0 });
}

#[tokio::test]
async fn a_file_without_any_template_has_the_schema_of_one_with_some() {
    let store = gallery_of_three();
    let schema = async |outcomes| {
        let options = ExportOptions { outcomes, ..whole(ExportFormat::Parquet, true) };
        let (_, file) = exported_bytes(&store, &options).await;
        let file = opened(file);
        let metadata = file.metadata().file_metadata();
        let entries = metadata.key_value_metadata().unwrap().clone();
        (metadata.num_rows(), entries)
    };
    let (all, entries) = schema(Vec::new()).await;
    let (some, without) = schema(vec![OutcomeKind::NoFace]).await;
    assert!(0 < some && some < all);
    assert_eq!(without, entries);
}
