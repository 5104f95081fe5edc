//! Errors about unsuitable servers and databases, never with a password.

use facefleet::domain::Outcome;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{Maintenance, PageFilter, PageQuery, Reading, Results, StoreError};
use tokio::net::TcpListener;
use url::Url;

use super::opened;
use crate::support::stack::{CLOSED_PORT, Database};
use crate::support::{gallery, profile, record, scored};

/// Why `url` cannot be used. The error never holds its password.
async fn refusal(url: &Url) -> StoreError {
    let error =
        PostgresStore::open(url.as_str(), 2).await.err().expect("the server should be refused");
    if let Some(password) = url.password() {
        assert!(!format!("{error} {error:?}").contains(password), "{error}");
    }
    error
}

fn url_of(database: &Database) -> Url {
    database.url.parse().unwrap()
}

fn assert_unusable(error: &StoreError, reason: &str) {
    assert!(
        matches!(error, StoreError::Unusable(_)) && error.to_string().contains(reason),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_named() {
    let database = Database::new().await;
    let mut url = url_of(&database);
    url.set_password(Some("not-the-password")).unwrap();
    assert_unusable(&refusal(&url).await, "the server refuses this user or password");
    let mut url = url_of(&database);
    url.set_path("nowhere");
    assert_unusable(
        &refusal(&url).await,
        "\"nowhere\" does not exist: create it, or correct store.url",
    );
}

#[tokio::test]
async fn a_text_that_is_not_a_url_is_refused_without_showing_it() {
    for url in ["postgres://user:geheim@host:port/db", "sqlite:faces.db"] {
        let error = PostgresStore::open(url, 2).await.err().expect("the URL should be refused");
        assert_unusable(&error, "use postgres://user:password@host:port/database");
        assert!(!error.to_string().contains("geheim"), "{error}");
    }
}

#[tokio::test]
async fn a_port_without_a_server_is_temporary() {
    let url = format!("postgres://user:geheim@127.0.0.1:{CLOSED_PORT}/faces").parse().unwrap();
    let error = refusal(&url).await;
    assert!(
        matches!(error, StoreError::Unavailable(_)) && error.to_string().contains("127.0.0.1:9/"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_temporary_and_does_not_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://user:geheim@127.0.0.1:{port}/faces").parse().unwrap();
    let error = refusal(&url).await;
    assert!(
        matches!(error, StoreError::Unavailable(_))
            && error.to_string().contains("does not answer"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_schema_from_a_newer_version_is_refused() {
    let database = Database::new().await;
    opened(&database).await.close().await;
    database
        .run(
            "INSERT INTO facefleet_migrations (version, description, success, checksum, \
            execution_time) VALUES (99, 'x', true, '', 0)",
        )
        .await;
    assert_unusable(
        &refusal(&url_of(&database)).await,
        "schema version 99, from a newer facefleet",
    );
}

#[tokio::test]
async fn another_programs_migrations_are_left_alone() {
    let database = Database::new().await;
    database
        .run(
            "CREATE TABLE _sqlx_migrations (version bigint); INSERT INTO _sqlx_migrations \
        VALUES (7)",
        )
        .await;
    opened(&database).await.record(&[scored("one", &[10])]).await.unwrap();
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_is_an_error() {
    let database = Database::new().await;
    let store = opened(&database).await;
    store.record(&[record("one", Outcome::NoFace)]).await.unwrap();
    database.run("UPDATE results SET outcome = 'astonished'").await;
    let error = store.summary(&gallery(), &profile("a").id()).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Corrupt(_)) && error.to_string().contains("astonished"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_reason_with_a_nul_is_stored_without_it() {
    let database = Database::new().await;
    let store = opened(&database).await;
    store
        .record(&[record("one", Outcome::Unreadable("not a JPEG: \0\u{1}".into()))])
        .await
        .unwrap();
    let query = PageQuery {
        gallery: gallery(),
        profile: profile("a").id(),
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: 10,
        templates: false,
    };
    assert_eq!(
        store.page(&query).await.unwrap()[0].reason.as_deref(),
        Some("not a JPEG: \u{fffd}\u{1}")
    );
}
