//! Settings: `config/default.toml`, then a config file, then the environment. Read once, checked at
//! start, passed down.

use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::domain::{DeviceChoice, Faces, Precision, Selection};

/// Every default, with what it means.
pub const DEFAULTS: &str = include_str!("../config/default.toml");
/// Read from the current folder if no file is named.
const CONFIG_FILE: &str = "facefleet.toml";
/// Settings that are lists; in the environment, their items stand between commas.
const LISTS: [&str; 2] = ["images.allow", "images.allow_private_hosts"];

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or variable that cannot be read or parsed.
    #[error("the settings cannot be read: {0}")]
    Read(#[from] config::ConfigError),
    /// A value out of bounds.
    #[error("setting {key} = {value}: {reason} (environment variable {})", variable(key))]
    Value {
        /// `section.key`.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        reason: &'static str,
    },
}

fn variable(key: &str) -> String {
    format!("FACEFLEET__{}", key.to_uppercase().replace('.', "__"))
}

/// All settings; see `config/default.toml` for what each means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "config/default.toml documents every key; a second text here would drift from it"
)]
pub struct Settings {
    pub home: PathBuf,
    pub queue: Queue,
    pub store: Store,
    pub runtime: Runtime,
    pub models: Models,
    pub detector: Detector,
    pub quality: Quality,
    pub limits: Limits,
    pub images: Images,
    pub worker: Worker,
    pub server: Server,
    pub log: Log,
}

macro_rules! section {
    ($name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        #[doc = concat!("The section of `config/default.toml` of this name.")]
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs, reason = "config/default.toml documents every key")]
        pub struct $name { $(pub $field: $kind),* }
    };
}

section!(Queue { url: Endpoint, capacity: usize, prefix: String, delivery_limit: u32, ca_file: Option<PathBuf> });
section!(Store { url: Endpoint, connections: u32 });
section!(Runtime { library: PathBuf, device: DeviceChoice, engines: PathBuf });
section!(Models { dir: PathBuf, detector: String, recogniser: String, precision: Precision });
section!(Detector {
    max_side: u32,
    fine_pixels: u64,
    letterbox: bool,
    faces: Faces,
    min_face_px: u32,
    min_score: f32
});
section!(Quality { method: Method, passes: u32, seed: u64, calibration: PathBuf });
section!(Limits { max_bytes: u64, max_pixels: u64, memory: u64 });
section!(Images {
    allow: Vec<String>,
    allow_private_hosts: Vec<String>,
    ca_file: Option<PathBuf>,
    timeout_ms: u64,
    connect_timeout_ms: u64,
    idle_timeout_ms: u64,
    outage_seconds: u64,
    redirects: u32,
});
section!(Worker {
    threads: usize,
    batch: usize,
    in_flight: usize,
    attempts: u32,
    backoff_ms: u64,
    backoff_most_ms: u64,
    drain_seconds: u64,
    record_batch: usize,
});
section!(Server { listen: String });
section!(Log { level: String, format: LogFormat });

/// Where a backend is: a URL that may hold a password, which no form but [`Self::expose`] shows.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Endpoint(SecretString);

impl Endpoint {
    /// All of it, for whoever connects.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The same, still wrapped.
    pub fn secret(&self) -> SecretString {
        self.0.clone()
    }

    /// The scheme, without the colon.
    pub fn scheme(&self) -> &str {
        self.expose().split(':').next().unwrap_or_default()
    }
}

impl From<String> for Endpoint {
    fn from(url: String) -> Self {
        Self(url.into())
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// For people and logs: without the password, and without a query, which may hold one too.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::parse(self.expose()) {
            Ok(mut url) if url.has_host() => {
                url.set_query(None);
                if url.password().is_some() {
                    // Fails only for URLs that cannot have one.
                    url.set_password(Some("***")).ok();
                }
                f.write_str(url.as_str())
            }
            // A path, or `memory:`.
            Ok(_) => f.write_str(self.expose()),
            Err(_) => write!(f, "{}:…", self.scheme()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// How SER-FIQ's distance is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// In the network's graph.
    ClosedForm,
    /// With random masks.
    Sampled,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Settings {
    /// Reads the defaults, then `file` (or `facefleet.toml` in the current folder, if there is
    /// one), then the environment.
    ///
    /// # Errors
    /// If a source cannot be read, names an unknown key, or gives a value out of bounds.
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
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let bounds: [(&'static str, String, bool, &'static str); 18] = [
            (
                "queue.capacity",
                self.queue.capacity.to_string(),
                self.queue.capacity > 0,
                "must be at least 1",
            ),
            (
                "queue.delivery_limit",
                self.queue.delivery_limit.to_string(),
                self.queue.delivery_limit >= 5,
                "must be at least 5: a job that kills its worker is set apart after 2",
            ),
            (
                "detector.max_side",
                self.detector.max_side.to_string(),
                (32..=16_384).contains(&self.detector.max_side),
                "must be 32 to 16384",
            ),
            (
                "detector.fine_pixels",
                self.detector.fine_pixels.to_string(),
                self.detector.fine_pixels <= 100_000_000,
                "must be at most 100000000: the detector takes about 100 bytes of memory a pixel",
            ),
            (
                "detector.min_face_px",
                self.detector.min_face_px.to_string(),
                Selection::SIZES_PX.contains(&self.detector.min_face_px),
                "must be at most 65535",
            ),
            (
                "detector.min_score",
                self.detector.min_score.to_string(),
                Selection::SCORES.contains(&self.detector.min_score),
                "must be 0.01 to 1",
            ),
            (
                "quality.passes",
                self.quality.passes.to_string(),
                (2..=100_000).contains(&self.quality.passes),
                "must be 2 to 100000",
            ),
            (
                "limits.max_bytes",
                self.limits.max_bytes.to_string(),
                self.limits.max_bytes > 0,
                "must be at least 1",
            ),
            (
                "limits.max_pixels",
                self.limits.max_pixels.to_string(),
                self.limits.max_pixels > 0,
                "must be at least 1",
            ),
            (
                "limits.memory",
                self.limits.memory.to_string(),
                self.limits.memory == 0 || self.limits.memory >= 256 << 20,
                "must be 0 or at least 268435456: it is counted in bytes, and a thread with its \
                    networks takes 250 MB",
            ),
            (
                "images.timeout_ms",
                self.images.timeout_ms.to_string(),
                self.images.timeout_ms > 0,
                "must be at least 1",
            ),
            (
                "images.connect_timeout_ms",
                self.images.connect_timeout_ms.to_string(),
                self.images.connect_timeout_ms > 0,
                "must be at least 1",
            ),
            (
                "images.idle_timeout_ms",
                self.images.idle_timeout_ms.to_string(),
                self.images.idle_timeout_ms > 0,
                "must be at least 1",
            ),
            (
                "images.outage_seconds",
                self.images.outage_seconds.to_string(),
                (1..=31_536_000).contains(&self.images.outage_seconds),
                "must be 1 to 31536000, a year",
            ),
            (
                "images.redirects",
                self.images.redirects.to_string(),
                self.images.redirects <= 20,
                "must be at most 20",
            ),
            (
                "worker.batch",
                self.worker.batch.to_string(),
                (1..=1024).contains(&self.worker.batch),
                "must be 1 to 1024",
            ),
            (
                "worker.attempts",
                self.worker.attempts.to_string(),
                self.worker.attempts > 0,
                "must be at least 1",
            ),
            (
                "worker.record_batch",
                self.worker.record_batch.to_string(),
                self.worker.record_batch > 0,
                "must be at least 1",
            ),
        ];
        match bounds.into_iter().find(|(_, _, good, _)| !good) {
            Some((key, value, _, reason)) => Err(SettingsError::Value { key, value, reason }),
            None => Ok(()),
        }
    }

    /// Which faces become results.
    pub fn selection(&self) -> Selection {
        Selection {
            faces: self.detector.faces,
            min_size_px: self.detector.min_face_px,
            min_score: self.detector.min_score,
        }
    }

    /// Number of threads and sessions: as set, or one a core.
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
    fn lists_in_the_environment_stand_between_commas() {
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
    fn typos_and_values_out_of_bounds_are_named() {
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
        let error =
            Settings::from_sources(Some(Path::new("/no/such.toml")), environment(&[])).unwrap_err();
        assert!(error.to_string().contains("/no/such.toml"), "{error}");
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "amqp://me:secret@host:5671/vhost",
            "postgres://me:secret@host/db?password=secret",
            "postgres://me:se@cret@[bad/secret",
        ] {
            let endpoint = Endpoint::from(url.to_owned());
            assert!(!format!("{endpoint} {endpoint:?}").contains("secret"), "{endpoint}");
            assert_eq!(endpoint.expose(), url);
        }
        assert_eq!(Endpoint::from("sqlite:a b.db".to_owned()).to_string(), "sqlite:a b.db");
        assert_eq!(
            Endpoint::from("postgres://me:p@host/db".to_owned()).to_string(),
            "postgres://me:***@host/db"
        );
    }
}
