//! The local stack that `make stack-up` starts: a real `RabbitMQ` and a real Postgres.

use std::path::Path;

use facefleet::domain::CampaignId;
use sqlx::{Connection, PgConnection};
use url::Url;

/// The address that the stack gave `key`, as the settings name it.
///
/// # Panics
/// If there is no stack: its tests are never left out in silence.
pub fn address(key: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(".facefleet/stack/env");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; the tests need the local stack: run `make stack-up`", file.display())
    });
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .expect("the stack names its address")
        .to_owned()
}

/// An empty database of a test's own. It is dropped with its handle.
pub struct Database {
    /// Its address.
    pub url: String,
    name: String,
    server: String,
}

impl Database {
    /// A new one on the stack's server.
    pub async fn new() -> Self {
        Self::on(&address("FACEFLEET__STORE__URL")).await
    }

    /// A new one on `server`.
    pub async fn on(server: &str) -> Self {
        let name = format!("t{}", CampaignId::new().0.simple());
        run(server, &format!("CREATE DATABASE {name}")).await;
        let mut url = Url::parse(server).unwrap();
        url.set_path(&name);
        Self { url: url.into(), name, server: server.to_owned() }
    }

    /// A name for a role of this test's own: roles belong to the whole server. They are dropped
    /// with the database.
    pub fn role(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// Its address, for a role.
    pub fn url_as(&self, role: &str, password: &str) -> Url {
        let mut url = Url::parse(&self.url).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        url
    }

    /// Runs a statement in it, as its owner.
    pub async fn run(&self, statement: &str) {
        run(&self.url, statement).await;
    }
}

/// Statements are the tests' own text.
async fn run(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) =
            (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let roles = format!(
            "DO $$ DECLARE role text; BEGIN FOR role IN SELECT rolname FROM pg_roles WHERE rolname \
                LIKE '{}\\_%' LOOP \
             EXECUTE format('DROP ROLE %I', role); END LOOP; END $$",
            self.name
        );
        // On a thread of its own: this may run inside a runtime, which must not be blocked on
        // itself.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
                sqlx::raw_sql(sqlx::AssertSqlSafe(roles)).execute(&mut connection).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        // The server may be away, in a test that takes it away: then the stack's end takes the
        // database along.
        drop(dropping.join());
    }
}
