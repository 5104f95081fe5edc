//! Workers are known: what they print and report, and what a scan says of those that it lacks.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;

use facefleet::domain::SeenWorker;
use lapin::options::BasicPublishOptions;

use super::*;
use crate::support::worker_report;

/// A process whose lines of one stream are read.
struct Spoken {
    process: Running,
    lines: mpsc::Receiver<String>,
}

impl Spoken {
    /// Starts a worker and reads its standard output.
    fn worker(fleet: &Fleet, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = fleet.command(&[&["worker"], arguments].concat(), settings);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stream = child.stdout.take().unwrap();
        Self { process: Running(child), lines: read(stream) }
    }

    /// Starts a command and reads its standard error.
    fn command(fleet: &Fleet, arguments: &[&str]) -> Self {
        let mut command = fleet.command(arguments, &[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stream = child.stderr.take().unwrap();
        Self { process: Running(child), lines: read(stream) }
    }

    /// The first line from here on that contains `part`.
    fn line(&self, part: &str) -> String {
        let give_up = std::time::Instant::now() + PATIENCE;
        let mut before = Vec::new();
        loop {
            let left = give_up.saturating_duration_since(std::time::Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => before.push(line),
                Err(_) => panic!("no line contains {part:?}: {before:#?}"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn ended(mut self) -> Option<i32> {
        self.process.0.wait().unwrap().code()
    }
}

fn read(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The workers that `worker list --json` shows.
async fn listed(fleet: &Fleet) -> Vec<Value> {
    let (status, out, err) = fleet.run(&["worker", "list", "--json"], &[]).await;
    assert_eq!(status, Some(0), "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_prints_what_it_does_and_is_listed_until_it_stops() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let photos = folder.path().to_str().unwrap();
    assert_eq!(listed(&fleet).await, [] as [Value; 0]);
    let (_, out, _) = fleet.run(&["worker", "list"], &[]).await;
    assert_eq!(out, "no worker runs, and none died within a day\n");

    let any_port = [("FACEFLEET__SERVER__LISTEN", "127.0.0.1:0")];
    let worker = Spoken::worker(&fleet, &["--root", photos, "--lanes", "scan,enrol"], &any_port);
    let line = worker.line("takes jobs");
    let workers = listed(&fleet).await;
    let [seen] = &workers[..] else { panic!("{workers:?}") };
    let text = |key: &str| seen[key].as_str().unwrap().to_owned();
    assert_eq!((&seen["state"], &seen["provider"]), (&json!("live"), &json!("cpu")));
    assert_eq!(seen["lanes"], json!(["scan", "enrol"]));
    assert_eq!(seen["roots"], json!([photos]));
    assert_eq!(seen["pid"], worker.process.0.id());
    assert_eq!(seen["settings"]["worker.threads"], "1");
    let address = format!("http://{}", text("listener"));
    for part in [&text("profile"), "cpu", "scan,enrol", photos, &address, &text("host")] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let (_, out, _) = fleet.run(&["worker", "list"], &[]).await;
    assert!(out.starts_with("live  ") && out.contains(photos), "{out}");

    worker.signal("-TERM");
    assert_eq!(worker.ended(), Some(0));
    assert_eq!(listed(&fleet).await, [] as [Value; 0]);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_listed_as_gone() {
    let fleet = Fleet::new().await;
    let settings = [("FACEFLEET__LOG__FORMAT", "json")];
    let worker = Spoken::worker(&fleet, &["--root", "s3://photos"], &settings);
    let line: Value = serde_json::from_str(&worker.line("s3://photos")).unwrap();
    assert_eq!((&line["state"], &line["listener"]), (&json!("live"), &Value::Null));
    worker.signal("-KILL");
    worker.ended();
    let give_up = Instant::now() + PATIENCE;
    loop {
        let workers = listed(&fleet).await;
        assert_eq!((workers.len(), &workers[0]["worker"]), (1, &line["worker"]));
        if workers[0]["state"] == "gone" {
            break;
        }
        assert!(Instant::now() < give_up, "{workers:?}");
        sleep(Duration::from_millis(200)).await;
    }
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_says_which_worker_it_lacks_and_when_one_takes_its_jobs() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let photos = folder.path().to_str().unwrap();
    let (status, _, err) = fleet.run(&["scan", photos, "--gallery", "published"], &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("no worker is running: start `facefleet worker`"), "{err}");

    let begun = Instant::now();
    let scan = Spoken::command(&fleet, &["scan", photos, "--gallery", "staff", "--wait"]);
    scan.line("no worker is running");
    println!("said after {:.1} s", begun.elapsed().as_secs_f64());
    let _enrols = Spoken::worker(&fleet, &["--root", photos, "--lanes", "enrol"], &[]);
    let line = scan.line("lane scan");
    assert!(line.contains("take enrol"), "{line}");
    let sampled = [("FACEFLEET__QUALITY__METHOD", "sampled"), ("FACEFLEET__QUALITY__PASSES", "2")];
    let other = Spoken::worker(&fleet, &["--root", photos], &sampled);
    other.line("takes jobs");
    scan.line("no worker has the profile");
    let _right = Spoken::worker(&fleet, &["--root", photos], &[]);
    assert_eq!(scan.ended(), Some(0));
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_what_its_workers_may_not_read_fails_and_names_what_they_may() {
    let fleet = Fleet::new().await;
    let (folder, elsewhere) = (photos(), tempfile::tempdir().unwrap());
    let photos = folder.path().to_str().unwrap();
    let other = elsewhere.path().to_str().unwrap();
    let worker = Spoken::worker(&fleet, &["--root", other], &[]);
    worker.line("takes jobs");
    let (_, _, err) = fleet.run(&["scan", photos, "--gallery", "published"], &[]).await;
    assert!(err.contains(&format!("no worker may read {photos}")), "{err}");
    assert!(err.contains(&format!("may read {other}")), "{err}");
    let (status, out, err) = fleet.run(&["scan", photos, "--wait"], &[]).await;
    assert_eq!(status, Some(3), "{out}\n{err}");
    let last = err.lines().last().unwrap();
    let all = PHOTOS.len();
    for part in [
        &format!("{all} of {all} images"),
        &format!("of {all} images: refused: the file is outside the folders"),
        "facefleet worker list",
    ] {
        assert!(last.contains(part), "{part}: {err}");
    }
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_no_worker_may_read_is_told_before_it_is_published() {
    let fleet = Fleet::new().await;
    let (folder, elsewhere) = (photos(), tempfile::tempdir().unwrap());
    let photos = folder.path().to_str().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, PHOTOS.join("\n")).unwrap();
    let worker = Spoken::worker(&fleet, &["--root", elsewhere.path().to_str().unwrap()], &[]);
    worker.line("takes jobs");
    let told = format!("no worker may read {photos}");
    let scan = ["scan", "--from", list.to_str().unwrap(), "--gallery", "staff", "--wait"];
    let again = ["scan", "--again", "refused", "--gallery", "staff", "--wait"];
    for scan in [&scan[..], &again] {
        let (status, out, err) = fleet.run(scan, &[]).await;
        assert_eq!(status, Some(3), "{out}\n{err}");
        let mut lines = err.lines().skip_while(|line| line.starts_with("the list has"));
        assert!(lines.next().unwrap().contains(&told), "{err}");
    }
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_a_wrong_secret_make_a_scan_fail_with_the_reason() {
    let server = S3Server::start();
    for number in 0..4 {
        let photo = std::fs::read(sample_path("obama.jpg")).unwrap();
        server.put("photos", &format!("{number}.jpg"), &photo);
    }
    let fleet = Fleet { variables: server.variables(), ..Fleet::new().await };
    let wrong = [("AWS_SECRET_ACCESS_KEY", "wrong")];
    let worker = Spoken::worker(&fleet, &["--root", "s3://photos"], &wrong);
    worker.line("takes jobs");
    let (status, out, err) = fleet.run(&["scan", "s3://photos/", "--wait", "--json"], &[]).await;
    assert_eq!(status, Some(3), "{out}\n{err}");
    let last = err.lines().last().unwrap();
    assert!(last.contains("4 of 4 images") && last.contains("denies access"), "{err}");
    assert!(last.contains("credentials") && last.contains("facefleet doctor"), "{err}");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(summary["summary"]["reasons"][0]["images"], 4);

    let doctor = async |settings: &[(&str, &str)]| {
        let doctor = ["doctor", "--aligned", "--json", "--root", "s3://photos"];
        let (status, out, err) = fleet.run(&doctor, settings).await;
        let checks = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let place = checks.into_iter().find(|check| check["check"] == "place");
        (status, place.unwrap_or_else(|| panic!("{out}{err}"))["detail"].to_string())
    };
    let (status, detail) = doctor(&wrong).await;
    assert_eq!(status, Some(1));
    assert!(detail.contains("s3://photos: ") && detail.contains("denies access"), "{detail}");
    let (status, detail) = doctor(&[]).await;
    assert_eq!(status, Some(0), "{detail}");
    assert!(detail.contains("of 0.jpg were read"), "{detail}");
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_roots_differ_is_warned_about_at_its_start_and_in_doctor() {
    let fleet = Fleet::new().await;
    let store = fleet.app().store().await.unwrap();
    let queue = fleet.app().queue_name();
    let mut other = worker_report("elsewhere");
    (other.queue, other.roots) = (queue, vec!["s3://photos".into(), "s3://other".into()]);
    store.beat(&other).await.unwrap();
    let beating = tokio::spawn({
        let (store, other) = (store.clone(), other.clone());
        async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                store.beat(&other).await.unwrap();
            }
        }
    });
    let worker = Spoken::command(&fleet, &["worker", "--root", "s3://photos"]);
    let line = worker.line("different roots");
    assert!(line.contains("refuses images of s3://other"), "{line}");
    let (status, out, _) = fleet.run(&["doctor", "--aligned"], &[]).await;
    assert_eq!(status, Some(1), "{out}");
    let line = out.lines().find(|line| line.starts_with("WRONG workers")).expect(&out);
    assert!(line.contains("refuses images of s3://other"), "{line}");
    beating.abort();
    let seen: Vec<SeenWorker> = store.workers().await.unwrap();
    assert_eq!(seen.len(), 2);
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_a_message_that_is_no_job_is_shown_without_its_secrets() {
    let fleet = Fleet::new().await;
    let queue = fleet.app().queue().await.unwrap();
    let body = json!({"password": "hunter2", "photo": "https://host/a.jpg?sig=hunter2\u{7}"});
    let channel = fleet.broker.channel().await;
    let exchange = format!("{}.jobs", fleet.broker.prefix);
    let (options, body) = (BasicPublishOptions::default(), body.to_string());
    channel
        .basic_publish(exchange.into(), "scan".into(), options, body.as_bytes(), Default::default())
        .await
        .unwrap()
        .await
        .unwrap();
    let consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
    let give_up = Instant::now() + PATIENCE;
    while queue.status().await.unwrap().dead == 0 {
        assert!(Instant::now() < give_up, "the message should become a dead letter");
        sleep(Duration::from_millis(50)).await;
    }
    drop(consumer);
    let (status, out, err) = fleet.run(&["queue", "dead"], &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("begins: {\"password\":\"…\",\"photo\":\"https://host/a.jpg?…"), "{out}");
    assert!(out.contains(&format!("{}.dead", fleet.broker.prefix)), "{out}");
    let letter = fleet.json(&["queue", "dead", "--json"], &[]).await;
    assert_eq!(letter["bytes"], body.len());
    assert!(!out.contains("hunter2") && !letter.to_string().contains("hunter2"), "{letter}");
    queue.close().await;
    fleet.broker.remove().await;
}
