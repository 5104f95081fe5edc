//! The house rules that a compiler does not check: which room may depend on which, where a crate
//! may be used, and how large files and functions are. `ARCHITECTURE.md` gives the reasons.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

mod source;

use std::collections::BTreeMap;

use source::{Source, function_lengths, paths_from_the_crate, read_all, type_names};

/// The rooms in layers, the lowest first. A room depends on rooms of lower layers alone.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["settings"],
    &["telemetry"],
    &["quality", "matching"],
    &["vision", "images", "inference", "store", "queue"],
    &["worker", "view"],
    &["gallery", "report", "evaluate"],
    &["app"],
    &["web"],
    &["cli"],
    &["lib", "main"],
];

/// Crates that belong to one room, or to a part of it.
const CRATES: &[(&str, &[&str])] = &[
    ("lapin", &["src/queue/rabbitmq"]),
    ("async_rs", &["src/queue/rabbitmq"]),
    ("sqlx", &["src/store"]),
    ("rusqlite", &["src/store/sqlite", "src/store/row.rs"]),
    ("pgvector", &["src/store"]),
    ("ort", &["src/inference"]),
    ("object_store", &["src/images"]),
    ("reqwest", &["src/images"]),
    ("parquet", &["src/images/list", "src/report/export"]),
    ("axum", &["src/web"]),
    ("hyper", &["src/web"]),
    ("flatbuffers", &["src/report/export"]),
    ("croner", &["src/domain/cron.rs"]),
    ("clap", &["src/cli", "src/main.rs"]),
    ("indicatif", &["src/cli"]),
    ("resvg", &["src/evaluate/plot"]),
    ("turbojpeg", &["src/vision"]),
];

const MOST_LINES: usize = 400;
const LONGEST_FUNCTION: usize = 60;
const LONGEST_LINE: usize = 100;
/// Methods of one public trait of the store.
const MOST_METHODS: usize = 7;

/// Fails with all `faults`, one a line.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn no_arrow_points_back() {
    let mut faults = Vec::new();
    for source in read_all(&["src"]) {
        let Some(own) = layer(source.room()) else {
            faults.push(format!("{}: its room is in no layer", source.path));
            continue;
        };
        for used in paths_from_the_crate(&source) {
            if used == source.room() {
                continue;
            }
            match layer(&used) {
                Some(other) if other < own => {}
                Some(_) => faults.push(format!("{} uses crate::{used}", source.path)),
                None => faults.push(format!("{}: crate::{used} is in no layer", source.path)),
            }
        }
    }
    none(&faults);
}

#[test]
fn a_crate_is_used_in_its_room_alone() {
    let mut faults = Vec::new();
    for source in read_all(&["src"]) {
        for (name, rooms) in CRATES {
            let allowed = rooms.iter().any(|room| source.path.starts_with(room));
            if !allowed && source.mentions(&format!("{name}::")) {
                faults.push(format!("{} uses {name}, which belongs to {rooms:?}", source.path));
            }
        }
    }
    none(&faults);
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut faults = Vec::new();
    for source in read_all(&["src", "tests", "benches"]) {
        let path = &source.path;
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{path} has {lines} lines, {MOST_LINES} at most"));
        }
        for (number, line) in source.text.lines().enumerate() {
            let length = line.chars().count();
            if length > LONGEST_LINE {
                faults.push(format!("{path}:{}: {length} characters", number + 1));
            }
        }
        for (name, line, length) in function_lengths(&source) {
            if length > LONGEST_FUNCTION {
                faults.push(format!("{path}:{line}: {name} has {length} lines"));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in read_all(&["src"]) {
        for name in type_names(&source) {
            places.entry(name).or_default().push(source.path.clone());
        }
    }
    let shared = places.into_iter().filter(|(_, paths)| paths.len() > 1);
    let faults = shared.map(|(name, paths)| format!("{name}: {}", paths.join(", ")));
    none(&faults.collect::<Vec<_>>());
}

#[test]
fn the_public_traits_of_the_store_are_small() {
    let mut faults = Vec::new();
    for source in read_all(&["src/store"]) {
        for (name, methods) in source::public_traits(&source) {
            if methods > MOST_METHODS {
                faults.push(format!("{}: {name} has {methods} methods", source.path));
            }
        }
    }
    none(&faults);
}

/// The rules above would pass if the reader of sources found nothing: here it has to find things.
#[test]
fn the_reader_sees_what_a_compiler_sees() {
    let source = Source::new(
        "src/worker/a.rs",
        "use crate::{domain::{Job, image::Uri}, store};\n// use crate::cli;\n\
         fn short() { let s = \"{ fn no() { crate::web }\"; let c = '{'; }\n\
         fn long(a: [u8; 2])\nwhere\n    u8: Copy,\n{\n    r#\"}\"#;\n    crate::queue::x();\n}\n\
         pub struct One<T>(T);\nimpl X for One { type Two = u8; }\nenum Three {}\n\
         pub trait Four { fn a(&self); fn b(&self) {} }\ntype Five = u8;\n\
         pub(super) trait Six { fn a(); }\n",
    );
    assert_eq!(source.room(), "worker");
    assert_eq!(paths_from_the_crate(&source), ["domain", "queue", "store"]);
    let lengths = function_lengths(&source);
    let long = lengths.iter().find(|(name, ..)| name == "long");
    assert_eq!(long, Some(&("long".to_owned(), 4, 7)));
    assert_eq!(lengths.iter().filter(|(name, ..)| name == "no").count(), 0);
    assert_eq!(type_names(&source), ["One", "Three", "Four", "Five", "Six"]);
    assert_eq!(source::public_traits(&source), [("Four".to_owned(), 2)]);
    assert!(source.mentions("crate::queue::") && !source.mentions("crate::web"));
}
