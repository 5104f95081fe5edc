//! The store in one `SQLite` file, for one host: any number of its processes may read and write at
//! the same time.
//!
//! One connection of a process writes, so that its tasks queue in order instead of competing for
//! the lock of the file. Other connections read at the same time (WAL).

mod audit;
mod batch;
mod campaigns;
mod connect;
mod convert;
mod counts;
mod curation;
mod enrolling;
mod enrolments;
mod erasing;
mod erasures;
mod fault;
mod halves;
mod insert;
mod listings;
mod maintenance;
mod missing;
mod profiles;
mod reading;
mod reapplying;
mod remains;
mod remap;
mod rescoring;
mod results;
mod retaining;
mod retention;
mod retirements;
mod schedules;
mod snapshot;
mod sources;
mod subjects;
mod workers;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::SqlitePool;

use super::StoreError;
use super::fault::Fault;

/// How long a writer waits for the transaction of another process. Our transactions take
/// milliseconds; a backup or a `VACUUM` takes longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Results and templates in one `SQLite` file.
pub struct SqliteStore {
    /// One connection.
    writer: SqlitePool,
    readers: SqlitePool,
    /// The name of the file, for errors.
    location: String,
    busy_timeout: Duration,
}

impl SqliteStore {
    /// Opens the store at `url`, `sqlite:<path>`. A missing file is created with access for its
    /// owner alone. An older schema is migrated.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it, if the file cannot be opened, is not a
    /// facefleet database, or comes from a newer version; [`StoreError::Unavailable`] if another
    /// process holds its lock for too long.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, BUSY_TIMEOUT).await
    }

    /// Like [`Self::open`], with another limit on the wait for the transactions of other processes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, busy_timeout: Duration) -> Result<Self, StoreError> {
        connect::open(url, busy_timeout).await
    }

    /// The file of the store at `url`, if it does not exist.
    pub fn missing_file(url: &str) -> Option<PathBuf> {
        connect::file(url).ok().filter(|file| !file.exists())
    }

    /// Names the file of this store in the error of `work`.
    async fn answer<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StoreError> {
        work.await.map_err(|fault| fault::at(fault, &self.location))
    }
}

/// Now, as rows hold it: milliseconds since 1970.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A JSON array for `json_each`.
fn json<T: Into<serde_json::Value>>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(Into::into).collect::<serde_json::Value>().to_string()
}
