//! The examples of docs/recipes.md, run as a reader would: the commands, then the Python scripts,
//! in one folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Run, Sandbox};
use crate::support::pages::Page;
use crate::support::stack::Database;
use crate::support::{PHOTOS, sample};

const PAGE: &str = "docs/recipes.md";

/// Where `scripts/setup.py recipes` puts the packages that the examples use.
fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".facefleet/tools/recipes");
    assert!(
        folder.join("installed-from").exists(),
        "{} is missing: run `python3 scripts/setup.py recipes`",
        folder.display()
    );
    folder
}

/// Whether the packages exist for this machine's Python: scripts/setup.py pins them for 3.11 to
/// 3.14 on Linux with glibc.
fn python_is_served() -> bool {
    let question = "import sys, platform\n\
        fits = (3, 11) <= sys.version_info[:2] <= (3, 14) and platform.libc_ver()[0] == 'glibc'\n\
        sys.exit(not fits)";
    let served = Command::new("python3").args(["-c", question]).status().unwrap().success();
    if !served {
        println!("SKIPPED: no packages for this Python are pinned");
    }
    served
}

fn python(sandbox: &Sandbox, script: &str, database: &Database) -> Run {
    let mut command = Command::new("python3");
    command
        .args(["-c", script])
        .current_dir(sandbox.folder.path())
        .env("PYTHONPATH", packages())
        .env("DATABASE_URL", &database.url);
    Run::of(command.output().unwrap())
}

/// A folder with a scanned gallery `staff`, in which the page's commands have run.
fn exported() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in PHOTOS.iter().chain(&["chelsea.png"]) {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    let page = Page::read(PAGE);
    for command in page.blocks("console").flat_map(|block| block.text.lines()) {
        let words: Vec<&str> = command.strip_prefix("$ facefleet ").unwrap().split(' ').collect();
        sandbox.run(&words).ended(0);
    }
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_runs() {
    if !python_is_served() {
        return;
    }
    let sandbox = exported();
    let database = Database::new().await;
    let page = Page::read(PAGE);
    assert_eq!(page.blocks("python").count(), 6);
    for block in page.blocks("python") {
        let heading = block.section.as_str();
        let run = python(&sandbox, &block.text, &database);
        println!("{heading}\n{}", run.out);
        run.ended(0);
        let expected: &[&str] = match heading {
            "pandas" => &["/photos/obama", "128) float32"],
            "DuckDB" => &["no_face", "scored", "similarity"],
            "FAISS" => &["1.000 file:///", "0."],
            "A template of CSV" => &["/photos/obama.jpg 0 (128,) "],
            "A table of your own in pgvector" => &["1.000 file:///", "0."],
            "The views" => &["no_face 1 0", "scored 8 ", "(128,) eyes ["],
            other => panic!("{other}: nothing is expected of its example"),
        };
        for text in expected {
            assert!(run.out.contains(text), "{heading}: no {text} in\n{}", run.out);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_reads_templates_as_arrays_of_fixed_length_and_nulls_as_nulls() {
    if !python_is_served() {
        return;
    }
    let sandbox = exported();
    let script = "import pyarrow as pa, pyarrow.parquet as pq\n\
        table = pq.read_table('faces.parquet')\n\
        table.validate(full=True)\n\
        assert table.schema.field('template').type == pa.list_(\n\
            pa.field('element', pa.float32(), nullable=False), 128), table.schema\n\
        assert table.schema.field('recorded_at').type == pa.timestamp('ms', tz='UTC')\n\
        assert table.schema.field('uri').type == pa.string()\n\
        assert not table.schema.field('uri').nullable and table.schema.field('box_x').nullable\n\
        rows = table.to_pylist()\n\
        cat, = [row for row in rows if row['uri'].endswith('chelsea.png')]\n\
        assert cat['outcome'] == 'no_face' and cat['face_count'] == 0\n\
        assert cat['template'] is None and cat['face'] is None and cat['quality'] is None\n\
        norms = [sum(x * x for x in row['template']) for row in rows if row['template']]\n\
        assert len(norms) >= 8 and all(abs(norm - 1) < 1e-5 for norm in norms), norms\n\
        print(len(rows))";
    let run = python(&sandbox, script, &Database::new().await);
    run.ended(0);
    let lines = std::fs::read_to_string(sandbox.path("faces.csv")).unwrap().lines().count();
    assert_eq!(run.out.trim().parse::<usize>().unwrap(), lines - 1);
}
