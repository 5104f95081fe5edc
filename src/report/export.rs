//! Everything the store holds of a gallery under one profile, as a table or as lines of JSON, page
//! by page.

use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::domain::{
    BoundingBox, GalleryName, ImageId, ImageUri, Landmarks, ProfileId, Template, Timings,
};
use crate::store::{Note, PageQuery, Reading, StoreError, StoredFace, StoredImage};

/// Images held in memory at a time.
const PAGE: u32 = 500;

const IMAGE_COLUMNS: &str = "gallery,image,image_id,content_hash,outcome,reason,width,height";
const FACE_COLUMNS: &str = "face,face_id,x,y,w,h,right_eye_x,right_eye_y,left_eye_x,left_eye_y,nose_x,nose_y,right_mouth_x,right_mouth_y,\
                            left_mouth_x,left_mouth_y,detector_score,distance,score,quality,norm";
const RECORD_COLUMNS: &str = "profile,provider,recorded_at,noted_outcome,noted_reason,noted_at";

/// How an export is written.
///
/// In both formats, `image` is a local path; the `file:` URI if the path is not UTF-8; for other
/// schemes the URI without password and query, since an export is passed on and a signed URL must
/// not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A table: one row a face, with its image's columns repeated; an image without a face has one
    /// row with empty face columns.
    ///
    /// `image_id` is the same under every profile. `face` counts from 0, the primary face;
    /// `face_id` is `IMAGE-INDEX`. `x,y,w,h` is its box and `width,height` the image,
    /// pixels. `template`, if asked for, is the base64 of little-endian 32-bit floats. `noted_…`
    /// says how a later attempt to read the image ended, if that got no bytes. A text that a
    /// spreadsheet would run as a formula begins with an apostrophe.
    Csv,
    /// One JSON object a line, one line an image, with its faces in an array. `template`, if asked
    /// for, is an array of numbers.
    Jsonl,
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::Jsonl),
            other => Err(format!("'{other}' is neither 'csv' nor 'jsonl'")),
        }
    }
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output could not be written: a full disk, or a reader that went away.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes every image of `gallery` under `profile` to `out`, page by page, and returns how many
/// images there were.
///
/// `out` is written to directly: it should not be something that blocks for long.
///
/// # Errors
/// If the store cannot be read or `out` cannot be written; what was written so far stays.
pub async fn export(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    format: ExportFormat,
    templates: bool,
    out: &mut (dyn Write + Send),
) -> Result<u64, ExportError> {
    let mut encoder = Encoder::new(format, templates, out)?;
    let mut query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes: Vec::new(),
        after: 0,
        limit: PAGE,
        templates,
    };
    let mut images = 0;
    loop {
        let page = store.page(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = last.cursor;
        for image in &page {
            encoder.write(image, &query)?;
            images += 1;
        }
    }
    encoder.finish()?;
    Ok(images)
}

#[allow(clippy::large_enum_variant, reason = "there is one, for the length of an export")]
enum Encoder<'a> {
    Csv(Box<csv::Writer<&'a mut (dyn Write + Send)>>),
    Jsonl(BufWriter<&'a mut (dyn Write + Send)>),
}

impl<'a> Encoder<'a> {
    fn new(
        format: ExportFormat,
        templates: bool,
        out: &'a mut (dyn Write + Send),
    ) -> io::Result<Self> {
        match format {
            ExportFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                let columns = [IMAGE_COLUMNS, FACE_COLUMNS, RECORD_COLUMNS, "template"];
                let columns = &columns[..if templates { 4 } else { 3 }];
                writer.write_record(columns.iter().flat_map(|group| group.split(',')))?;
                Ok(Self::Csv(Box::new(writer)))
            }
            ExportFormat::Jsonl => Ok(Self::Jsonl(BufWriter::new(out))),
        }
    }

    fn write(&mut self, image: &StoredImage, query: &PageQuery) -> io::Result<()> {
        match self {
            Self::Csv(writer) if image.faces.is_empty() => write_row(writer, image, None, query)?,
            Self::Csv(writer) => image
                .faces
                .iter()
                .try_for_each(|face| write_row(writer, image, Some(face), query))?,
            Self::Jsonl(writer) => {
                serde_json::to_writer(&mut *writer, &ImageLine::new(image, query))?;
                writer.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush(),
            Self::Jsonl(mut writer) => writer.flush(),
        }
    }
}

fn write_row(
    writer: &mut csv::Writer<&mut (dyn Write + Send)>,
    image: &StoredImage,
    face: Option<&StoredFace>,
    query: &PageQuery,
) -> Result<(), csv::Error> {
    for text in [
        guarded(query.gallery.as_str().to_owned()),
        guarded(locator(&image.image)),
        image.id.to_string(),
        optional(image.hash),
        image.outcome.to_string(),
        guarded(image.reason.clone().unwrap_or_default()),
        optional(image.size.map(|size| size.0)),
        optional(image.size.map(|size| size.1)),
    ] {
        writer.write_field(text)?;
    }
    let bbox = face.map(|face| face.face.bbox);
    writer.write_field(optional(face.map(|face| face.id.index)))?;
    writer.write_field(optional(face.map(|face| face.id)))?;
    for i in 0..4 {
        writer.write_field(optional(bbox.map(|b| [b.x, b.y, b.width, b.height][i])))?;
    }
    let (landmarks, noted) = (face.and_then(|face| face.face.landmarks), image.noted.as_ref());
    for i in 0..5 {
        writer.write_field(optional(landmarks.map(|points| points[i].x)))?;
        writer.write_field(optional(landmarks.map(|points| points[i].y)))?;
    }
    for text in [
        optional(face.and_then(|face| face.face.detector_score)),
        optional(face.and_then(|face| face.distance)),
        optional(face.and_then(|face| face.score)),
        optional(face.and_then(|face| face.quality)),
        optional(face.and_then(|face| face.norm)),
        query.profile.to_string(),
        guarded(image.provider.clone()),
        image.recorded_at.clone(),
        optional(noted.map(|note| note.outcome)),
        guarded(noted.and_then(|note| note.reason.clone()).unwrap_or_default()),
        optional(noted.map(|note| &note.at)),
    ] {
        writer.write_field(text)?;
    }
    if query.templates {
        let template = face.and_then(|face| face.template.as_ref());
        writer.write_field(
            template.map(|template| STANDARD.encode(template.to_bytes())).unwrap_or_default(),
        )?;
    }
    writer.write_record(None::<&[u8]>)
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Spreadsheets run a cell that begins like a formula, and file names and reasons are written by
/// strangers.
fn guarded(text: String) -> String {
    const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.starts_with(FORMULA) { format!("'{text}") } else { text }
}

/// The form of a URI that leads back to the image and tells no secret.
fn locator(image: &ImageUri) -> String {
    match image.to_path() {
        Some(path) if path.to_str().is_none() => image.as_str().to_owned(),
        _ => image.to_string(),
    }
}

#[derive(Serialize)]
struct ImageLine<'a> {
    gallery: &'a str,
    image: String,
    image_id: ImageId,
    content_hash: Option<String>,
    bytes: Option<u64>,
    outcome: &'a str,
    reason: Option<&'a str>,
    width: Option<u32>,
    height: Option<u32>,
    profile: &'a str,
    provider: &'a str,
    timings: Timings,
    recorded_at: &'a str,
    /// How a later attempt to read the image ended, if that got no bytes.
    noted: Option<&'a Note>,
    faces: Vec<FaceLine<'a>>,
}

#[derive(Serialize)]
struct FaceLine<'a> {
    face: u32,
    face_id: String,
    #[serde(rename = "box")]
    bbox: BoundingBox,
    landmarks: Option<Landmarks>,
    detector_score: Option<f32>,
    distance: Option<f64>,
    score: Option<f64>,
    quality: Option<u8>,
    norm: Option<f32>,
    /// Absent unless templates were asked for; null if the face has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<Option<&'a [f32]>>,
}

impl<'a> ImageLine<'a> {
    fn new(image: &'a StoredImage, query: &'a PageQuery) -> Self {
        Self {
            gallery: query.gallery.as_str(),
            image: locator(&image.image),
            image_id: image.id,
            content_hash: image.hash.map(|hash| hash.to_string()),
            bytes: image.bytes,
            outcome: image.outcome.as_str(),
            reason: image.reason.as_deref(),
            width: image.size.map(|size| size.0),
            height: image.size.map(|size| size.1),
            profile: query.profile.as_str(),
            provider: &image.provider,
            timings: image.timings,
            recorded_at: &image.recorded_at,
            noted: image.noted.as_ref(),
            faces: image.faces.iter().map(|face| FaceLine::new(face, query.templates)).collect(),
        }
    }
}

impl<'a> FaceLine<'a> {
    fn new(face: &'a StoredFace, templates: bool) -> Self {
        Self {
            face: face.id.index,
            face_id: face.id.to_string(),
            bbox: face.face.bbox,
            landmarks: face.face.landmarks,
            detector_score: face.face.detector_score,
            distance: face.distance,
            score: face.score,
            quality: face.quality,
            norm: face.norm,
            template: templates.then(|| face.template.as_ref().map(Template::as_slice)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OutcomeKind;
    use crate::report::fixture::{self, Fixture};

    async fn exported(store: &Fixture, format: ExportFormat, templates: bool) -> (u64, String) {
        let mut out = Vec::new();
        let images = export(
            store,
            &fixture::gallery(),
            &fixture::profile().id(),
            format,
            templates,
            &mut out,
        )
        .await
        .unwrap();
        (images, String::from_utf8(out).unwrap())
    }

    fn rows(csv: &str) -> Vec<std::collections::HashMap<String, String>> {
        csv::Reader::from_reader(csv.as_bytes()).deserialize().map(Result::unwrap).collect()
    }

    fn gallery_of_three() -> Fixture {
        let mut store = Fixture::default();
        store.add("/photos/two.jpg", OutcomeKind::Scored, None).add_face(80).add_face(30);
        store.add("/photos/=none.jpg", OutcomeKind::NoFace, None);
        store.add(
            "/photos/bad.jpg",
            OutcomeKind::Unreadable,
            Some("=cmd|' /C calc'!A0, \"quoted\""),
        );
        store
    }

    #[tokio::test]
    async fn csv_has_a_row_a_face_and_one_for_an_image_without() {
        let (images, csv) = exported(&gallery_of_three(), ExportFormat::Csv, false).await;
        let rows = rows(&csv);
        assert_eq!(images, 3);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[1]["face"], "1");
        assert_eq!((&*rows[1]["image_id"], &*rows[1]["face_id"]), ("101", "101-1"));
        assert_eq!((&*rows[2]["image_id"], &*rows[2]["face_id"]), ("102", ""));
        assert_eq!(rows[1]["image"], "/photos/two.jpg");
        assert_eq!(rows[1]["quality"], "30");
        assert_eq!(
            (rows[0]["x"].as_str(), rows[0]["h"].as_str()),
            ("-1.5", "96.25"),
            "numbers stay numbers"
        );
        assert_eq!(rows[0]["left_mouth_y"], "52.5");
        assert_eq!(rows[2]["outcome"], "no_face");
        assert_eq!((rows[2]["face"].as_str(), rows[2]["score"].as_str()), ("", ""));
        assert_eq!((rows[3]["width"].as_str(), rows[3]["provider"].as_str()), ("250", "cpu"));
        assert!(!rows[0].contains_key("template"));
    }

    #[tokio::test]
    async fn an_attempt_that_got_no_bytes_is_told_beside_the_result() {
        let mut store = gallery_of_three();
        let at = "2026-01-02T03:04:05Z".to_owned();
        store.images[0].noted = Some(Note {
            outcome: OutcomeKind::Refused,
            reason: Some("=denied".into()),
            at: at.clone(),
        });
        let (_, csv) = exported(&store, ExportFormat::Csv, false).await;
        let row = &rows(&csv)[1];
        assert_eq!((row["outcome"].as_str(), row["noted_outcome"].as_str()), ("scored", "refused"));
        assert_eq!(
            (row["noted_reason"].as_str(), row["noted_at"].as_str()),
            ("'=denied", at.as_str())
        );
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
    async fn no_text_of_strangers_becomes_a_formula() {
        let (_, csv) = exported(&gallery_of_three(), ExportFormat::Csv, false).await;
        assert_eq!(rows(&csv)[3]["reason"], "'=cmd|' /C calc'!A0, \"quoted\"");
        for bad in ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(guarded(bad.to_owned()), format!("'{bad}"));
        }
        for good in ["", "a=b", "/photos/=a.jpg", "'quoted"] {
            assert_eq!(guarded(good.to_owned()), good);
        }
    }

    #[tokio::test]
    async fn templates_come_as_little_endian_floats() {
        let (_, csv) = exported(&gallery_of_three(), ExportFormat::Csv, true).await;
        let rows = rows(&csv);
        let bytes = STANDARD.decode(&rows[0]["template"]).unwrap();
        assert_eq!(bytes, [0.6f32.to_le_bytes(), 0.8f32.to_le_bytes()].concat());
        assert_eq!(rows[2]["template"], "");
    }

    #[tokio::test]
    async fn jsonl_has_a_line_an_image() {
        let (images, jsonl) = exported(&gallery_of_three(), ExportFormat::Jsonl, true).await;
        let lines: Vec<serde_json::Value> =
            jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((images, lines.len()), (3, 3));
        assert_eq!(lines[0]["faces"][1]["quality"], 30);
        assert_eq!(lines[0]["image_id"], 101);
        assert_eq!(lines[0]["faces"][1]["face_id"], "101-1");
        assert_eq!(lines[0]["faces"][0]["box"]["height"], 96.25);
        assert_eq!(lines[0]["faces"][0]["template"].as_array().unwrap().len(), 2);
        assert_eq!(lines[1]["faces"], serde_json::json!([]));
        assert_eq!(lines[2]["reason"], "=cmd|' /C calc'!A0, \"quoted\"", "JSON needs no guard");
        let (_, without) = exported(&gallery_of_three(), ExportFormat::Jsonl, false).await;
        assert!(!without.contains("template"));
    }

    #[tokio::test]
    async fn an_empty_gallery_is_a_header_or_nothing() {
        let (images, csv) = exported(&Fixture::default(), ExportFormat::Csv, true).await;
        assert_eq!((images, csv.lines().count()), (0, 1));
        assert_eq!(
            exported(&Fixture::default(), ExportFormat::Jsonl, true).await,
            (0, String::new())
        );
    }

    #[tokio::test]
    async fn every_page_is_exported() {
        let store = Fixture::of_qualities(&vec![50; PAGE as usize * 2 + 1]);
        let (images, csv) = exported(&store, ExportFormat::Csv, false).await;
        assert_eq!((images, csv.lines().count()), (1001, 1002));
    }

    #[test]
    fn locators_lead_back_and_tell_no_secret() {
        let of = |uri: &str| locator(&uri.parse().unwrap());
        assert_eq!(of("file:///a%20b/c.jpg"), "/a b/c.jpg");
        assert_eq!(of("file:///a%FF.jpg"), "file:///a%FF.jpg");
        assert_eq!(of("https://user:secret@host/a.jpg?signature=abc"), "https://host/a.jpg");
    }
}
