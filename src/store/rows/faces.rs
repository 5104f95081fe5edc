//! The rows of faces.

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, hash, parsed, unsigned};
use crate::domain::{
    BoundingBox, Component, Components, ContentHash, Face, FaceId, ImageId, ImageUri,
};
use crate::store::fault::Fault;
use crate::store::halves::Halves;
use crate::store::row::{DirectResult, DirectRow, DirectValues, direct_row, row};
use crate::store::{StoredFace, encoding};

direct_row! {
    /// A face without its components.
    struct FaceColumns {
        result_id: i64,
        face_index: i32,
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        landmarks: Option<Vec<u8>>,
        detector_score: Option<f32>,
        distance: Option<f64>,
        score: Option<f64>,
        quality: Option<i16>,
        norm: Option<f32>,
        template: Option<Halves>,
    }
}

/// The components of a face, each in the column that the list names.
struct ComponentsRow(Components);

impl<'r, R: Row> FromRow<'r, R> for ComponentsRow
where
    &'static str: ColumnIndex<R>,
    Option<f32>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let value =
            |component: Component| Ok((component, row.try_get(component.spec().value_column)?));
        Component::all().map(value).collect::<sqlx::Result<_>>().map(Self)
    }
}

/// A face.
pub(in crate::store) struct FaceRow {
    face: FaceColumns,
    components: ComponentsRow,
}

impl<'r, R: Row> FromRow<'r, R> for FaceRow
where
    FaceColumns: FromRow<'r, R>,
    ComponentsRow: FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self { face: FaceColumns::from_row(row)?, components: ComponentsRow::from_row(row)? })
    }
}

impl DirectRow for FaceRow {
    fn columns() -> Vec<&'static str> {
        let components = Component::all().map(|component| component.spec().value_column);
        FaceColumns::columns().into_iter().chain(components).collect()
    }

    fn read(row: &DirectValues<'_>, places: &[usize]) -> DirectResult<Self> {
        let (face, components) = places.split_at(places.len() - Component::COUNT);
        let value = |(component, &place)| Ok((component, row.get(place)?));
        let components =
            Component::all().zip(components).map(value).collect::<DirectResult<_>>()?;
        Ok(Self { face: FaceColumns::read(row, face)?, components: ComponentsRow(components) })
    }
}

impl FaceRow {
    pub(super) fn result_id(&self) -> i64 {
        self.face.result_id
    }

    pub(super) fn face(
        self,
        id: ImageId,
        image: ImageUri,
        hash: Option<ContentHash>,
    ) -> Result<StoredFace, Fault> {
        let Self { face: row, components: ComponentsRow(components) } = self;
        let FaceColumns { x, y, width, height, .. } = row;
        Ok(StoredFace {
            id: FaceId { image: id, index: row.face_index.try_into().map_err(corrupt)? },
            image,
            hash,
            face: Face {
                bbox: BoundingBox { x, y, width, height },
                landmarks: row.landmarks.as_deref().map(encoding::landmarks).transpose()?,
                detector_score: row.detector_score,
            },
            components,
            distance: row.distance,
            score: row.score,
            quality: unsigned(row.quality)?,
            norm: row.norm,
            template: row.template.map(|halves| halves.template()).transpose().map_err(corrupt)?,
        })
    }
}

/// A face with the image it is in.
pub(in crate::store) struct FaceOfImageRow {
    image: ImageOfFaceRow,
    face: FaceRow,
}

row! {
    struct ImageOfFaceRow {
        image_id: i64,
        uri: String,
        content_hash: Vec<u8>,
    }
}

impl<'r, R: Row> FromRow<'r, R> for FaceOfImageRow
where
    ImageOfFaceRow: FromRow<'r, R>,
    FaceRow: FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self { image: ImageOfFaceRow::from_row(row)?, face: FaceRow::from_row(row)? })
    }
}

impl FaceOfImageRow {
    pub(in crate::store) fn face(self) -> Result<StoredFace, Fault> {
        let ImageOfFaceRow { image_id, uri, content_hash } = self.image;
        self.face.face(ImageId(image_id), parsed(&uri)?, hash(&content_hash)?)
    }
}
