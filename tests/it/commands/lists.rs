//! `facefleet scan --from`, `--again`, and what a scan says when it finds nothing or may not read.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{PageFilter, PageQuery, Reading};
use serde_json::json;

use super::{Run, Sandbox, assert_adds_up, number};

#[test]
fn a_list_is_scanned_accounted_for_and_skipped_by_a_second_scan() {
    let sandbox = Sandbox::new();
    sandbox.fill(4);
    sandbox.write("photos/note.txt", b"named by the list, so it is read");
    let list = "uri,subject,age\nphotos/0000.jpg,Ann,30\nphotos/0001.jpg,,\n./photos/0000.jpg,,\n\
                photos/note.txt,,\nphotos/none.jpg,,\nftp://host/a.jpg,,\n";
    sandbox.write("list.csv", list.as_bytes());
    let scan = || sandbox.run(&["scan", "--from", "list.csv", "--json"]);
    let run = scan();
    run.ended(3);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!(number(&summary, "listed"), 4);
    assert_eq!(summary["outcomes"]["scored"], json!(2));
    assert_eq!(summary["outcomes"]["unreadable"], json!(2));
    assert_eq!((number(&summary, "repeated"), number(&summary, "unlisted")), (1, 1));
    assert!(run.err.contains("6 rows and 4 images; 1 repeat others, 1 cannot be used"));
    assert!(run.err.contains("list.csv: columns that are not read: age\n"), "{}", run.err);
    assert!(run.err.contains("list.csv, line 7: its scheme"), "{}", run.err);

    let again = scan().summary();
    assert_eq!(number(&again, "skipped"), 3, "the file that is missing is tried again");
    // A scan of the folder has the same images: the same URIs and versions.
    let run = sandbox.run(&["scan", "photos", "--json"]);
    assert_eq!(number(&run.summary(), "skipped"), 2);
}

#[tokio::test]
async fn a_list_names_subjects() {
    let sandbox = Sandbox::new();
    sandbox.fill(2);
    sandbox.write("list.csv", b"file;subject\nphotos/0000.jpg;Ann\nphotos/0001.jpg;\n");
    let run = sandbox.run(&["scan", "--from", "list.csv", "--json"]);
    run.ended(0);
    let url = format!("sqlite:{}", sandbox.path("facefleet.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    let (gallery, profiles) = store.galleries().await.unwrap().remove(0);
    let query = PageQuery {
        gallery,
        profile: profiles[0].clone(),
        outcomes: Vec::new(),
        after: 0,
        limit: 10,
        templates: false,
        filter: PageFilter::default(),
        notes: false,
    };
    let mut subjects: Vec<_> = store.page(&query).await.unwrap();
    subjects.sort_by(|a, b| a.image.cmp(&b.image));
    let subjects: Vec<Option<&str>> =
        subjects.iter().map(|image| image.subject.as_ref().map(|name| name.as_str())).collect();
    assert_eq!(subjects, [Some("Ann"), None]);
}

#[test]
fn standard_input_is_a_list_and_names_what_it_may_not_read() {
    let sandbox = Sandbox::new();
    sandbox.fill(2);
    let elsewhere = Sandbox::new();
    elsewhere.fill(1);
    let photo = elsewhere.path("photos/0000.jpg").canonicalize().unwrap();
    let scan = |arguments: &[&str]| {
        let mut command = sandbox.command(&[&["scan", "--from", "-"][..], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let text = format!("photos/0000.jpg\n{}\n", photo.display());
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Run::of(child.wait_with_output().unwrap())
    };
    let run = scan(&[]);
    run.ended(1);
    let folder = photo.parent().unwrap().to_str().unwrap();
    let told = format!("1 of 2 images is outside of what may be read: 1 in {folder}.");
    assert!(run.err.contains(&told) && run.err.contains("(standard input, line 2)"), "{}", run.err);
    assert!(run.err.contains(&format!("--root {folder}")) && run.err.contains("images.allow"));
    assert_eq!(sandbox.run(&["campaign", "list"]).out, "", "nothing was begun");
    let run = scan(&["--root", folder]);
    run.ended(0);
    assert!(run.out.contains("2 listed = 2 scored"), "{}", run.out);
}

#[test]
fn an_image_with_other_bytes_than_its_list_says_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.fill(1);
    let line = json!({ "uri": "photos/0000.jpg", "content_hash": "0".repeat(64) });
    sandbox.write("list.jsonl", line.to_string().as_bytes());
    let run = sandbox.run(&["scan", "--from", "list.jsonl", "--json"]);
    assert_eq!(run.summary()["outcomes"]["refused"], json!(1), "{}", run.out);
}

#[test]
fn an_image_that_is_up_to_date_still_has_the_bytes_and_the_subject_of_its_list() {
    let sandbox = Sandbox::new();
    sandbox.fill(3);
    sandbox.run(&["scan", "photos", "--json"]).ended(0);
    let hash = |name: &str| {
        blake3::hash(&std::fs::read(sandbox.path(&format!("photos/{name}"))).unwrap()).to_string()
    };
    let (right, wrong) = (hash("0000.jpg"), "0".repeat(64));
    let list = format!(
        "uri,content_hash,subject\nphotos/0000.jpg,{right},Ann\nphotos/0001.jpg,{wrong},\n\
            photos/0002.jpg,,\n"
    );
    sandbox.write("list.csv", list.as_bytes());
    let run = sandbox.run(&["scan", "--from", "list.csv", "--json"]);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!((number(&summary, "listed"), number(&summary, "skipped")), (3, 2), "{}", run.out);
    assert_eq!(summary["outcomes"]["refused"], json!(1), "{}", run.out);
    let export = sandbox.run(&["export", "--gallery", "default", "--format", "jsonl"]);
    let subjects = export.json().into_iter().map(|image| image["subject"].clone());
    let mut subjects: Vec<_> = subjects.map(|subject| subject.to_string()).collect();
    subjects.sort();
    assert_eq!(subjects, ["\"Ann\"", "null", "null"], "{}", export.out);
}

#[test]
fn a_list_and_a_folder_above_it_scan_each_image_once() {
    let sandbox = Sandbox::new();
    sandbox.fill(3);
    sandbox.write("list.txt", b"photos/0000.jpg\nphotos/0001.jpg\n");
    let scan = ["scan", "photos", "--exclude", "*1.jpg", "--from", "list.txt"];
    let run = sandbox.run(&[&scan[..], &["--json"]].concat());
    run.ended(0);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!((number(&summary, "listed"), number(&summary, "repeated")), (3, 1));
    let run = sandbox.run(&scan);
    run.ended(0);
    assert!(run.out.contains("1 repeated: "), "{}", run.out);
}

#[test]
fn a_list_that_names_nothing_says_so_and_one_of_bad_rows_does_not() {
    let sandbox = Sandbox::new();
    for name in ["empty.csv", "empty.txt"] {
        sandbox.write(name, b"");
        let run = sandbox.run(&["scan", "--from", name]);
        run.ended(0);
        assert!(run.err.contains("the list is empty\n"), "{}", run.err);
        assert!(run.out.contains("no image found by --from"), "{}", run.out);
    }
    sandbox.write("bad.txt", "ftp://host/a.jpg\n".repeat(30).as_bytes());
    let run = sandbox.run(&["scan", "--from", "bad.txt"]);
    run.ended(3);
    assert!(!run.out.contains("there is nothing"), "{}", run.out);
    assert!(run.out.contains("30 files, folders or rows of lists could not be listed"));
    assert!(run.err.contains("(further problems are counted; --json prints each one)"));
    assert!(!run.err.contains("line 21:"), "{}", run.err);
}

#[test]
fn a_list_may_come_from_a_shells_pipe() {
    let sandbox = Sandbox::new();
    sandbox.fill(1);
    let program = env!("CARGO_BIN_EXE_facefleet");
    for script in [
        format!("{program} scan --from <(printf 'photos/0000.jpg\n') --json"),
        format!("printf 'photos/0000.jpg\n' | {program} scan --from /dev/stdin --json"),
    ] {
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(sandbox.path("."));
        shell.env("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR"));
        let run = Run::of(shell.output().unwrap());
        run.ended(0);
        assert_eq!(number(&run.summary(), "listed"), 1, "{}", run.err);
    }
}

#[test]
fn images_are_scanned_again_by_their_outcome() {
    let sandbox = Sandbox::new();
    sandbox.fill(2);
    sandbox.write("list.txt", b"photos/0000.jpg\nphotos/late.jpg\n");
    sandbox.run(&["scan", "--from", "list.txt", "--json"]);
    std::fs::rename(sandbox.path("photos/0001.jpg"), sandbox.path("photos/late.jpg")).unwrap();

    let again = ["scan", "--again", "failed,unreadable", "--json"];
    let run = sandbox.run(&again);
    run.ended(1);
    assert!(run.err.contains("1 of 1 image is outside of what may be read"), "{}", run.err);
    let again = [&again[..], &["--root", "photos"]].concat();
    let run = sandbox.run(&again);
    run.ended(0);
    assert_eq!(number(&run.summary(), "listed"), 1);
    assert_eq!(run.summary()["outcomes"]["scored"], json!(1));
    let run = sandbox.run(&again);
    run.ended(0);
    assert_eq!(number(&run.summary(), "listed"), 0, "it is not unreadable any more");
    let text = sandbox.run(&again[..3]);
    assert!(text.out.contains("no image found by --again failed,unreadable"), "{}", text.out);
    sandbox.run(&["scan", "--again", "scored"]).ended(2);
    sandbox.run(&["scan"]).ended(2);
}

#[test]
fn a_web_server_is_not_listed_and_an_empty_folder_is_named() {
    let sandbox = Sandbox::new();
    sandbox.fill(1);
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let run = sandbox.run(&["scan", "https://host.invalid/photos/"]);
    run.ended(1);
    assert!(run.err.contains("--from"), "{}", run.err);
    let run = sandbox.run(&["scan", "photos", "empty"]);
    run.ended(0);
    assert!(run.out.contains("/empty\n"), "{}", run.out);
}

#[test]
fn a_million_rows_are_read_in_little_memory() {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    for row in 0..1_000_000 {
        writeln!(text, "s3://faces/{:03}/{row:07}.jpg", row % 1000).unwrap();
    }
    sandbox.write("list.txt", text.as_bytes());
    let mut command = sandbox.command(&["scan", "--from", "list.txt"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let run = Run::of(child.wait_with_output().unwrap());
    run.ended(1);
    assert!(run.err.contains("1000000 of 1000000 images are outside"), "{}", run.err);
    println!("a list of a million rows: {} MiB at most", peak >> 10);
    assert!(peak < 64 << 10, "{peak} KiB");
}
