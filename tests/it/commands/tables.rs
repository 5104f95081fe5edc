//! Tables of labels and lists of pairs as people have them.

use std::os::unix::fs::symlink;

use super::{Run, Sandbox};
use crate::support::sample;

const PHOTOS: [&str; 4] = ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"];
const HEADLINE: &str = "4 photos of 3 people: 1 mated comparisons, 5 non-mated";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in PHOTOS {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox
}

/// A run of `evaluate` without bootstrap.
fn evaluate(sandbox: &Sandbox, labels: &str) -> Run {
    sandbox.run(&["evaluate", labels, "--bootstrap", "0"])
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn tables_are_read_as_spreadsheets_and_people_write_them() {
    let sandbox = sandbox();
    let rows = |separator: &str| {
        let subjects = PHOTOS.iter().zip(["René", "René", "Joe", "Eileen"]);
        subjects
            .map(|(file, subject)| format!("{file}{separator}{subject}\r\n"))
            .collect::<String>()
    };
    let paths =
        |prefix: &str| rows(",").lines().map(|row| format!("{prefix}{row}\n")).collect::<String>();
    let photos = sandbox.path("photos").canonicalize().unwrap();
    let table = format!("file,subject\r\n{}", rows(","));
    let turned = "id,Person,Gender,Image Path\n1,o,m,obama.jpg\n2,o,m,obama2.jpg\n\
                  3,b,m,biden.jpg\n4,e,f,astronaut.png\n";
    std::fs::create_dir(sandbox.path("photos/sub")).unwrap();
    for (name, bytes) in [
        ("plain.csv", table.clone().into_bytes()),
        ("marked.csv", format!("\u{feff}{table}").into_bytes()),
        ("utf16.csv", utf16(&format!("\u{feff}{table}"))),
        ("cp1252.csv", table.chars().map(|c| c as u8).collect()),
        ("capitals.csv", format!(" File , SUBJECT \n{}", rows(",")).into_bytes()),
        ("semicolons.csv", format!("sep=;\r\nfile;subject\r\n{}", rows(";")).into_bytes()),
        ("tabs.tsv", format!("# people\n\nfile\tsubject\n{}", rows("\t")).into_bytes()),
        ("turned.csv", turned.as_bytes().to_vec()),
        ("sub/above.csv", format!("file,subject\n{}", paths("../")).into_bytes()),
        ("sub/windows.csv", format!("file,subject\n{}", paths("..\\")).into_bytes()),
        (
            "sub/whole.csv",
            format!("file,subject\n{}", paths(&format!("{}/", photos.display()))).into_bytes(),
        ),
        (
            "sub/uris.csv",
            format!("uri,subject\n{}", paths(&format!("file://{}/", photos.display())))
                .into_bytes(),
        ),
    ] {
        sandbox.write(&format!("photos/{name}"), &bytes);
        let run = evaluate(&sandbox, &format!("photos/{name}"));
        run.ended(0);
        assert!(run.out.starts_with(HEADLINE), "{name}: {}", run.out);
        assert_eq!(run.err.contains("Windows-1252"), name == "cp1252.csv", "{name}: {}", run.err);
    }
    // The first other column holds the groups, unless it numbers the rows.
    let bias = sandbox.run(&["bias", "photos/turned.csv", "--bootstrap", "0", "--fmr", "0.2"]);
    bias.ended(0);
    assert!(bias.out.contains("by Gender"), "{}", bias.out);
    let calibrate = sandbox.run(&["calibrate", "photos/utf16.csv", "--percentiles"]);
    calibrate.ended(1);
    assert!(
        calibrate.out.starts_with(HEADLINE)
            && calibrate.err.contains("4 scored images are too few"),
        "{}",
        calibrate.err
    );
}

#[test]
fn lists_of_pairs_may_have_spaces_in_names_a_header_or_the_form_of_lfw() {
    let sandbox = sandbox();
    std::fs::create_dir_all(sandbox.path("photos/Obama")).unwrap();
    std::fs::create_dir_all(sandbox.path("photos/Biden")).unwrap();
    for (name, copy) in [
        ("obama.jpg", "Obama/Obama_0001.jpg"),
        ("obama2.jpg", "Obama/Obama_0002.jpg"),
        ("biden.jpg", "Biden/Biden_0010.jpg"),
    ] {
        sandbox.write(&format!("photos/{copy}"), &sample(name));
    }
    sandbox.write("photos/a b.jpg", &sample("obama.jpg"));
    for (name, text) in [
        ("quotes.txt", "\"a b.jpg\" obama2.jpg 1\n\"a b.jpg\" biden.jpg 0\n"),
        ("tabs.txt", "a b.jpg\tobama2.jpg\t1\na b.jpg\tbiden.jpg\t0\n"),
        ("commas.txt", "a b.jpg, obama2.jpg, yes\na b.jpg, biden.jpg, no\n"),
        ("header.csv", "Same;File1;File2\nTRUE;a b.jpg;obama2.jpg\nFALSE;a b.jpg;biden.jpg\n"),
        ("pairs.txt", "1\nObama\t1\t2\nObama\t1\tBiden\t10\n"),
    ] {
        sandbox.write(&format!("photos/{name}"), text.as_bytes());
        let run = evaluate(&sandbox, &format!("photos/{name}"));
        run.ended(0);
        assert!(
            run.out.starts_with("3 photos of 2 people: 1 mated comparisons, 1 non-mated"),
            "{name}: {}",
            run.out
        );
    }
}

#[test]
fn errors_in_a_file_of_labels_name_the_line_and_what_to_do() {
    let sandbox = sandbox();
    for (text, errors) in [
        (&b"obama.jpg,o\nobama2.jpg,o\n"[..], &["line 1", "file,subject"][..]),
        (b"file,person,name\nobama.jpg,o,x\n", &["'person' and 'name'", "the name 'subject'"]),
        (b"file,age\nobama.jpg,3\n", &["no column 'subject'", "'age'"]),
        (b"file,subject\nobama.jpg,o\nobama, 2.jpg,o\n", &["line 3", "quotes"]),
        (b"obama.jpg biden.jpg 0\nthe president.jpg obama.jpg 1\n", &["line 2", "quotes"]),
        (b"PK\x03\x04 a workbook", &["CSV UTF-8"]),
    ] {
        sandbox.write("photos/labels.csv", text);
        let run = evaluate(&sandbox, "photos/labels.csv");
        run.ended(1);
        for error in errors {
            assert!(
                run.err.contains(error) && run.err.contains("photos/labels.csv"),
                "{error}: {}",
                run.err
            );
        }
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    }
}

#[test]
fn links_to_photos_are_read_and_two_names_of_one_file_are_refused() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("links")).unwrap();
    for name in PHOTOS {
        symlink(format!("../photos/{name}"), sandbox.path(&format!("links/{name}"))).unwrap();
    }
    let table = "file,subject\nobama.jpg,o\nobama2.jpg,o\nbiden.jpg,b\nastronaut.png,e\n";
    sandbox.write("links/labels.csv", table.as_bytes());
    let run = evaluate(&sandbox, "links/labels.csv");
    run.ended(0);
    assert!(run.out.starts_with(HEADLINE), "{}", run.out);

    sandbox.write("links/twice.csv", format!("{table}../photos/obama.jpg,o\n").as_bytes());
    let twice = evaluate(&sandbox, "links/twice.csv");
    twice.ended(1);
    assert!(
        twice.err.contains("obama.jpg and ../photos/obama.jpg are the same file (lines 2 and 6)"),
        "{}",
        twice.err
    );
}

#[test]
fn photos_without_a_score_are_listed_and_the_others_are_evaluated() {
    let sandbox = sandbox();
    sandbox.write("photos/notes.jpg", b"a shopping list, not a photo");
    let mut table =
        "file,subject,group\nobama.jpg,o,x\nobama2.jpg,o,x\nbiden.jpg,b,x\nastronaut.png,e,x\n\
         notes.jpg,n,x\n"
            .to_owned();
    // Reading it fails with an error that may pass.
    table += "file:///proc/self/mem,m,x\n";
    table.extend((0..9).map(|number| format!("gone{number}.jpg,g,x\n")));
    sandbox.write("photos/labels.csv", table.as_bytes());
    for (command, status) in [
        (&["evaluate", "photos/labels.csv", "--out", "out"][..], 3),
        // Too few scores for a calibration.
        (&["calibrate", "photos/labels.csv", "--percentiles", "--fmr", "0.2"], 1),
        (&["bias", "photos/labels.csv", "--fmr", "0.2", "--out", "out"], 3),
    ] {
        let mut command = sandbox.command(command);
        let run = Run::of(
            command
                .args(["--bootstrap", "0"])
                .env("FACEFLEET__WORKER__BACKOFF_MS", "1")
                .env("FACEFLEET__IMAGES__OUTAGE_SECONDS", "1")
                .output()
                .unwrap(),
        );
        run.ended(status);
        assert!(run.out.starts_with(HEADLINE), "{}", run.out);
        assert!(run.out.contains("left out: 9 missing, 1 unreadable, 1 failed"), "{}", run.out);
        for text in [
            "notes.jpg (line 6): unreadable: not an image",
            "/mem (line 7): failed: ",
            "gone0.jpg (line 8): missing",
        ] {
            assert!(run.err.contains(text), "{text}: {}", run.err);
        }
        assert!(run.err.contains("and 1 more") && !run.err.contains("gone8.jpg"), "{}", run.err);
    }
    let listed = std::fs::read_to_string(sandbox.path("out/left-out.csv")).unwrap();
    assert_eq!(listed.lines().count(), 12, "{listed}");
    assert!(listed.starts_with("file,line,outcome,reason\nnotes.jpg,6,unreadable,"), "{listed}");
    assert!(listed.contains("gone8.jpg,16,missing,"), "{listed}");
}

#[test]
fn without_any_score_the_error_names_the_causes_and_what_to_do() {
    let sandbox = sandbox();
    sandbox.write(
        "photos/labels.csv",
        b"file,subject\nobama.jpg,o\nobama2.jpg,o\nbiden.jpg,b\nastronaut.png,e\n",
    );
    let mut command = sandbox.command(&["evaluate", "photos/labels.csv"]);
    let refused = Run::of(command.env("FACEFLEET__LIMITS__MAX_BYTES", "1000").output().unwrap());
    refused.ended(1);
    for text in
        ["none of the 4 photos has a score: 4 refused", "setting limits.max_bytes", "obama.jpg"]
    {
        assert!(refused.err.contains(text), "{text}: {}", refused.err);
    }
    let aligned = sandbox.run(&["evaluate", "photos/labels.csv", "--aligned"]);
    aligned.ended(1);
    assert!(
        aligned.err.contains("4 refused") && aligned.err.contains("without --aligned"),
        "{}",
        aligned.err
    );
}
