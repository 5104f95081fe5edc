//! Which images are below some places, by their names alone: nothing is fetched or opened.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::Root;
use super::list::resolved;
use crate::domain::{ImageUri, counted};

/// More places than this are not named.
const SHOWN_PLACES: usize = 3;
/// More places than this are counted together.
const MOST_PLACES: usize = 1000;
/// More folders than this are not kept.
const MOST_FOLDERS: usize = 100;
/// The name under which they are counted.
const OTHER_PLACES: &str = "other places";

/// Some places.
#[derive(Debug, Clone, Default)]
pub struct Places {
    roots: Vec<Root>,
    folders: HashSet<PathBuf>,
}

impl Places {
    /// These places. A folder may be on other machines only.
    pub fn new(roots: &[Root]) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folders = roots.iter().filter_map(Root::path).map(|path| resolved(&absolute(path)));
        let others = roots.iter().filter(|root| root.path().is_none());
        Self { folders: folders.collect(), roots: others.cloned().collect() }
    }

    /// These places and `others`.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.roots.extend(others.roots.iter().cloned());
        self.folders.extend(others.folders.iter().cloned());
        self
    }

    /// Whether there is no place at all.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.folders.is_empty()
    }

    /// Whether an image is below one of the places. A file's URI must be that of its path without
    /// links: who fetches it resolves links again.
    pub fn cover(&self, image: &ImageUri) -> bool {
        match image.to_path() {
            Some(path) => path.ancestors().any(|above| self.folders.contains(above)),
            None => self.roots.iter().any(|root| root.covers(image.as_url())),
        }
    }
}

/// The folders, prefixes of buckets and paths of web servers that contain some images: the first
/// few of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFolders(Vec<Root>);

impl ImageFolders {
    /// Adds the one that contains `image`.
    pub fn add(&mut self, image: &ImageUri) {
        if self.0.len() < MOST_FOLDERS
            && let Some(root) = folder_of(image)
            && !self.0.contains(&root)
        {
            self.0.push(root);
        }
    }

    /// They, as roots.
    pub fn roots(&self) -> &[Root] {
        &self.0
    }
}

fn folder_of(image: &ImageUri) -> Option<Root> {
    if let Some(path) = image.to_path() {
        return path.parent().map(|folder| Root::Path(folder.to_owned()));
    }
    if image.scheme() == "data" {
        return Some(Root::Inline);
    }
    let image = image.without_secrets();
    image.as_url().join(".").ok()?.as_str().parse().ok()
}

/// Images that are outside of what may be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideCounts {
    /// How many.
    pub images: u64,
    /// Buckets and hosts, as roots are written, with their images.
    pub places: BTreeMap<String, u64>,
    /// Folders that contain the local files among them, and how many are in each: none contains
    /// another, and none is `/` unless files lie directly in it.
    pub folders: Vec<(PathBuf, u64)>,
    /// The first one, and where it is named.
    pub first: Option<String>,
}

impl OutsideCounts {
    /// Counts an image. `named` says where it is named.
    pub fn count(&mut self, image: &ImageUri, named: impl FnOnce() -> String) {
        self.images += 1;
        if self.first.is_none() {
            self.first = Some(format!("{image} ({})", named()));
        }
        if let Some(path) = image.to_path() {
            self.count_folder(path.parent().unwrap_or(Path::new("/")));
            return;
        }
        let url = image.as_url();
        let place = match (url.scheme(), url.host_str()) {
            (scheme @ ("https" | "http"), Some(host)) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{scheme}://{host}{port}")
            }
            (scheme, Some(host)) => format!("{scheme}://{host}"),
            (scheme, None) => format!("{scheme}:"),
        };
        let known = self.places.contains_key(&place) || self.places.len() < MOST_PLACES;
        *self.places.entry(if known { place } else { OTHER_PLACES.into() }).or_default() += 1;
    }

    /// Counts a file in `folder`: with those of a counted folder that has an ancestor below `/` in
    /// common.
    fn count_folder(&mut self, folder: &Path) {
        let common = |counted: &Path| {
            let shared = counted.ancestors().find(|above| folder.starts_with(above))?;
            (shared.parent().is_some() || shared == folder).then(|| shared.to_owned())
        };
        for (counted, count) in &mut self.folders {
            if let Some(common) = common(counted) {
                (*counted, *count) = (common, *count + 1);
                return;
            }
        }
        if self.folders.len() < MOST_PLACES {
            self.folders.push((folder.to_owned(), 1));
        } else {
            *self.places.entry(OTHER_PLACES.into()).or_default() += 1;
        }
    }

    /// The places as roots are written, those with the most images first.
    pub fn by_count(&self) -> Vec<(String, u64)> {
        let folders = self.folders.iter().map(|(path, count)| (path.display().to_string(), *count));
        let places = self.places.iter().map(|(place, count)| (place.clone(), *count));
        let mut all: Vec<(String, u64)> = folders.chain(places).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }

    /// What is outside, of so many images, for people. None if nothing is.
    pub fn told(&self, of: u64) -> Option<String> {
        let (places, first) = (self.by_count(), self.first.as_deref().unwrap_or_default());
        let shown = places.iter().take(SHOWN_PLACES);
        let mut shown: Vec<String> =
            shown.map(|(place, count)| format!("{count} in {place}")).collect();
        if places.len() > SHOWN_PLACES {
            let more = counted((places.len() - SHOWN_PLACES) as u64, "more place");
            shown.push(format!("others in {more}"));
        }
        let (images, are) = (self.images, if self.images == 1 { "is" } else { "are" });
        (images > 0).then(|| {
            format!(
                "{images} of {} {are} outside of what may be read: {}. The first is {first}",
                counted(of, "image"),
                shown.join(", ")
            )
        })
    }

    /// The options that would allow the most frequent places.
    pub fn roots(&self) -> String {
        let places = self.by_count();
        let roots = places.iter().take(SHOWN_PLACES);
        roots.map(|(place, _)| format!("--root {place}")).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_covered_by_whole_segments() {
        let roots = ["/nowhere/photos", "s3://faces/2024", "https://host/staff"];
        let places = Places::new(&roots.map(|root| root.parse().unwrap()));
        for (image, expected) in [
            ("file:///nowhere/photos/a/b.jpg", true),
            ("file:///nowhere/photos2/b.jpg", false),
            ("s3://faces/2024/a.jpg", true),
            ("s3://faces/2023/a.jpg", false),
            ("https://host/staff/a.jpg?sig=1", true),
            ("https://host/a.jpg", false),
            ("data:,", false),
        ] {
            assert_eq!(places.cover(&image.parse().unwrap()), expected, "{image}");
        }
        assert!(Places::new(&[]).is_empty() && !places.is_empty());
    }

    #[test]
    fn images_are_in_folders_that_are_roots() {
        let mut folders = ImageFolders::default();
        for image in [
            "file:///photos/a%20b/1.jpg",
            "file:///photos/a%20b/2.jpg",
            "s3://faces/a/b.jpg",
            "s3://faces/b.jpg",
            "https://user:secret@host:8443/a/b.jpg?sig=secret",
            "data:image/png;base64,AAAA",
        ] {
            let image = image.parse().unwrap();
            folders.add(&image);
        }
        let roots: Vec<String> = folders.roots().iter().map(Root::to_string).collect();
        assert_eq!(
            roots,
            ["/photos/a b", "s3://faces/a", "s3://faces", "https://host:8443/a/", "data:"]
        );
    }

    #[test]
    fn what_is_outside_is_counted_by_place() {
        let mut outside = OutsideCounts::default();
        for image in [
            "s3://faces/a.jpg?sig=secret",
            "file:///photos/a/x/1.jpg",
            "file:///photos/a/y/2.jpg",
            "https://host:8443/a.jpg?token=secret",
            "file:///photos/ab/3.jpg",
        ] {
            outside.count(&image.parse().unwrap(), || "line 7".into());
        }
        assert_eq!(outside.images, 5);
        assert_eq!(outside.first.as_deref(), Some("s3://faces/a.jpg (line 7)"));
        let places = [("/photos", 3), ("https://host:8443", 1), ("s3://faces", 1)];
        assert_eq!(outside.by_count(), places.map(|(place, count)| (place.to_owned(), count)));
        // Not `/`, which contains both, and everything else.
        outside.count(&"file:///srv/4.jpg".parse().unwrap(), || "line 8".into());
        assert_eq!(outside.folders, [("/photos".into(), 3), ("/srv".into(), 1)]);
        outside.count(&"file:///5.jpg".parse().unwrap(), || "line 9".into());
        assert_eq!(outside.by_count()[0], ("/".to_owned(), 4));
    }
}
