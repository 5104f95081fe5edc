//! The servers that `make stack-up` starts, and a place of a test's own on them.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;
use uuid::Uuid;

/// The address that the stack has for this setting.
pub fn address(setting: &str) -> Url {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".facefleet/stack/env");
    let env = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; the tests need a RabbitMQ and a Postgres: run `make stack-up`", path.display())
    });
    let value = env.lines().find_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{} has no {setting}: run `make stack-up`", path.display())).parse().unwrap()
}

/// An empty database, gone with its handle; whoever is connected to it then is not any more.
pub struct Database {
    server: Url,
    name: String,
}

impl Database {
    pub fn new() -> Self {
        let server = address("FACEFLEET__STORE__URL");
        // Only hex digits: a name that needs no quotes.
        let name = format!("it_{}", Uuid::now_v7().simple());
        apart(execute(server.clone(), format!("CREATE DATABASE {name}")));
        Self { server, name }
    }

    /// A name for a role of this test's own: roles belong to the whole server.
    pub fn role(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// Where it is, for the server's administrator.
    pub fn url(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }

    /// Where it is, for a role.
    pub fn url_as(&self, role: &str, password: &str) -> Url {
        let mut url = self.url();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        url
    }

    /// Does something as the server's administrator.
    pub async fn execute(&self, sql: impl Into<String>) {
        execute(self.url(), sql.into()).await;
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.url().as_str()).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let roles = format!(
            "DO $$ DECLARE role text; BEGIN FOR role IN SELECT rolname FROM pg_roles WHERE rolname LIKE '{}\\_%' LOOP \
             EXECUTE format('DROP ROLE %I', role); END LOOP; END $$",
            self.name
        );
        let server = self.server.clone();
        apart(async move {
            execute(server.clone(), drop).await;
            execute(server, roles).await;
        });
    }
}

async fn execute(url: Url, sql: String) {
    let mut connection = PgConnection::connect(url.as_str())
        .await
        .unwrap_or_else(|error| panic!("the stack's Postgres does not answer ({error}): run `make stack-up`"));
    // A test's own statement.
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Runs to the end what neither a constructor nor `Drop` can wait for.
fn apart(work: impl Future<Output = ()> + Send + 'static) {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    // What went wrong was printed; a second panic while a test ends would hide its own.
    let ended = std::thread::spawn(run).join();
    assert!(ended.is_ok() || std::thread::panicking(), "the test's database could not be made or dropped");
}
