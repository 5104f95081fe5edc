//! Opens a store: its file, connections and schema. Refuses another program's file before changing
//! any byte of it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::{SqliteStore, StoreError, convert, fault};
use crate::store::fault::Fault;
use crate::store::migrations;

/// "ffl1", as `migrations/sqlite/0001_results.sql` sets it.
const APPLICATION_ID: i64 = 0x6666_6c31;

/// Pages and summaries are rare. Each reader has its own cache.
const READERS: u32 = 4;
/// 16 MiB: pages are read in their order, and what is read at random is in the memory of the
/// system.
pub(super) const READER_CACHE: &str = "-16384";

/// The file of a store.
pub(super) fn file(url: &str) -> Result<PathBuf, StoreError> {
    let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        None | Some("" | ":memory:") => Err(StoreError::Unusable(format!(
            "'{url}' is not the URL of a SQLite store: use sqlite:<path>"
        ))),
        Some(path) => Ok(path.into()),
    }
}

pub(super) async fn open(url: &str, busy_timeout: Duration) -> Result<SqliteStore, StoreError> {
    let file = file(url)?;
    let name = file.display().to_string();
    create_file(&file)?;
    let options = connect_options(&file, busy_timeout);
    prepare_file(&options, busy_timeout).await.map_err(|fault| fault::at(fault, &name))?;

    // Neither pool may close an idle connection: the caches of the file would be lost.
    let pool = SqlitePoolOptions::new()
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(busy_timeout.saturating_mul(2))
        // When the disk is full, SQLite itself ends a transaction, and sqlx still counts the
        // connection as inside one. Replace it.
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
    let writer = pool.clone().max_connections(1).connect_with(options.clone()).await;
    let writer = writer.map_err(|error| fault::at(error.into(), &name))?;
    let options = options.pragma("query_only", "ON").pragma("cache_size", READER_CACHE);
    let readers = pool.max_connections(READERS).connect_lazy_with(options);
    Ok(SqliteStore { writer, readers, location: name, busy_timeout })
}

/// Creates a missing file with mode 0600, because templates are biometric data. `SQLite` gives its
/// log the same mode.
fn create_file(path: &Path) -> Result<(), StoreError> {
    // When a process closes any descriptor of a file, POSIX drops all its locks on the file. This
    // function closes one, so no other task of this process may have the file open yet: tasks
    // create and find files one at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    if path.is_dir() {
        return Err(StoreError::Unusable(format!(
            "{} is a folder: name a file in it",
            path.display()
        )));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(StoreError::Unusable(format!(
            "{} cannot be created: there is no folder {}; create it first",
            path.display(),
            folder.display()
        )));
    }
    let mut create = std::fs::OpenOptions::new();
    create.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
    match create.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unusable(format!(
            "{} cannot be created ({error}): choose a folder that can be written",
            path.display()
        ))),
    }
}

fn connect_options(file: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(busy_timeout)
        .foreign_keys(true)
        // With a write-ahead log, a power cut may lose the last transactions but never damages the
        // file. The jobs of lost transactions are scanned again.
        .synchronous(SqliteSynchronous::Normal)
        // Overwrite deleted data: it is biometric.
        .pragma("secure_delete", "ON")
        // 64 MiB: enough for the inner pages of the indexes of tens of millions of rows.
        .pragma("cache_size", "-65536")
        .disable_statement_logging()
}

/// Checks the file, switches it to a write-ahead log and migrates its schema.
async fn prepare_file(options: &SqliteConnectOptions, busy_timeout: Duration) -> Result<(), Fault> {
    let mut connection = options.connect().await?;
    let prepared = prepare(&mut connection, busy_timeout).await;
    // Close it also after an error: a descriptor that is closed in the background could outlive the
    // caller's clean-up.
    connection.close().await?;
    prepared
}

async fn prepare(connection: &mut SqliteConnection, busy_timeout: Duration) -> Result<(), Fault> {
    refuse_foreign(connection).await?;
    enter_wal(connection, busy_timeout).await?;
    migrate(connection).await
}

/// Migrates the schema, in one transaction.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), Fault> {
    // Of two processes that open a file at once, the second waits here, then finds the schema of
    // the first.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrations::sqlite().run_direct(None, &mut *transaction, false).await?;
    convert::templates(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn refuse_foreign(connection: &mut SqliteConnection) -> Result<(), Fault> {
    // One snapshot: another process may be creating the schema now.
    let mut snapshot = connection.begin().await?;
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *snapshot).await?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *snapshot).await?;
    snapshot.rollback().await?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    let file: String =
        sqlx::query("PRAGMA database_list").fetch_one(connection).await?.try_get("file")?;
    Err(StoreError::Unusable(format!("{file} is another program's database: choose another file"))
        .into())
}

/// Switches to the write-ahead log. That needs exclusive access to the file, for which `SQLite`'s
/// busy timeout does not wait.
async fn enter_wal(connection: &mut SqliteConnection, busy_timeout: Duration) -> Result<(), Fault> {
    let give_up = Instant::now() + busy_timeout;
    loop {
        match sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL")
            .fetch_one(&mut *connection)
            .await
            .map_err(Fault::from)
        {
            Ok(_) => return Ok(()),
            Err(fault) if fault::is_busy(&fault) && Instant::now() < give_up => {
                sleep(Duration::from_millis(10)).await
            }
            Err(fault) => return Err(fault),
        }
    }
}
