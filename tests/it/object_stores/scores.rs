//! `facefleet score` and `match` of images in buckets and on web servers.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::http::{Answer, HttpServer};
use crate::support::s3::S3Server;
use crate::support::{sample, sample_path};

struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `uri`, `image` and `outcome` of each line.
    #[track_caller]
    fn shows(&self, status: i32, expected: &[(&str, &str)]) {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let lines = self.json();
        let shown: Vec<_> =
            lines.iter().map(|line| (text(&line["uri"]), text(&line["outcome"]))).collect();
        let expected: Vec<_> =
            expected.iter().map(|(uri, outcome)| ((*uri).into(), (*outcome).into())).collect();
        assert_eq!(shown, expected, "{}", self.err);
        assert!(lines.iter().all(|line| line["image"] == line["uri"]), "{}", self.out);
    }
}

fn facefleet(variables: Vec<(String, String)>, folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_facefleet"))
        .args(arguments)
        .current_dir(folder)
        .env("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR"))
        .envs(variables)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn prefixes_and_objects_of_a_bucket_are_scored_in_the_order_of_their_keys() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    for (key, photo) in
        [("p/a b.jpg", "obama.jpg"), ("p/b/cat.png", "chelsea.png"), ("q/photo.dat", "obama2.jpg")]
    {
        server.put("faces", key, &sample(photo));
    }
    server.put("faces", "p/notes.txt", b"no photo");
    let score = |arguments: &[&str]| {
        let arguments = [&["score", "--json"], arguments].concat();
        facefleet(server.variables(), folder.path(), &arguments)
    };
    let run = score(&["--chips", "chips", "s3://faces/p", "s3://faces/q/photo.dat"]);
    run.shows(
        0,
        &[
            ("s3://faces/p/a%20b.jpg", "scored"),
            ("s3://faces/p/b/cat.png", "no_face"),
            ("s3://faces/q/photo.dat", "scored"),
        ],
    );
    assert!(run.err.contains("besides the images: 1 file left alone"), "{}", run.err);
    let lines = run.json();
    assert!(lines[0]["timings"]["fetch_ms"].as_f64().unwrap() > 0.0, "{}", lines[0]);
    let chip = folder.path().join(lines[2]["faces"][0]["chip"].as_str().unwrap());
    assert!(chip.ends_with("000002-photo-0.png") && chip.exists(), "{chip:?}");

    let local = sample_path("obama.jpg");
    let local = local.to_str().unwrap();
    let run = facefleet(
        server.variables(),
        folder.path(),
        &["match", "--json", "s3://faces/p/a%20b.jpg", local],
    );
    assert_eq!(run.status, Some(0), "{}", run.err);
    let compared = run.json().remove(0);
    assert!(compared["similarity"].as_f64().unwrap() > 0.999, "{compared}");
    assert_eq!(compared["images"][0]["uri"], "s3://faces/p/a%20b.jpg");
    for (named, reason) in [
        ("s3://faces", "it is a bucket, not an image"),
        ("s3://faces/no.jpg", "no.jpg: unreadable"),
    ] {
        let run = facefleet(server.variables(), folder.path(), &["match", named, local]);
        assert_eq!(run.status, Some(1), "{}", run.out);
        assert!(run.err.contains(reason), "{reason}: {}", run.err);
    }
}

#[test]
fn nothing_found_and_a_listing_that_fails_end_with_a_sentence() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    server.put("faces", "p/A001/obama.jpg", &sample("obama.jpg"));
    server.put("faces", "texts/notes.txt", b"no photo");
    let score =
        |place: &str| facefleet(server.variables(), folder.path(), &["score", "--json", place]);
    for (place, told) in [
        ("s3://faces/p/A", "name s3://faces/p/A001, or scan s3://faces/p --include '/A*'"),
        ("s3://faces/p/A", "facefleet: no image found below s3://faces/p/A: there is nothing"),
        ("s3://faces/none", "no image found below s3://faces/none: there is nothing"),
        ("s3://faces/texts", "no image found below s3://faces/texts: 1 file left alone"),
    ] {
        let run = score(place);
        assert_eq!((run.status, run.out.as_str()), (Some(3), ""), "{place}: {}", run.err);
        assert!(run.err.contains(told), "{told}: {}", run.err);
    }
    let run = score("s3://missing/p");
    assert_eq!(run.status, Some(1), "{}", run.err);
    let line = run.err.lines().last().unwrap();
    assert!(line.starts_with("facefleet: cannot list s3://missing/p: no such bucket"), "{line}");
    // The images before it are printed.
    let arguments = ["score", "--json", "s3://faces/p", "s3://missing/p"];
    let run = facefleet(server.variables(), folder.path(), &arguments);
    run.shows(1, &[("s3://faces/p/A001/obama.jpg", "scored")]);

    let variables = server.variables_with_secret("wrong");
    let run = facefleet(variables, folder.path(), &["score", "s3://faces/p"]);
    assert_eq!(run.status, Some(1), "{}", run.err);
    assert!(run.err.contains("cannot list s3://faces/p"), "{}", run.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_of_a_web_server_is_scored_and_nothing_else_there_is_read() {
    let photo = sample("obama.jpg");
    let server = HttpServer::start(move |path| match path {
        "/a.jpg?sig=secret" | "/a.jpg" => Answer::of("200 OK", "", &photo),
        "/elsewhere.jpg" => Answer::redirect("/b.jpg"),
        _ => Answer::of("404 Not Found", "", b""),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let score = |places: &[&str]| {
        let places: Vec<String> = places.iter().map(|place| server.url(place)).collect();
        let arguments = ["score", "--json"].into_iter().chain(places.iter().map(String::as_str));
        let variables =
            vec![("FACEFLEET__IMAGES__ALLOW_PRIVATE_HOSTS".to_owned(), "127.0.0.1".to_owned())];
        facefleet(variables, folder.path(), &arguments.collect::<Vec<_>>())
    };
    let run = score(&["/a.jpg?sig=secret", "/gone.jpg"]);
    run.shows(3, &[(&server.url("/a.jpg"), "scored"), (&server.url("/gone.jpg"), "unreadable")]);
    assert!(!run.out.contains("secret") && !run.err.contains("secret"), "{}{}", run.out, run.err);

    let run = score(&["/elsewhere.jpg"]);
    run.shows(3, &[(&server.url("/elsewhere.jpg"), "refused")]);
    assert!(server.requests().iter().all(|request| !request.contains("/b.jpg")));

    let run = score(&["/photos/"]);
    assert_eq!(run.status, Some(1), "{}", run.err);
    assert!(run.err.contains("a web server does not say what is below it"), "{}", run.err);
}
