//! From a URL to an open store: the file, its mode, its connections, its schema. Refuses files that
//! are not ours before it changes a byte of them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::fault;
use super::{SqliteStore, StoreError};
use crate::store::fault::Fault;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// "ffl1", as `migrations/sqlite/0001_results.sql` sets it.
const APPLICATION_ID: i64 = 0x6666_6c31;

/// Pages and summaries are few; more readers would only push each other's pages out of the cache.
const READERS: u32 = 4;

/// Where a store is.
#[derive(Debug, Clone, PartialEq)]
enum FileLocation {
    Memory,
    File(PathBuf),
}

impl FileLocation {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let unusable = || {
            StoreError::Unusable(format!(
                "'{url}' is no URL of a SQLite store: use sqlite:<path> or sqlite::memory:"
            ))
        };
        let rest = url.strip_prefix("sqlite:").ok_or_else(unusable)?;
        match rest.strip_prefix("//").unwrap_or(rest) {
            "" => Err(unusable()),
            ":memory:" => Ok(Self::Memory),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Memory => "the store in memory".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

pub(super) async fn open(url: &str, busy_timeout: Duration) -> Result<SqliteStore, StoreError> {
    let place = FileLocation::parse(url)?;
    let name = place.name();
    if let FileLocation::File(path) = &place {
        create_file(path)?;
    }
    let options = connect_options(&place, busy_timeout);
    let prepared = match &place {
        FileLocation::Memory => Ok(()),
        FileLocation::File(_) => prepare_file(&options, busy_timeout).await,
    };
    prepared.map_err(|fault| fault::at(fault, &name))?;

    // Neither pool may close an idle connection: the store in memory would be gone, and a file's
    // caches cold.
    let pool = SqlitePoolOptions::new()
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(busy_timeout.saturating_mul(2));
    // When the disk is full, SQLite itself ends a transaction, and the connection goes on thinking
    // that it is in one. A file's can be replaced; that of a store in memory is the store, and has
    // no disk.
    let pool = match &place {
        FileLocation::Memory => pool,
        FileLocation::File(_) => pool.before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        }),
    };
    let writer = pool.clone().max_connections(1).connect_with(options.clone()).await;
    let writer = writer.map_err(|error| fault::at(error.into(), &name))?;
    let readers = match &place {
        FileLocation::Memory => {
            MIGRATIONS.run(&writer).await.map_err(|error| fault::at(error.into(), &name))?;
            writer.clone()
        }
        FileLocation::File(_) => {
            pool.max_connections(READERS).connect_lazy_with(options.pragma("query_only", "ON"))
        }
    };
    Ok(SqliteStore { writer, readers, place: name })
}

/// Creates a missing file with mode 0600, which `SQLite` copies to the log beside it: templates are
/// biometric data.
fn create_file(path: &Path) -> Result<(), StoreError> {
    // POSIX drops all locks of a process on a file when it closes any descriptor of it. Here, one
    // is closed: no other task of this process may have the file open yet, so they create and find
    // files one at a time.
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

fn connect_options(place: &FileLocation, busy_timeout: Duration) -> SqliteConnectOptions {
    let options = match place {
        FileLocation::Memory => SqliteConnectOptions::new().filename(":memory:"),
        FileLocation::File(path) => SqliteConnectOptions::new().filename(path),
    };
    options
        .busy_timeout(busy_timeout)
        .foreign_keys(true)
        // With a write-ahead log, a power cut may cost the last transactions and never the file.
        // Their jobs are scanned again.
        .synchronous(SqliteSynchronous::Normal)
        // What is deleted is biometric data: overwrite it.
        .pragma("secure_delete", "ON")
        // Kibibytes: the inner pages of the indexes of tens of millions of rows.
        .pragma("cache_size", "-65536")
        .disable_statement_logging()
}

/// Checks the file, switches it to a write-ahead log and brings its schema up to date.
async fn prepare_file(options: &SqliteConnectOptions, busy_timeout: Duration) -> Result<(), Fault> {
    let mut connection = options.connect().await?;
    let prepared = prepare(&mut connection, busy_timeout).await;
    // Closed also after a failure: a descriptor left to the background could outlive the caller's
    // clean-up.
    connection.close().await?;
    prepared
}

async fn prepare(connection: &mut SqliteConnection, busy_timeout: Duration) -> Result<(), Fault> {
    refuse_foreign(connection).await?;
    enter_wal(connection, busy_timeout).await?;
    // Two processes may open a new file at once: the second waits here, then finds the schema of
    // the first.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

async fn refuse_foreign(connection: &mut SqliteConnection) -> Result<(), Fault> {
    // One snapshot: another process may be putting the schema in between.
    let mut snapshot = connection.begin().await?;
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *snapshot).await?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *snapshot).await?;
    snapshot.rollback().await?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    let file: String =
        sqlx::query("PRAGMA database_list").fetch_one(connection).await?.try_get(2)?;
    Err(StoreError::Unusable(format!("{file} is another program's database: choose another file"))
        .into())
}

/// Switching to the write-ahead log needs the file for oneself, and `SQLite`'s own waiting does not
/// cover that.
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
