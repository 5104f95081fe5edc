//! The local stack that `make stack-up` starts: `RabbitMQ` and Postgres.

use std::path::Path;
use std::process::Command;

use facefleet::domain::CampaignId;
use sqlx::{Connection, PgConnection};
use url::Url;

/// The address that the stack provides for the setting `key`.
///
/// # Panics
/// If the stack is missing: tests that need it are never skipped silently.
pub fn address(key: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(".facefleet/stack/env");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; the tests need the local stack: run `make stack-up`", file.display())
    });
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .expect("the file of the stack has no such key")
        .to_owned()
}

/// A port at which nobody listens, and that nobody is given who asks for any port.
pub const CLOSED_PORT: u16 = 9;

/// Runs `scripts/stack.py`.
pub fn script(arguments: &[&str]) {
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/stack.py"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "scripts/stack.py {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `rabbitmqctl` on the stack's broker.
pub fn control(arguments: &[&str]) {
    script(&[&["ctl"], arguments].concat());
}

/// The program, for a fleet with these addresses, without a listener.
pub fn program(queue: &str, prefix: &str, store: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facefleet"));
    command.envs([
        ("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR")),
        ("FACEFLEET__QUEUE__URL", queue),
        ("FACEFLEET__QUEUE__PREFIX", prefix),
        ("FACEFLEET__STORE__URL", store),
        ("FACEFLEET__SERVER__LISTEN", ""),
    ]);
    command
}

/// An empty database for one test. It is dropped with its handle.
pub struct Database {
    /// The address of the database.
    pub url: String,
    name: String,
    server: String,
}

impl Database {
    /// Creates a database on the stack's server.
    pub async fn new() -> Self {
        Self::on(&address("FACEFLEET__STORE__URL")).await
    }

    /// Creates a database on `server`.
    pub async fn on(server: &str) -> Self {
        let name = format!("t{}", CampaignId::new().0.simple());
        run(server, &format!("CREATE DATABASE {name}")).await;
        let mut url = Url::parse(server).unwrap();
        url.set_path(&name);
        Self { url: url.into(), name, server: server.to_owned() }
    }

    /// A unique role name for this test: roles belong to the whole server. The roles are dropped
    /// with the database.
    pub fn role(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// The address of the database, for a role.
    pub fn url_as(&self, role: &str, password: &str) -> Url {
        let mut url = Url::parse(&self.url).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        url
    }

    /// Runs a statement in the database, as its owner.
    pub async fn run(&self, statement: &str) {
        run(&self.url, statement).await;
    }
}

/// Runs a statement. It is not SQL-injection safe: the text comes from the tests.
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
            "DO $$ DECLARE role text; BEGIN \
             FOR role IN SELECT rolname FROM pg_roles WHERE rolname LIKE '{}\\_%' LOOP \
             EXECUTE format('DROP ROLE %I', role); END LOOP; END $$",
            self.name
        );
        // Use a new thread: this may run inside a runtime, which must not block on itself.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
                sqlx::raw_sql(sqlx::AssertSqlSafe(roles)).execute(&mut connection).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        // Some tests stop the server. Then the database is removed with the stack.
        drop(dropping.join());
    }
}
