use std::time::Duration;

use object_store::ObjectMeta;

use super::*;
use crate::images::FetchLimits;

fn listing(roots: &[Root]) -> Result<Listing, ListingError> {
    let second = Duration::from_secs(1);
    let limits =
        FetchLimits { max_bytes: 1, whole: second, connect: second, idle: second, redirects: 0 };
    Listing::new(
        roots,
        Rules::new(&[], &[]).unwrap(),
        Arc::new(Objects::new([], None, limits).unwrap()),
    )
}

fn bucket(root: &str, others: &[&str]) -> BucketRoot {
    let roots: Vec<Root> = [root].iter().chain(others).map(|root| root.parse().unwrap()).collect();
    let Root::Bucket(bucket, below) = roots[0].clone() else { panic!("a bucket") };
    listing(&roots).unwrap().objects(0, bucket, below)
}

fn meta(key: &str, tag: Option<&str>) -> ObjectMeta {
    let (location, last_modified) = (Key::from(key), Default::default());
    ObjectMeta { location, last_modified, size: 7, e_tag: tag.map(str::to_owned), version: None }
}

#[tokio::test]
async fn images_are_found_at_any_depth_and_the_rest_has_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
    for name in ["x.jpg", "a/y.PNG", "a/b/z.jpeg", "a/notes.txt", "a/b/noending"] {
        std::fs::write(folder.path().join(name), b"x").unwrap();
    }
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/circle")).unwrap();
    let roots = [folder.path().to_owned(), folder.path().join("a/notes.txt")].map(Root::Path);
    let listing = listing(&roots).unwrap();
    assert!(listing.is_local());
    let (mut images, mut others) = (Vec::new(), Vec::new());
    let mut entries = listing.entries(None).unwrap();
    while let Some(entry) = entries.next().await {
        match entry.unwrap() {
            ListingEntry::Image { image, position } => {
                let stamp = image.stamp.unwrap();
                assert!(stamp.as_str().starts_with("1-"), "{stamp:?}");
                assert_eq!(position, None);
                let path = image.image.to_path().unwrap();
                images.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
            ListingEntry::NotListed(other) => others.push(other.reason),
            ListingEntry::Failed(error) => panic!("{error}"),
        }
    }
    images.sort();
    assert_eq!(images, ["notes.txt", "x.jpg", "y.PNG", "z.jpeg"]);
    assert!(
        others.contains(&NotListedReason::NotAnImage("without ending".into()))
            && others.contains(&NotListedReason::LinkInside),
        "{others:?}"
    );
    assert_eq!(others.len(), 2);
}

#[tokio::test]
async fn an_image_below_two_roots_is_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a/x.jpg"), b"x").unwrap();
    let roots = ["a", "a/x.jpg", "", ""].map(|name| Root::Path(folder.path().join(name)));
    let entries = listing(&roots).unwrap().entries(None).unwrap();
    assert_eq!(entries.count().await, 1);
}

#[tokio::test]
async fn an_object_below_two_roots_is_listed_by_the_inner_root() {
    let roots = ["s3://faces/2024/may", "s3://faces/2024-old", "s3://faces/2024"];
    let outer = bucket(roots[2], &roots[..2]);
    assert!(outer.object(meta("2024/may/a.jpg", None)).await.is_none());
    assert!(matches!(
        outer.object(meta("2024/mayor/a.jpg", None)).await,
        Some(ListingEntry::Image { .. })
    ));
    let inner = bucket(roots[0], &roots[1..]);
    assert!(matches!(
        inner.object(meta("2024/may/a.jpg", None)).await,
        Some(ListingEntry::Image { .. })
    ));
}

#[tokio::test]
async fn an_object_is_an_image_by_its_key_and_an_object_named_as_root_always_is() {
    let root = bucket("s3://faces/@eaDir/2024", &[]);
    for (key, expected) in [
        ("@eaDir/2024/a.HEIC", None),
        ("@eaDir/2024/a.parquet", Some(NotListedReason::NotAnImage(".parquet".into()))),
        (
            "@eaDir/2024/@eaDir/a.jpg",
            Some(NotListedReason::Rule { rule: "@eaDir".into(), folder: false }),
        ),
        ("@eaDir/2024", None),
    ] {
        let why = match root.object(meta(key, None)).await.unwrap() {
            ListingEntry::NotListed(other) => {
                assert_eq!(other.name, format!("s3://faces/{key}"));
                Some(other.reason)
            }
            ListingEntry::Image { .. } => None,
            ListingEntry::Failed(error) => panic!("{error}"),
        };
        assert_eq!(why, expected, "{key}");
    }
}

#[tokio::test]
async fn a_tag_that_is_not_a_stamp_is_replaced_by_size_and_time() {
    for (tag, expected) in [
        (None, "7-0"),
        (Some(""), "7-0"),
        (Some("a\nb"), "7-0"),
        (Some("\"9b2c\""), "\"9b2c\""),
        (Some("9b2c"), "\"9b2c\""),
    ] {
        let listed = bucket("s3://faces", &[]).object(meta("a.jpg", tag)).await;
        let Some(ListingEntry::Image { image, .. }) = listed else { panic!("an image") };
        assert_eq!(image.stamp.unwrap().as_str(), expected, "{tag:?}");
    }
}

#[test]
fn a_place_comes_after_another_by_root_and_key() {
    assert!(
        is_past("0 b", "0 a")
            && is_past("10 a", "9 b")
            && !is_past("0 a", "0 a")
            && !is_past("0 b", "1 a")
    );
}

#[test]
fn a_root_that_cannot_be_listed_is_an_error_at_once() {
    for root in ["/nowhere/at/all", "https://host/photos/", "https://host/", "data:"] {
        let error = listing(&[root.parse().unwrap()]).err().unwrap();
        assert!(error.to_string().contains(root), "{error}");
    }
}

#[test]
fn a_place_of_another_listing_is_an_error() {
    let listing = listing(&["s3://faces/2024".parse().unwrap(), Root::Path("/".into())]).unwrap();
    assert!(listing.entries(Some("0 2024/a.jpg")).is_ok());
    for position in [
        "",
        "2024/a.jpg",
        "0 2023/a.jpg",
        "0 2024-old/a.jpg",
        "0 2024/../a.jpg",
        "1 tmp",
        "2 2024/a.jpg",
    ] {
        assert!(listing.entries(Some(position)).is_err(), "{position}");
    }
}
