//! An export as a table, the same for CSV and Parquet: a row for each face, which repeats the
//! columns of its image. An image without a face has one row. A column has the name that its field
//! has in JSON, with the names of what holds it in front (`box_width`).

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use crate::domain::{
    Component, ComponentSpec, Enrolment, GalleryName, Point, ProfileId, Template, UtcTime,
};
use crate::store::{LatestEnrolment, Note, StoredFace, StoredImage};

/// A column: its name, what it holds, and its value in a row.
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether a row may have no value.
    pub nullable: bool,
    pub value: CellValue,
}

/// Where the value of a column comes from.
#[derive(Clone, Copy)]
pub(super) enum CellValue {
    /// A field of the image or of the face.
    Field(for<'a> fn(&TableRow<'a>) -> Value<'a>),
    /// The 0..100 of a component.
    Quality(Component),
    /// The native value of a component.
    Native(Component),
}

impl Column {
    /// Its value in `row`.
    pub(super) fn value<'a>(&self, row: &TableRow<'a>) -> Value<'a> {
        let components = row.face.map(|face| &face.components);
        match self.value {
            CellValue::Field(field) => field(row),
            CellValue::Quality(component) => {
                int(components.and_then(|known| known.quality(component)))
            }
            CellValue::Native(component) => {
                float32(components.and_then(|known| known.get(component)))
            }
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text of a few different ones.
    Category,
    Text,
    Int32,
    Int64,
    Float32,
    Float64,
    /// A time in UTC.
    Time,
    /// 32-bit floats, the same number in every row.
    Template,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Text(Cow<'a, str>),
    Int(i64),
    Float32(f32),
    Float64(f64),
    Time(UtcTime),
    Template(&'a [f32]),
}

/// What all rows of an export share.
#[derive(Debug, Clone)]
pub(super) struct ExportScope {
    pub gallery: GalleryName,
    pub profile: ProfileId,
    /// Only faces of these qualities.
    pub qualities: Option<RangeInclusive<u8>>,
}

impl ExportScope {
    /// Whether a face of this quality is exported.
    pub(super) fn wants(&self, quality: Option<u8>) -> bool {
        let wanted = self.qualities.as_ref();
        wanted.is_none_or(|wanted| quality.is_some_and(|quality| wanted.contains(&quality)))
    }
}

/// An image with the texts that its rows repeat.
pub(super) struct TabledImage<'a> {
    scope: &'a ExportScope,
    image: &'a StoredImage,
    uri: Cow<'a, str>,
    name: Cow<'a, str>,
    content_hash: Option<String>,
}

/// A row: a face, or an image without one.
#[derive(Clone, Copy)]
pub(super) struct TableRow<'a> {
    of: &'a TabledImage<'a>,
    face: Option<&'a StoredFace>,
}

impl<'a> TabledImage<'a> {
    pub(super) fn new(scope: &'a ExportScope, image: &'a StoredImage) -> Self {
        let uri = image.image.shown();
        let path = image.image.to_path().map(|path| path.to_string_lossy().into_owned());
        Self {
            scope,
            image,
            name: path.map_or_else(|| uri.clone(), Cow::Owned),
            uri,
            content_hash: image.hash.map(|hash| hash.to_string()),
        }
    }

    pub(super) fn rows(&'a self) -> impl Iterator<Item = TableRow<'a>> {
        let faces = self.image.faces.iter().filter(|face| self.scope.wants(face.quality));
        let mut rows = faces.map(|face| TableRow { of: self, face: Some(face) }).peekable();
        let none = rows.peek().is_none().then_some(TableRow { of: self, face: None });
        none.into_iter().chain(rows)
    }
}

/// The columns, with or without templates, in their order.
pub(super) fn columns(templates: bool) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().chain(&*COMPONENTS).chain(templates.then_some(&TEMPLATE))
}

/// Two columns for each component.
static COMPONENTS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let columns = |component: Component| {
        let ComponentSpec { quality_column, value_column, .. } = *component.spec();
        let column = |name, kind, value| Column { name, kind, nullable: true, value };
        [
            column(quality_column, Kind::Int32, CellValue::Quality(component)),
            column(value_column, Kind::Float32, CellValue::Native(component)),
        ]
    };
    Component::all().flat_map(columns).collect()
});

/// A column that has a value in every row.
const fn filled(
    name: &'static str,
    kind: Kind,
    value: for<'a> fn(&TableRow<'a>) -> Value<'a>,
) -> Column {
    Column { name, kind, nullable: false, value: CellValue::Field(value) }
}

/// A column that may be null.
const fn nullable(
    name: &'static str,
    kind: Kind,
    value: for<'a> fn(&TableRow<'a>) -> Value<'a>,
) -> Column {
    Column { name, kind, nullable: true, value: CellValue::Field(value) }
}

const COLUMNS: &[Column] = &[
    filled("gallery", Kind::Category, |row| text(row.of.scope.gallery.as_str())),
    filled("uri", Kind::Text, |row| text(&row.of.uri)),
    filled("image", Kind::Text, |row| text(&row.of.name)),
    filled("image_id", Kind::Int64, |row| Value::Int(row.of.image.id.0)),
    nullable("subject", Kind::Category, |row| {
        row.of.image.subject.as_ref().map_or(Value::Null, |subject| text(subject.as_str()))
    }),
    nullable("content_hash", Kind::Text, |row| optional_text(row.of.content_hash.as_deref())),
    nullable("bytes", Kind::Int64, |row| {
        int(row.of.image.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
    }),
    nullable("width", Kind::Int64, |row| int(row.of.image.size.map(|size| size.0))),
    nullable("height", Kind::Int64, |row| int(row.of.image.size.map(|size| size.1))),
    filled("outcome", Kind::Category, |row| text(row.of.image.outcome.as_str())),
    nullable("reason", Kind::Category, |row| optional_text(row.of.image.reason.as_deref())),
    filled("profile", Kind::Category, |row| text(row.of.scope.profile.as_str())),
    filled("provider", Kind::Category, |row| text(&row.of.image.provider)),
    filled("timings_fetch_ms", Kind::Float32, |row| Value::Float32(row.of.image.timings.fetch_ms)),
    filled("timings_vision_ms", Kind::Float32, |row| {
        Value::Float32(row.of.image.timings.vision_ms)
    }),
    filled("timings_recognise_ms", Kind::Float32, |row| {
        Value::Float32(row.of.image.timings.recognise_ms)
    }),
    filled("recorded_at", Kind::Time, |row| Value::Time(row.of.image.recorded_at)),
    nullable("noted_outcome", Kind::Category, |row| {
        optional_text(noted(row).map(|note| note.outcome.as_str()))
    }),
    nullable("noted_reason", Kind::Category, |row| {
        optional_text(noted(row).and_then(|note| note.reason.as_deref()))
    }),
    nullable("noted_at", Kind::Time, |row| {
        noted(row).map_or(Value::Null, |note| Value::Time(note.at))
    }),
    nullable("enrolment_subject", Kind::Category, |row| {
        enrolled(row).map_or(Value::Null, |latest| text(latest.subject.as_str()))
    }),
    nullable("enrolment_decision", Kind::Category, |row| {
        optional_text(enrolled(row).map(|latest| latest.enrolment.decision.as_str()))
    }),
    nullable("enrolment_codes", Kind::Category, |row| {
        enrolled(row).map_or(Value::Null, |latest| codes(&latest.enrolment))
    }),
    filled("face_count", Kind::Int32, |row| {
        Value::Int(i64::try_from(row.of.image.faces.len()).unwrap_or(i64::MAX))
    }),
    nullable("face", Kind::Int32, |row| int(row.face.map(|face| face.id.index))),
    nullable("face_id", Kind::Text, |row| {
        row.face.map_or(Value::Null, |face| Value::Text(face.id.to_string().into()))
    }),
    nullable("box_x", Kind::Float32, |row| float32(row.face.map(|face| face.face.bbox.x))),
    nullable("box_y", Kind::Float32, |row| float32(row.face.map(|face| face.face.bbox.y))),
    nullable("box_width", Kind::Float32, |row| float32(row.face.map(|face| face.face.bbox.width))),
    nullable("box_height", Kind::Float32, |row| {
        float32(row.face.map(|face| face.face.bbox.height))
    }),
    nullable("landmarks_right_eye_x", Kind::Float32, |row| landmark(row, 0, |point| point.x)),
    nullable("landmarks_right_eye_y", Kind::Float32, |row| landmark(row, 0, |point| point.y)),
    nullable("landmarks_left_eye_x", Kind::Float32, |row| landmark(row, 1, |point| point.x)),
    nullable("landmarks_left_eye_y", Kind::Float32, |row| landmark(row, 1, |point| point.y)),
    nullable("landmarks_nose_x", Kind::Float32, |row| landmark(row, 2, |point| point.x)),
    nullable("landmarks_nose_y", Kind::Float32, |row| landmark(row, 2, |point| point.y)),
    nullable("landmarks_right_mouth_x", Kind::Float32, |row| landmark(row, 3, |point| point.x)),
    nullable("landmarks_right_mouth_y", Kind::Float32, |row| landmark(row, 3, |point| point.y)),
    nullable("landmarks_left_mouth_x", Kind::Float32, |row| landmark(row, 4, |point| point.x)),
    nullable("landmarks_left_mouth_y", Kind::Float32, |row| landmark(row, 4, |point| point.y)),
    nullable("detector_score", Kind::Float32, |row| {
        float32(row.face.and_then(|face| face.face.detector_score))
    }),
    nullable("distance", Kind::Float64, |row| float64(row.face.and_then(|face| face.distance))),
    nullable("score", Kind::Float64, |row| float64(row.face.and_then(|face| face.score))),
    nullable("quality", Kind::Int32, |row| int(row.face.and_then(|face| face.quality))),
    nullable("norm", Kind::Float32, |row| float32(row.face.and_then(|face| face.norm))),
];

const TEMPLATE: Column = nullable("template", Kind::Template, |row| {
    let template = row.face.and_then(|face| face.template.as_ref()).map(Template::as_slice);
    template.map_or(Value::Null, Value::Template)
});

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn optional_text(value: Option<&str>) -> Value<'_> {
    value.map_or(Value::Null, text)
}

fn int<'a>(value: Option<impl Into<i64>>) -> Value<'a> {
    value.map_or(Value::Null, |value| Value::Int(value.into()))
}

fn float32<'a>(value: Option<f32>) -> Value<'a> {
    value.map_or(Value::Null, Value::Float32)
}

fn float64<'a>(value: Option<f64>) -> Value<'a> {
    value.map_or(Value::Null, Value::Float64)
}

fn landmark<'a>(row: &TableRow<'_>, index: usize, part: fn(Point) -> f32) -> Value<'a> {
    float32(row.face.and_then(|face| face.face.landmarks).map(|points| part(points[index])))
}

fn enrolled<'a>(row: &TableRow<'a>) -> Option<&'a LatestEnrolment> {
    row.of.image.enrolment.as_ref()
}

/// The codes of the reasons; null without any.
fn codes<'a>(enrolment: &Enrolment) -> Value<'a> {
    let codes: Vec<&str> = enrolment.reasons.iter().map(|reason| reason.code.as_str()).collect();
    if codes.is_empty() { Value::Null } else { Value::Text(codes.join(" ").into()) }
}

fn noted<'a>(row: &TableRow<'a>) -> Option<&'a Note> {
    row.of.image.noted.as_ref()
}
