//! Made results: a profile, and records of images with one scored face each.

use facefleet::domain::{
    AlignmentProfile, BoundingBox, Component, ContentHash, Face, FaceResult, Faces, ImageContent,
    Job, JobId, JobRecord, JobSelection, Lane, Mapping, Outcome, Point, Precision, Profile,
    ProfileId, RecogniserProfile, Recognition, Selection, SerFiq, Template, Timings,
};

/// The profile of the records.
pub fn profile() -> Profile {
    Profile {
        alignment: AlignmentProfile::None,
        recogniser: RecogniserProfile {
            name: "null".into(),
            sha256: "00".repeat(32),
            precision: Precision::Float32,
        },
        ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
        mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
    }
}

/// A record of a new image with this name, with a template of 128 components.
#[allow(dead_code, reason = "not every bench")]
pub fn record(name: &str) -> JobRecord {
    let mut bytes = [0; 128];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    let embedding: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) - 127.5).collect();
    record_of(name, profile().id(), &embedding)
}

/// The same with this embedding, of at least 11 components, under this profile.
pub fn record_of(name: &str, profile: ProfileId, embedding: &[f32]) -> JobRecord {
    let bytes: Vec<u8> = blake3::hash(name.as_bytes()).as_bytes().to_vec();
    let (template, norm) = Template::from_embedding(embedding).unwrap();
    let distance = 0.4 + f64::from(bytes[0]) / 2000.0;
    let recognition = Some(Recognition {
        template,
        norm,
        distance,
        score: facefleet::quality::score(distance),
        quality: bytes[0] % 101,
    });
    let bbox = BoundingBox { x: 0.0, y: 0.0, width: 112.0, height: 112.0 };
    let landmarks = Some(std::array::from_fn(|i| Point { x: embedding[i], y: embedding[5 + i] }));
    let detector_score = Some(f32::from(bytes[10]) / 255.0);
    let value = |(component, byte): (Component, &u8)| (component, Some(f32::from(*byte) / 255.0));
    let components = Component::all().zip(&bytes).map(value).collect();
    let face = Face { bbox, landmarks, detector_score };
    let face = FaceResult { face, components, recognition };
    JobRecord {
        job: Job {
            id: JobId::new(),
            lane: Lane::Scan,
            gallery: "bench".parse().unwrap(),
            image: format!("s3://photos/bench/{name}.jpg").parse().unwrap(),
            stamp: "v1".parse().ok(),
            expected_hash: None,
            subject: None,
            selection: JobSelection::default(),
            profile: None,
            campaign: None,
            trace: None,
            attempt: 1,
        },
        content: Some(ImageContent {
            hash: ContentHash::of(name.as_bytes()),
            bytes: 4096,
            size: Some((112, 112)),
            picture: None,
        }),
        profile,
        selection: Selection { faces: Faces::All, min_size_px: 1, min_score: 0.5 },
        outcome: Outcome::Scored(vec![face]),
        provider: "null".into(),
        timings: Timings::default(),
        from_chips: false,
        enrolment: None,
    }
}
