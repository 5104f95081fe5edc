//! The people of the story, and the processor that sees them in images.

use async_trait::async_trait;
use facefleet::domain::{
    BoundingBox, Component, Components, Face, FaceResult, Job, JobRecord, Lane, Outcome, Profile,
    ReasonCode, Recognition, Template,
};
use facefleet::worker::{Process, Processed};
use tokio::sync::watch;

use crate::support::{content, selection, template};

/// People who are enrolled.
pub const PEOPLE: usize = 200;
/// Images of the bulk scan.
pub const SCANNED: usize = 3000;
/// Components of a template.
const DIMENSION: usize = 128;
/// One in so many images of the scan waits until all are enrolled.
const WAITS: usize = 100;

/// What is wrong with a photo, and the code that says so.
pub struct Flaw {
    pub name: &'static str,
    pub code: ReasonCode,
}

pub const FLAWS: [Flaw; 7] = [
    Flaw { name: "blurred", code: ReasonCode::Blurred },
    Flaw { name: "dark", code: ReasonCode::TooDark },
    Flaw { name: "small", code: ReasonCode::FaceTooSmall },
    Flaw { name: "turned", code: ReasonCode::ExtremePose },
    Flaw { name: "cut", code: ReasonCode::FaceCutOff },
    Flaw { name: "two", code: ReasonCode::SeveralFaces },
    Flaw { name: "empty", code: ReasonCode::NoFace },
];

/// The file of a shot of a person.
pub fn image_of(person: usize, shot: usize, flaw: Option<&Flaw>) -> String {
    let flaw = flaw.map(|flaw| format!("-{}", flaw.name));
    format!("p-{person}-{shot}{}.png", flaw.unwrap_or_default())
}

/// A list of shots, with their subjects.
pub fn list_of(rows: &[(usize, usize, Option<&Flaw>)]) -> String {
    let row = |&(person, shot, flaw): &(usize, usize, Option<&Flaw>)| {
        format!("{},person-{person}\n", image_of(person, shot, flaw))
    };
    format!("file,subject\n{}", rows.iter().map(row).collect::<String>())
}

/// The template of a shot of a person. Two shots of one person have a similarity of about 0.9, two
/// people one of about 0.1 or less: the first 128 people are axes, the next 128 rows of a Hadamard
/// matrix, of which each has a similarity of 0.088 with each axis.
pub fn template_of(person: usize, shot: usize) -> Template {
    let (noise, norm) = template((1000 * person + shot) as u64, DIMENSION);
    let component = |place: usize| match person.checked_sub(DIMENSION) {
        None => f32::from(u8::from(place == person)),
        Some(row) => {
            let sign = if (row & place).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            sign / (DIMENSION as f32).sqrt()
        }
    };
    assert!(person < 2 * DIMENSION && norm > 0.0);
    let embedding: Vec<f32> =
        (0..DIMENSION).map(|place| component(place) + 0.33 * noise.as_slice()[place]).collect();
    Template::from_embedding(&embedding).unwrap().0
}

/// Sees in an image whom its name says: `p-PERSON-SHOT[-FLAW].png`, `crowd-NUMBER.png`.
pub struct Cast {
    profile: Profile,
    /// Whether all are enrolled: some of the images of the scan wait for it.
    pub enrolled: watch::Sender<bool>,
}

impl Cast {
    pub fn new(profile: Profile) -> Self {
        Self { profile, enrolled: watch::Sender::new(false) }
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }
}

#[async_trait]
impl Process for Cast {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn process(&self, job: &Job) -> Processed {
        let name = job.image.as_str().rsplit('/').next().unwrap();
        let parts: Vec<&str> = name.trim_end_matches(".png").split('-').collect();
        let number = |place: usize| parts[place].parse::<usize>().unwrap();
        if job.lane == Lane::Scan && number(1) % WAITS == WAITS - 1 {
            self.enrolled.subscribe().wait_for(|enrolled| *enrolled).await.unwrap();
        }
        let outcome = match parts[0] {
            "crowd" => Outcome::Scored(vec![seen(template(number(1) as u64, DIMENSION).0, "")]),
            _ if parts.contains(&"empty") => Outcome::NoFace,
            _ => {
                let flaw = parts.get(3).copied().unwrap_or_default();
                let face = seen(template_of(number(1), number(2)), flaw);
                let mut other = face.clone();
                other.face.bbox.width *= 0.8;
                Outcome::Scored(if flaw == "two" { vec![face, other] } else { vec![face] })
            }
        };
        let selection = job.selection.complete(&selection());
        let record = JobRecord::without_content(job, &self.profile.id(), selection, "cpu", outcome);
        Processed::Ended(Box::new(JobRecord { content: content(name.as_bytes()), ..record }))
    }
}

/// A good face, but for the flaw.
fn seen(template: Template, flaw: &str) -> FaceResult {
    let unless = |name: &str, value: f32, good: f32| if flaw == name { value } else { good };
    let components: Components = [
        (Component::InterEyeDistance, unless("small", 12.0, 90.0)),
        (Component::SingleFace, unless("two", 0.8, 0.0)),
        (Component::Yaw, unless("turned", 75.0, -3.0)),
        (Component::Pitch, 2.0),
        (Component::Roll, 1.0),
        (Component::Sharpness, unless("blurred", 0.0, 0.05)),
        (Component::LuminanceMean, unless("dark", 0.01, 0.4)),
        (Component::OverExposure, 0.0),
        (Component::IlluminationUniformity, 0.7),
        (Component::CutOff, unless("cut", 0.4, 0.0)),
    ]
    .into_iter()
    .map(|(component, value)| (component, Some(value)))
    .collect();
    FaceResult {
        face: Face {
            bbox: BoundingBox { x: 10.0, y: 10.0, width: 100.0, height: 120.0 },
            landmarks: None,
            detector_score: Some(0.95),
        },
        components,
        recognition: Some(Recognition {
            template,
            norm: 12.0,
            distance: 0.1,
            score: 0.95,
            quality: 90,
        }),
    }
}
