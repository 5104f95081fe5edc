use super::*;

fn root(text: &str) -> Root {
    text.parse().unwrap()
}

fn covers(root: &str, url: &str) -> bool {
    self::root(root).covers(&url.parse().unwrap())
}

#[test]
fn roots_are_read_from_paths_and_urls() {
    assert_eq!(root("photos/a b"), Root::Path("photos/a b".into()));
    assert_eq!(root("photos:old"), Root::Path("photos:old".into()));
    assert_eq!(root("file:/photos/a%20b"), Root::Path("/photos/a b".into()));
    assert_eq!(root("data:"), Root::Inline);
    for (text, shown) in [
        ("s3://faces", "s3://faces"),
        ("s3://faces/", "s3://faces"),
        ("gs://faces/a/b/", "gs://faces/a/b"),
        ("az://faces/a b", "az://faces/a b"),
        ("HTTPS://Host.Example:443/a/", "https://host.example/a/"),
    ] {
        assert_eq!(root(text).to_string(), shown);
    }
    for bad in [
        "",
        "ftp://host/a",
        "s3:",
        "s3://",
        "s3://faces:80/a",
        "s3://faces/a//b",
        "s3://key@faces/a",
        "https://host/a?x=1",
        "data:image/png;base64,AAAA",
    ] {
        assert!(bad.parse::<Root>().is_err(), "{bad}");
    }
    let error = "https://user:secret@host/a?token=secret".parse::<Root>().unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_bucket_root_covers_whole_segments_of_keys() {
    assert!(covers("s3://bucket/pre", "s3://bucket/pre/a.jpg"));
    assert!(covers("s3://bucket/pre", "s3://bucket/pre"));
    assert!(covers("s3://bucket", "s3://bucket/any/a.jpg"));
    assert!(covers("s3://bucket/a b", "s3://bucket/a%20b/c.jpg"));
    for outside in [
        "s3://bucket/prefix2/a.jpg",
        "s3://bucket/prefix2",
        "s3://bucket/pre/../secret/a.jpg",
        "s3://bucket/pre/%2e%2e/secret/a.jpg",
        "s3://bucket/pre/%2E./secret/a.jpg",
        "s3://bucket/pre%2f..%2fsecret/a.jpg",
        "s3://bucket/pre//a.jpg",
        "s3://bucket2/pre/a.jpg",
        "s3://bucket:9000/pre/a.jpg",
        "s3://key:secret@bucket/pre/a.jpg",
        "gs://bucket/pre/a.jpg",
    ] {
        assert!(!covers("s3://bucket/pre", outside), "{outside}");
    }
    // Encoded twice, this is an ordinary key that contains `%2e%2e`.
    assert!(covers("s3://bucket/pre", "s3://bucket/pre/%252e%252e/a.jpg"));
}

#[test]
fn a_web_root_covers_its_origin_and_whole_segments_however_encoded() {
    let root = "https://host.example/img/faces";
    for inside in [
        "https://host.example/img/faces/a.jpg?sig=1",
        "https://HOST.example:443/img/faces/a%20b.jpg",
    ] {
        assert!(covers(root, inside), "{inside}");
    }
    for outside in [
        "http://host.example/img/faces/a.jpg",
        "https://host.example:8443/img/faces/a.jpg",
        "https://host.example.evil/img/faces/a.jpg",
        "https://evil/img/faces/a.jpg",
        "https://host.example/img/faces2/a.jpg",
        "https://host.example/img/faces/../secret.jpg",
        "https://host.example/img/faces/%2e%2e/secret.jpg",
        "https://host.example/img/faces/%252e%252e/secret.jpg",
        "https://host.example/img/faces/..%2fsecret.jpg",
        "https://host.example/img/faces/..%5csecret.jpg",
        "https://host.example/img/faces/..;/secret.jpg",
        "https://host.example/img%2ffaces/a.jpg",
        "https://host.example/img/faces/%25252525252e/a.jpg",
    ] {
        assert!(!covers(root, outside), "{outside}");
    }
    assert!(covers("http://host.example", "http://host.example/any/%2e%2e/a.jpg"));
}

#[test]
fn a_key_survives_a_round_trip_through_a_url() {
    let bucket = Bucket { cloud: Cloud::S3, name: "faces".into() };
    for key in ["a.jpg", "a b/ü+%2e?#\\\"<>.jpg", "%2e%2e/a.jpg", "...", "a/b/c d/~'()*!.jpg"] {
        let key = Key::parse(key).unwrap();
        let url = object_url(&bucket, &key).unwrap();
        let again: Url = url.as_str().parse().unwrap();
        assert_eq!(object(&again), Some((bucket.clone(), key)), "{url}");
    }
}
