use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0 and so on";

/// Folders to walk, with these files in them. A name that ends in `/` is an empty folder.
fn folders(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(if file.ends_with('/') { &path } else { path.parent().unwrap() })
            .unwrap();
        if !file.ends_with('/') {
            std::fs::write(path, JPEG).unwrap();
        }
    }
    folder
}

fn link(folder: &TempDir, target: &str, link: &str) {
    symlink(folder.path().join(target), folder.path().join(link)).unwrap();
}

fn rules(exclude: &[&str]) -> Rules {
    Rules::new(&exclude.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>(), &[]).unwrap()
}

/// The path of each entry below `folder`, with the reason if it is not listed, sorted.
fn walked(folder: &TempDir, roots: &[&str], rules: Rules) -> Vec<String> {
    let top = folder.path().canonicalize().unwrap();
    let short = |name: &str| name.replace(&format!("{}/", top.display()), "");
    let roots: Vec<PathBuf> =
        roots.iter().map(|root| top.join(root).canonicalize().unwrap()).collect();
    let folders = Folders::new(roots.clone(), rules);
    let mut found = Vec::new();
    for root in &roots {
        let mut send = |listed| {
            found.push(match listed {
                ListingEntry::Image { image, .. } => short(&image.image.to_string()),
                ListingEntry::NotListed(NotListed { name, reason, .. }) => {
                    let reason = match reason {
                        NotListedReason::NotAnImage(ending) => ending,
                        NotListedReason::SpecialFile => "special".into(),
                        NotListedReason::Rule { rule, folder: false } => rule,
                        NotListedReason::Rule { rule, folder: true } => format!("{rule}/"),
                        NotListedReason::LinkInside => "inside".into(),
                        NotListedReason::LinkOutside(target) => {
                            format!("outside -> {}", short(&target.display().to_string()))
                        }
                        NotListedReason::LinkBroken => "broken".into(),
                        NotListedReason::Repeated => "repeated".into(),
                        NotListedReason::EmptyRoot => "empty".into(),
                    };
                    format!("{} ({reason})", short(&name))
                }
                ListingEntry::Failed(error) => {
                    format!("{} (unlisted: {})", short(&error.what), error.reason)
                }
            });
            Ok(())
        };
        assert!(folders.walk(root, &mut send).is_ok());
    }
    found.sort();
    found
}

#[test]
fn a_file_is_an_image_by_its_ending_or_its_first_bytes() {
    let folder = folders(&[
        "a.JFIF",
        "b.heic",
        "c.dng",
        "no_ending",
        "d.jpg_original",
        ".hidden/e.jpg",
        "f.txt",
    ]);
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("empty.jpg", b""),
        ("g.txt", b"a text"),
        ("h.MP4", b"\0\0\0\x18ftypisom"),
        ("p.txt", b"P5 is a text"),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    assert_eq!(
        walked(&folder, &[""], rules(&[])),
        [
            ".hidden/e.jpg",
            "a.JFIF",
            "b.heic",
            "c.dng",
            "d.jpg_original",
            "empty (without ending)",
            "empty.jpg",
            "f.txt",
            "g.txt (.txt)",
            "h.MP4 (.mp4)",
            "no_ending",
            "p.txt (.txt)",
        ]
    );
}

#[test]
fn a_pipe_is_not_an_image_whatever_its_ending() {
    let folder = folders(&["a.jpg"]);
    for name in ["pipe", "pipe.jpg"] {
        assert!(
            std::process::Command::new("mkfifo")
                .arg(folder.path().join(name))
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(
        walked(&folder, &[""], rules(&[])),
        ["a.jpg", "pipe (special)", "pipe.jpg (special)"]
    );
    let [line] = &walked(&folder, &["pipe"], rules(&[]))[..] else { panic!("one line") };
    assert!(line.starts_with("pipe (unlisted: "), "{line}");
}

#[test]
fn links_below_the_roots_list_each_file_once_and_circles_end() {
    let folder = folders(&["a/x.jpg", "a/b/y.jpg", "c/z.jpg"]);
    link(&folder, "a/x.jpg", "c/x_again.jpg");
    link(&folder, "a/x.jpg", "c/x_once_more.jpg");
    link(&folder, "a", "c/folder");
    link(&folder, "", "a/b/circle");
    link(&folder, "c/folder/b", "a/by_another_link");
    link(&folder, "loop", "loop");
    link(&folder, "a/gone.jpg", "a/broken.jpg");
    symlink("../a/x.jpg", folder.path().join("c/relative.jpg")).unwrap();
    assert_eq!(
        walked(&folder, &[""], rules(&[])),
        [
            "a/b/circle (inside)",
            "a/b/y.jpg",
            "a/broken.jpg (broken)",
            "a/by_another_link (inside)",
            "a/x.jpg",
            "c/folder (inside)",
            "c/relative.jpg (inside)",
            "c/x_again.jpg (inside)",
            "c/x_once_more.jpg (inside)",
            "c/z.jpg",
            "loop (broken)",
        ]
    );
}

#[test]
fn links_out_of_the_roots_are_not_followed_unless_another_root_holds_what_they_lead_to() {
    let folder = folders(&["in/a.jpg", "out/b.jpg", "out/deep/c.jpg"]);
    link(&folder, "out/b.jpg", "in/b.jpg");
    link(&folder, "out/deep", "in/deep");
    assert_eq!(
        walked(&folder, &["in"], rules(&[])),
        ["in/a.jpg", "in/b.jpg (outside -> out/b.jpg)", "in/deep (outside -> out/deep)"]
    );
    let both = ["in/a.jpg", "in/b.jpg (inside)", "in/deep (inside)", "out/b.jpg", "out/deep/c.jpg"];
    assert_eq!(walked(&folder, &["in", "out"], rules(&[])), both);
    assert_eq!(walked(&folder, &["out", "in"], rules(&[])), both);
    // A root that is a link itself.
    let one = ["in/a.jpg", "in/b.jpg (outside -> out/b.jpg)", "in/deep (inside)", "out/deep/c.jpg"];
    assert_eq!(walked(&folder, &["in", "in/deep"], rules(&[])), one);
    // A root that is one file, and a link to it.
    let one = ["in/a.jpg", "in/b.jpg (inside)", "in/deep (outside -> out/deep)", "out/b.jpg"];
    assert_eq!(walked(&folder, &["in", "out/b.jpg"], rules(&[])), one);
}

#[test]
fn a_left_out_file_that_a_link_names_is_listed_once() {
    let folder = folders(&[
        "@eaDir/a.jpg",
        "@eaDir/b.jpg",
        "@eaDir/inner/c.jpg",
        "@eaDir/inner/@eaDir/d.jpg",
        "photos/e.jpg",
        "photos/f.png",
        "#recycle/g.jpg",
    ]);
    link(&folder, "@eaDir/a.jpg", "photos/1.jpg");
    link(&folder, "@eaDir/a.jpg", "photos/2.jpg");
    link(&folder, "@eaDir/inner", "photos/3");
    link(&folder, "@eaDir/inner/c.jpg", "photos/4.jpg");
    link(&folder, "photos/3/c.jpg", "photos/5.jpg");
    link(&folder, "photos/e.jpg", "photos/7.png");
    link(&folder, "photos", "@eaDir/inner/circle");
    let found = walked(&folder, &[""], rules(&["*.png"]));
    let images: Vec<_> =
        found.iter().filter(|line| !line.contains('(')).map(String::as_str).collect();
    assert_eq!(images, ["@eaDir/a.jpg", "@eaDir/inner/c.jpg", "photos/e.jpg"]);
    for line in
        ["#recycle (#recycle/)", "@eaDir/inner/@eaDir (@eaDir/)", "photos/7.png (--exclude *.png)"]
    {
        assert!(found.iter().any(|other| other == line), "{line} in {found:#?}");
    }
    // A link to the folder that contains targets of earlier links.
    link(&folder, "@eaDir", "photos/8");
    let found = walked(&folder, &[""], rules(&["*.png"]));
    let images: Vec<_> =
        found.iter().filter(|line| !line.contains('(')).map(String::as_str).collect();
    assert_eq!(images, ["@eaDir/a.jpg", "@eaDir/b.jpg", "@eaDir/inner/c.jpg", "photos/e.jpg"]);
}

#[test]
fn a_link_does_not_bring_back_what_exclude_matches() {
    let folder = folders(&[
        "private/a.jpg",
        "private/deep/b.jpg",
        "photos/c.jpg",
        "photos/d.png",
        "@eaDir/private/e.jpg",
    ]);
    link(&folder, "private", "all");
    link(&folder, "private/deep", "photos/deep");
    link(&folder, "private/a.jpg", "photos/1.jpg");
    link(&folder, "photos/d.png", "photos/2.jpg");
    link(&folder, "@eaDir", "photos/3");
    link(&folder, "@eaDir/private/e.jpg", "photos/4.jpg");
    link(&folder, "", "photos/5");
    let mut found = walked(&folder, &[""], rules(&["private/", "*.png"]));
    // The order of the folder and the link to it depends on the file system.
    found.retain(|line| line != "@eaDir (@eaDir/)");
    assert_eq!(
        found,
        [
            "@eaDir/private (--exclude private//)",
            "all (--exclude private/)",
            "photos/1.jpg (--exclude private/)",
            "photos/2.jpg (--exclude *.png)",
            "photos/3 (inside)",
            "photos/4.jpg (--exclude private/)",
            "photos/5 (inside)",
            "photos/c.jpg",
            "photos/d.png (--exclude *.png)",
            "photos/deep (--exclude private/)",
            "private (--exclude private//)",
        ]
    );
    // A root is never left out, and links to it work.
    let found = walked(&folder, &["photos", "private"], rules(&["private/", "*.png"]));
    let images: Vec<_> =
        found.iter().filter(|line| !line.contains('(')).map(String::as_str).collect();
    assert_eq!(images, ["photos/c.jpg", "private/a.jpg", "private/deep/b.jpg"]);
    assert!(found.contains(&"photos/deep (inside)".to_owned()), "{found:?}");
}

#[test]
fn a_root_is_never_left_out_and_is_listed_once() {
    let folder = folders(&["a/@eaDir/x.jpg", "a/y.png", "a/no_ending"]);
    std::fs::write(folder.path().join("a/notes.txt"), "a text").unwrap();
    std::fs::write(folder.path().join("a").join(IGNORE_FILE), "*.png\nno_ending\n").unwrap();
    let roots = ["a", "a/@eaDir", "a/y.png", "a/notes.txt", "a/no_ending"];
    let all = ["a/@eaDir/x.jpg", "a/no_ending", "a/notes.txt", "a/y.png"];
    assert_eq!(walked(&folder, &roots, rules(&["*.png"])), all);
    let backwards: Vec<_> = roots.into_iter().rev().collect();
    assert_eq!(walked(&folder, &backwards, rules(&["*.png"])), all);
}

#[test]
fn rules_of_a_folder_apply_to_all_below_it_wherever_the_walk_starts() {
    let folder =
        folders(&["a/x.png", "a/x.jpg", "a/b/y.png", "a/b/raw/z.jpg", "a/raw/z.jpg", "c/x.png"]);
    std::fs::write(folder.path().join("a").join(IGNORE_FILE), "*.png\nb/raw/\n").unwrap();
    let below = ["a/b/raw (.facefleetignore/)", "a/b/y.png (.facefleetignore)"];
    let a = ["a/raw/z.jpg", "a/x.jpg", "a/x.png (.facefleetignore)"];
    assert_eq!(walked(&folder, &["a/b"], rules(&[])), below);
    assert_eq!(walked(&folder, &[""], rules(&[])), [&below[..], &a, &["c/x.png"]].concat());
    assert_eq!(walked(&folder, &["a", "a/b"], rules(&[])), [&below[..], &a].concat());
    // A link to a folder that such a rule leaves out.
    link(&folder, "a/b/raw", "c/raw");
    assert!(walked(&folder, &[""], rules(&[])).contains(&"a/b/raw/z.jpg".to_owned()));
}

#[test]
fn invalid_rules_are_reported_and_the_folder_is_walked() {
    let folder = folders(&["x.jpg"]);
    std::fs::write(folder.path().join(IGNORE_FILE), "[z-a]\n").unwrap();
    let found = walked(&folder, &[""], rules(&[]));
    assert!(found[0].contains("unlisted: line 1") && found[1] == "x.jpg", "{found:?}");
}

#[test]
fn two_names_that_are_not_utf_8_are_two_images() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folders(&[]);
    for name in [&b"a\xFF.jpg"[..], b"a\xFE.jpg"] {
        std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), JPEG).unwrap();
    }
    let root = folder.path().canonicalize().unwrap();
    let mut uris = HashSet::new();
    let mut send = |listed| {
        let ListingEntry::Image { image, .. } = listed else { panic!("{listed:?}") };
        let uri = image.image;
        assert!(uri.to_path().unwrap().is_file());
        uris.insert(uri.as_str().to_owned());
        Ok(())
    };
    assert!(Folders::new([root.clone()], rules(&[])).walk(&root, &mut send).is_ok());
    assert_eq!(uris.len(), 2);
    assert!(uris.iter().any(|uri| uri.ends_with("a%FF.jpg")), "{uris:?}");
}

#[test]
fn a_walk_ends_when_its_reader_is_dropped() {
    let folder = folders(&["a.jpg", "b.jpg", "c.jpg"]);
    let root = folder.path().canonicalize().unwrap();
    let mut sent = 0;
    let walk = Folders::new([root.clone()], rules(&[])).walk(&root, &mut |_| {
        sent += 1;
        Err(ReaderGone)
    });
    assert!(walk.is_err());
    assert_eq!(sent, 1);
}
