//! Exports in all formats.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::csv_file::runs_as_a_formula;
use super::*;
use crate::domain::{Component, Enrolment, Reason, ReasonCode, UtcTime};
use crate::report::fixture::{self, Fixture};
use crate::store::{LatestEnrolment, Note};

fn whole(format: ExportFormat, templates: bool) -> ExportOptions {
    ExportOptions { format, templates, outcomes: Vec::new(), filter: PageFilter::default() }
}

async fn exported_bytes(store: &Fixture, options: &ExportOptions) -> (u64, Vec<u8>) {
    let (gallery, profile) = (fixture::gallery(), fixture::profile().id());
    export(store, &gallery, &profile, options, Vec::new()).await.unwrap()
}

async fn exported(store: &Fixture, format: ExportFormat, templates: bool) -> (u64, String) {
    exported_by(store, &whole(format, templates)).await
}

async fn exported_by(store: &Fixture, options: &ExportOptions) -> (u64, String) {
    let (images, out) = exported_bytes(store, options).await;
    (images, String::from_utf8(out).unwrap())
}

fn rows(csv: &str) -> Vec<std::collections::HashMap<String, String>> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().map(Result::unwrap).collect()
}

fn gallery_of_three() -> Fixture {
    let mut store = Fixture::default();
    store.add("/photos/two.jpg", OutcomeKind::Scored, None).add_face(80).add_face(30);
    store.add("/photos/=none.jpg", OutcomeKind::NoFace, None);
    store.add("/photos/bad.jpg", OutcomeKind::Unreadable, Some("=cmd|' /C calc'!A0, \"quoted\""));
    store
}

#[tokio::test]
async fn csv_has_a_row_for_each_face_and_one_for_an_image_without_a_face() {
    let (images, csv) = exported(&gallery_of_three(), ExportFormat::Csv, false).await;
    let rows = rows(&csv);
    assert_eq!(images, 3);
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[1]["face"], "1");
    assert_eq!((&*rows[1]["image_id"], &*rows[1]["face_id"]), ("101", "101-1"));
    assert_eq!((&*rows[2]["image_id"], &*rows[2]["face_id"]), ("102", ""));
    assert_eq!(rows[1]["image"], "/photos/two.jpg");
    assert_eq!(rows[1]["uri"], "file:///photos/two.jpg");
    assert_eq!((&*rows[1]["face_count"], &*rows[2]["face_count"]), ("2", "0"));
    assert_eq!(rows[1]["quality"], "30");
    assert_eq!(
        (rows[0]["box_x"].as_str(), rows[0]["box_height"].as_str()),
        ("-1.5", "96.25"),
        "numbers stay numbers"
    );
    assert_eq!(rows[0]["landmarks_left_mouth_y"], "52.5");
    assert_eq!(rows[2]["outcome"], "no_face");
    assert_eq!((rows[2]["face"].as_str(), rows[2]["score"].as_str()), ("", ""));
    assert_eq!((rows[3]["width"].as_str(), rows[3]["provider"].as_str()), ("250", "cpu"));
    assert!(!rows[0].contains_key("template"));
}

#[tokio::test]
async fn a_later_attempt_that_got_no_bytes_is_exported_with_the_result() {
    let mut store = gallery_of_three();
    let time = UtcTime::from_millisecond(1_767_323_045_000).unwrap();
    let at = time.to_string();
    store.images[0].noted =
        Some(Note { outcome: OutcomeKind::Refused, reason: Some("=denied".into()), at: time });
    let (_, csv) = exported(&store, ExportFormat::Csv, false).await;
    let row = &rows(&csv)[1];
    assert_eq!((row["outcome"].as_str(), row["noted_outcome"].as_str()), ("scored", "refused"));
    assert_eq!((row["noted_reason"].as_str(), row["noted_at"].as_str()), ("'=denied", at.as_str()));
    assert_eq!(rows(&csv)[2]["noted_outcome"], "");
    let (_, jsonl) = exported(&store, ExportFormat::Jsonl, false).await;
    let lines: Vec<serde_json::Value> =
        jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0]["noted"],
        serde_json::json!({"outcome": "refused", "reason": "=denied", "at": at})
    );
    assert!(lines[1]["noted"].is_null());
}

#[tokio::test]
async fn the_latest_enrolment_is_exported_with_its_codes() {
    let mut store = gallery_of_three();
    let latest = |codes: &[ReasonCode]| LatestEnrolment {
        subject: "=Ann".parse().unwrap(),
        enrolment: Enrolment::of(codes.iter().map(|code| Reason::new(*code)).collect()),
    };
    store.images[0].enrolment = Some(latest(&[ReasonCode::Blurred, ReasonCode::TooDark]));
    store.images[1].enrolment = Some(latest(&[]));
    let (_, csv) = exported(&store, ExportFormat::Csv, false).await;
    let rows = rows(&csv);
    let of = |row: usize| {
        let columns = ["enrolment_subject", "enrolment_decision", "enrolment_codes"];
        columns.map(|column| rows[row][column].as_str())
    };
    assert_eq!(of(0), ["'=Ann", "rejected", "BLURRED TOO_DARK"]);
    assert_eq!(of(1), of(0), "each face repeats it");
    assert_eq!([of(2), of(3)], [["'=Ann", "accepted", ""], [""; 3]]);
    let (_, jsonl) = exported(&store, ExportFormat::Jsonl, false).await;
    let lines: Vec<serde_json::Value> =
        jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes = serde_json::json!(["BLURRED", "TOO_DARK"]);
    assert_eq!(
        lines[0]["enrolment"],
        serde_json::json!({"subject": "=Ann", "decision": "rejected", "codes": codes})
    );
    assert_eq!(lines[1]["enrolment"]["codes"], serde_json::json!([]));
    assert!(lines[2]["enrolment"].is_null());
}

#[tokio::test]
async fn a_text_from_outside_never_becomes_a_formula() {
    let (_, csv) = exported(&gallery_of_three(), ExportFormat::Csv, false).await;
    assert_eq!(rows(&csv)[3]["reason"], "'=cmd|' /C calc'!A0, \"quoted\"");
    for bad in ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"] {
        assert!(runs_as_a_formula(bad), "{bad}");
    }
    for good in ["", "a=b", "/photos/=a.jpg", "'quoted"] {
        assert!(!runs_as_a_formula(good), "{good}");
    }
}

#[tokio::test]
async fn templates_in_csv_are_little_endian_floats() {
    let (_, csv) = exported(&gallery_of_three(), ExportFormat::Csv, true).await;
    let rows = rows(&csv);
    let bytes = STANDARD.decode(&rows[0]["template"]).unwrap();
    assert_eq!(bytes, [0.6f32.to_le_bytes(), 0.8f32.to_le_bytes()].concat());
    assert_eq!(rows[2]["template"], "");
}

#[tokio::test]
async fn jsonl_has_a_line_for_each_image() {
    let (images, jsonl) = exported(&gallery_of_three(), ExportFormat::Jsonl, true).await;
    let lines: Vec<serde_json::Value> =
        jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((images, lines.len()), (3, 3));
    assert_eq!(lines[0]["faces"][1]["quality"], 30);
    assert_eq!(lines[0]["image_id"], 101);
    assert_eq!(lines[0]["faces"][1]["face_id"], "101-1");
    assert_eq!(lines[0]["faces"][0]["box"]["height"], 96.25);
    assert_eq!(lines[0]["faces"][0]["landmarks"]["left_mouth"]["y"], 52.5);
    assert_eq!(
        (&lines[0]["uri"], &lines[0]["subject"]),
        (&"file:///photos/two.jpg".into(), &serde_json::Value::Null)
    );
    assert_eq!(lines[0]["faces"][0]["template"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["faces"], serde_json::json!([]));
    assert_eq!(lines[2]["reason"], "=cmd|' /C calc'!A0, \"quoted\"", "JSON needs no guard");
    let (_, without) = exported(&gallery_of_three(), ExportFormat::Jsonl, false).await;
    assert!(!without.contains("template"));
}

#[tokio::test]
async fn an_empty_gallery_exports_a_header_or_nothing() {
    let (images, csv) = exported(&Fixture::default(), ExportFormat::Csv, true).await;
    assert_eq!((images, csv.lines().count()), (0, 1));
    assert_eq!(exported(&Fixture::default(), ExportFormat::Jsonl, true).await, (0, String::new()));
}

#[tokio::test]
async fn every_page_is_exported() {
    let count = FIRST_PAGE as usize * 12 + 1;
    let store = Fixture::of_qualities(&vec![50; count]);
    let (images, csv) = exported(&store, ExportFormat::Csv, false).await;
    assert_eq!((images, csv.lines().count()), (count as u64, count + 1));
}

#[tokio::test]
async fn filters_leave_out_images_and_faces() {
    let store = gallery_of_three();
    let options = |filter: PageFilter, outcomes: &[OutcomeKind]| ExportOptions {
        format: ExportFormat::Jsonl,
        templates: false,
        outcomes: outcomes.to_vec(),
        filter,
    };
    let good = PageFilter { min_quality: Some(50), ..PageFilter::default() };
    let (images, jsonl) = exported_by(&store, &options(good, &[])).await;
    let image: serde_json::Value = serde_json::from_str(&jsonl).unwrap();
    assert_eq!((images, &image["face_count"]), (1, &2.into()), "the image has two faces");
    assert_eq!(image["faces"].as_array().unwrap().len(), 1);
    assert_eq!(image["faces"][0]["quality"], 80);

    let none = PageFilter::default();
    let (images, jsonl) = exported_by(&store, &options(none, &[OutcomeKind::Unreadable])).await;
    assert!(images == 1 && jsonl.contains("bad.jpg"), "{jsonl}");
}

#[test]
fn csv_has_a_column_for_every_number_of_a_face() {
    let names: Vec<&str> = table::columns(true).map(|column| column.name).collect();
    let components: String = Component::all()
        .map(|component| component.spec().name)
        .map(|name| format!("components_{name},components_{name}_value,"))
        .collect();
    let others = names.join(",").replace(&components, "");
    assert_eq!(names.len(), 46 + 2 * Component::COUNT);
    assert_eq!(
        others,
        "gallery,uri,image,image_id,subject,content_hash,bytes,width,height,outcome,reason,\
         profile,provider,timings_fetch_ms,timings_vision_ms,timings_recognise_ms,recorded_at,\
         noted_outcome,noted_reason,noted_at,enrolment_subject,enrolment_decision,enrolment_codes,\
         face_count,face,face_id,box_x,box_y,box_width,\
         box_height,landmarks_right_eye_x,landmarks_right_eye_y,landmarks_left_eye_x,\
         landmarks_left_eye_y,landmarks_nose_x,landmarks_nose_y,landmarks_right_mouth_x,\
         landmarks_right_mouth_y,landmarks_left_mouth_x,landmarks_left_mouth_y,detector_score,\
         distance,score,quality,norm,template"
    );
}

#[tokio::test]
async fn a_component_has_a_native_column_and_one_of_0_to_100() {
    let (_, csv) = exported(&gallery_of_three(), ExportFormat::Csv, false).await;
    let rows = rows(&csv);
    let of = |row: usize, name: &str| rows[row][name].clone();
    assert_eq!(of(0, "components_pitch_value"), "-12.5");
    assert_eq!(of(0, "components_pitch"), Component::Pitch.quality(-12.5).to_string());
    assert_eq!(of(1, "components_sharpness_value"), "0.003");
    assert_eq!(of(1, "components_sharpness"), Component::Sharpness.quality(0.003).to_string());
    assert_eq!((of(0, "components_yaw"), of(0, "components_yaw_value")), Default::default());
    assert_eq!(of(2, "components_pitch"), "", "there is no face");
    let (_, jsonl) = exported(&gallery_of_three(), ExportFormat::Jsonl, false).await;
    let image: serde_json::Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    let components = &image["faces"][0]["components"];
    assert_eq!(components["pitch"]["value"], -12.5);
    assert!(components["yaw"].is_null());
}

#[test]
fn every_column_is_documented() {
    let page = include_str!("../../../docs/data.md");
    for column in table::columns(true) {
        assert!(page.contains(&format!("`{}`", column.name)), "{} is missing", column.name);
    }
}

#[test]
fn group_photos_make_short_pages() {
    let mut store = Fixture::default();
    let crowd = store.add("/photos/crowd.jpg", OutcomeKind::Scored, None);
    for _ in 0..=PAGE_FACES {
        crowd.add_face(50);
    }
    assert_eq!(next_limit(&store.images, 256), 128);
    assert_eq!(next_limit(&store.images, 1), 1);
    assert_eq!(next_limit(&Fixture::of_qualities(&[1; 256]).images, 256), 512);
    assert_eq!(next_limit(&Fixture::of_qualities(&[1; 2048]).images, 2048), 2048);
}

mod parquet_files;
