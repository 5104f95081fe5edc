//! One state of the file, from which many images are read.
//!
//! Reads through `SQLite`'s own library, on a thread that may block: sqlx copies every value into
//! memory of its own and hands each row to another thread, which takes most of the time of an
//! export.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Params, Statement, params, params_from_iter};
use tokio::sync::mpsc;

use super::connect::READER_CACHE;
use super::{SqliteStore, fault, json, now_ms};
use crate::domain::{GalleryName, ImageUri, OutcomeKind, ProfileId};
use crate::store::fault::Fault;
use crate::store::filter::shown;
use crate::store::plan::Scope;
use crate::store::row::DirectRow;
use crate::store::rows::{
    ActiveProfileRow, HistoryRow, ScopeRow, TemplateRow, TemplateStampRow, history, images, parsed,
};
use crate::store::templates::TemplateBatches;
use crate::store::{
    ImageKey, KnownResult, MOST_RESULTS, PageQuery, Searched, Snapshot, StampsOf, StoreError,
    StoredImage, TemplateBatch, TemplateStamp,
};

/// The state of the file when it is first read.
pub(super) struct SqliteSnapshot {
    connection: Arc<Mutex<Connection>>,
    /// The name of the file, for errors.
    location: Arc<str>,
}

/// What went wrong in a read.
enum ReadFault {
    Sqlite(rusqlite::Error),
    Other(Fault),
}

impl From<rusqlite::Error> for ReadFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for ReadFault {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

impl SqliteSnapshot {
    pub(super) async fn open(store: &SqliteStore) -> Result<Self, StoreError> {
        let location: Arc<str> = store.location.as_str().into();
        let (file, wait) = (location.clone(), store.busy_timeout);
        let open = move || {
            // Not read-only: whoever reads a write-ahead log writes to its index.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&*file, flags)?;
            connection.busy_timeout(wait)?;
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", READER_CACHE)?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        let connection = Arc::new(Mutex::new(blocking(open, &location).await?));
        Ok(Self { connection, location })
    }

    /// Runs `read` where it may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = self.connection.clone();
        let read = move || read(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        blocking(read, &self.location).await
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn page(&mut self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        let query = query.clone();
        self.read(move |connection| {
            let Some(scope) = find_scope(connection, &query.gallery, &query.profile)? else {
                return Ok(Vec::new());
            };
            let ids = page_ids(connection, scope, &query)?;
            images_of(connection, ids, query.templates)
        })
        .await
    }

    async fn history(
        &mut self,
        image: &ImageKey,
        gallery: Option<&GalleryName>,
    ) -> Result<Vec<KnownResult>, StoreError> {
        let (image, gallery) = (image.clone(), gallery.cloned());
        self.read(move |connection| {
            let uris = json(uris_of(connection, &image)?);
            let gallery = gallery.as_ref().map(GalleryName::as_str);
            let query = include_str!("sql/history.sql");
            let found: Vec<HistoryRow> =
                rows(connection, query, params![uris, gallery, MOST_RESULTS])?;
            let ids: Vec<i64> = found.iter().map(HistoryRow::id).collect();
            let images = images_of(connection, ids, false)?;
            Ok(history(found, images)?)
        })
        .await
    }

    async fn templates(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        to: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError> {
        let (gallery, profile) = (gallery.clone(), profile.clone());
        self.read(move |connection| match find_scope(connection, &gallery, &profile)? {
            Some(scope) => {
                let count = include_str!("sql/count_templates.sql");
                let count: Vec<i64> = column(connection, count, [scope])?;
                let expected = count.into_iter().next().unwrap_or_default();
                let expected = usize::try_from(expected).unwrap_or_default();
                let query = include_str!("sql/templates.sql");
                send_templates(connection, (query, params![scope]), expected, &to)
            }
            None => Ok(()),
        })
        .await
    }

    async fn template_stamps(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        searched: Searched,
        of: StampsOf<'_>,
    ) -> Result<Vec<TemplateStamp>, StoreError> {
        let (gallery, profile) = (gallery.clone(), profile.clone());
        let (query, value) = match (searched, of) {
            (Searched::Faces, StampsOf::All) => (include_str!("sql/face_stamps.sql"), None),
            (Searched::References, StampsOf::All) => {
                (include_str!("sql/reference_stamps.sql"), None)
            }
            (Searched::Faces, StampsOf::Results(of)) => (
                include_str!("sql/face_stamps_of.sql"),
                Some(Value::Text(json(of.iter().copied()))),
            ),
            (Searched::References, StampsOf::Results(of)) => (
                include_str!("sql/reference_stamps_of.sql"),
                Some(Value::Text(json(of.iter().copied()))),
            ),
            (Searched::Faces, StampsOf::Lately(_)) => return Ok(Vec::new()),
            (Searched::References, StampsOf::Lately(within)) => {
                let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
                let since = now_ms().saturating_sub(within);
                (include_str!("sql/new_reference_stamps.sql"), Some(Value::Integer(since)))
            }
        };
        self.read(move |connection| {
            let Some(scope) = find_scope(connection, &gallery, &profile)? else {
                return Ok(Vec::new());
            };
            let found: Vec<TemplateStampRow> = match value {
                None => rows(connection, query, [scope])?,
                Some(value) => rows(connection, query, params![scope, value])?,
            };
            let stamps: Result<_, Fault> = found.into_iter().map(TemplateStampRow::stamp).collect();
            Ok(stamps?)
        })
        .await
    }

    async fn templates_of(
        &mut self,
        _: &ProfileId,
        cursors: &[i64],
        to: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError> {
        let (expected, results) = (cursors.len(), json(cursors.iter().copied()));
        self.read(move |connection| {
            let query = include_str!("sql/templates_of_results.sql");
            send_templates(connection, (query, params![results]), expected, &to)
        })
        .await
    }

    async fn active_profile(
        &mut self,
        gallery: &GalleryName,
    ) -> Result<Option<ProfileId>, StoreError> {
        let gallery = gallery.clone();
        self.read(move |connection| {
            let query = include_str!("sql/active_profile.sql");
            let active: Vec<ActiveProfileRow> = rows(connection, query, [gallery.as_str()])?;
            let active = active.first().map(|active| parsed(&active.profile_id));
            Ok(active.transpose()?)
        })
        .await
    }

    async fn images(&mut self, cursors: &[i64]) -> Result<Vec<StoredImage>, StoreError> {
        let cursors = cursors.to_vec();
        self.read(move |connection| images_of(connection, cursors, false)).await
    }
}

/// The id of a gallery together with a profile; None if nothing was ever recorded to them.
fn find_scope(
    connection: &Connection,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> rusqlite::Result<Option<i64>> {
    let names = json([serde_json::json!([gallery.as_str(), profile.as_str()])]);
    let scopes: Vec<ScopeRow> = rows(connection, include_str!("sql/find_scopes.sql"), [names])?;
    Ok(scopes.into_iter().next().map(|row| Scope::from(row).gallery_profile))
}

/// Sends the templates that a query finds, about as many as expected.
fn send_templates(
    connection: &Connection,
    (query, parameters): (&str, impl Params),
    expected: usize,
    to: &mpsc::Sender<TemplateBatch>,
) -> Result<(), ReadFault> {
    let mut batches = TemplateBatches::new(expected);
    let mut statement = connection.prepare(query)?;
    let places = places::<TemplateRow>(&statement)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        if let Some(batch) = batches.push(TemplateRow::read(row, &places)?)?
            && to.blocking_send(batch).is_err()
        {
            return Ok(());
        }
    }
    if let Some(batch) = batches.rest() {
        // An error means that nobody wants more.
        to.blocking_send(batch).ok();
    }
    Ok(())
}

/// Runs `read` on a thread that may block, and names the file in its error.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadFault> + Send + 'static,
    location: &str,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(ReadFault::Sqlite(error))) => Err(fault::at_read(&error, location)),
        Ok(Err(ReadFault::Other(fault))) => Err(fault::at(fault, location)),
        Err(error) => Err(StoreError::Unavailable(format!("{location}: {error}"))),
    }
}

/// All rows of a query.
fn rows<T: DirectRow>(
    connection: &Connection,
    query: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare(query)?;
    let places = places::<T>(&statement)?;
    statement.query_map(parameters, |row| T::read(row, &places))?.collect()
}

/// Where the columns of a row are.
fn places<T: DirectRow>(statement: &Statement<'_>) -> rusqlite::Result<Vec<usize>> {
    T::columns().into_iter().map(|column| statement.column_index(column)).collect()
}

/// The only column of a query.
fn column<T: rusqlite::types::FromSql>(
    connection: &Connection,
    query: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(query)?.query_map(parameters, |row| row.get(0))?.collect()
}

/// The images with these results, and their faces.
fn images_of(
    connection: &Connection,
    results: Vec<i64>,
    templates: bool,
) -> Result<Vec<StoredImage>, ReadFault> {
    let results = json(results);
    let faces = match templates {
        true => include_str!("sql/faces_with_templates.sql"),
        false => include_str!("sql/faces.sql"),
    };
    let found = rows(connection, include_str!("sql/images.sql"), [&results])?;
    Ok(images(found, rows(connection, faces, [&results])?)?)
}

/// The URIs of an image; none if its id is unknown.
fn uris_of(connection: &Connection, image: &ImageKey) -> rusqlite::Result<Vec<String>> {
    match image {
        ImageKey::Uris(uris) => with_queries(connection, uris),
        ImageKey::Id(id) => column(connection, "SELECT uri FROM images WHERE id = ?1", [id.0]),
    }
}

/// `uris`, and the stored ones that are shown as they are.
fn with_queries(connection: &Connection, uris: &[ImageUri]) -> rusqlite::Result<Vec<String>> {
    let query = include_str!("sql/uris_with_query.sql");
    let mut found: Vec<String> =
        column(connection, query, params![json(shown(uris)), MOST_RESULTS])?;
    found.extend(uris.iter().map(|uri| uri.as_str().to_owned()));
    Ok(found)
}

/// The results of a page. Each outcome is a range of the index, in the order of pages. Reading the
/// start of each range and merging them finds a few failures among millions of scored images as
/// fast as the scored ones.
fn page_ids(connection: &Connection, scope: i64, query: &PageQuery) -> rusqlite::Result<Vec<i64>> {
    let filter = &query.filter;
    let sql = match &filter.images {
        Some(_) => include_str!("sql/page_ids_of_images.sql"),
        None if filter.is_empty() => include_str!("sql/page_ids.sql"),
        None => include_str!("sql/page_ids_filtered.sql"),
    };
    let mut conditions: Vec<Value> = Vec::new();
    if !filter.is_empty() {
        let (low, high) = filter.quality_bounds();
        conditions.extend([filter.since_ms().into(), low.into(), high.into()]);
    }
    if let Some(images) = &filter.images {
        conditions.push(json(with_queries(connection, images)?).into());
    }
    let mut ids: Vec<i64> = Vec::new();
    for outcome in OutcomeKind::ALL {
        if query.outcomes.is_empty() || query.outcomes.contains(&outcome) {
            let page = [
                Value::from(scope),
                outcome.as_str().to_owned().into(),
                query.after.into(),
                query.limit.into(),
            ];
            let all = page.iter().chain(&conditions);
            ids.extend(column::<i64>(connection, sql, params_from_iter(all))?);
            if query.notes {
                let notes = include_str!("sql/page_ids_of_notes.sql");
                let since = Value::from(filter.since_ms());
                let all = page.iter().chain([&since]);
                ids.extend(column::<i64>(connection, notes, params_from_iter(all))?);
            }
        }
    }
    ids.sort_unstable();
    ids.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
    Ok(ids)
}
