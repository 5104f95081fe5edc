use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::entry::encode;
use super::entry::tests::sample;
use super::*;
use crate::domain::Faces;
use crate::images::FetchLimits;

const SELECTION: Selection = Selection { faces: Faces::All, min_size_px: 24, min_score: 0.6 };

fn cache(folder: &Path) -> ChipCache {
    let second = Duration::from_secs(1);
    let limits =
        FetchLimits { max_bytes: 1, whole: second, connect: second, idle: second, redirects: 0 };
    let objects = Arc::new(Objects::new([], None, limits).unwrap());
    ChipCache::new(Root::Path(folder.to_owned()), objects, AlignmentProfile::None).unwrap()
}

async fn write(cache: &ChipCache, image: &ImageChips) {
    if let Some(entry) = cache.entry(&SELECTION, image) {
        cache.write(entry).await;
    }
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_kept_is_found_by_alignment_selection_and_bytes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, image) = (cache(&folder.path().join("chips")), sample());
    let hash = image.content.hash;
    assert_eq!(cache.read(&SELECTION, hash).await, None);
    assert_eq!(cache.has(&SELECTION, hash).await, Some(false));
    write(&cache, &image).await;
    assert_eq!(cache.read(&SELECTION, hash).await, Some(image.clone()));
    assert_eq!(cache.has(&SELECTION, hash).await, Some(true));
    let largest = Selection { faces: Faces::Largest, ..SELECTION };
    assert_eq!(cache.read(&largest, hash).await, None);
    assert_eq!(cache.read(&SELECTION, ContentHash::of(b"b")).await, None);
    assert!(!cache.is_paused(), "nothing failed");

    let kept = files(folder.path());
    let [file] = &kept[..] else { panic!("{kept:?}") };
    assert!(file.ends_with(format!("{}/{hash}", &hash.to_string()[..2])), "{file:?}");
    assert_eq!(mode(file), 0o600);
    assert!(file.ancestors().skip(1).take(3).all(|above| mode(above) == 0o700));
    // Written again, it is still one.
    write(&cache, &image).await;
    assert_eq!(files(folder.path()), kept);
}

#[tokio::test]
async fn a_damaged_or_misplaced_entry_is_as_if_it_were_not_there_until_it_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, image) = (cache(folder.path()), sample());
    let hash = image.content.hash;
    write(&cache, &image).await;
    let file = files(folder.path()).remove(0);
    let mut of_another = image.clone();
    of_another.content.hash = ContentHash::of(b"another");
    let whole = encode(&image).unwrap();
    for bytes in [&whole[..whole.len() - 1], b"", &encode(&of_another).unwrap()[..]] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(cache.read(&SELECTION, hash).await, None);
    }
    // Nothing so large is read.
    std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(cache.read(&SELECTION, hash).await, None);
    assert!(!cache.is_paused());
    write(&cache, &image).await;
    assert_eq!(cache.read(&SELECTION, hash).await, Some(image));
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_is_left_alone_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    // A file is where the folder should be.
    let place = folder.path().join("chips");
    std::fs::write(&place, b"a file").unwrap();
    let (cache, image) = (cache(&place), sample());
    write(&cache, &image).await;
    assert!(cache.is_paused());
    std::fs::remove_file(&place).unwrap();
    write(&cache, &image).await;
    assert!(!place.exists(), "it is left alone");
    tokio::time::advance(PAUSE).await;
    write(&cache, &image).await;
    assert_eq!(cache.read(&SELECTION, image.content.hash).await, Some(image));
}

#[test]
fn chips_are_kept_in_folders_and_buckets() {
    let folder = tempfile::tempdir().unwrap();
    let made = |url: &str| {
        let ChipCache { place, alignment, .. } = cache(folder.path());
        let ChipPlace::Folder(_) = place else { panic!("a folder") };
        let second = Duration::from_secs(1);
        let limits = FetchLimits {
            max_bytes: 1,
            whole: second,
            connect: second,
            idle: second,
            redirects: 0,
        };
        let objects = Arc::new(Objects::new([], None, limits).unwrap());
        ChipCache::new(url.parse().unwrap(), objects, alignment).is_some()
    };
    assert_eq!(
        ["/chips", "s3://faces/chips", "gs://faces", "https://a.example/", "data:"].map(made),
        [true, true, true, false, false]
    );
}

#[tokio::test]
async fn an_entry_is_written_behind_and_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, image) = (Arc::new(cache(folder.path())), sample());
    let entry = || cache.entry(&SELECTION, &image).unwrap();
    for _ in 0..MOST_BEHIND {
        cache.write_behind(entry());
    }
    assert_eq!(cache.behind.available_permits(), 0, "none has begun on this thread");
    cache.write_behind(entry());
    cache.finish().await;
    assert_eq!(cache.behind.available_permits(), MOST_BEHIND as usize);
    assert_eq!(cache.read(&SELECTION, image.content.hash).await, Some(image.clone()));
}

#[tokio::test]
async fn what_is_being_written_is_forgotten_too() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, image) = (Arc::new(cache(folder.path())), sample());
    cache.write_behind(cache.entry(&SELECTION, &image).unwrap());
    cache.forget(image.content.hash).await.unwrap();
    cache.finish().await;
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_trial_says_whether_the_cache_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(cache(&folder.path().join("chips")).try_writing().await, Ok(()));
    std::fs::write(folder.path().join("file"), b"no folder").unwrap();
    let failed = cache(&folder.path().join("file")).try_writing().await.unwrap_err();
    assert!(failed.contains("file"), "{failed}");
}
