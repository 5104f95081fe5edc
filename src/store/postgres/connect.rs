//! From a URL to an open store: the connections and the schema.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::fault::Fault;
use super::{PostgresStore, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a caller waits for a connection before the server counts as away.
const ACQUIRE: Duration = Duration::from_secs(10);
/// How long a statement may take. A summary of tens of millions of rows is the longest.
const STATEMENT_MS: &str = "120000";
/// The oldest server whose features are used.
const LEAST_VERSION: u32 = 14;

/// The options of `url` and the place as errors name it: never with the password.
fn parse(url: &str) -> Result<(PgConnectOptions, String), StoreError> {
    let unusable = || {
        StoreError::Unusable(
            "store.url is no URL of a Postgres database: use postgres://user:password@host:port/database?sslmode=verify-full"
                .into(),
        )
    };
    let options = PgConnectOptions::from_str(url).map_err(|_| unusable())?;
    let place = format!("{}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or_default());
    let options = options
        .application_name("facefleet")
        // A connection whose other end is gone without a word must not wait for ever.
        .options([
            ("statement_timeout", STATEMENT_MS),
            ("idle_in_transaction_session_timeout", "60000"),
            ("tcp_user_timeout", "20000"),
        ])
        .disable_statement_logging();
    Ok((options, place))
}

pub(super) async fn open(url: &str, connections: u32) -> Result<PostgresStore, StoreError> {
    let (options, place) = parse(url)?;
    let prepare = async || -> Result<(), Fault> {
        let mut connection = PgConnection::connect_with(&options).await?;
        let prepared = prepare(&mut connection).await;
        connection.close().await.ok();
        prepared
    };
    prepare().await.map_err(|fault| fault.at(&place))?;
    let pool = PgPoolOptions::new()
        .max_connections(connections.max(2))
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(options);
    Ok(PostgresStore { pool, place })
}

pub(super) async fn migrate(url: &str) -> Result<u32, StoreError> {
    let (options, place) = parse(url)?;
    let index = async || -> Result<u32, Fault> {
        // Building an index takes as long as it takes.
        let mut connection = PgConnection::connect_with(&options.options([("statement_timeout", "0")])).await?;
        prepare(&mut connection).await?;
        let made: i32 = sqlx::query_scalar("SELECT index_templates()").fetch_one(&mut connection).await?;
        connection.close().await.ok();
        Ok(u32::try_from(made).unwrap_or(0))
    };
    index().await.map_err(|fault| fault.at(&place))
}

/// Brings the schema up to date. A role that may only use it needs no right to make anything, as long as there is nothing to do.
async fn prepare(connection: &mut PgConnection) -> Result<(), Fault> {
    check_version(connection).await?;
    if is_current(connection).await? {
        return Ok(());
    }
    ensure_pgvector(connection).await?;
    // Takes an advisory lock: two that start at once migrate one after the other.
    MIGRATIONS.run_direct(None, connection, false).await?;
    Ok(())
}

async fn check_version(connection: &mut PgConnection) -> Result<(), Fault> {
    let version: String = sqlx::query_scalar("SHOW server_version_num").fetch_one(connection).await?;
    let major = version.parse::<u32>().unwrap_or(0) / 10_000;
    if major < LEAST_VERSION {
        return Err(
            StoreError::Unusable(format!("the server is Postgres {major}, and {LEAST_VERSION} or later is needed")).into()
        );
    }
    Ok(())
}

/// Whether every migration has run. What cannot be read is not current: the attempt to migrate then says why.
async fn is_current(connection: &mut PgConnection) -> Result<bool, Fault> {
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !there {
        return Ok(false);
    }
    let Ok(applied) = connection.list_applied_migrations("_sqlx_migrations").await else { return Ok(false) };
    let current = MIGRATIONS.iter().all(|migration| {
        applied.iter().any(|applied| applied.version == migration.version && applied.checksum == migration.checksum)
    });
    Ok(current && applied.len() == MIGRATIONS.iter().count())
}

async fn ensure_pgvector(connection: &mut PgConnection) -> Result<(), Fault> {
    let installed = "SELECT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'halfvec')";
    if sqlx::query_scalar(installed).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let unusable = |text: &str| Fault::from(StoreError::Unusable(text.to_owned()));
    let available: Option<String> =
        sqlx::query_scalar("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
            .fetch_optional(&mut *connection)
            .await?;
    let Some(available) = available else {
        return Err(unusable(
            "the server has no pgvector: install the extension (0.7 or later) on the server's host, or choose a server that offers it",
        ));
    };
    match sqlx::query("CREATE EXTENSION IF NOT EXISTS vector").execute(&mut *connection).await {
        Ok(_) if sqlx::query_scalar(installed).fetch_one(&mut *connection).await? => Ok(()),
        Ok(_) => Err(unusable(&format!("the server's pgvector {available} has no halfvec: 0.7 or later is needed"))),
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            // Another process was faster: that is as good.
            if ["23505", "42710"].contains(&code.as_str()) && sqlx::query_scalar(installed).fetch_one(&mut *connection).await? {
                return Ok(());
            }
            if code == "42501" {
                return Err(unusable(
                    "pgvector is not enabled in this database, and this role may not do it: let an administrator run CREATE EXTENSION vector; in it",
                ));
            }
            Err(error.into())
        }
    }
}
