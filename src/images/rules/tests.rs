use super::*;

fn rules(exclude: &[&str], include: &[&str]) -> Rules {
    let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
    Rules::new(&owned(exclude), &owned(include)).unwrap()
}

fn left_out(rules: &Rules, below: &str) -> Option<String> {
    rules.key_left_out_by(Path::new(below))
}

#[test]
fn rubbish_of_file_servers_is_left_out_at_any_depth() {
    let rules = rules(&[], &[]);
    for (path, rule) in [
        ("a/@eaDir/b.jpg/SYNOPHOTO_THUMB_XL.jpg", "@eaDir"),
        ("#recycle/a.jpg", "#recycle"),
        ("b/.thumbnails/normal/a.png", ".thumbnails"),
        ("a/._b.jpg", "._*"),
        ("a/Thumbs.db", "Thumbs.db"),
        ("thumbs.DB", "Thumbs.db"),
        ("$Recycle.Bin/S-1-5/a.jpg", "$RECYCLE.BIN"),
        (".Trash-1000/files/a.jpg", ".Trash*"),
        (".Trashes/501/a.jpg", ".Trash*"),
        ("lost+found/a.jpg", "lost+found"),
        ("x/System Volume Information/a.jpg", "System Volume Information"),
        ("@Recycle/a.jpg", "@Recycle"),
        (".@__thumb/s100a.jpg", ".@__thumb"),
        (".stversions/a~20240101.jpg", ".stversions"),
        (".snapshot/daily/a.jpg", ".snapshot"),
        ("a/.DS_Store", ".DS_Store"),
    ] {
        assert_eq!(left_out(&rules, path).as_deref(), Some(rule), "{path}");
    }
    for path in [
        "a.jpg",
        ".hidden/a.jpg",
        "recycle/a.jpg",
        "trash/a.jpg",
        "a/_b.jpg",
        "eaDir/a.jpg",
        "thumbs/a.jpg",
        "#1.jpg",
    ] {
        assert_eq!(left_out(&rules, path), None, "{path}");
    }
}

#[test]
fn exclude_overrides_include_and_include_selects_among_the_rest() {
    let rules = rules(
        &["*.png", "/drafts", "2023/trip/", "#1*", "!old*"],
        &["*.jpg", "*.png", "portraits"],
    );
    for (path, rule) in [
        ("a.png", Some("--exclude *.png")),
        ("portraits/a.PNG", Some("--exclude *.png")),
        ("drafts/a.jpg", Some("--exclude /drafts")),
        ("a/drafts/a.jpg", None),
        ("2023/trip/a.jpg", Some("--exclude 2023/trip/")),
        ("x/2023/trip/a.jpg", None),
        ("#1.jpg", Some("--exclude #1*")),
        ("!old.jpg", Some("--exclude !old*")),
        ("b/A.JPG", None),
        ("portraits/x/a.tif", None),
        ("b/a.tif", Some("--include")),
        ("b/._a.jpg", Some("._*")),
        ("portraits/@eaDir/a.jpg", Some("@eaDir")),
    ] {
        assert_eq!(left_out(&rules, path).as_deref(), rule, "{path}");
    }
}

#[test]
fn an_error_about_a_glob_names_its_option() {
    for glob in ["a[", "{a,b", "", "/", " "] {
        let error = Rules::new(&[glob.to_owned()], &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--exclude '{glob}': ")), "{error}");
    }
    let error = Rules::new(&[], &["[z-a]".to_owned()]).unwrap_err().to_string();
    assert!(error.starts_with("--include '[z-a]': "), "{error}");
}

#[test]
fn rules_of_inner_folders_override_outer_ones_and_bring_rubbish_back() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(folder.path().join(IGNORE_FILE), "# trips\n*.png\n/raw/\n!@eaDir/\n").unwrap();
    std::fs::write(inner.join(IGNORE_FILE), "!a.png\n").unwrap();
    let rules = rules(&[], &[]);
    let folders = [folder.path(), &inner].map(|folder| rules.of_folder(folder).unwrap().unwrap());
    let left_out = |below: &str, is_dir, folders: &[FolderRules]| {
        rules.left_out_by(Path::new(below), &folder.path().join(below), is_dir, folders).is_some()
    };
    assert!(left_out("a.png", false, &folders[..1]) && left_out("inner/b.png", false, &folders));
    assert!(!left_out("inner/a.png", false, &folders) && !left_out("a.jpg", false, &folders[..1]));
    assert!(left_out("raw", true, &folders[..1]) && !left_out("raw", false, &folders[..1]));
    assert!(!left_out("inner/raw", true, &folders) && !left_out("@eaDir", true, &folders[..1]));
}

#[test]
fn invalid_rules_are_reported_and_a_link_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = (folder.path().join(IGNORE_FILE), folder.path().join("secret"));
    let rules = rules(&[], &[]);
    assert!(rules.of_folder(folder.path()).unwrap().is_none());
    std::fs::write(&path, "*.png\nraw[\n[z-a]\n*.tif\n").unwrap();
    let found = rules.of_folder(folder.path()).unwrap().unwrap();
    let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
    assert_eq!(broken.len(), 2, "{broken:?}");
    for (reported, line) in broken.iter().zip(["line 2", "line 3"]) {
        assert!(reported.contains(IGNORE_FILE) && reported.contains(line), "{reported}");
    }
    let left_out = |name: &str| {
        let path = folder.path().join(name);
        rules.left_out_by(Path::new(name), &path, false, std::slice::from_ref(&found)).is_some()
    };
    assert!(left_out("a.png") && left_out("a.tif") && !left_out("raw["), "the other lines apply");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&secret, "[z-a]").unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    let error = rules.of_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("regular file") && !error.contains("z-a"), "{error}");
}
