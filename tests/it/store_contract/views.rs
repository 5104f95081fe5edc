//! The SQL views show what an export writes, under the same names.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use facefleet::domain::{JobRecord, Outcome};
use facefleet::report::{ExportFormat, ExportOptions, export};
use facefleet::store::PageFilter;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::{Home, a, b, opened, under_b};
use crate::support::{content, face, gallery, record, scored, stamp, unfetched, with_job};

/// The rows of a view; blobs in hexadecimal.
pub async fn of_sqlite(file: &Path, view: &str) -> Vec<Value> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)")
        .bind(view)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let pairs: Vec<String> = columns
        .iter()
        .map(|name| format!("'{name}', iif(typeof({name}) = 'blob', hex({name}), {name})"))
        .collect();
    let query = format!("SELECT json_object({}) FROM {view}", pairs.join(", "));
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// The rows of a view; bytes in hexadecimal after `\x`.
pub async fn of_postgres(url: &str, view: &str) -> Vec<Value> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let query = format!("SELECT to_jsonb(v)::text FROM {view} v");
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

type Exported = HashMap<String, String>;

async fn exported(home: &impl Home) -> Vec<Exported> {
    let store = home.open().await;
    let mut rows = Vec::new();
    for profile in [a(), b()] {
        let options = ExportOptions {
            format: ExportFormat::Csv,
            templates: true,
            outcomes: Vec::new(),
            filter: PageFilter::default(),
        };
        let exported = export(store.as_ref(), &gallery(), &profile, &options, Vec::new()).await;
        let (_, csv) = exported.unwrap();
        rows.extend(csv::Reader::from_reader(&csv[..]).deserialize().map(Result::unwrap));
    }
    rows
}

fn floats<const SIZE: usize>(hex: &str, float: fn([u8; SIZE]) -> f32) -> Vec<f32> {
    let digits = hex.trim_start_matches("\\x").as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    bytes.as_chunks::<SIZE>().0.iter().map(|&bytes| float(bytes)).collect()
}

fn landmarks(row: &Exported) -> Vec<f32> {
    ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
        .iter()
        .flat_map(|point| ["x", "y"].map(|axis| format!("landmarks_{point}_{axis}")))
        .filter_map(|name| row[&name].parse().ok())
        .collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-3, "{what}: {found} for {expected}");
    }
}

/// A value of a view is what the export has.
fn assert_agrees(name: &str, value: &Value, row: &Exported) {
    let text = value.as_str().unwrap_or_default();
    match (name, value) {
        (_, Value::Null) if name != "landmarks" => assert_eq!(row[name], "", "{name}"),
        ("landmarks", _) => {
            assert_close(&floats::<4>(text, f32::from_le_bytes), &landmarks(row), name);
        }
        ("template", _) => {
            let found: Vec<f32> = match text.strip_prefix('[') {
                Some(list) => {
                    let list = list.trim_end_matches(']').split(',');
                    list.map(|float| float.parse().unwrap()).collect()
                }
                None => floats::<2>(text, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
            };
            let bytes = STANDARD.decode(&row[name]).unwrap();
            let expected = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
            assert_close(&found, &expected.collect::<Vec<_>>(), name);
        }
        ("recorded_at" | "noted_at", _) => {
            let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
            assert_eq!(time(text), time(&row[name]), "{name}");
        }
        (_, Value::Number(number)) => {
            let (found, expected) = (number.as_f64().unwrap(), row[name].parse::<f64>().unwrap());
            assert!((found - expected).abs() <= expected.abs() * 1e-6, "{name}: {found}");
        }
        _ => assert_eq!(text, row[name], "{name}"),
    }
}

/// Every row of the view is one of the export, which `key` names, and the other way round.
fn assert_same(view: &[Value], rows: &HashMap<String, &Exported>, key: &[&str]) {
    assert_eq!(view.len(), rows.len());
    for found in view {
        let text = |name: &&str| match &found[*name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let key = key.iter().map(text).collect::<Vec<_>>().join(" ");
        let row = rows.get(&key).unwrap_or_else(|| panic!("no {key} in {:?}", rows.keys()));
        for (name, value) in found.as_object().unwrap() {
            assert_agrees(name, value, row);
        }
    }
}

pub async fn views_agree_with_exports(home: impl Home) {
    let store = opened(&home).await;
    let mut faces = vec![face(80), face(30), face(0)];
    faces[1].recognition = None;
    faces[2].face.landmarks = None;
    faces[2].face.detector_score = None;
    let at =
        |record: JobRecord, uri: &str| with_job(record, |job| job.image = uri.parse().unwrap());
    let records = [
        with_job(record("faces", Outcome::Scored(faces)), |job| job.subject = "Ada".parse().ok()),
        at(scored("signed", &[40]), "https://user:secret@host:8443/a%20@.jpg?sig=a/b@c#d"),
        at(scored("bucket", &[50]), "s3://photos/x/y.jpg"),
        record("empty", Outcome::NoFace),
        unfetched("large", Outcome::Refused("over 64 MiB".into())),
        scored("noted", &[60]),
        under_b(scored("signed", &[70])),
    ];
    store.record(&records).await.unwrap();
    let denied = with_job(unfetched("noted", Outcome::Refused("denied".into())), |job| {
        job.stamp = Some(stamp("v2"));
    });
    store.record(&[denied]).await.unwrap();

    let rows = exported(&home).await;
    let images = rows.iter().map(|row| (format!("{} {}", row["image_id"], row["profile"]), row));
    let images: HashMap<String, &Exported> = images.collect();
    assert_eq!(images.len(), 7);
    let view = home.view("facefleet_images").await;
    assert_same(&view, &images, &["image_id", "profile"]);
    assert!(view.iter().any(|row| row["noted_reason"] == "denied"));
    assert!(!format!("{view:?}").contains("secret") && !format!("{view:?}").contains("sig="));

    let faces = rows.iter().filter(|row| !row["face_id"].is_empty());
    let faces = faces.map(|row| (format!("{} {}", row["face_id"], row["profile"]), row));
    let faces: HashMap<String, &Exported> = faces.collect();
    assert_eq!(faces.len(), 7);
    let view = home.view("facefleet_faces").await;
    assert_same(&view, &faces, &["face_id", "profile"]);
    assert!(!format!("{view:?}").contains("secret"));
}

pub async fn views_show_current_results_alone(home: impl Home) {
    let store = opened(&home).await;
    let first = scored("one", &[10]);
    let newer = JobRecord { content: content(b"newer"), ..scored("one", &[20, 30]) };
    store.record(&[first]).await.unwrap();
    store.record(&[newer]).await.unwrap();
    let images = home.view("facefleet_images").await;
    assert_eq!((images.len(), &images[0]["face_count"]), (1, &Value::from(2)));
    assert_eq!(home.view("facefleet_faces").await.len(), 2);
}
