//! Images from web servers, correct and hostile ones.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use facefleet::domain::ImageUri;
use facefleet::images::{FetchError, FetchLimits, ImageSource};

use crate::support::http::{Answer, HttpServer};
use crate::support::s3::S3Server;
use crate::support::sources::{LIMITS, SourceSettings, fetch, refused, transient, unreadable};

const LOOPBACK: &[&str] = &["127.0.0.1"];

fn ok(body: &[u8]) -> Answer {
    Answer::of("200 OK", "", body)
}

#[tokio::test]
async fn an_allowed_server_is_read_and_the_query_is_sent() {
    let server = HttpServer::start(|path| {
        if path == "/a.jpg?sig=x" { ok(b"bytes") } else { Answer::of("404 Not Found", "", b"") }
    })
    .await;
    let sources =
        SourceSettings { allow: &[&server.url("")], private_hosts: LOOPBACK, ..Default::default() }
            .build();
    assert_eq!(fetch(&sources, &server.url("/a.jpg?sig=x")).await.unwrap(), b"bytes");
    let request = server.requests().remove(0).to_lowercase();
    assert!(
        !request.contains("accept-encoding")
            && !request.contains("cookie")
            && !request.contains("referer"),
        "{request}"
    );
}

#[tokio::test]
async fn checking_an_image_reads_all_of_it_under_the_same_rules() {
    let body = vec![7; 1000];
    let server = HttpServer::start(move |path| match path {
        "/good.jpg" => ok(&body),
        "/cut.jpg" => {
            Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_vec())
        }
        "/long.jpg" => {
            Answer::Repeat(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0; 1 << 16], Duration::ZERO)
        }
        "/ill.jpg" => Answer::of("503 Service Unavailable", "", b""),
        _ => Answer::of("404 Not Found", "", b""),
    })
    .await;
    let sources =
        SourceSettings { allow: &[&server.url("")], private_hosts: LOOPBACK, ..Default::default() }
            .build();
    let check = async |path: &str| {
        sources.check_image(&server.url(path).parse::<ImageUri>().unwrap()).await
    };
    check("/good.jpg").await.unwrap();
    for path in ["/cut.jpg", "/ill.jpg"] {
        let Err(FetchError::Outage(_)) = check(path).await else { panic!("{path}") };
    }
    let Err(FetchError::NotFound(_)) = check("/none.jpg").await else { panic!("it exists") };
    let Err(FetchError::Refused(reason)) = check("/long.jpg").await else {
        panic!("it has no end")
    };
    assert!(reason.contains("limits.max_bytes"), "{reason}");
    let elsewhere =
        sources.check_image(&"http://127.0.0.1:1/a.jpg".parse::<ImageUri>().unwrap()).await;
    let Err(FetchError::Refused(_)) = elsewhere else { panic!("it is not allowed") };
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let server = HttpServer::start(|_| ok(b"secret")).await;
    let port = server.port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "0x7f.1",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
    ];
    for host in hosts {
        let root = format!("http://{host}:{port}");
        let sources = SourceSettings { allow: &[&root], ..Default::default() }.build();
        let reason = refused(fetch(&sources, &format!("{root}/a.jpg?sig=secret")).await);
        assert!(
            reason.contains("not public")
                && reason.contains("allow_private_hosts")
                && !reason.contains("secret"),
            "{reason}"
        );
        // Allowing another private host does not allow this one.
        let sources =
            SourceSettings { allow: &[&root], private_hosts: &["10.0.0.1"], ..Default::default() }
                .build();
        refused(fetch(&sources, &format!("{root}/a.jpg")).await);
    }
    assert_eq!(server.requests(), [""; 0], "no connection was made");
    for host in ["127.0.0.1", "localhost"] {
        let root = format!("http://{host}:{port}");
        let sources =
            SourceSettings { allow: &[&root], private_hosts: &[host], ..Default::default() }
                .build();
        assert_eq!(fetch(&sources, &format!("{root}/a.jpg")).await.unwrap(), b"secret");
    }
}

#[tokio::test]
async fn a_uri_that_is_not_allowed_is_refused_before_a_connection() {
    let server = HttpServer::start(|_| ok(b"bytes")).await;
    let root = server.url("/pub");
    let sources =
        SourceSettings { allow: &[&root], private_hosts: LOOPBACK, ..Default::default() }.build();
    let user = format!("http://user:pass@127.0.0.1:{}/pub/a.jpg", server.port());
    let outside = [
        "/a.jpg",
        "/public/a.jpg",
        "/pub/../a.jpg",
        "/pub/%2e%2e/a.jpg",
        "/pub/%252e%252e/a.jpg",
        "/pub/..%2fa.jpg",
    ];
    for uri in outside
        .map(|path| server.url(path))
        .into_iter()
        .chain([user, "https://127.0.0.1/pub/a.jpg".into()])
    {
        let reason = refused(fetch(&sources, &uri).await);
        assert!(!reason.contains("pass"), "{reason}");
    }
    let nothing = SourceSettings::default().build();
    for uri in [
        server.url("/pub/a.jpg"),
        "data:;base64,AAAA".into(),
        "s3://b/a.jpg".into(),
        "file:///etc/passwd".into(),
    ] {
        refused(fetch(&nothing, &uri).await);
    }
    refused(fetch(&nothing, "ftp://host/a.jpg").await);
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn redirects_are_followed_only_to_places_that_are_allowed() {
    let other = HttpServer::start(|_| ok(b"other")).await;
    let (other_url, other_port) = (other.url("/b.jpg"), other.port());
    let server = HttpServer::start(move |path| match path {
        "/pub/twice" => Answer::redirect("/pub/once?sig=1"),
        "/pub/once?sig=1" => Answer::redirect("end"),
        "/pub/end" => ok(b"end"),
        "/pub/other" => Answer::redirect(&other_url),
        "/pub/private" => Answer::redirect(&format!("http://localhost:{other_port}/b.jpg")),
        "/pub/metadata" => Answer::redirect("http://169.254.169.254/latest/meta-data/"),
        "/pub/file" => Answer::redirect("file:///etc/passwd"),
        "/pub/up" => Answer::redirect("../secret"),
        "/pub/user" => Answer::redirect("http://user:pass@127.0.0.1/pub/end"),
        "/pub/loop" => Answer::redirect("/pub/loop"),
        "/pub/nowhere" => Answer::redirect("http://[not-a-url"),
        _ => Answer::of("500 Unexpected", "", b""),
    })
    .await;
    let (root, loopback, metadata) =
        (server.url("/pub"), format!("http://localhost:{other_port}"), "http://169.254.169.254");
    let allow = [root.as_str(), loopback.as_str(), metadata];
    let sources =
        SourceSettings { allow: &allow, private_hosts: LOOPBACK, ..Default::default() }.build();
    let follow = async |path: &str| fetch(&sources, &server.url(path)).await;

    assert_eq!(follow("/pub/twice").await.unwrap(), b"end");
    for path in ["/pub/other", "/pub/file", "/pub/up"] {
        let reason = refused(follow(path).await);
        assert!(
            reason.contains("after a redirect") && reason.contains("images.allow"),
            "{path}: {reason}"
        );
    }
    // These are in `images.allow` but have private addresses: one by address, one by name.
    for path in ["/pub/metadata", "/pub/private"] {
        let reason = refused(follow(path).await);
        assert!(reason.contains("not public"), "{path}: {reason}");
    }
    assert!(refused(follow("/pub/user").await).contains("credentials"));
    unreadable(follow("/pub/nowhere").await);
    assert_eq!(other.requests(), [""; 0]);

    let before = server.requests().len();
    assert!(refused(follow("/pub/loop").await).contains("more than 3 redirects"));
    assert_eq!(server.requests().len() - before, 4);
}

#[tokio::test]
async fn bytes_over_the_limit_are_refused_whatever_length_the_server_claims() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let part = [b"2000\r\n".as_slice(), &[0; 0x2000], b"\r\n"].concat();
    let server = HttpServer::start(move |path| match path {
        "/exact" => ok(&[7; 100_000]),
        "/over" => ok(&[7; 100_001]),
        "/claims" => {
            Answer::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".to_vec())
        }
        "/endless" => Answer::Repeat(chunked.to_vec(), part.clone(), Duration::ZERO),
        "/unending" => {
            Answer::Repeat(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0; 8192], Duration::ZERO)
        }
        "/longer" => Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef".to_vec()),
        _ => Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabcdef".to_vec()),
    })
    .await;
    let sources =
        SourceSettings { allow: &[&server.url("")], private_hosts: LOOPBACK, ..Default::default() }
            .build();
    let get = async |path: &str| fetch(&sources, &server.url(path)).await;
    assert_eq!(get("/exact").await.unwrap().len(), 100_000);
    for path in ["/over", "/claims", "/endless", "/unending"] {
        let reason = refused(get(path).await);
        assert!(reason.contains("limits.max_bytes"), "{path}: {reason}");
    }
    assert_eq!(get("/longer").await.unwrap(), b"abc");
    transient(get("/shorter?sig=secret").await);
}

#[tokio::test]
async fn a_fetch_from_a_slow_server_ends_in_time() {
    let server = HttpServer::start(|path| match path {
        "/silent" => Answer::Silence(Vec::new()),
        "/stuck" => Answer::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc".to_vec()),
        _ => Answer::Repeat(
            b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n".to_vec(),
            b"x".to_vec(),
            Duration::from_millis(20),
        ),
    })
    .await;
    let root = server.url("");
    let fast = Duration::from_millis(300);
    let sources = |limits| {
        SourceSettings {
            allow: &[&root],
            private_hosts: LOOPBACK,
            limits: Some(limits),
            ..Default::default()
        }
        .build()
    };
    let started = Instant::now();
    let impatient = sources(FetchLimits { idle: fast, ..LIMITS });
    for path in ["/silent", "/stuck"] {
        let reason = transient(fetch(&impatient, &server.url(path)).await);
        assert!(reason.contains("silent"), "{path}: {reason}");
    }
    // This server is never silent for long, but never finishes.
    let reason = transient(
        fetch(&sources(FetchLimits { whole: fast, ..LIMITS }), &server.url("/drip")).await,
    );
    assert!(reason.contains("images.timeout_ms"), "{reason}");
    assert!(started.elapsed() < LIMITS.idle, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_status_decides_whether_an_image_is_retried() {
    let server = HttpServer::start(|path| {
        let status = path.trim_start_matches('/').split('?').next().unwrap().to_owned();
        Answer::of(&format!("{status} Status"), "", b"<html>secret</html>")
    })
    .await;
    let sources =
        SourceSettings { allow: &[&server.url("")], private_hosts: LOOPBACK, ..Default::default() }
            .build();
    for status in [400, 401, 403, 404, 405, 410, 451, 204, 206, 304] {
        let reason =
            unreadable(fetch(&sources, &server.url(&format!("/{status}?sig=secret"))).await);
        assert!(!reason.contains("secret"), "{reason}");
    }
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let reason =
            transient(fetch(&sources, &server.url(&format!("/{status}?sig=secret"))).await);
        assert!(!reason.contains("secret") && reason.contains(&status.to_string()), "{reason}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_an_outage_and_no_reason_contains_the_query() {
    let server = HttpServer::start(|_| Answer::Close(Vec::new())).await;
    let root = server.url("");
    let uri = server.url("/a.jpg?sig=secret");
    let sources = SourceSettings {
        allow: &[&root, "http://host.invalid"],
        private_hosts: LOOPBACK,
        ..Default::default()
    }
    .build();
    let closed = transient(fetch(&sources, &uri).await);
    drop(server);
    let gone = transient(fetch(&sources, &uri).await);
    let unknown = transient(fetch(&sources, "http://host.invalid/a.jpg?sig=secret").await);
    for reason in [closed, gone, unknown] {
        assert!(!reason.contains("secret") && !reason.contains("sig"), "{reason}");
    }
}

#[tokio::test]
async fn https_accepts_only_certificates_of_the_configured_authority() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jpg"), b"bytes").unwrap();
    let keys = tempfile::tempdir().unwrap();
    make_certificates(keys.path());
    let server = S3Server::start_https(
        &keys.path().join("server.pem"),
        &keys.path().join("server.key"),
        folder,
    );
    let authority = std::fs::read(keys.path().join("ca.pem")).unwrap();
    let uri = format!("{}/a.jpg", server.url());
    assert!(uri.starts_with("https://127.0.0.1:"), "{uri}");
    let allow = [server.url()];
    let settings =
        || SourceSettings { allow: &allow, private_hosts: LOOPBACK, ..Default::default() };
    let trusting = SourceSettings { authorities: Some(&authority), ..settings() }.build();
    assert_eq!(fetch(&trusting, &uri).await.unwrap(), b"bytes");
    let reason = transient(fetch(&settings().build(), &uri).await);
    assert!(reason.contains("certificate"), "{reason}");
}

/// Creates a certificate authority, and a certificate for 127.0.0.1 that it signed.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder);
        let output =
            command.output().expect("this test needs the program openssl to create certificates");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!(
        "{new} -subj /CN=authority -keyout ca.key -out ca.pem \
         -addext basicConstraints=critical,CA:TRUE"
    ));
    openssl(&format!(
        "{new} -subj /CN=server -keyout server.key -out server.pem -CA ca.pem -CAkey ca.key \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    ));
}
