//! `profile compare` as people run it, in both stores.

use super::schemas::assert_fits;
use super::{Run, Sandbox, number};
use crate::support::sample;
use crate::support::stack::Database;

/// Two profiles of sample photos: the second detects faces in smaller copies of the images, so
/// landmarks and templates differ a little.
struct TwoProfiles {
    sandbox: Sandbox,
    store: Vec<String>,
    profiles: [String; 2],
}

impl TwoProfiles {
    fn new(store: &[String]) -> Self {
        let sandbox = Sandbox::new();
        for name in ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png", "chelsea.png"] {
            sandbox.write(&format!("photos/{name}"), &sample(name));
        }
        sandbox.write("photos/cut.jpg", b"not a photo");
        let labels = "file,subject,hair\nobama.jpg,b,<b>grey\nobama2.jpg,b,<b>grey\n\
                      biden.jpg,j,white\nastronaut.png,e,brown\n";
        sandbox.write("photos/labels.csv", labels.as_bytes());
        let mut two = Self { sandbox, store: store.to_vec(), profiles: Default::default() };
        two.profiles = ["640", "320"].map(|side| two.scan(side));
        two
    }

    /// The profile of a scan with this size of detection.
    fn scan(&self, max_side: &str) -> String {
        let mut arguments = vec!["scan", "photos", "--json"];
        arguments.extend(self.store.iter().map(String::as_str));
        let mut command = self.sandbox.command(&arguments);
        command.env("FACEFLEET__DETECTOR__MAX_SIDE", max_side);
        let run = Run::of(command.output().unwrap());
        run.ended(0);
        run.summary()["profile"].as_str().unwrap().to_owned()
    }

    fn compare(&self, old: &str, new: &str, more: &[&str]) -> Run {
        let mut arguments = vec!["profile", "compare", old, new];
        arguments.extend(more);
        arguments.extend(self.store.iter().map(String::as_str));
        self.sandbox.run(&arguments)
    }

    fn told_in_every_form(&self) {
        let [old, new] = self.profiles.each_ref().map(|id| &id[..12]);
        let run = self.compare(old, new, &["--out", "compared.html"]);
        run.ended(0);
        assert!(
            run.out.starts_with(
                "Switching is not advised: no similarity thresholds are known for NEW: `facefleet \
                 calibrate` measures some"
            ),
            "{}",
            run.out
        );
        for text in ["alignment.detector.max_side", "coverage 100.00 %", "Neighbours"] {
            assert!(run.out.contains(text), "{text}: {}", run.out);
        }
        let page = std::fs::read_to_string(self.sandbox.path("compared.html")).unwrap();
        assert!(page.contains("<svg") && page.contains("Switching is not advised"), "{page}");
        assert!(!page.contains("<script") && !page.contains("src="), "{page}");

        let labels = ["--labels", "photos/labels.csv", "--group", "hair"];
        let more = [&labels[..], &["--json", "--out", "groups.html"]].concat();
        let run = self.compare(&self.profiles[0], &self.profiles[1], &more);
        run.ended(0);
        let page = std::fs::read_to_string(self.sandbox.path("groups.html")).unwrap();
        assert!(page.contains("b&#62;grey") && !page.contains("<b>"), "{page}");
        let lines = run.json();
        assert_fits("profile-comparison", &lines);
        let found = &lines[0];
        assert_eq!(number(&found["coverage"], "images_both"), 6);
        assert_eq!(number(&found["similarities"], "mated"), 1);
        assert_eq!(number(&found["similarities"], "non_mated"), 5);
        let groups = found["groups"][0]["groups"].as_array().unwrap();
        let sizes: Vec<_> =
            groups.iter().map(|each| (each["group"].as_str(), number(each, "images"))).collect();
        assert_eq!(sizes, [(Some("<b>grey"), 2), (Some("brown"), 1), (Some("white"), 1)]);
    }
}

#[test]
fn two_profiles_are_compared_as_text_json_and_page() {
    TwoProfiles::new(&[]).told_in_every_form();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_profiles_on_postgres_are_compared_as_text_json_and_page() {
    let database = Database::new().await;
    let store = ["--store".to_owned(), database.url.clone()];
    let run = tokio::task::spawn_blocking(move || TwoProfiles::new(&store).told_in_every_form());
    run.await.unwrap();
    drop(database);
}

#[test]
fn what_cannot_be_compared_is_said_in_a_sentence() {
    let two = TwoProfiles::new(&[]);
    let [old, new] = two.profiles.each_ref().map(String::as_str);
    two.sandbox.write("pairs.txt", b"photos/obama.jpg photos/obama2.jpg 1\n");
    let labels = |file| ["--labels", file];
    for (left, right, more, words) in [
        (old, old, &[][..], vec!["the same profile", old]),
        (old, "0000000", &[], vec!["the store has no profile 0000000"]),
        (old, new, &["--gallery", "guests"], vec!["no gallery 'guests'", "default"]),
        (old, new, &labels("pairs.txt"), vec!["pairs.txt is a list of pairs"]),
        (old, new, &labels("none.csv"), vec!["none.csv"]),
        (
            old,
            new,
            &["--labels", "photos/labels.csv", "--group", "age"],
            vec!["photos/labels.csv", "no column 'age' of groups, only 'hair'"],
        ),
    ] {
        let run = two.compare(left, right, more);
        run.ended(1);
        for word in words {
            assert!(run.err.contains(word), "{word}: {}", run.err);
        }
    }
    std::fs::create_dir(two.sandbox.path("elsewhere")).unwrap();
    for name in ["one.jpg", "two.jpg", "three.jpg"] {
        two.sandbox.write(&format!("elsewhere/{name}"), &sample("obama.jpg"));
    }
    let table = b"file,subject\none.jpg,a\ntwo.jpg,a\nthree.jpg,b\n";
    two.sandbox.write("elsewhere/labels.csv", table);
    let run = two.compare(old, new, &labels("elsewhere/labels.csv"));
    run.ended(1);
    for word in ["elsewhere/labels.csv names none of the 6 images", "one.jpg", "--images"] {
        assert!(run.err.contains(word), "{word}: {}", run.err);
    }
}
