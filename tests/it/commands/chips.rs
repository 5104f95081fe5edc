//! The chip cache: a re-score from it is the re-score from the photos, without the photos.

use std::io::Write;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use image::imageops::overlay;
use serde_json::Value;

use super::{Run, Sandbox, assert_adds_up, number, outcome};
use crate::support::sample;

/// Settings with another profile than the default: another estimator.
const NEW: [(&str, &str); 2] =
    [("FACEFLEET__QUALITY__METHOD", "sampled"), ("FACEFLEET__QUALITY__PASSES", "10")];
const RESCORE: [&str; 4] = ["rescore", "--root", "photos", "--json"];

/// A sandbox whose scans keep chips.
struct Kept(Sandbox);

impl Kept {
    /// With photos of one face, of three and of none, scanned.
    fn scanned() -> Self {
        let kept = Self(Sandbox::new());
        for name in ["astronaut.png", "obama.jpg", "chelsea.png"] {
            kept.0.write(&format!("photos/{name}"), &sample(name));
        }
        let people = ["obama.jpg", "biden.jpg", "astronaut.png"];
        let people =
            people.map(|name| image::load_from_memory(&sample(name)).unwrap().thumbnail(400, 400));
        let mut group = image::DynamicImage::new_rgb8(1200, 400);
        for (place, person) in (0..).zip(&people) {
            overlay(&mut group, person, 400 * place, 0);
        }
        group.save_with_format(kept.0.path("photos/group.png"), ImageFormat::Png).unwrap();
        kept.0.write("photos/notes.jpg", b"a shopping list, not a photo");
        kept.run(&["scan", "photos"], &[]).ended(0);
        kept
    }

    /// Runs a command with the cache.
    fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Run {
        let mut command = self.0.command(arguments);
        command.env("FACEFLEET__CHIPS__URL", self.folder());
        Run::of(command.envs(settings.iter().copied()).output().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path("chips")
    }

    /// Removes all photos. A file stays: an empty folder may be one that is not mounted.
    fn remove_photos(&self) {
        for photo in files(&self.0.path("photos")) {
            if !photo.ends_with("notes.jpg") {
                std::fs::remove_file(photo).unwrap();
            }
        }
    }

    /// The images of a profile without what differs from run to run, by URI.
    fn export(&self, profile: &str, store: &[&str]) -> Vec<Value> {
        let export = ["export", "--profile", profile, "--format", "jsonl", "--templates"];
        let run = self.0.run(&[&export[..], store].concat());
        run.ended(0);
        let mut images = run.json();
        images.sort_by_key(|image| image["uri"].to_string());
        for image in &mut images {
            let image = image.as_object_mut().unwrap();
            assert!(image.remove("timings").is_some() && image.remove("recorded_at").is_some());
        }
        images
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn counts(summary: &Value) -> [u64; 4] {
    let outcome = |kind| outcome(summary, kind);
    [
        number(summary, "from_chip_cache"),
        outcome("scored"),
        outcome("no_face"),
        outcome("unreadable"),
    ]
}

#[test]
fn results_from_the_cache_are_those_from_the_photos_bit_for_bit() {
    let kept = Kept::scanned();
    // Four images were decoded; what is no image is not kept.
    assert_eq!(files(&kept.folder()).len(), 4);
    std::fs::copy(kept.0.path("facefleet.db"), kept.0.path("direct.db")).unwrap();
    let direct = ["--store", "sqlite:direct.db"];
    let mut command = kept.0.command(&[&RESCORE[..], &direct].concat());
    let run = Run::of(command.envs(NEW).output().unwrap());
    run.ended(0);
    assert_eq!(counts(&run.summary()), [0, 3, 1, 1]);

    kept.remove_photos();
    let run = kept.run(&RESCORE, &NEW);
    run.ended(0);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!(counts(&summary), [4, 3, 1, 1], "{summary}");
    let profile = summary["profile"].as_str().unwrap();
    let cached = kept.export(profile, &[]);
    assert_eq!(cached.len(), 5);
    let faces: Vec<_> = cached.iter().map(|image| number(image, "face_count")).collect();
    assert_eq!(faces.iter().max(), Some(&3), "{faces:?}");
    assert_eq!(cached, kept.export(profile, &direct));

    let again = kept.run(&[&RESCORE[..], &["--all"]].concat(), &NEW);
    assert_eq!(number(&again.summary(), "from_chip_cache"), 4);
    assert!(
        kept.run(&["rescore", "--root", "photos", "--all"], &NEW)
            .out
            .contains("4 from the chip cache")
    );
}

#[test]
fn another_detector_or_another_selection_does_not_use_what_is_kept() {
    let kept = Kept::scanned();
    for setting in ["FACEFLEET__DETECTOR__MAX_SIDE", "FACEFLEET__DETECTOR__MIN_FACE_PX"] {
        let settings = [NEW[0], NEW[1], (setting, "320")];
        let summary = kept.run(&RESCORE, &settings).summary();
        assert_eq!(number(&summary, "from_chip_cache"), 0, "{setting}: {summary}");
        assert_eq!((number(&summary, "listed"), number(&summary, "left")), (5, 0));
    }
}

#[test]
fn what_is_damaged_or_missing_is_read_again_and_kept() {
    let kept = Kept::scanned();
    let mut entries = files(&kept.folder());
    entries.sort();
    let whole = std::fs::read(&entries[0]).unwrap();
    let mut file = std::fs::File::options().append(true).open(&entries[0]).unwrap();
    file.write_all(b"!").unwrap();
    std::fs::remove_file(&entries[1]).unwrap();
    let run = kept.run(&RESCORE, &NEW);
    run.ended(0);
    assert_eq!(counts(&run.summary()), [2, 3, 1, 1]);
    assert!(run.err.contains("an entry of the chip cache is damaged"), "{}", run.err);
    assert_eq!(std::fs::read(&entries[0]).unwrap(), whole);
    let mut after = files(&kept.folder());
    after.sort();
    assert_eq!(after, entries);
}

#[test]
fn a_cache_that_cannot_be_written_or_read_changes_no_outcome() {
    let sandbox = Sandbox::new();
    sandbox.fill(3);
    // A file is where the folder should be.
    let place = sandbox.path("photos/0000.jpg/chips");
    let place = ("FACEFLEET__CHIPS__URL", place.to_str().unwrap());
    let mut scan = sandbox.command(&["scan", "photos", "--json"]);
    let run = Run::of(scan.envs([place]).output().unwrap());
    run.ended(0);
    assert_eq!(outcome(&run.summary(), "scored"), 3);
    assert_eq!(run.err.matches("an entry of the chip cache").count(), 1, "{}", run.err);
    let mut rescore = sandbox.command(&RESCORE);
    let run = Run::of(rescore.envs([place, NEW[0], NEW[1]]).output().unwrap());
    run.ended(0);
    assert_eq!(counts(&run.summary()), [0, 3, 0, 0]);
    let mut wrong = sandbox.command(&["scan", "photos"]);
    let run = Run::of(wrong.env("FACEFLEET__CHIPS__URL", "https://a.example/").output().unwrap());
    run.ended(1);
    assert!(run.err.contains("chips.url") && run.err.contains("use a folder"), "{}", run.err);
}

#[test]
fn a_reference_whose_file_was_replaced_is_scored_from_the_cache() {
    let kept = Kept(Sandbox::new());
    kept.0.write("photos/badge.jpg", &sample("obama.jpg"));
    kept.0.write("obama2.jpg", &sample("obama2.jpg"));
    kept.run(&["enrol", "--subject", "p1", "photos/badge.jpg"], &[]).ended(0);
    kept.0.write("photos/badge.jpg", &sample("biden.jpg"));
    kept.run(&["scan", "photos"], &[]).ended(0);
    kept.run(&["verify", "p1", "obama2.jpg"], &[]).ended(0);
    let run = kept.run(&RESCORE, &NEW);
    run.ended(0);
    let summary = run.summary();
    assert_eq!(counts(&summary), [2, 2, 0, 0], "{summary}");
    assert_eq!((number(&summary, "listed"), number(&summary, "lost_references")), (2, 0));
    // The file shows somebody else, and its current result says so.
    let images = kept.export(summary["profile"].as_str().unwrap(), &[]);
    let hash = blake3::hash(&sample("biden.jpg")).to_string();
    assert_eq!((images.len(), images[0]["content_hash"].as_str()), (1, Some(hash.as_str())));
    // And the person is found by the face that was enrolled.
    let profile = summary["profile"].as_str().unwrap();
    kept.run(&["verify", "p1", "obama2.jpg", "--profile", profile], &NEW).ended(0);
    let nothing = kept.run(&RESCORE, &NEW).summary();
    assert_eq!((number(&nothing, "listed"), number(&nothing, "skipped")), (1, 1), "{nothing}");
}
