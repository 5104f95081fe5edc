//! Images in object stores: on an S3 server, and on servers that fail as the clouds do.

mod chips;
mod scans;
mod scores;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use facefleet::images::{FetchLimits, Listing, ListingEntry, ListingError, Root, Rules};
use futures::StreamExt;

use crate::support::http::{Answer, HttpServer};
use crate::support::s3::S3Server;
use crate::support::sources::{
    LIMITS, SourceSettings, fetch, objects, refused, transient, unreadable,
};

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An image of a listing.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    uri: String,
    stamp: String,
    position: String,
}

fn listing(variables: Vec<(String, String)>, roots: &[&str]) -> Listing {
    let roots: Vec<Root> = roots.iter().map(|root| root.parse().unwrap()).collect();
    Listing::new(&roots, Rules::new(&[], &[]).unwrap(), objects(variables, LIMITS)).unwrap()
}

async fn images(listing: &Listing, after: Option<&str>) -> Result<Vec<Found>, ListingError> {
    let mut entries = listing.entries(after)?;
    let mut found = Vec::new();
    while let Some(entry) = entries.next().await {
        if let ListingEntry::Image { image, position } = entry? {
            found.push(Found {
                uri: image.image.as_str().to_owned(),
                stamp: image.stamp.unwrap().as_str().to_owned(),
                position: position.unwrap(),
            });
        }
    }
    Ok(found)
}

#[tokio::test]
async fn objects_below_the_allowed_prefix_are_read_and_no_others() {
    let server = S3Server::start();
    for key in ["pre/a.jpg", "pre/b c/ü+%2e#?.jpg", "prefix2/a.jpg", "secret.jpg", "a.jpg"] {
        server.put("bucket", key, key.as_bytes());
    }
    server.put("other", "pre/a.jpg", b"other");
    let sources = SourceSettings {
        allow: &["s3://bucket/pre"],
        variables: server.variables(),
        ..Default::default()
    }
    .build();
    assert_eq!(fetch(&sources, "s3://bucket/pre/a.jpg").await.unwrap(), b"pre/a.jpg");
    let strange = fetch(&sources, "s3://bucket/pre/b%20c/%C3%BC+%252e%23%3F.jpg").await;
    assert_eq!(strange.unwrap(), "pre/b c/ü+%2e#?.jpg".as_bytes());
    for outside in [
        "s3://bucket/prefix2/a.jpg",
        "s3://bucket/secret.jpg",
        "s3://bucket/pre/../secret.jpg",
        "s3://bucket/pre/%2e%2e/secret.jpg",
        "s3://bucket/pre%2f..%2fsecret.jpg",
        "s3://other/pre/a.jpg",
        "s3://bucket/pre/a.jpg?versionId=1",
        "gs://bucket/pre/a.jpg",
    ] {
        refused(fetch(&sources, outside).await);
    }
    // Encoded twice, it is the key of an object that does not exist.
    unreadable(fetch(&sources, "s3://bucket/pre/%252e%252e/secret.jpg").await);
    assert!(
        unreadable(fetch(&sources, "s3://bucket/pre/none.jpg").await).contains("no such object")
    );
}

#[tokio::test]
async fn an_object_over_the_limit_is_refused() {
    let server = S3Server::start();
    server.put("bucket", "exact.jpg", &[1; 100_000]);
    server.put("bucket", "over.jpg", &[1; 100_001]);
    let sources = SourceSettings {
        allow: &["s3://bucket"],
        variables: server.variables(),
        ..Default::default()
    }
    .build();
    assert_eq!(fetch(&sources, "s3://bucket/exact.jpg").await.unwrap().len(), 100_000);
    assert!(refused(fetch(&sources, "s3://bucket/over.jpg").await).contains("100001 bytes"));
}

#[tokio::test]
async fn an_error_about_wrong_credentials_does_not_show_them() {
    let server = S3Server::start();
    server.put("bucket", "a.jpg", b"bytes");
    let variables = server.variables_with_secret("wrong-secret");
    let sources = SourceSettings {
        allow: &["s3://bucket"],
        variables: variables.clone(),
        ..Default::default()
    }
    .build();
    let reason = unreadable(fetch(&sources, "s3://bucket/a.jpg").await);
    assert!(
        reason.contains("SignatureDoesNotMatch")
            && reason.contains("the secret key of this machine is wrong")
            && !reason.contains("wrong-secret"),
        "{reason}"
    );
    let error =
        images(&listing(variables, &["s3://bucket/x"]), None).await.unwrap_err().to_string();
    assert!(error.contains("s3://bucket/x") && error.contains("SignatureDoesNotMatch"), "{error}");
}

#[tokio::test]
async fn a_listing_reads_pages_in_order_and_can_resume_after_any_key() {
    let server = S3Server::start();
    let keys: BTreeSet<String> =
        (0..2500).map(|number| format!("gallery/{}/{number:05}.jpg", number % 7)).collect();
    for key in &keys {
        server.put("bucket", key, key.as_bytes());
    }
    server.put("bucket", "gallery/notes.txt", b"no image");
    server.put("bucket", "gallery2/a.jpg", b"outside");
    server.put("second", "z.jpg", b"of the second root");
    let listing = listing(server.variables(), &["s3://bucket/gallery", "s3://second"]);
    assert!(!listing.is_local());

    let all = images(&listing, None).await.unwrap();
    let expected: Vec<String> = keys
        .iter()
        .map(|key| format!("s3://bucket/{key}"))
        .chain(["s3://second/z.jpg".into()])
        .collect();
    assert_eq!(all.iter().map(|image| image.uri.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(
        all.iter().map(|image| &image.stamp).collect::<BTreeSet<_>>().len(),
        all.len(),
        "each version has its own stamp"
    );
    for position in [0, 998, 999, 1000, 1777, 2498, 2499, 2500] {
        let rest = images(&listing, Some(&all[position].position)).await.unwrap();
        assert_eq!(rest, all[position + 1..], "after {position}");
    }
    // It can also resume after a key that no longer exists.
    assert_eq!(images(&listing, Some("0 gallery/6/99999.png")).await.unwrap(), all[2500..]);
}

#[tokio::test]
async fn a_stamp_changes_with_the_object_and_a_root_that_is_an_object_is_listed_alone() {
    let server = S3Server::start();
    server.put("bucket", "photo", b"one");
    server.put("bucket", "photo.jpg", b"not below it");
    let listing = listing(server.variables(), &["s3://bucket/photo"]);
    let first = images(&listing, None).await.unwrap();
    assert_eq!(
        first.iter().map(|image| image.uri.as_str()).collect::<Vec<_>>(),
        ["s3://bucket/photo"]
    );
    assert_eq!(images(&listing, None).await.unwrap(), first);
    server.put("bucket", "photo", b"two");
    assert_ne!(images(&listing, None).await.unwrap()[0].stamp, first[0].stamp);
    assert_eq!(images(&listing, Some(&first[0].position)).await.unwrap(), []);
}

#[tokio::test]
async fn a_busy_store_is_retried_a_few_times_and_is_then_an_outage() {
    let busy =
        "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>secret</Message></Error>";
    let server = HttpServer::start(|_| Answer::of("503 Slow Down", "", busy.as_bytes())).await;
    let url = server.url("");
    let keys = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_SKIP_SIGNATURE", "true"),
    ];
    let sources = SourceSettings {
        allow: &["s3://bucket"],
        variables: variables(&keys),
        ..Default::default()
    }
    .build();
    let reason = transient(fetch(&sources, "s3://bucket/a.jpg").await);
    assert!(
        reason.contains("503") && reason.contains("SlowDown") && !reason.contains("secret"),
        "{reason}"
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_machine_without_credentials_is_told_so_and_not_that_the_store_failed() {
    for status in ["403 Forbidden", "501 Not Implemented"] {
        let metadata = HttpServer::start(move |_| Answer::of(status, "", b"")).await;
        let url = metadata.url("");
        let keys = [("AWS_METADATA_ENDPOINT", url.as_str()), ("AWS_ALLOW_HTTP", "true")];
        let (allow, variables) = (&["s3://bucket"], variables(&keys));
        let sources = SourceSettings { allow, variables, ..Default::default() }.build();
        let reason = transient(fetch(&sources, "s3://bucket/a.jpg").await);
        assert!(reason.contains("no credentials") && !metadata.requests().is_empty(), "{reason}");
    }
    for (set, missing) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY is not"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID is not"),
    ] {
        let (allow, variables) = (&["s3://bucket"], variables(&[(set, "x")]));
        let sources = SourceSettings { allow, variables, ..Default::default() }.build();
        let reason = transient(fetch(&sources, "s3://bucket/a.jpg").await);
        assert!(reason.contains(missing), "{reason}");
    }
}

#[tokio::test]
async fn a_fetch_ends_in_time_if_a_store_lies_hangs_or_disappears() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nLast-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\nETag: \"a\"\r\n";
    let server = HttpServer::start(|path| match path {
        "/bucket/claims.jpg" => {
            Answer::Silence(format!("{HEAD}Content-Length: 99999999999\r\n\r\n").into())
        }
        "/bucket/stuck.jpg" => {
            Answer::Silence(format!("{HEAD}Content-Length: 30\r\n\r\nabc").into())
        }
        _ => Answer::Silence(Vec::new()),
    })
    .await;
    let url = server.url("");
    let keys = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_SKIP_SIGNATURE", "true"),
    ];
    let sources = |limits| {
        let (variables, limits) = (variables(&keys), Some(limits));
        SourceSettings { allow: &["s3://bucket"], variables, limits, ..Default::default() }.build()
    };
    let started = Instant::now();
    assert!(
        refused(fetch(&sources(LIMITS), "s3://bucket/claims.jpg").await)
            .contains("99999999999 bytes")
    );
    let sources = sources(FetchLimits {
        whole: Duration::from_millis(800),
        idle: Duration::from_millis(200),
        ..LIMITS
    });
    transient(fetch(&sources, "s3://bucket/stuck.jpg").await);
    transient(fetch(&sources, "s3://bucket/silent.jpg").await);
    drop(server);
    transient(fetch(&sources, "s3://bucket/a.jpg").await);
    assert!(started.elapsed() < LIMITS.idle, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_listing_that_fails_reports_the_error_last_and_resumes_after_its_last_position() {
    fn page(keys: &[&str], next: &str) -> Answer {
        let object = |key: &&str| {
            format!(
                "<Contents><Key>{key}</Key><Size>1</Size>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            )
        };
        let objects: String = keys.iter().map(object).collect();
        Answer::of(
            "200 OK",
            "",
            format!("<ListBucketResult>{objects}{next}</ListBucketResult>").as_bytes(),
        )
    }
    let more = "<NextContinuationToken>more</NextContinuationToken><IsTruncated>true</IsTruncated>";
    let server = HttpServer::start(move |path| match path {
        path if path.contains("prefix=odd") => page(&["odd//b.jpg"], ""),
        path if path.contains("start-after") => page(&["p/c.jpg"], ""),
        path if path.contains("continuation-token") => Answer::of("500 Broken", "", b""),
        path if path.starts_with("/bucket?") => page(&["p/a.jpg", "p/b.jpg"], more),
        _ => Answer::of("404 Not Found", "", b""),
    })
    .await;
    let url = server.url("");
    let keys = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_SKIP_SIGNATURE", "true"),
    ];
    let broken = listing(variables(&keys), &["s3://bucket/p", "s3://bucket/never"]);
    let entries: Vec<_> = broken.entries(None).unwrap().collect().await;
    let [
        Ok(ListingEntry::Image { .. }),
        Ok(ListingEntry::Image { position: Some(last), image }),
        Err(error),
    ] = &entries[..]
    else {
        panic!("{entries:?}")
    };
    // Without an ETag, the stamp is size and modification time.
    assert_eq!(image.stamp.as_ref().unwrap().as_str(), "1-1767225600000000");
    assert_eq!(error.to_string(), "cannot list s3://bucket/p: the object store answered HTTP 500");
    let rest: Vec<_> = broken.entries(Some(last)).unwrap().take(1).collect().await;
    let [Ok(ListingEntry::Image { image, .. })] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(image.image.as_str(), "s3://bucket/p/c.jpg");

    let odd = images(&listing(variables(&keys), &["s3://bucket/odd"]), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(odd.contains("odd//b.jpg") && odd.contains("empty"), "{odd}");
}

#[tokio::test]
async fn google_and_azure_objects_are_fetched_by_their_own_urls() {
    const HEAD: &str =
        "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\nETag: \"a\"\r\nx-goog-generation: 1\r\n";
    let server = HttpServer::start(|path| match path.replace("%2E", ".").as_str() {
        "/bucket/a%20b.jpg" => Answer::of("200 OK", HEAD, b"google"),
        "/container/a%20b.jpg?sig=secret" => Answer::of("200 OK", HEAD, b"azure"),
        _ => Answer::of("403 Forbidden", "", b"<Error><Code>AuthenticationFailed</Code></Error>"),
    })
    .await;
    let url = server.url("");
    let account = format!(
        r#"{{"gcs_base_url": "{url}", "disable_oauth": true, "client_email": "",
            "private_key": "", "private_key_id": ""}}"#
    );
    let variables = variables(&[
        ("GOOGLE_SERVICE_ACCOUNT_KEY", &account),
        ("GOOGLE_ALLOW_HTTP", "true"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_STORAGE_SAS_TOKEN", "sig=secret"),
        ("AZURE_STORAGE_ENDPOINT", &url),
        ("AZURE_ALLOW_HTTP", "true"),
    ]);
    let allow = ["gs://bucket", "az://container"];
    let sources = SourceSettings { allow: &allow, variables, ..Default::default() }.build();
    assert_eq!(fetch(&sources, "gs://bucket/a%20b.jpg").await.unwrap(), b"google");
    assert_eq!(fetch(&sources, "az://container/a%20b.jpg").await.unwrap(), b"azure");
    let reason = unreadable(fetch(&sources, "az://container/other.jpg").await);
    assert!(reason.contains("AuthenticationFailed") && !reason.contains("secret"), "{reason}");
}
