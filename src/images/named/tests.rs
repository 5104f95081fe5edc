use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;
use crate::images::FetchLimits;

fn named(places: &[String]) -> Result<NamedImages, ListingError> {
    let second = Duration::from_secs(1);
    let limits =
        FetchLimits { max_bytes: 1, whole: second, connect: second, idle: second, redirects: 0 };
    let places = places.iter().map(|place| OsString::from(place).try_into().unwrap()).collect();
    let rules = Rules::new(&[], &[]).unwrap();
    NamedImages::new(places, rules, Arc::new(Objects::new([], None, limits).unwrap()))
}

/// The names of the images, and what else is found, each with a word before it.
async fn entries(places: &[String]) -> Vec<String> {
    let entries = named(places).unwrap().entries();
    let shown = entries.map(|entry| match entry.unwrap() {
        NamedEntry::Image(image) => match image.missing {
            None => image.name,
            Some(_) => format!("missing {}", image.name),
        },
        NamedEntry::NotListed(other) => format!("not listed: {:?}", other.reason),
        NamedEntry::Failed(error) => format!("failed: {error}"),
        NamedEntry::NoImage(name) => format!("no image below {name}"),
    });
    shown.collect().await
}

fn file(folder: &Path, name: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, b"x").unwrap();
}

#[tokio::test]
async fn images_of_a_folder_are_named_below_it_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    file(folder.path(), "real/a/b.jpg");
    file(folder.path(), "real/.facefleetignore");
    symlink("real", folder.path().join("link")).unwrap();
    assert_eq!(entries(&[at("link")]).await, [at("link/a/b.jpg")]);
    assert_eq!(entries(&[at("real/a/../")]).await, [at("real/a/../a/b.jpg")]);
    // The same folder by another name adds nothing.
    assert_eq!(entries(&[at("real"), at("link")]).await, [at("real/a/b.jpg")]);
    let [image] = &named(&[at("link")]).unwrap().entries().collect::<Vec<_>>().await[..] else {
        panic!("one image")
    };
    let Ok(NamedEntry::Image(image)) = image else { panic!("an image") };
    let path = folder.path().canonicalize().unwrap().join("real/a/b.jpg");
    assert_eq!(image.uri, Some(ImageUri::from_path(&path).unwrap()));
}

#[tokio::test]
async fn what_is_named_comes_in_order_whatever_its_ending_and_once_below_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["p/a.jpg", "p/notes.txt", "p/b.jpg", "q/c.jpg"] {
        file(folder.path(), name);
    }
    symlink("../q/c.jpg", folder.path().join("p/link.jpg")).unwrap();
    let all =
        [at("p/notes.txt"), at("gone.jpg"), at("p"), at("p/a.jpg"), at("p/notes.txt"), at("q")];
    assert_eq!(
        entries(&all).await,
        [
            at("p/notes.txt"),
            format!("missing {}", at("gone.jpg")),
            at("p/b.jpg"),
            "not listed: LinkInside".into(),
            at("p/a.jpg"),
            at("p/notes.txt"),
            at("q/c.jpg"),
        ]
    );
    let only = format!("not listed: LinkOutside({:?})", {
        folder.path().canonicalize().unwrap().join("q/c.jpg")
    });
    assert!(entries(&[at("p")]).await.contains(&only), "the link leads to what is not named");
    assert_eq!(named(&all).unwrap().roots().len(), 5, "what is missing allows nothing");
}

#[tokio::test]
async fn a_place_without_an_image_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["empty/notes.txt", "outer/inner/a.jpg"] {
        file(folder.path(), name);
    }
    let text = "not listed: NotAnImage(\".txt\")".to_owned();
    let none = format!("no image below {}", at("empty"));
    assert_eq!(entries(&[at("empty")]).await, [text, none]);
    let nested = [at("outer"), at("outer/inner")];
    assert_eq!(entries(&nested).await, [at("outer/inner/a.jpg")]);
}

#[tokio::test]
async fn one_image_may_be_a_uri_and_its_secrets_are_not_shown() {
    for (written, shown, root) in [
        ("https://host/a.jpg?sig=secret", "https://host/a.jpg", "https://host/a.jpg"),
        ("https://host/a.jpg", "https://host/a.jpg", "https://host/a.jpg"),
        ("data:image/png;base64,AAAA", "data:,", "data:"),
        ("s3://faces/a%20b.jpg", "s3://faces/a%20b.jpg", "s3://faces/a%20b.jpg"),
    ] {
        let place = NamedPlace::try_from(OsString::from(written)).unwrap();
        let image = place.image();
        assert_eq!((image.name.as_str(), &image.missing), (shown, &None));
        assert_eq!(image.uri, Some(written.parse().unwrap()));
        assert_eq!(place.readable(), Some(root.parse().unwrap()));
    }
    let signed = "https://host/a.jpg?sig=secret".to_owned();
    let inline = "data:image/png;base64,AAAA".to_owned();
    assert_eq!(entries(&[signed, inline]).await, ["https://host/a.jpg", "data:,"]);

    let bucket = NamedPlace::try_from(OsString::from("s3://faces")).unwrap().image();
    assert_eq!(bucket.missing.as_deref(), Some("it is a bucket, not an image"));
    for (place, reason) in [
        ("https://host/photos/", "a web server does not say what is below it"),
        ("data:", "can be listed"),
    ] {
        let error = named(&[place.to_owned()]).err().unwrap().to_string();
        assert!(error.contains(reason), "{error}");
    }
    for refused in ["https://user:secret@host/a.jpg?x=1", "ftp://host/a.jpg", ""] {
        let error = NamedPlace::try_from(OsString::from(refused)).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_file_that_is_gone_has_the_uri_that_a_scan_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(real.join("a/b")).unwrap();
    symlink("a/b", real.join("link")).unwrap();
    let scanned = ImageUri::from_path(&real.join("a/gone.jpg")).unwrap();
    for written in ["a/b/../gone.jpg", "link/../gone.jpg"] {
        let place: NamedPlace = real.join(written).into_os_string().try_into().unwrap();
        assert_eq!(place.image().uri.as_ref(), Some(&scanned), "{written}");
    }
}
