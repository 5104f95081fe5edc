//! The store in Postgres with pgvector, for a fleet: any number of workers on any number of hosts
//! write to it at the same time.
//!
//! A transaction that records a batch locks the rows of its images' sources, in the order of their
//! keys. Two workers with the same image go one after the other; all others go in parallel.

mod audit;
mod batch;
mod campaigns;
mod connect;
mod counts;
mod curation;
mod enrolling;
mod enrolments;
mod erasing;
mod erasures;
mod fault;
mod halves;
mod index;
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
mod rights;
mod schedules;
mod sources;
mod subjects;
mod workers;

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::timeout;
use uuid::Uuid;

use super::StoreError;
use super::fault::Fault;
use crate::domain::ImageUri;

// How long an answer may take before the server counts as unreachable. A network that drops packets
// closes no connection.

/// For a trial of rights.
const TRIAL: Duration = Duration::from_secs(5);
/// For what workers wait for.
const WRITE: Duration = Duration::from_secs(60);
/// For what reads a whole gallery: a little longer than a statement may take.
const READ: Duration = Duration::from_secs(130);

/// Results and templates in a Postgres database.
pub struct PostgresStore {
    pool: PgPool,
    /// The server and database, for errors.
    location: String,
}

impl PostgresStore {
    /// Opens the store at `url` (`postgres://user:password@host/database`, with parameters of libpq
    /// such as `sslmode`), with at most `connections`. Migrates an empty or older schema if the
    /// role has the right to.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it: a wrong URL or password, a server without
    /// pgvector, a schema that another role must migrate or that comes from a newer version;
    /// [`StoreError::Unavailable`] if the server does not answer.
    pub async fn open(url: &str, connections: u32) -> Result<Self, StoreError> {
        connect::open(url, connections).await
    }

    /// Migrates the schema, and builds the missing indexes of templates, one a profile, while
    /// others record. Returns how many indexes it built. For the role that owns the schema.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn migrate(url: &str) -> Result<u32, StoreError> {
        connect::migrate(url).await
    }

    /// Waits at most `limit` for `work`, and names this store in its error.
    fn answer<'a, T>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, Fault>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let answer = timeout(limit, work);
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map_err(|fault| fault::at(fault, &self.location)),
                Err(_) => Err(StoreError::Unavailable(format!(
                    "{} did not answer within {} s",
                    self.location,
                    limit.as_secs()
                ))),
            }
        })
    }

    /// A transaction that reads one state of the database.
    async fn begin_snapshot(&self) -> Result<Transaction<'static, Postgres>, Fault> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
    }
}

/// The key of a source in its gallery: 128 bits of the hash of its URI.
fn uri_key(uri: &ImageUri) -> Uuid {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(uri.as_str().as_bytes()).as_bytes()[..16]);
    Uuid::from_bytes(key)
}

/// A column of `rows`.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
