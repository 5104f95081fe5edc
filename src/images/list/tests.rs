use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;

use super::*;
use crate::domain::ImageUri;
use crate::images::{
    FetchLimits, Listing, ListingEntry, NotListedReason, Objects, Places, Root, Rules,
};

fn sources() -> ListSources {
    let second = Duration::from_secs(1);
    let limits =
        FetchLimits { max_bytes: 1, whole: second, connect: second, idle: second, redirects: 0 };
    let objects = Arc::new(Objects::new([], None, limits).unwrap());
    ListSources { objects, private_hosts: Vec::new(), authorities: None, limits }
}

async fn open(paths: &[&Path]) -> Result<ImageLists, ListingError> {
    let places: Vec<ListPlace> =
        paths.iter().map(|path| ListPlace::Path((*path).to_owned())).collect();
    sources().open(&places, None).await
}

/// The listing of lists at these paths, of which `allowed` may be read, next to `roots`.
async fn listing(paths: &[&Path], allowed: Option<&[Root]>, roots: &[Root]) -> Listing {
    listing_by(Rules::new(&[], &[]).unwrap(), paths, allowed, roots).await
}

async fn listing_by(
    rules: Rules,
    paths: &[&Path],
    allowed: Option<&[Root]>,
    roots: &[Root],
) -> Listing {
    let lists = open(paths).await.unwrap();
    let lists = lists.survey(allowed.map(Places::new), Places::new(roots)).await.unwrap();
    Listing::new(roots, rules, sources().objects).unwrap().with_lists(lists)
}

/// The names of the images after `position`, with their positions; and everything else.
async fn entries(
    listing: &Listing,
    position: Option<&str>,
) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let (mut images, mut others) = (Vec::new(), Vec::new());
    let mut entries = listing.entries(position).unwrap();
    while let Some(entry) = entries.next().await {
        match entry.unwrap() {
            ListingEntry::Image { image, position } => {
                let uri = image.image.as_str().to_owned();
                images.push((uri.rsplit('/').next().unwrap().to_owned(), position));
            }
            ListingEntry::NotListed(other) => others.push(format!("{:?}", other.reason)),
            ListingEntry::Failed(error) => others.push(error.to_string()),
        }
    }
    (images, others)
}

fn names(images: &[(String, Option<String>)]) -> Vec<&str> {
    images.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_list_is_accounted_for_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    std::fs::write(folder.path().join("a.jpg"), b"abc").unwrap();
    let hash = "0".repeat(64);
    std::fs::write(
        &list,
        format!(
            "id,uri,subject,content_hash\n1,a.jpg,Ann,{hash}\n2,./a.jpg,,\n3,b.jpg,Bob,\n\
             4,c.jpg,,xyz\n5,ftp://host/d.jpg,,\n"
        ),
    )
    .unwrap();
    let listing = listing(&[&list], None, &[]).await;
    let survey = listing.lists().unwrap().survey();
    assert_eq!((survey.rows, survey.images, survey.repeats, survey.bad), (5, 2, 1, 2));
    assert_eq!(survey.ignored, [(list.display().to_string(), vec!["id".to_owned()])]);
    let (images, others) = entries(&listing, None).await;
    assert_eq!(names(&images), ["a.jpg", "b.jpg"]);
    assert_eq!(others.len(), 3, "{others:?}");
    assert_eq!(others[0], format!("{:?}", NotListedReason::Repeated));
    assert!(others[1].contains("list.csv, line 5: a content hash is"), "{}", others[1]);
    assert!(others[2].contains("list.csv, line 6: its scheme"), "{}", others[2]);

    let first = listing.entries(None).unwrap().next().await.unwrap().unwrap();
    let ListingEntry::Image { image, .. } = first else { panic!("{first:?}") };
    assert_eq!(image.subject.unwrap().as_str(), "Ann");
    assert_eq!(image.expected_hash.unwrap().to_string(), hash);
    assert!(image.stamp.unwrap().as_str().starts_with("3-"), "as a scan of the folder has it");
}

#[tokio::test]
async fn a_listing_resumes_after_any_row_of_any_list() {
    let folder = tempfile::tempdir().unwrap();
    let (text, table) = (folder.path().join("a.txt"), folder.path().join("b.csv.gz"));
    std::fs::write(&text, "# two lists\n1.jpg\n2.jpg\n\n3.jpg\n").unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"file\n4.jpg\n1.jpg\n5.jpg\n").unwrap();
    std::fs::write(&table, gzip.finish().unwrap()).unwrap();
    let listing = listing(&[&text, &table], None, &[]).await;
    assert!(listing.is_resumable());
    let (all, others) = entries(&listing, None).await;
    assert_eq!(names(&all), ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]);
    assert_eq!(others.len(), 1);
    for (index, (_, position)) in all.iter().enumerate() {
        let (rest, _) = entries(&listing, position.as_deref()).await;
        assert_eq!(rest, all[index + 1..], "after {position:?}");
        let next = all.get(index + 1).and_then(|(_, next)| next.as_deref());
        assert!(next.is_none_or(|next| crate::images::is_past(next, position.as_ref().unwrap())));
    }
    assert!(listing.entries(Some("0 x")).is_err() && listing.entries(Some("1 1")).is_err());
}

#[tokio::test]
async fn what_is_below_a_root_of_the_same_scan_is_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    std::fs::create_dir_all(photos.join("@eaDir")).unwrap();
    for name in ["a.jpg", "other.jpg", "x.png", "@eaDir/thumb.jpg"] {
        std::fs::write(photos.join(name), b"a").unwrap();
    }
    let list = folder.path().join("list.csv");
    let rows = ["a.jpg,Ann", "x.png,", "@eaDir/thumb.jpg,", "none.jpg,"];
    let rows: String = rows.iter().map(|row| format!("photos/{row}\n")).collect();
    std::fs::write(&list, format!("uri,subject\n{rows}b.jpg,\n")).unwrap();
    let rules = Rules::new(&["*.png".to_owned()], &[]).unwrap();
    let listing = listing_by(rules, &[&list], None, &[Root::Path(photos)]).await;
    assert!(!listing.is_resumable() && listing.is_local());
    let (images, others) = entries(&listing, None).await;
    // What the root leaves out or does not have is not lost, and what it lists is listed once.
    let named = ["a.jpg", "x.png", "thumb.jpg", "none.jpg", "b.jpg"];
    assert_eq!(names(&images), [&["other.jpg"][..], &named].concat());
    assert_eq!(others.iter().filter(|other| *other == "Repeated").count(), 1, "{others:?}");
    assert_eq!(others.len(), 3, "{others:?}");
    let survey = listing.lists().unwrap().survey();
    assert_eq!((survey.images, survey.repeats), (5, 0));
    let below_roots = listing.entries_of_roots().collect::<Vec<_>>().await;
    let is_image = |entry: &&Result<ListingEntry, ListingError>| {
        matches!(entry, Ok(ListingEntry::Image { .. }))
    };
    assert_eq!(below_roots.iter().filter(is_image).count(), 1);
    // The row says whose face it is.
    let listed = listing.entries(None).unwrap().filter_map(|entry| async {
        let Ok(ListingEntry::Image { image, .. }) = entry else { return None };
        image.subject
    });
    assert_eq!(listed.collect::<Vec<_>>().await, ["Ann".parse().unwrap()]);
}

#[tokio::test]
async fn rows_of_a_web_server_are_other_images_than_the_root_without_their_query() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "https://host/a?id=1\nhttps://host/a?id=2\nhttps://host/a\n").unwrap();
    let listing = listing(&[&list], None, &["https://host/a".parse().unwrap()]).await;
    let (images, others) = entries(&listing, None).await;
    assert_eq!(names(&images), ["a?id=1", "a?id=2", "a"]);
    assert_eq!(others, ["Repeated"]);
}

#[tokio::test]
async fn a_pipe_is_read_once_and_its_paths_are_beside_the_current_folder() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "a.jpg\n").unwrap()
    });
    let place = ListPlace::Path(pipe.clone());
    let here = std::env::current_dir().unwrap();
    assert_eq!(place.folder(), Some(Root::Path(here.clone())));
    let stdin = ListPlace::Path("/dev/stdin".into());
    assert_eq!(stdin.folder(), Some(Root::Path(here.clone())));
    let listing = listing(&[&pipe], None, &[]).await;
    writer.join().unwrap();
    assert!(!listing.is_resumable());
    let entry = listing.entries(None).unwrap().next().await.unwrap().unwrap();
    let ListingEntry::Image { image, .. } = entry else { panic!("{entry:?}") };
    assert_eq!(image.image, ImageUri::from_path(&here.join("a.jpg")).unwrap());
}

#[tokio::test]
async fn the_files_of_an_inventory_are_not_all_open_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("manifest.json");
    let mut files = Vec::new();
    for number in 0..3000 {
        let row = format!("\"faces\",\"{number}.jpg\",\"9b2c\"\n");
        std::fs::write(folder.path().join(format!("{number}.csv")), row).unwrap();
        files.push(serde_json::json!({ "key": format!("{number}.csv") }));
    }
    let text = serde_json::json!({
        "fileFormat": "CSV", "fileSchema": "Bucket, Key, ETag", "files": files
    });
    std::fs::write(&manifest, text.to_string()).unwrap();
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open_files();
    let lists = open(&[&manifest]).await.unwrap();
    // Other tests of this process open files, too.
    assert!(open_files() < before + 1000, "{} files are open", open_files());
    let lists = lists.survey(None, Places::default()).await.unwrap();
    assert_eq!(lists.survey().images, 3000);
}

#[tokio::test]
async fn lists_without_rows_are_empty_whatever_their_format() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.txt", ""),
        ("a.csv", ""),
        ("b.csv", "uri,subject\n"),
        ("c.csv", "# nothing today\n"),
        ("a.jsonl", ""),
        ("a", "\n\n"),
    ] {
        let list = folder.path().join(name);
        std::fs::write(&list, text).unwrap();
        let listing = listing(&[&list], None, &[]).await;
        assert_eq!(listing.lists().unwrap().survey().rows, 0, "{name}");
        let (images, others) = entries(&listing, None).await;
        assert!(images.is_empty() && others.is_empty(), "{name}: {others:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_counted_before_anything_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "a.jpg\n../b.jpg\ns3://faces/c.jpg\ns3://other/d.jpg\n").unwrap();
    let allowed = [Root::Path(folder.path().to_owned()), "s3://faces".parse().unwrap()];
    let some = listing(&[&list], Some(&allowed), &[]).await;
    let outside = some.lists().unwrap().survey().outside.clone();
    assert_eq!(outside.images, 2);
    assert!(outside.first.unwrap().ends_with("list.txt, line 2)"));
    let all = listing(&[&list], None, &[]).await;
    assert_eq!(all.lists().unwrap().survey().outside.images, 0, "nobody knows here");
}

#[tokio::test]
async fn an_inventory_is_read_from_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::fs::create_dir_all(folder.path().join("2026-11-01T00-00Z")).unwrap();
    let manifest = folder.path().join("2026-11-01T00-00Z/manifest.json");
    std::fs::write(
        &manifest,
        r#"{"sourceBucket": "faces", "destinationBucket": "arn:aws:s3:::inventories",
        "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": "x/data/1.csv.gz", "size": 1}, {"key": "x/data/2.csv.gz", "size": 1}]}"#,
    )
    .unwrap();
    for (name, text) in [
        (
            "1.csv.gz",
            "\"faces\",\"a%20b.jpg\",\"7\",\"9b2c\"\n\"faces\",\"notes.txt\",\"7\",\"1\"\n",
        ),
        ("2.csv.gz", "\"faces\",\"c.jpg\",\"7\",\"1\"\n"),
    ] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        std::fs::write(folder.path().join("data").join(name), gzip.finish().unwrap()).unwrap();
    }
    let listing = listing(&[&manifest], None, &[]).await;
    let survey = listing.lists().unwrap().survey();
    assert_eq!((survey.rows, survey.images, survey.others), (3, 2, 1));
    let (images, _) = entries(&listing, None).await;
    assert_eq!(names(&images), ["a%20b.jpg", "c.jpg"]);
    std::fs::remove_file(folder.path().join("data/2.csv.gz")).unwrap();
    let error = open(&[&manifest]).await.err().unwrap().to_string();
    assert!(error.contains("x/data/2.csv.gz"), "{error}");
}

#[tokio::test]
async fn the_digest_is_that_of_what_the_lists_say() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    let mut digests = Vec::new();
    for text in
        ["uri,subject\na.jpg,Ann\n", "file;subject\n\na.jpg;Ann\n", "uri,subject\na.jpg,Bob\n"]
    {
        std::fs::write(&list, text).unwrap();
        digests.push(listing(&[&list], None, &[]).await.lists().unwrap().survey().digest.clone());
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

#[tokio::test]
async fn a_file_that_is_no_list_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        folder.path().join(name)
    };
    for (list, told) in [
        (path("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"), "zero bytes"),
        (path("a.csv", b"name,age\nx,1\n"), "'name', 'age'"),
        (path("a.parquet", b"PAR1 is not all of it"), "Parquet"),
        (path("b.gz", b"\x1f\x8b damaged"), "b.gz"),
        (folder.path().to_owned(), "folder"),
        (folder.path().join("none.txt"), "No such file"),
    ] {
        let error = match open(&[&list]).await {
            Ok(lists) => lists.survey(None, Places::default()).await.map(|_| ()).unwrap_err(),
            Err(error) => error,
        };
        let error = error.to_string();
        assert!(error.contains(told) && error.starts_with("cannot list the images of "), "{error}");
    }
}

#[tokio::test]
async fn a_gzip_file_that_is_cut_ends_the_listing_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt.gz");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for number in 0..100_000 {
        writeln!(gzip, "{number}.jpg").unwrap();
    }
    let whole = gzip.finish().unwrap();
    std::fs::write(&list, &whole[..whole.len() / 2]).unwrap();
    let lists = open(&[&list]).await.unwrap();
    let error = lists.survey(None, Places::default()).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("list.txt.gz"), "{error}");
}

#[test]
fn the_place_of_a_list_is_a_path_a_uri_or_standard_input() {
    let place = |text: &str| ListPlace::try_from(std::ffi::OsString::from(text));
    assert_eq!(place("-"), Ok(ListPlace::Stdin));
    assert_eq!(place("a/b.csv"), Ok(ListPlace::Path("a/b.csv".into())));
    assert_eq!(place("file:///a%20b.csv"), Ok(ListPlace::Path("/a b.csv".into())));
    let object = place("s3://faces/lists/a.csv").unwrap();
    assert_eq!(object.folder(), Some("s3://faces/lists".parse().unwrap()));
    let signed = place("https://host/x/a.csv?sig=secret").unwrap();
    assert_eq!(signed.to_string(), "https://host/x/a.csv");
    assert_eq!(signed.folder(), Some("https://host/x".parse().unwrap()));
    for bad in ["s3://faces", "data:,a.jpg", "ftp://host/a.csv", "file:///a#b.csv"] {
        assert!(place(bad).is_err(), "{bad}");
    }
}
