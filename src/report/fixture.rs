//! A few stored images in memory, for the tests of reports.

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::domain::{
    AlignmentProfile, BoundingBox, Component, Components, ContentHash, DetectorProfile, Face,
    FaceId, GalleryName, ImageId, ImageUri, Mapping, OutcomeKind, Point, Precision, Profile,
    ProfileId, RecogniserProfile, SerFiq, Template, Timings, UtcTime,
};
use crate::store::{
    Extreme, GallerySummary, ImageKey, KnownResult, PageFilter, PageQuery, Reading, Searched,
    Snapshot, StampsOf, StoreError, StoredFace, StoredImage, TemplateBatch, TemplateStamp,
};

pub(super) fn gallery() -> GalleryName {
    "staff".parse().unwrap()
}

pub(super) fn profile() -> Profile {
    Profile {
        alignment: AlignmentProfile::Similarity {
            detector: DetectorProfile {
                name: "yunet-2023mar".into(),
                sha256: "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10".into(),
                max_side: 640,
                fine_pixels: Some(1_250_000),
                letterbox: false,
            },
        },
        recogniser: RecogniserProfile {
            name: "sface-2021dec".into(),
            sha256: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee".into(),
            precision: Precision::Float32,
        },
        ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
        mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
    }
}

/// Components of which sharpness follows the quality, and yaw is unknown.
fn components(quality: u8) -> Components {
    Components::from_iter([
        (Component::Sharpness, Some(f32::from(quality) / 10_000.0)),
        (Component::Pitch, Some(-12.5)),
    ])
}

/// A scored face of the image `image`.
pub(super) fn face(id: FaceId, image: &ImageUri, quality: u8) -> StoredFace {
    let score = 0.85 + f64::from(quality) / 1250.0;
    let (template, norm) = Template::from_embedding(&[3.0, 4.0]).unwrap();
    StoredFace {
        id,
        image: image.clone(),
        hash: Some(ContentHash::of(image.as_str().as_bytes())),
        face: Face {
            bbox: BoundingBox { x: -1.5, y: 20.0, width: 80.0, height: 96.25 },
            landmarks: Some([1.0, 2.0, 3.0, 4.0, 5.0].map(|i| Point { x: 10.0 * i, y: 10.5 * i })),
            detector_score: Some(0.9),
        },
        components: components(quality),
        distance: Some((2.0 / score - 1.0).ln()),
        score: Some(score),
        quality: Some(quality),
        norm: Some(norm),
        template: Some(template),
    }
}

/// A scored face of this quality, by itself.
pub(super) fn of_quality(quality: u8) -> StoredFace {
    let id = FaceId { image: ImageId(1), index: 0 };
    face(id, &"file:///photos/a.jpg".parse().unwrap(), quality)
}

/// Images in the order of their pages.
#[derive(Default)]
pub(super) struct Fixture {
    pub images: Vec<StoredImage>,
}

impl Fixture {
    /// One image with one face for each quality.
    pub(super) fn of_qualities(qualities: &[u8]) -> Self {
        let mut store = Self::default();
        for (i, &quality) in qualities.iter().enumerate() {
            store.add(&format!("/photos/{i}.jpg"), OutcomeKind::Scored, None).add_face(quality);
        }
        store
    }

    pub(super) fn add(
        &mut self,
        path: &str,
        outcome: OutcomeKind,
        reason: Option<&str>,
    ) -> &mut StoredImage {
        self.add_uri(&ImageUri::from_path(path.as_ref()).unwrap(), outcome, reason)
    }

    pub(super) fn add_uri(
        &mut self,
        uri: &ImageUri,
        outcome: OutcomeKind,
        reason: Option<&str>,
    ) -> &mut StoredImage {
        let number = self.images.len() as i64 + 1;
        self.images.push(StoredImage {
            id: ImageId(100 + number),
            cursor: number,
            image: uri.clone(),
            subject: None,
            hash: Some(ContentHash::of(uri.as_str().as_bytes())),
            expected_hash: None,
            bytes: Some(12_345),
            size: Some((250, 260)),
            picture: None,
            outcome,
            reason: reason.map(str::to_owned),
            provider: "cpu".into(),
            timings: Timings::default(),
            recorded_at: UtcTime::from_millisecond(1_767_323_045_000).unwrap(),
            noted: None,
            enrolment: None,
            faces: Vec::new(),
        });
        self.images.last_mut().unwrap()
    }

    fn faces(&self) -> impl Iterator<Item = &StoredFace> {
        self.images.iter().flat_map(|image| &image.faces)
    }
}

impl StoredImage {
    pub(super) fn add_face(&mut self, quality: u8) -> &mut Self {
        let id = FaceId { image: self.id, index: self.faces.len() as u32 };
        self.faces.push(face(id, &self.image, quality));
        self
    }
}

#[async_trait]
impl Reading for Fixture {
    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError> {
        Ok(vec![(gallery(), vec![profile().id()])])
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError> {
        Ok(Some(profile()).filter(|profile| profile.id() == *id))
    }

    async fn summary(&self, _: &GalleryName, _: &ProfileId) -> Result<GallerySummary, StoreError> {
        let mut summary = GallerySummary {
            histogram: vec![0; 101],
            faces: self.faces().count() as u64,
            ..GallerySummary::default()
        };
        for quality in self.faces().filter_map(|face| face.quality) {
            summary.histogram[usize::from(quality)] += 1;
        }
        summary.noted = self.images.iter().filter(|image| image.noted.is_some()).count() as u64;
        for kind in OutcomeKind::ALL {
            let count = self.images.iter().filter(|image| image.outcome == kind).count() as u64;
            summary.outcomes.extend((count > 0).then_some((kind, count)));
        }
        for image in &self.images {
            let Some(reason) = &image.reason else { continue };
            match summary
                .reasons
                .iter_mut()
                .find(|(kind, other, _)| *kind == image.outcome && other == reason)
            {
                Some((.., count)) => *count += 1,
                None => summary.reasons.push((image.outcome, reason.clone(), 1)),
            }
        }
        summary.reasons.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        summary.reasons.truncate(20);
        if !self.images.is_empty() {
            summary.providers = vec![("cpu".into(), self.images.len() as u64)];
        }
        Ok(summary)
    }

    async fn extremes(
        &self,
        _: &GalleryName,
        _: &ProfileId,
        end: Extreme,
        limit: u32,
    ) -> Result<Vec<StoredFace>, StoreError> {
        let mut faces: Vec<StoredFace> =
            self.faces().filter(|face| face.score.is_some()).cloned().collect();
        // Stable: faces of equal score come in one order at both ends.
        faces.sort_by(|a, b| match end {
            Extreme::Worst => a.score.partial_cmp(&b.score).unwrap(),
            Extreme::Best => b.score.partial_cmp(&a.score).unwrap(),
        });
        faces.truncate(limit as usize);
        Ok(faces)
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Snapshot for &Fixture {
    async fn page(&mut self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        let wanted = |image: &&StoredImage| {
            image.cursor > query.after
                && (query.outcomes.is_empty() || query.outcomes.contains(&image.outcome))
                && passes(&query.filter, image)
        };
        let mut images: Vec<StoredImage> =
            self.images.iter().filter(wanted).take(query.limit as usize).cloned().collect();
        if !query.templates {
            images
                .iter_mut()
                .flat_map(|image| &mut image.faces)
                .for_each(|face| face.template = None);
        }
        Ok(images)
    }

    async fn history(
        &mut self,
        _: &ImageKey,
        _: Option<&GalleryName>,
    ) -> Result<Vec<KnownResult>, StoreError> {
        Ok(Vec::new())
    }

    async fn templates(
        &mut self,
        _: &GalleryName,
        _: &ProfileId,
        _: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn template_stamps(
        &mut self,
        _: &GalleryName,
        _: &ProfileId,
        _: Searched,
        _: StampsOf<'_>,
    ) -> Result<Vec<TemplateStamp>, StoreError> {
        Ok(Vec::new())
    }

    async fn templates_of(
        &mut self,
        _: &ProfileId,
        _: &[i64],
        _: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn active_profile(&mut self, _: &GalleryName) -> Result<Option<ProfileId>, StoreError> {
        Ok(None)
    }

    async fn images(&mut self, cursors: &[i64]) -> Result<Vec<StoredImage>, StoreError> {
        let wanted = |image: &&StoredImage| cursors.contains(&image.cursor);
        Ok(self.images.iter().filter(wanted).cloned().collect())
    }
}

fn passes(filter: &PageFilter, image: &StoredImage) -> bool {
    let wanted = filter.qualities();
    let recorded = image.recorded_at.as_millisecond();
    let in_time = filter.since.is_none_or(|since| recorded >= since.as_millisecond());
    let of_quality = wanted.is_none_or(|wanted| {
        image.faces.iter().any(|face| face.quality.is_some_and(|q| wanted.contains(&q)))
    });
    in_time
        && of_quality
        && filter.images.as_ref().is_none_or(|images| images.contains(&image.image))
}
