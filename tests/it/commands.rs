//! The program as people run it: exit status, what it prints, and what a second run does.

mod again;
mod answers;
mod chips;
mod compare_profiles;
mod components;
mod curation;
mod device;
mod docs;
mod enrol;
mod erasing;
mod evaluation;
mod failures;
mod files;
mod formats;
mod fused;
mod import;
mod lists;
mod models;
mod names;
mod precision;
mod profiles;
mod reapplying;
mod recipes;
mod remap;
mod rescore;
mod retention;
mod schedules;
mod schemas;
mod score;
mod score_folders;
mod scoring;
mod search;
mod secrets;
mod show;
mod subjects;
mod tables;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use facefleet::store::Reading;
use facefleet::store::sqlite::SqliteStore;
use image::{ImageFormat, imageops::FilterType};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{sample, sample_path};

/// A folder to run the program in. Models and runtime are those of this checkout.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("photos")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facefleet"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Scans `photos` and returns the summary.
    fn scan(&self) -> Value {
        let run = self.run(&["scan", "photos", "--json"]);
        run.ended(0);
        run.summary()
    }

    /// Fills `photos` with a small photo under many names.
    fn fill(&self, count: usize) {
        let photo = image::load_from_memory(&sample("astronaut.png")).unwrap();
        photo
            .resize(320, 320, FilterType::Triangle)
            .save_with_format(self.path("photos/0000.jpg"), ImageFormat::Jpeg)
            .unwrap();
        for number in 1..count {
            std::fs::hard_link(
                self.path("photos/0000.jpg"),
                self.path(&format!("photos/{number:04}.jpg")),
            )
            .unwrap();
        }
    }
}

/// What a run printed, and how it ended.
pub(crate) struct Run {
    status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn ended(&self, status: i32) {
        assert_eq!(self.status, Some(status), "\n{}\n{}", self.out, self.err);
    }

    pub(crate) fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    fn summary(&self) -> Value {
        self.json().pop().unwrap()["summary"].take()
    }
}

fn number(summary: &Value, key: &str) -> u64 {
    summary[key].as_u64().unwrap_or_else(|| panic!("no {key} in {summary}"))
}

fn outcome(summary: &Value, kind: &str) -> u64 {
    number(&summary["outcomes"], kind)
}

fn ended(summary: &Value) -> u64 {
    summary["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

#[track_caller]
fn assert_adds_up(summary: &Value) {
    let accounted = ended(summary) + number(summary, "skipped") + number(summary, "left");
    assert_eq!(number(summary, "listed"), accounted, "{summary}");
}

#[test]
fn a_scan_accounts_for_every_image_and_a_second_one_does_only_what_is_new() {
    let sandbox = Sandbox::new();
    let astronaut = sample("astronaut.png");
    for name in ["astronaut.png", "obama.jpg", "biden.jpg", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("photos/notes.jpg", b"a shopping list, not a photo");
    sandbox.write("photos/empty.jpg", b"");
    let obama = sample("obama.jpg");
    sandbox.write("photos/truncated.jpg", &obama[..obama.len() / 2]);
    sandbox.write("photos/readme.txt", b"not an image, and not named like one");
    let run = sandbox.run(&["scan", "photos"]);
    run.ended(0);
    let last = run.out.lines().last().unwrap();
    assert_eq!(
        last,
        "7 listed = 3 scored + 1 no_face + 3 unreadable + 0 refused + 0 failed + 0 skipped"
    );
    assert!(run.out.contains("left alone: 1 .txt\n"), "{}", run.out);
    for (file, reason) in
        [("notes.jpg", "not an image"), ("empty.jpg", "is empty"), ("truncated.jpg", "truncated")]
    {
        let line = run
            .err
            .lines()
            .find(|line| line.contains(file))
            .unwrap_or_else(|| panic!("{file}: {}", run.err));
        assert!(line.contains("unreadable") && line.contains(reason), "{line}");
    }

    let again = sandbox.run(&["scan", "photos"]);
    again.ended(0);
    assert_eq!(
        again.out.lines().last().unwrap(),
        "7 listed = 0 scored + 0 no_face + 0 unreadable + 0 refused + 0 failed + 7 skipped"
    );
    assert!(again.out.contains("nothing to do: every image is up to date"), "{}", again.out);

    sandbox.write("photos/notes.jpg", &astronaut);
    let changed = sandbox.scan();
    assert_eq!(
        (ended(&changed), outcome(&changed, "scored"), number(&changed, "skipped")),
        (1, 1, 6)
    );

    sandbox.write("photos/added.png", &astronaut);
    let added = sandbox.scan();
    assert_eq!((ended(&added), outcome(&added, "scored"), number(&added, "skipped")), (1, 1, 7));
    assert_adds_up(&added);
}

#[test]
fn json_lines_show_each_image_and_the_summary() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a.png", &sample("astronaut.png"));
    sandbox.write("photos/b.jpg", b"text");
    let run = sandbox.run(&["scan", "photos", "--json", "--gallery", "staff"]);
    run.ended(0);
    let mut lines = run.json();
    let summary = lines.pop().unwrap()["summary"].take();
    assert_adds_up(&summary);
    assert_eq!((summary["gallery"].as_str(), number(&summary, "face_count")), (Some("staff"), 1));
    lines.sort_by_key(|line| line["image"].to_string());
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["image"].as_str().unwrap().ends_with("/photos/a.png"));
    assert_eq!(
        (lines[0]["outcome"].as_str(), lines[0]["face_count"].as_u64()),
        (Some("scored"), Some(1))
    );
    assert!(lines[0]["quality"].as_u64().unwrap() <= 100);
    assert_eq!(lines[1]["outcome"], "unreadable");
}

#[test]
fn a_command_that_fails_has_its_exit_status_and_prints_a_sentence() {
    let sandbox = Sandbox::new();
    let missing = sandbox.run(&["scan", "holiday/2024"]);
    missing.ended(1);
    assert!(missing.err.contains("holiday/2024"), "{}", missing.err);
    assert_eq!(missing.err.lines().count(), 1, "{}", missing.err);

    let wrong = sandbox.run(&["scan", "photos", "--fast"]);
    wrong.ended(2);
    assert!(wrong.err.contains("--fast"), "{}", wrong.err);

    let unread = sandbox.run(&["score", "missing.jpg"]);
    unread.ended(3);
    assert!(unread.out.contains("missing.jpg  unreadable"), "{}", unread.out);

    let unknown = Run::of(
        sandbox
            .command(&["scan", "photos"])
            .env("FACEFLEET__MODELS__RECOGNISER", "arcface")
            .output()
            .unwrap(),
    );
    unknown.ended(1);
    assert!(
        unknown.err.contains("arcface") && unknown.err.contains("sface-2021dec"),
        "{}",
        unknown.err
    );
}

#[test]
fn an_interrupted_scan_ends_cleanly_and_the_next_one_goes_on() {
    const IMAGES: u64 = 400;
    let sandbox = Sandbox::new();
    sandbox.fill(IMAGES as usize);
    let mut command = sandbox.command(&["scan", "photos", "--json"]);
    // Few jobs in flight, so that most images are left when the first is done.
    command.env("FACEFLEET__WORKER__IN_FLIGHT", "4").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut scan = command.spawn().unwrap();
    let mut lines = BufReader::new(scan.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["outcome"], "scored");
    assert!(
        Command::new("kill").args(["-INT", &scan.id().to_string()]).status().unwrap().success()
    );
    let last = lines.map(Result::unwrap).last().unwrap();
    let mut told = String::new();
    scan.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(scan.wait().unwrap().code(), Some(130), "{told}");
    assert!(told.contains("stopping"), "{told}");

    let interrupted = serde_json::from_str::<Value>(&last).unwrap()["summary"].take();
    assert_adds_up(&interrupted);
    assert_eq!(interrupted["interrupted"], true);
    assert!(ended(&interrupted) >= 1 && number(&interrupted, "left") >= 1, "{interrupted}");

    let resumed = sandbox.scan();
    assert_adds_up(&resumed);
    assert_eq!(number(&resumed, "listed"), IMAGES);
    assert_eq!(number(&resumed, "skipped"), ended(&interrupted), "what was done is not done again");
    assert_eq!(outcome(&resumed, "scored"), IMAGES - ended(&interrupted));
}

#[tokio::test]
async fn two_scans_of_one_folder_at_once_store_each_image_once() {
    const IMAGES: u64 = 60;
    let sandbox = Sandbox::new();
    sandbox.fill(IMAGES as usize);
    let spawn = || {
        let mut command = sandbox.command(&["scan", "photos", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let scans = [spawn(), spawn()];
    for scan in scans {
        let run = Run::of(scan.wait_with_output().unwrap());
        run.ended(0);
        let summary = run.summary();
        assert_adds_up(&summary);
        assert_eq!(number(&summary, "listed"), IMAGES);
    }
    assert_eq!(number(&sandbox.scan(), "skipped"), IMAGES);

    let store = SqliteStore::open(&format!("sqlite:{}", sandbox.path("facefleet.db").display()))
        .await
        .unwrap();
    let galleries = store.galleries().await.unwrap();
    let [(gallery, profiles)] = galleries.as_slice() else { panic!("{galleries:?}") };
    let [profile] = profiles.as_slice() else { panic!("{profiles:?}") };
    let summary = store.summary(gallery, profile).await.unwrap();
    assert_eq!(summary.outcomes.iter().map(|(_, count)| count).sum::<u64>(), IMAGES);
    assert_eq!(summary.faces, IMAGES);
}

#[test]
fn a_runtime_that_is_missing_or_not_a_library_is_reported_in_a_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("text.so", b"this is not a library");
    for (library, reason) in [
        ("/no/such/libonnxruntime.so", "no such file"),
        (sandbox.path("text.so").to_str().unwrap(), ""),
    ] {
        let run = Run::of(
            sandbox
                .command(&["scan", "photos"])
                .env("FACEFLEET__RUNTIME__LIBRARY", library)
                .output()
                .unwrap(),
        );
        run.ended(1);
        assert!(
            run.err.starts_with("facefleet: ONNX Runtime cannot be loaded from "),
            "{}",
            run.err
        );
        assert!(
            run.err.contains(library) && run.err.contains(reason) && run.err.contains("make setup"),
            "{}",
            run.err
        );
        assert!(!run.err.contains("panicked"), "{}", run.err);
    }
}

#[test]
fn damaged_weights_are_refused_by_their_digest() {
    let sandbox = Sandbox::new();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::fs::create_dir_all(sandbox.path("models/fetched")).unwrap();
    let file = "fetched/face_recognition_sface_2021dec_int8bq.onnx";
    std::fs::copy(models.join("sface-2021dec.toml"), sandbox.path("models/sface-2021dec.toml"))
        .unwrap();
    let mut weights =
        std::fs::read(models.join(file)).expect("the tests need the weights: run `make setup`");
    let middle = weights.len() / 2;
    weights[middle] ^= 1;
    sandbox.write(&format!("models/{file}"), &weights);

    let mut command = sandbox.command(&["model", "prepare"]);
    command.env("FACEFLEET__MODELS__DIR", sandbox.path("models"));
    let run = Run::of(command.output().unwrap());
    run.ended(1);
    assert!(run.err.contains("sface-2021dec") && run.err.contains("sha256"), "{}", run.err);
    assert!(!sandbox.path("models/prepared").exists(), "nothing is prepared of it");
}

#[test]
fn no_template_is_in_the_log() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a.png", &sample("astronaut.png"));
    sandbox.write("photos/b.jpg", b"text");
    let photo = sample_path("obama.jpg");
    for arguments in [&["-vv", "scan", "photos"][..], &["-vv", "score", photo.to_str().unwrap()]] {
        let run = sandbox.run(arguments);
        run.ended(0);
        for line in run.err.lines() {
            let fractions = line
                .split(|c: char| c.is_whitespace() || "[](),;{}".contains(c))
                .filter(|word| !word.is_empty());
            let mut row = 0;
            for word in fractions {
                row = if word.contains('.') && word.parse::<f64>().is_ok() { row + 1 } else { 0 };
                assert!(row <= 8, "a list of numbers in the log: {line}");
            }
        }
    }
}
