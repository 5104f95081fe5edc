//! Store and queue by the URLs of the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::timeout;

use super::App;
use crate::queue::JobQueue;
use crate::queue::memory::MemoryQueue;
use crate::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Maintenance, SearchedFiles, Store};

/// The longest that closing queue and store may take.
const MOST_CLOSING: Duration = Duration::from_secs(5);
/// Of that, the time kept for the process to exit.
const EXITING: Duration = Duration::from_secs(1);
/// A broker isolates a suspected poison job at its third attempt.
const LEAST_ATTEMPTS: u32 = 3;

impl App {
    /// The store that the settings name.
    ///
    /// # Errors
    /// If the kind of its URL is unknown, or it cannot be opened.
    pub async fn store(&self) -> Result<Arc<dyn Store>> {
        let url = self.settings.store.url.expose();
        match self.settings.store.url.scheme() {
            "sqlite" => Ok(Arc::new(SqliteStore::open(url).await?)),
            "postgres" | "postgresql" => {
                Ok(Arc::new(PostgresStore::open(url, self.settings.store.connections).await?))
            }
            _ => bail!("store.url: unknown kind of URL; use sqlite:FILE or postgres://…"),
        }
    }

    /// The same for a command that only reads what others recorded: a missing file is an error, and
    /// is not created.
    ///
    /// # Errors
    /// As [`Self::store`], and if its file is missing.
    pub async fn filled_store(&self) -> Result<Arc<dyn Store>> {
        if let Some(missing) = self.missing_store() {
            bail!(
                "the store is empty: there is no {}; fill it with `facefleet scan FOLDER`, or name \
                 another store with --store",
                missing.display()
            );
        }
        self.store().await
    }

    /// The file of the store, if there is none yet: whoever opens the store creates it.
    pub fn missing_store(&self) -> Option<PathBuf> {
        SqliteStore::missing_file(self.settings.store.url.expose())
    }

    /// Tries whether the missing file of the store could be created in its folder and written.
    pub(super) async fn try_creating_store(&self, missing: &Path) -> Result<()> {
        let folder = missing.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let trial = tempfile::Builder::new().prefix(".facefleet-").tempdir_in(folder);
        let trial = trial.with_context(|| {
            format!("{} cannot be created: choose a folder that can be written", missing.display())
        })?;
        let url = format!("sqlite:{}", trial.path().join("trial.db").display());
        let store = SqliteStore::open(&url).await?;
        store.try_writing().await?;
        store.close().await;
        Ok(())
    }

    /// Brings the store's schema up to date; returns how many profiles' templates got an index.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub async fn migrate(&self) -> Result<u32> {
        let url = self.settings.store.url.expose();
        match self.settings.store.url.scheme() {
            "postgres" | "postgresql" => Ok(PostgresStore::migrate(url).await?),
            // Opening migrates.
            _ => self.store().await.map(|_| 0),
        }
    }

    /// The folder of a store that is a file.
    pub fn store_folder(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.settings.store.url.expose().strip_prefix("sqlite:")?);
        let folder = std::path::absolute(path).ok()?.parent()?.to_owned();
        folder.is_dir().then_some(folder)
    }

    /// Searches the files of the store for a text. No store of this process may be open.
    ///
    /// # Errors
    /// If they cannot be read: on Postgres, that is a right of its own.
    pub async fn search_store_files(&self, text: &str) -> Result<Vec<SearchedFiles>> {
        let url = self.settings.store.url.expose();
        match self.settings.store.url.scheme() {
            "sqlite" => Ok(SqliteStore::search_files(url, text)?),
            _ => Ok(PostgresStore::open(url, 1).await?.search_files(text).await?),
        }
    }

    /// The queue that the settings name.
    ///
    /// # Errors
    /// If the kind of its URL is unknown, or the broker cannot be reached or used.
    pub async fn queue(&self) -> Result<Arc<dyn JobQueue>> {
        match self.settings.queue.url.scheme() {
            "memory" => Ok(self.local_queue()),
            "amqp" | "amqps" => Ok(Arc::new(self.broker().await?)),
            _ => bail!(
                "queue.url: unknown kind of URL; use memory: or amqp://user:password@host/vhost"
            ),
        }
    }

    /// The queue that the settings name, if other processes share it.
    ///
    /// # Errors
    /// As [`Self::queue`].
    pub async fn shared_queue(&self) -> Result<Option<Arc<dyn JobQueue>>> {
        if self.is_embedded() { Ok(None) } else { self.queue().await.map(Some) }
    }

    /// A queue inside this process.
    pub(super) fn local_queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(MemoryQueue::new(self.settings.queue.capacity))
    }

    async fn broker(&self) -> Result<RabbitQueue> {
        let queue = &self.settings.queue;
        let (attempts, limit) = (self.settings.worker.attempts, queue.delivery_limit);
        if !(LEAST_ATTEMPTS..limit).contains(&attempts) {
            bail!(
                "worker.attempts must be at least {LEAST_ATTEMPTS} and below queue.delivery_limit: \
                    worker.attempts is {attempts}, queue.delivery_limit is {limit}. With fewer \
                    attempts, a poison job is not isolated in time; with a lower limit, the broker \
                    dead-letters a job before it has an outcome"
            );
        }
        let settings = RabbitSettings {
            url: queue.url.secret(),
            prefix: queue.prefix.clone(),
            delivery_limit: queue.delivery_limit,
            ca_file: queue.ca_file.as_ref().map(|path| self.settings.below_home(path)),
        };
        Ok(RabbitQueue::connect(&settings).await?)
    }

    /// Whether the queue is inside this process: the process that lists images then works on them
    /// too.
    pub fn is_embedded(&self) -> bool {
        self.settings.queue.url.scheme() == "memory"
    }

    /// The part of `worker.drain_seconds` in which queue and store are closed, after the drain.
    pub(super) fn closing(&self) -> Duration {
        (Duration::from_secs(self.settings.worker.drain_seconds) / 4).min(MOST_CLOSING)
    }

    /// Closes the queue and the store of a worker that has drained, in the time that is left.
    pub async fn close(&self, queue: &dyn JobQueue, store: &dyn Store) {
        let closing = async {
            queue.close().await;
            store.close().await;
        };
        if timeout(self.closing().saturating_sub(EXITING), closing).await.is_err() {
            tracing::warn!(
                "queue and store could not be closed in time; prefetched jobs are delivered again"
            );
        }
    }
}
