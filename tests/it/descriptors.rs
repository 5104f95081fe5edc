//! A process that is out of file descriptors: neither an image nor a source is charged.

use std::fs::File;
use std::process::Command;

use facefleet::images::FetchError;

use crate::support::http::{Answer, HttpServer};
use crate::support::sources::{SourceSettings, fetch};

/// Set in the child process, which has few descriptors.
const CHILD: &str = "FACEFLEET_TEST_FEW_DESCRIPTORS";
const THIS: &str = "descriptors::a_process_out_of_descriptors_charges_no_image_and_no_source";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_out_of_descriptors_charges_no_image_and_no_source() {
    if std::env::var_os(CHILD).is_none() {
        // The limit applies to a process: a child, so that other tests are not affected.
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("prlimit");
        command
            .arg("--nofile=100")
            .arg(program)
            .args(["--exact", THIS, "--nocapture"])
            .env(CHILD, "1");
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && printed.contains("1 passed"),
            "{printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("a.jpg");
    std::fs::write(&path, b"bytes").unwrap();
    let server = HttpServer::start(|_| Answer::of("200 OK", "", b"bytes")).await;
    let (by_address, by_name) =
        (server.url("/a.jpg"), format!("http://localhost:{}/a.jpg", server.port()));
    let variables = [
        ("AWS_ENDPOINT", server.url("")),
        ("AWS_ALLOW_HTTP", "true".into()),
        ("AWS_ACCESS_KEY_ID", "key".into()),
        ("AWS_SECRET_ACCESS_KEY", "secret".into()),
        ("AWS_REGION", "nowhere".into()),
    ];
    let root = folder.path().canonicalize().unwrap();
    let servers = [server.url(""), format!("http://localhost:{}", server.port())];
    let sources = SourceSettings {
        allow: &[root.to_str().unwrap(), &servers[0], &servers[1], "s3://photos"],
        private_hosts: &["127.0.0.1", "localhost"],
        variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
        ..SourceSettings::default()
    };
    let sources = sources.build();
    let images =
        [format!("file://{}", path.display()), by_address, by_name, "s3://photos/a.jpg".into()];

    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for image in &images {
        match fetch(&sources, image).await {
            Err(FetchError::Shortage(reason)) => {
                assert!(reason.contains("file descriptors"), "{image}: {reason}")
            }
            other => panic!("{image}: {other:?}"),
        }
    }
    drop(held);
    assert_eq!(fetch(&sources, &images[0]).await.unwrap(), b"bytes");
    assert_eq!(fetch(&sources, &images[1]).await.unwrap(), b"bytes");
}
