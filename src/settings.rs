//! Settings, from `config/default.toml`, then a config file, then the environment. They are read
//! and checked once, at the start.

mod check;
mod endpoint;
mod retention;
mod schedules;

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};

pub use self::endpoint::Endpoint;
use crate::domain::{
    DeviceChoice, Faces, GalleryName, GateRules, Precision, ReferenceRules, RetentionRules,
    Schedule, Selection,
};

/// All settings with their defaults and documentation.
pub const DEFAULTS: &str = include_str!("../config/default.toml");
/// The config file in the current folder, used if no file is named.
const CONFIG_FILE: &str = "facefleet.toml";
/// Settings that are lists. In the environment, commas separate the items.
const LISTS: [&str; 2] = ["images.allow", "images.allow_private_hosts"];

/// An unusable setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or variable cannot be read or parsed.
    #[error("the settings cannot be read: {0}")]
    Read(#[from] config::ConfigError),
    /// A value is out of range.
    #[error("setting {key} = {value}: {reason} (environment variable {})", variable(key))]
    Value {
        /// `section.key`.
        key: &'static str,
        /// The given value.
        value: String,
        /// The allowed values.
        reason: &'static str,
    },
    /// A schedule removes what a gallery no longer keeps, and nothing says what that is.
    #[error(
        "schedule '{schedule}': action = 'retention' needs a [[retention]] table of gallery \
            '{gallery}'"
    )]
    NoRules {
        /// The schedule.
        schedule: String,
        /// The gallery.
        gallery: String,
    },
}

fn variable(key: &str) -> String {
    format!("FACEFLEET__{}", key.to_uppercase().replace('.', "__"))
}

/// All settings. `config/default.toml` documents each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "config/default.toml documents every key; a second text here would drift from it"
)]
pub struct Settings {
    pub home: PathBuf,
    pub queue: QueueSection,
    pub store: StoreSection,
    pub runtime: RuntimeSection,
    pub models: ModelsSection,
    pub detector: DetectorSection,
    pub quality: QualitySection,
    pub limits: LimitsSection,
    pub images: ImagesSection,
    pub chips: ChipsSection,
    pub enrol: EnrolSection,
    pub worker: WorkerSection,
    pub server: ServerSection,
    pub log: LogSection,
    #[serde(default, deserialize_with = "schedules::read")]
    pub schedule: Vec<Schedule>,
    #[serde(default, deserialize_with = "retention::read")]
    pub retention: Vec<RetentionRules>,
}

/// Reads one of the names of an enum, with serde's error, which lists them: that of `config` does
/// not.
fn one_of<'de, D: Deserializer<'de>, T: DeserializeOwned>(value: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(value)?.into_deserializer())
}

macro_rules! section {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty),* $(,)? }) => {
        #[doc = "A section of `config/default.toml`."]
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs, reason = "config/default.toml documents every key")]
        pub struct $name { $($(#[$attribute])* pub $field: $kind),* }
    };
}

section!(QueueSection {
    url: Endpoint,
    capacity: usize,
    prefix: String,
    delivery_limit: u32,
    ca_file: Option<PathBuf>,
});
section!(StoreSection { url: Endpoint, connections: u32 });
section!(RuntimeSection { library: PathBuf, device: DeviceChoice, engines: PathBuf });
section!(ModelsSection {
    dir: PathBuf,
    detector: String,
    recogniser: String,
    precision: Precision
});
section!(DetectorSection {
    max_side: u32,
    fine_pixels: u64,
    letterbox: bool,
    #[serde(deserialize_with = "one_of")]
    faces: Faces,
    min_face_px: u32,
    min_score: f32
});
section!(QualitySection {
    #[serde(deserialize_with = "one_of")]
    method: Method,
    passes: u32,
    seed: u64,
    calibration: PathBuf
});
section!(LimitsSection { max_bytes: u64, max_pixels: u64, memory: u64 });
section!(ImagesSection {
    allow: Vec<String>,
    allow_private_hosts: Vec<String>,
    ca_file: Option<PathBuf>,
    timeout_ms: u64,
    connect_timeout_ms: u64,
    idle_timeout_ms: u64,
    outage_seconds: u64,
    redirects: u32,
});
section!(ChipsSection { url: String });
section!(EnrolSection {
    references: usize,
    replace_margin: f64,
    fmr: f64,
    look_alike_fmr: f64,
    max_other_face: f64,
    min_eye_distance_px: f64,
    min_confidence: f64,
    max_yaw: f64,
    max_pitch: f64,
    max_roll: f64,
    min_sharpness: f64,
    min_brightness: f64,
    max_white: f64,
    min_evenness: f64,
    max_cut_off: f64,
    min_quality: f64,
});
section!(WorkerSection {
    threads: usize,
    batch: usize,
    in_flight: usize,
    attempts: u32,
    backoff_ms: u64,
    backoff_most_ms: u64,
    drain_seconds: u64,
    record_batch: usize,
    schedule_poll_seconds: u64,
});
section!(ServerSection { listen: String });
section!(LogSection {
    level: String,
    #[serde(deserialize_with = "one_of")]
    format: LogFormat
});

/// How SER-FIQ's distance is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// In the network's graph.
    ClosedForm,
    /// With random masks.
    Sampled,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object on each line.
    Json,
}

impl Settings {
    /// Reads the defaults, then `file` (or `facefleet.toml` in the current folder, if it exists),
    /// then the environment.
    ///
    /// # Errors
    /// If a source cannot be read, contains an unknown key, or has a value out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::from_sources(file, Environment::with_prefix("FACEFLEET"))
    }

    fn from_sources(file: Option<&Path>, environment: Environment) -> Result<Self, SettingsError> {
        let file = match file {
            Some(path) => File::from(path).required(true),
            None => File::new(CONFIG_FILE, FileFormat::Toml).required(false),
        };
        let environment = environment
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .list_separator(",");
        let environment =
            LISTS.iter().fold(environment, |environment, key| environment.with_list_parse_key(key));
        let sources = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(file.format(FileFormat::Toml))
            .add_source(environment);
        let settings: Self = sources.build()?.try_deserialize()?;
        check::check(&settings)?;
        retention::check(&settings)?;
        Ok(settings)
    }

    /// Which faces become results.
    pub fn selection(&self) -> Selection {
        Selection {
            faces: self.detector.faces,
            min_size_px: self.detector.min_face_px,
            min_score: self.detector.min_score,
        }
    }

    /// The checks of enrolments on the image alone.
    pub fn gate(&self) -> GateRules {
        let enrol = &self.enrol;
        GateRules {
            max_other_face: enrol.max_other_face,
            min_eye_distance_px: enrol.min_eye_distance_px,
            min_confidence: enrol.min_confidence,
            max_yaw: enrol.max_yaw,
            max_pitch: enrol.max_pitch,
            max_roll: enrol.max_roll,
            min_sharpness: enrol.min_sharpness,
            min_brightness: enrol.min_brightness,
            max_white: enrol.max_white,
            min_evenness: enrol.min_evenness,
            max_cut_off: enrol.max_cut_off,
            min_quality: enrol.min_quality,
        }
    }

    /// Which references a subject has.
    pub fn references(&self) -> ReferenceRules {
        ReferenceRules { most: self.enrol.references, margin: self.enrol.replace_margin }
    }

    /// What a gallery keeps only for so many days; none: it keeps everything.
    pub fn rules_of(&self, gallery: &GalleryName) -> Option<&RetentionRules> {
        self.retention.iter().find(|rules| rules.gallery == *gallery)
    }

    /// The number of threads and sessions: as set, or one for each core.
    pub fn threads(&self) -> usize {
        match self.worker.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// `path`, below `home` if it is relative.
    pub fn below_home(&self, path: &Path) -> PathBuf {
        self.home.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let source =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Environment::with_prefix("FACEFLEET").source(Some(source))
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = Settings::from_sources(None, environment(&[])).unwrap();
        assert_eq!(settings.queue.url.expose(), "memory:");
        assert_eq!(settings.detector.faces, Faces::All);
    }

    #[test]
    fn a_file_overrides_the_defaults_and_the_environment_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, "[worker]\nbatch = 8\nthreads = 3\n").unwrap();
        let settings =
            Settings::from_sources(Some(&path), environment(&[("FACEFLEET__WORKER__BATCH", "16")]))
                .unwrap();
        assert_eq!((settings.worker.batch, settings.worker.threads), (16, 3));
    }

    #[test]
    fn commas_separate_the_items_of_lists_in_the_environment() {
        let settings = Settings::from_sources(
            None,
            environment(&[("FACEFLEET__IMAGES__ALLOW", "s3://a/b,data:")]),
        )
        .unwrap();
        assert_eq!(settings.images.allow, ["s3://a/b", "data:"]);
        assert_eq!(Settings::from_sources(None, environment(&[])).unwrap().images.allow, [""; 0]);
        let one =
            Settings::from_sources(None, environment(&[("FACEFLEET__IMAGES__ALLOW", "/photos")]))
                .unwrap();
        assert_eq!(one.images.allow, ["/photos"]);
    }

    #[test]
    fn errors_name_unknown_keys_and_values_out_of_range() {
        let error = Settings::from_sources(None, environment(&[("FACEFLEET__WORKER__BACTH", "1")]))
            .unwrap_err();
        assert!(error.to_string().contains("bacth"), "{error}");
        let error = Settings::from_sources(None, environment(&[("FACEFLEET__WORKER__BATCH", "0")]))
            .unwrap_err();
        assert!(error.to_string().contains("FACEFLEET__WORKER__BATCH"), "{error}");
        let error =
            Settings::from_sources(None, environment(&[("FACEFLEET__RUNTIME__DEVICE", "gpu")]))
                .unwrap_err();
        assert!(
            error.to_string().contains("'gpu'") && error.to_string().contains("cuda:N"),
            "{error}"
        );
        for (key, valid) in [("QUALITY__METHOD", "sampled"), ("LOG__FORMAT", "json")] {
            let variable = format!("FACEFLEET__{key}");
            let error = Settings::from_sources(None, environment(&[(&variable, "x")])).unwrap_err();
            let text = error.to_string();
            let section = key.to_lowercase().replace("__", ".");
            assert!(text.contains(valid) && text.contains(&section), "{text}");
        }
        let error =
            Settings::from_sources(Some(Path::new("/no/such.toml")), environment(&[])).unwrap_err();
        assert!(error.to_string().contains("/no/such.toml"), "{error}");
    }
}
