//! Where the story takes place: a folder of photos, two recognisers, a store, and in a fleet a
//! broker. The photos are copies of a few samples; the recognisers are small and not trained, so
//! that thousands of images take seconds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use facefleet::store::Store;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};
use serde_json::Value;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::commands::{Run, Sandbox};
use crate::damage;
use crate::support::networks::{Flattening, View, iresnet, lresnet100e_ir};
use crate::support::sample;
use crate::support::tape::Style;

/// The gallery.
pub const STAFF: &str = "staff";
/// Images that are there from the beginning, and images that come during the re-score.
pub const CROWD: usize = 2000;
pub const LATE: usize = 100;
/// The people that are enrolled at the beginning, with the samples that show them.
pub const PEOPLE: [(&str, &str); 3] =
    [("ann", "astronaut.png"), ("barack", "obama.jpg"), ("joe", "biden.jpg")];
/// Who comes during the re-score: a mirrored sample.
pub const NEWCOMER: &str = "dan";
/// Images of each person that are enrolled. One more is for searches.
pub const SHOTS: i32 = 2;
/// One in so many images shows nobody.
pub const EMPTY: usize = 10;

/// The recogniser that a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Old,
    New,
}

impl Model {
    pub fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

/// The image that the crowd's number `number` is a copy of: one of [`PEOPLE`], or nobody.
pub fn kind(number: usize) -> Option<usize> {
    (number % EMPTY != EMPTY - 1).then_some(number % PEOPLE.len())
}

/// The names of images: `0000.jpg`.
pub fn crowd(numbers: Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("{number:04}.jpg"))
}

/// The images of a person that are enrolled.
pub fn shots(person: &str) -> Vec<String> {
    (0..SHOTS).map(|shot| format!("{person}-{shot}.jpg")).collect()
}

/// A process that is killed on drop, and the file that it logs to.
pub struct Process(Child, PathBuf);

impl Process {
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop, and waits until it did what it had begun.
    pub fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.0.wait().unwrap().code();
        let log = || std::fs::read_to_string(&self.1).unwrap();
        assert_eq!(status, Some(0), "{}", log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub struct Stage {
    pub sandbox: Sandbox,
    pub store: Arc<dyn Store>,
    store_url: String,
    /// Whether workers do the work. Otherwise, each command does its own.
    pub fleet: bool,
    _models: TempDir,
}

impl Stage {
    /// `queue` is the broker's URL and prefix.
    pub fn new(store: Arc<dyn Store>, store_url: &str, queue: Option<(&str, &str)>) -> Self {
        Self::with_crowd(CROWD, store, store_url, queue)
    }

    /// The same, with so many images of the crowd.
    pub fn with_crowd(
        crowd: usize,
        store: Arc<dyn Store>,
        store_url: &str,
        queue: Option<(&str, &str)>,
    ) -> Self {
        let (sandbox, models) = (Sandbox::new(), models());
        let folder = sandbox.path("").canonicalize().unwrap();
        let (queue_url, prefix) = queue.unwrap_or(("memory:", "facefleet"));
        let settings = |model: Model| {
            format!(
                "[models]\ndir = '{models}'\nrecogniser = '{name}'\n[store]\nurl = '{store_url}'\n\
                 [queue]\nurl = '{queue_url}'\nprefix = '{prefix}'\n[server]\nlisten = ''\n\
                 [images]\nallow = ['{folder}/photos', '{folder}/people']\n\
                 [enrol]\nmin_quality = 0\nmin_sharpness = 0\n\
                 [worker]\nthreads = 1\nschedule_poll_seconds = 1\nbackoff_ms = 200\n",
                models = models.path().display(),
                name = model.name(),
                folder = folder.display(),
            )
        };
        for model in [Model::Old, Model::New] {
            sandbox.write(&format!("{}.toml", model.name()), settings(model).as_bytes());
        }
        let (store_url, fleet) = (store_url.to_owned(), queue.is_some());
        let stage = Self { sandbox, store, store_url, fleet, _models: models };
        stage.take_photos(crowd);
        stage
    }

    fn take_photos(&self, crowd: usize) {
        std::fs::create_dir(self.sandbox.path("people")).unwrap();
        self.crowd_comes(0..crowd);
        let people = PEOPLE.iter().map(|(person, name)| (*person, photo(name, 400)));
        for (person, image) in people.chain([(NEWCOMER, photo("obama2.jpg", 400).fliph())]) {
            for shot in 0..=SHOTS {
                let name = if shot == SHOTS {
                    format!("{person}-probe.jpg")
                } else {
                    format!("people/{person}-{shot}.jpg")
                };
                self.sandbox.write(&name, &jpeg(&image, 4 * shot));
            }
        }
    }

    /// The crowd's images of these numbers come.
    pub fn crowd_comes(&self, numbers: Range<usize>) {
        let people = PEOPLE.iter().map(|(_, name)| jpeg(&photo(name, 200), 0));
        let people: Vec<Vec<u8>> = people.collect();
        let nobody = jpeg(&DynamicImage::new_rgb8(160, 120), 60);
        for (number, name) in numbers.clone().zip(crowd(numbers)) {
            let image = kind(number).map_or(&nobody, |kind| &people[kind]);
            self.sandbox.write(&format!("photos/{name}"), &numbered(image, number));
        }
    }

    /// The program under the settings of a model.
    pub fn command(&self, model: Model, arguments: &[&str]) -> Command {
        let settings = format!("{}.toml", model.name());
        self.sandbox.command(&[&["--config", settings.as_str()], arguments].concat())
    }

    pub fn run(&self, model: Model, arguments: &[&str]) -> Run {
        Run::of(self.command(model, arguments).output().unwrap())
    }

    /// The lines of JSON that a command prints which does what it should.
    pub fn json(&self, model: Model, arguments: &[&str]) -> Vec<Value> {
        let run = self.run(model, &[arguments, &["--gallery", STAFF, "--json"]].concat());
        run.ended(0);
        run.json()
    }

    /// The summary of a campaign.
    pub fn summary(&self, model: Model, arguments: &[&str]) -> Value {
        self.json(model, arguments).pop().unwrap()["summary"].take()
    }

    /// Enrols people from a list of their images.
    pub fn enrol(&self, people: &[&str]) -> Value {
        let row = |person: &str| {
            shots(person).iter().map(|image| format!("{image},{person}\n")).collect::<String>()
        };
        let rows: String = people.iter().map(|person| row(person)).collect();
        let list = format!("people/{}.csv", people[0]);
        self.sandbox.write(&list, format!("file,subject\n{rows}").as_bytes());
        self.summary(Model::Old, &["enrol", "--subjects", &list])
    }

    /// The process that works under a model: a worker of the fleet, or what runs the schedules of
    /// the settings.
    pub fn start(&self, model: Model) -> Process {
        let arguments = if self.fleet { &["worker"][..] } else { &["schedule", "run", "--watch"] };
        let log = self.sandbox.path(&format!("{}.log", model.name()));
        let lines = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command(model, arguments);
        Process(command.stdout(Stdio::null()).stderr(lines).spawn().unwrap(), log)
    }

    /// The images of an export by their names.
    pub fn export(&self, profile: Option<&str>) -> BTreeMap<String, Value> {
        let mut arguments = vec!["export", "--gallery", STAFF, "--format", "jsonl", "--templates"];
        arguments.extend(profile.iter().flat_map(|profile| ["--profile", profile]));
        let run = self.run(Model::Old, &arguments);
        run.ended(0);
        let mut images = BTreeMap::new();
        for image in run.json() {
            let name = Path::new(image["uri"].as_str().unwrap()).file_name().unwrap();
            let before = images.insert(name.to_str().unwrap().to_owned(), image);
            assert!(before.is_none(), "two results of one profile: {before:?}");
        }
        images
    }

    /// How many templates the database has, under any profile.
    pub async fn templates(&self) -> i64 {
        const COUNT: &str = "SELECT count(*) FROM templates";
        if self.fleet {
            let mut connection = PgConnection::connect(&self.store_url).await.unwrap();
            return sqlx::query_scalar(COUNT).fetch_one(&mut connection).await.unwrap();
        }
        let mut connection = SqliteConnection::connect(&self.store_url).await.unwrap();
        sqlx::query_scalar(COUNT).fetch_one(&mut connection).await.unwrap()
    }
}

/// A folder of models with the detector and two recognisers.
fn models() -> TempDir {
    let folder = damage::models();
    let fetched = folder.path().join("fetched");
    let published = std::fs::read_link(&fetched).unwrap();
    std::fs::remove_file(&fetched).unwrap();
    std::fs::create_dir(&fetched).unwrap();
    for file in std::fs::read_dir(published).unwrap() {
        let path = file.unwrap().path();
        std::os::unix::fs::symlink(&path, fetched.join(path.file_name().unwrap())).unwrap();
    }
    let old = lresnet100e_ir(Style::mxnet(), Flattening::Flatten, 0.4).file();
    let new = iresnet(Style::pytorch(13), View::Computed).file();
    let told = ["--mean", "127.5", "--scale", "0.0078431", "--dropout", "0.4"];
    for (model, file, told) in [(Model::Old, old, &[][..]), (Model::New, new, &told)] {
        let name = format!("{}.onnx", model.name());
        let sandbox = Sandbox::new();
        sandbox.write(&name, &file);
        let arguments = ["model", "import", &name, "--channels", "rgb"];
        let mut command = sandbox.command(&[&arguments[..], told].concat());
        command.env("FACEFLEET__MODELS__DIR", folder.path());
        Run::of(command.output().unwrap()).ended(0);
    }
    folder
}

/// A sample photo of this width.
fn photo(name: &str, width: u32) -> DynamicImage {
    let photo = image::load_from_memory(&sample(name)).unwrap();
    photo.resize(width, 4 * width, FilterType::Triangle)
}

fn jpeg(image: &DynamicImage, brighter: i32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image.brighten(brighter).to_rgb8();
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The same picture in other bytes: with its number as a comment.
fn numbered(jpeg: &[u8], number: usize) -> Vec<u8> {
    let number = format!("{number:06}");
    let comment = [&[0xFF, 0xFE, 0, 8], number.as_bytes()].concat();
    [&jpeg[..2], &comment, &jpeg[2..]].concat()
}
