//! `retention` and `audit` as people run them, in one process.

use serde_json::{Value, json};

use super::schemas::assert_fits;
use super::{Run, Sandbox, number, outcome};
use crate::support::sample;

/// Days that pass in the store.
const AGED: &str = "UPDATE results SET recorded_at_ms = recorded_at_ms - 864000000;
    UPDATE enrolments SET decided_at_ms = decided_at_ms - 864000000;";

impl Sandbox {
    /// With an enrolled person, a photo of nobody, and the chips of both, all of them ten days old.
    async fn with_old_photos() -> Self {
        let sandbox = Self::new();
        for name in ["obama.jpg", "biden.jpg"] {
            sandbox.write(&format!("photos/{name}"), &sample(name));
        }
        let photo = "photos/obama.jpg";
        let rules = format!(
            "chips.url = '{}'\n[[retention]]\ngallery = 'staff'\nimages_days = 7\n\
                [[schedule]]\nname = 'clean'\ncron = '0 3 * * *'\naction = 'retention'\n\
                gallery = 'staff'\n",
            sandbox.path("chips").display()
        );
        sandbox.write("facefleet.toml", rules.as_bytes());
        sandbox.run(&["enrol", "--subject", "barack", "--gallery", "staff", photo]).ended(0);
        sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
        sandbox.change(AGED).await;
        sandbox
    }

    async fn change(&self, sql: &'static str) {
        use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
        let file = SqliteConnectOptions::new().filename(self.path("facefleet.db"));
        let mut connection = file.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn chips_kept(&self) -> usize {
        let mut folders = vec![self.path("chips")];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files += 1 }
            }
        }
        files
    }

    fn retention(&self, more: &[&str]) -> Value {
        let run = self.run(&[&["retention", "--json"], more].concat());
        run.ended(0);
        let lines = run.json();
        assert_fits("retention", &lines);
        lines[0].clone()
    }

    fn audit(&self, more: &[&str]) -> Vec<Value> {
        let run: Run = self.run(&[&["audit", "--json"], more].concat());
        run.ended(0);
        run.json()
    }
}

#[tokio::test]
async fn what_a_trial_counts_is_removed_and_no_scan_brings_it_back() {
    let sandbox = Sandbox::with_old_photos().await;
    assert_eq!(sandbox.chips_kept(), 2);
    let trial = sandbox.retention(&["--dry-run"]);
    assert_eq!((number(&trial["removed"], "images"), &trial["retention"]), (1, &Value::Null));
    assert_eq!(sandbox.chips_kept(), 2);
    let run = sandbox.retention(&["--gallery", "staff", "--as", "Olga"]);
    assert_eq!((&run["removed"], &run["by"]), (&trial["removed"], &json!("Olga")));
    assert_eq!(sandbox.chips_kept(), 1, "those of the person stay");
    let again = sandbox.retention(&["--rewrite"]);
    assert_eq!((number(&again["removed"], "images"), &again["rewritten"]), (0, &json!(true)));

    let scan = ["scan", "photos", "--gallery", "staff", "--json"];
    let summary = sandbox.run(&scan).summary();
    assert_eq!(number(&summary, "skipped"), 2, "it is not even read: {summary}");
    // Read once more, since its time is another: the same picture.
    let told = sandbox.run(&scan[..4]);
    let removed = "every image is up to date, or retention removed it (`facefleet audit --gallery \
        staff --kind retention`)";
    assert!(told.out.contains(removed), "{}", told.out);
    let file = std::fs::File::options().write(true).open(sandbox.path("photos/biden.jpg")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let summary = sandbox.run(&scan).summary();
    assert_eq!((outcome(&summary, "erased"), outcome(&summary, "scored")), (1, 0), "{summary}");
    let photo = "photos/biden.jpg";
    sandbox.run(&["enrol", "--subject", "joe", "--gallery", "staff", photo]).ended(0);
    let people = sandbox.run(&["subject", "list", "--gallery", "staff"]);
    assert!(people.out.contains("joe"), "{}", people.out);
}

#[tokio::test]
async fn a_schedule_removes_what_is_due_and_the_audit_lists_it() {
    let sandbox = Sandbox::with_old_photos().await;
    let listed = sandbox.run(&["schedule", "list", "--json"]).json();
    assert_eq!(listed[0]["action"], "retention");
    let runs = sandbox.run(&["schedule", "run", "clean", "--json"]);
    runs.ended(0);
    assert_eq!(runs.json()[0]["state"], "done");
    let events = sandbox.audit(&[]);
    assert_fits("audit", &events);
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["decision", "retention"]);
    assert_eq!(events[1]["by"], "schedule clean");
    assert_eq!(number(&events[1]["retention"]["removed"], "images"), 1);
    assert_eq!(sandbox.run(&["schedule", "history", "clean", "--json"]).json().len(), 1);

    sandbox.run(&["erase", "--subject", "barack", "--gallery", "staff"]).ended(0);
    let audit = sandbox.run(&["audit", "--gallery", "staff"]);
    audit.ended(0);
    assert!(audit.out.contains("erased one subject: 1 image, 1 result, "), "{}", audit.out);
    assert!(!audit.out.contains("barack") && !audit.out.contains("obama"), "{}", audit.out);
    assert_eq!(sandbox.audit(&["--kind", "erasure", "--limit", "1"]).len(), 1);
    assert_eq!(sandbox.audit(&["--until", "2020-01-01"]), [Value::Null; 0]);
    assert!(audit.out.contains("  removed 1 image  by schedule clean"), "{}", audit.out);
    for (arguments, why) in [
        (
            ["--kind", "nonsense"],
            "[possible values: decision, verdict, subject, activation, erasure, retention]",
        ),
        (["--limit", "0"], "0 is not in 1.."),
    ] {
        let wrong = sandbox.run(&[&["audit"][..], &arguments].concat());
        wrong.ended(2);
        assert!(wrong.err.contains(why), "{}", wrong.err);
    }
    let unknown = sandbox.run(&["audit", "--gallery", "unknown"]);
    unknown.ended(1);
    assert!(unknown.err.contains("there is no gallery unknown"), "{}", unknown.err);
}

#[test]
fn without_rules_nothing_is_removed_and_it_says_how_to_set_some() {
    let sandbox = Sandbox::new();
    let none = sandbox.run(&["retention"]);
    none.ended(0);
    assert!(none.out.contains("[[retention]]"), "{}", none.out);
    let wrong = sandbox.run(&["retention", "--gallery", "staff"]);
    wrong.ended(1);
    assert!(wrong.err.contains("no [[retention]] table of gallery staff"), "{}", wrong.err);
}

#[test]
fn a_gallery_that_the_store_does_not_have_is_an_error_if_it_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/obama.jpg", &sample("obama.jpg"));
    let rules = "[[retention]]\ngallery = 'stuff'\nimages_days = 7\n";
    sandbox.write("facefleet.toml", rules.as_bytes());
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    let told = "there is no gallery 'stuff' in the store, only staff";
    for trial in [&[][..], &["--dry-run"]] {
        let named = sandbox.run(&[&["retention", "--gallery", "stuff"], trial].concat());
        named.ended(1);
        assert!(named.err.contains(told), "{}", named.err);
        let all = sandbox.run(&[&["retention"], trial].concat());
        all.ended(0);
        assert!(all.err.contains(told), "{}", all.err);
    }
}
