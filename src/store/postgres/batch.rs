//! The rows of a batch, inside its transaction.
//!
//! All transactions take locks in the same order: galleries, sources, subjects, images, galleries
//! with their profiles, jobs of campaigns, counts of campaigns, campaigns; in each table by key.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{column, counts, insert, uri_key};
use crate::domain::{CampaignId, End, OutcomeKind};
use crate::store::batch::{BatchTables, ScopeName};
use crate::store::counts::{Change, Counted, JobToCount};
use crate::store::enrolling::EnrolmentTables;
use crate::store::fault::Fault;
use crate::store::plan::{Item, NeededIds, NewIds, Plan, Scope, StoredVersion};
use crate::store::row::row;
use crate::store::rows::{EndRow, ScopeRow, VersionRow, ends, versions};

/// The tables as the transaction of a batch sees them.
pub(super) struct PostgresTables<'t> {
    pub(super) connection: &'t mut PgConnection,
    /// All sources of the batch are new, and no round was written yet: nothing is stored of them.
    all_new: bool,
}

impl<'t> PostgresTables<'t> {
    pub(super) fn new(connection: &'t mut PgConnection) -> Self {
        Self { connection, all_new: false }
    }
}

row! {
    struct NewIdsRow {
        images: Vec<i64>,
        results: Vec<i64>,
    }
}

impl BatchTables for PostgresTables<'_> {
    async fn find_scopes(&mut self, names: &[ScopeName<'_>]) -> Result<Vec<Scope>, Fault> {
        let (galleries, profiles): (Vec<&str>, Vec<&str>) = names.iter().copied().unzip();
        let rows: Vec<ScopeRow> = sqlx::query_as(include_str!("sql/find_scopes.sql"))
            .bind(galleries)
            .bind(profiles)
            .fetch_all(&mut *self.connection)
            .await?;
        Ok(rows.into_iter().map(Scope::from).collect())
    }

    async fn unknown_profile(&mut self, names: &[ScopeName<'_>]) -> Result<Option<String>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/unknown_profile.sql"))
            .bind(column(names, |(_, profile)| *profile))
            .fetch_optional(&mut *self.connection)
            .await?)
    }

    async fn add_scopes(&mut self, names: &[ScopeName<'_>]) -> Result<(), Fault> {
        let (galleries, profiles): (Vec<&str>, Vec<&str>) = names.iter().copied().unzip();
        sqlx::query(include_str!("sql/insert_galleries.sql"))
            .bind(&galleries)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query(include_str!("sql/insert_gallery_profiles.sql"))
            .bind(galleries)
            .bind(profiles)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Locks the batch's sources, new ones by inserting them. The keys are sorted, so that two
    /// batches with the same images never deadlock.
    async fn lock(&mut self, batch: &[Item<'_>]) -> Result<(), Fault> {
        let sources = batch.iter().map(|item| {
            let image = &item.record.job.image;
            ((item.scope.gallery, uri_key(image)), image.as_str())
        });
        let sources: BTreeMap<(i64, Uuid), &str> = sources.collect();
        let (galleries, keys): (Vec<i64>, Vec<Uuid>) = sources.keys().copied().unzip();
        let inserted = sqlx::query(include_str!("sql/insert_sources.sql"))
            .bind(&galleries)
            .bind(&keys)
            .bind(sources.values().copied().collect::<Vec<_>>())
            .execute(&mut *self.connection)
            .await?;
        self.all_new = usize::try_from(inserted.rows_affected()).is_ok_and(|n| n == sources.len());
        if !self.all_new {
            sqlx::query(include_str!("sql/lock_sources.sql"))
                .bind(galleries)
                .bind(keys)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    async fn versions(&mut self, items: &[Item<'_>]) -> Result<Vec<Vec<StoredVersion>>, Fault> {
        if std::mem::take(&mut self.all_new) {
            return versions(items, Vec::new());
        }
        let rows: Vec<VersionRow> = sqlx::query_as(include_str!("sql/versions.sql"))
            .bind(column(items, |item| item.scope.gallery))
            .bind(column(items, |item| uri_key(&item.record.job.image)))
            .fetch_all(&mut *self.connection)
            .await?;
        versions(items, rows)
    }

    async fn new_ids(&mut self, needed: NeededIds) -> Result<NewIds, Fault> {
        let row: NewIdsRow = sqlx::query_as(include_str!("sql/new_ids.sql"))
            .bind(needed.images)
            .bind(needed.results)
            .fetch_one(&mut *self.connection)
            .await?;
        Ok(NewIds { images: row.images.into_iter(), results: row.results.into_iter() })
    }

    async fn write(&mut self, plan: &Plan<'_>) -> Result<(), Fault> {
        self.set_superseded(&plan.supersede, true).await?;
        self.set_superseded(&plan.revive, false).await?;
        self.clear_faces(&plan.clear).await?;
        if !plan.end_notes.is_empty() {
            sqlx::query("UPDATE results SET noted = false WHERE id = ANY ($1::bigint[])")
                .bind(&plan.end_notes)
                .execute(&mut *self.connection)
                .await?;
        }
        self.update_texts(include_str!("sql/set_stamps.sql"), &plan.stamps).await?;
        self.set_labels(&plan.subjects).await?;
        if plan.new.is_empty() {
            return Ok(());
        }
        insert::images(self.connection, &plan.new).await?;
        insert::results(self.connection, &plan.new).await?;
        insert::faces(self.connection, &plan.new).await?;
        self.set_superseded(&plan.past, true).await
    }

    async fn ends(&mut self, results: &[i64]) -> Result<HashMap<i64, End>, Fault> {
        let rows: Vec<EndRow> = sqlx::query_as(include_str!("sql/ends.sql"))
            .bind(results)
            .fetch_all(&mut *self.connection)
            .await?;
        ends(rows)
    }

    async fn touch(&mut self, gallery_profiles: &[i64]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/touch.sql"))
            .bind(gallery_profiles)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn count_jobs(&mut self, jobs: &[JobToCount]) -> Result<Vec<Counted>, Fault> {
        counts::count_jobs(self.connection, jobs).await
    }

    async fn move_jobs(&mut self, jobs: &[JobToCount]) -> Result<Vec<Counted>, Fault> {
        counts::move_jobs(self.connection, jobs).await
    }

    async fn add_counts(
        &mut self,
        changes: &BTreeMap<(CampaignId, OutcomeKind), Change>,
    ) -> Result<(), Fault> {
        counts::add(self.connection, changes).await
    }
}

impl PostgresTables<'_> {
    pub(super) async fn set_superseded(
        &mut self,
        results: &[i64],
        superseded: bool,
    ) -> Result<(), Fault> {
        if results.is_empty() {
            return Ok(());
        }
        for update in [
            "UPDATE results SET superseded = $2 WHERE id = ANY ($1::bigint[])",
            "UPDATE faces SET superseded = $2 WHERE result_id = ANY ($1::bigint[])",
        ] {
            sqlx::query(update)
                .bind(results)
                .bind(superseded)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    /// Deletes the faces and templates of results, which come with their profiles.
    pub(super) async fn clear_faces(&mut self, results: &[(i64, &str)]) -> Result<(), Fault> {
        if results.is_empty() {
            return Ok(());
        }
        let (ids, profiles): (Vec<i64>, Vec<&str>) = results.iter().copied().unzip();
        sqlx::query(include_str!("sql/delete_templates.sql"))
            .bind(&ids)
            .bind(profiles)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query("DELETE FROM faces WHERE result_id = ANY ($1::bigint[])")
            .bind(ids)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Sets a text of each of these rows.
    pub(super) async fn update_texts(
        &mut self,
        sql: &'static str,
        texts: &[(i64, &str)],
    ) -> Result<(), Fault> {
        if !texts.is_empty() {
            let (ids, texts): (Vec<i64>, Vec<&str>) = texts.iter().copied().unzip();
            sqlx::query(sql).bind(ids).bind(texts).execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}
