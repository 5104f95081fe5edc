//! Opens a store: its connections and schema.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::fault;
use super::{PostgresStore, StoreError, index};
use crate::store::fault::Fault;
use crate::store::migrations;
use crate::store::row::row;

/// The table of applied migrations. Not the default name, which another program in the same schema
/// may use.
const MIGRATIONS: &str = "facefleet_migrations";

/// How long a caller waits for a connection before the server counts as unreachable.
const ACQUIRE: Duration = Duration::from_secs(10);
/// How long a released connection may take to answer a ping before it is closed.
const RELEASE: Duration = Duration::from_secs(5);
/// How long a statement may take. A summary of tens of millions of rows is the longest.
const STATEMENT_MS: &str = "120000";
/// The oldest supported server.
const LEAST_VERSION: u32 = 14;

/// The options of `url`, and the server and database for errors: never with the password.
fn parse(url: &str) -> Result<(PgConnectOptions, String), StoreError> {
    let unusable = || {
        StoreError::Unusable(
            "store.url is not the URL of a Postgres database: use \
                postgres://user:password@host:port/database?sslmode=verify-full"
                .into(),
        )
    };
    // The parser itself accepts any scheme.
    if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        return Err(unusable());
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| unusable())?;
    let location = format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    );
    let options = options
        .application_name("facefleet")
        .options([
            ("statement_timeout", STATEMENT_MS),
            // The locks of a worker that lost its connection must not block others.
            ("idle_in_transaction_session_timeout", "60000"),
            // Postgres would keep a plan that it made when a table was small.
            ("plan_cache_mode", "force_custom_plan"),
        ])
        .disable_statement_logging();
    Ok((options, location))
}

pub(super) async fn open(url: &str, connections: u32) -> Result<PostgresStore, StoreError> {
    let (options, location) = parse(url)?;
    timeout(ACQUIRE, connect(&options))
        .await
        .map_err(|_| away(&location))?
        .map_err(|fault| fault::at(fault, &location))?
        .close()
        .await
        .ok();
    let pool = PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_secs(300))
        // The connection of a query that timed out may be dead: waiting for the query could take a
        // quarter of an hour.
        .after_release(|connection, _| {
            Box::pin(async {
                timeout(RELEASE, connection.ping())
                    .await
                    .unwrap_or(Err(sqlx::Error::WorkerCrashed))
                    .map(|()| true)
            })
        })
        .connect_lazy_with(options);
    Ok(PostgresStore { pool, location })
}

fn away(location: &str) -> StoreError {
    StoreError::Unavailable(format!("{location} does not answer"))
}

pub(super) async fn migrate(url: &str) -> Result<u32, StoreError> {
    let (options, location) = parse(url)?;
    let options = options.options([("statement_timeout", "0")]);
    let migrate = async || -> Result<u32, Fault> {
        let mut connection = connect(&options).await?;
        let built = index::build(&mut connection).await?;
        connection.close().await.ok();
        Ok(built)
    };
    migrate().await.map_err(|fault| fault::at(fault, &location))
}

/// A connection to a database whose schema is up to date. If there is nothing to migrate, the role
/// needs no right to create anything.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Fault> {
    let mut connection = PgConnection::connect_with(options).await?;
    check_version(&mut connection).await?;
    let mut migrations = migrations::postgres();
    migrations.dangerous_set_table_name(MIGRATIONS);
    if !is_current(&mut connection, &migrations).await? {
        ensure_pgvector(&mut connection).await?;
        // Takes an advisory lock: two processes that start at once migrate one after the other.
        migrations.run_direct(None, &mut connection, false).await?;
    }
    Ok(connection)
}

async fn check_version(connection: &mut PgConnection) -> Result<(), Fault> {
    let version: String =
        sqlx::query_scalar("SHOW server_version_num").fetch_one(connection).await?;
    let major = version.parse::<u32>().unwrap_or(0) / 10_000;
    if major < LEAST_VERSION {
        return Err(StoreError::Unusable(format!(
            "the server is Postgres {major}, and {LEAST_VERSION} or later is needed"
        ))
        .into());
    }
    Ok(())
}

/// Whether every migration has run.
async fn is_current(connection: &mut PgConnection, migrations: &Migrator) -> Result<bool, Fault> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(MIGRATIONS)
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations(MIGRATIONS).await?;
    if let Some(newer) = applied.iter().find(|applied| !migrations.version_exists(applied.version))
    {
        return Err(MigrateError::VersionMissing(newer.version).into());
    }
    Ok(migrations.iter().all(|migration| {
        applied.iter().any(|applied| {
            applied.version == migration.version && applied.checksum == migration.checksum
        })
    }))
}

row! {
    /// Where pgvector is installed in the database.
    struct Extension {
        schema: String,
        version: String,
    }
}

async fn ensure_pgvector(connection: &mut PgConnection) -> Result<(), Fault> {
    if has_halfvec(connection).await? {
        return Ok(());
    }
    let unusable = |text: String| Fault::from(StoreError::Unusable(text));
    let elsewhere: Option<Extension> =
        sqlx::query_as(include_str!("sql/extension.sql")).fetch_optional(&mut *connection).await?;
    if let Some(Extension { schema, version }) = elsewhere {
        if has_halfvec(connection).await? {
            // Another process created it after the first check.
            return Ok(());
        }
        return Err(unusable(format!(
            "its pgvector {version} has no halfvec that this role sees: 0.7 or later is needed, \
                and its schema, {schema}, must be in the search_path (ALTER ROLE … SET \
                search_path, or ?options=-csearch_path=… in store.url)"
        )));
    }
    let available: bool = sqlx::query_scalar(include_str!("sql/extension_is_available.sql"))
        .fetch_one(&mut *connection)
        .await?;
    if !available {
        return Err(unusable(
            "the server has no pgvector: install the extension (0.7 or later) on the server's \
                host, or choose a server that offers it"
                .into(),
        ));
    }
    let created =
        sqlx::query("CREATE EXTENSION IF NOT EXISTS vector").execute(&mut *connection).await;
    if has_halfvec(connection).await? {
        // This process or another one created it.
        return Ok(());
    }
    match created.err().and_then(|error| Some(error.as_database_error()?.message().to_owned())) {
        Some(reason) => Err(unusable(format!(
            "pgvector is not enabled in this database, and this role may not do it ({reason}): let \
                an administrator run CREATE EXTENSION vector; in it"
        ))),
        None => Err(unusable("its pgvector has no halfvec: 0.7 or later is needed".into())),
    }
}

async fn has_halfvec(connection: &mut PgConnection) -> Result<bool, Fault> {
    Ok(sqlx::query_scalar("SELECT to_regtype('halfvec') IS NOT NULL").fetch_one(connection).await?)
}
