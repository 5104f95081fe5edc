//! The rows of a batch, inside the transaction that holds the write lock of the file.

use std::collections::{BTreeMap, HashMap};

use sqlx::SqliteConnection;

use super::{counts, insert, json, now_ms};
use crate::domain::{CampaignId, End, OutcomeKind};
use crate::store::batch::{BatchTables, ScopeName};
use crate::store::counts::{Change, Counted, JobToCount};
use crate::store::enrolling::EnrolmentTables;
use crate::store::fault::Fault;
use crate::store::plan::{Item, NeededIds, NewIds, Plan, Scope, StoredVersion};
use crate::store::row::row;
use crate::store::rows::{EndRow, ScopeRow, VersionRow, ends, versions};

/// The tables as the transaction of a batch sees them.
pub(super) struct SqliteTables<'t>(pub(super) &'t mut SqliteConnection);

row! {
    /// The ids given to the latest rows.
    struct LastIds {
        image_id: i64,
        result_id: i64,
    }
}

impl BatchTables for SqliteTables<'_> {
    async fn find_scopes(&mut self, names: &[ScopeName<'_>]) -> Result<Vec<Scope>, Fault> {
        let rows: Vec<ScopeRow> = sqlx::query_as(include_str!("sql/find_scopes.sql"))
            .bind(scope_list(names))
            .fetch_all(&mut *self.0)
            .await?;
        Ok(rows.into_iter().map(Scope::from).collect())
    }

    async fn unknown_profile(&mut self, names: &[ScopeName<'_>]) -> Result<Option<String>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/unknown_profile.sql"))
            .bind(scope_list(names))
            .fetch_optional(&mut *self.0)
            .await?)
    }

    async fn add_scopes(&mut self, names: &[ScopeName<'_>]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/insert_galleries.sql"))
            .bind(scope_list(names))
            .bind(now_ms())
            .execute(&mut *self.0)
            .await?;
        sqlx::query(include_str!("sql/insert_gallery_profiles.sql"))
            .bind(scope_list(names))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// The transaction holds the write lock of the file.
    async fn lock(&mut self, _: &[Item<'_>]) -> Result<(), Fault> {
        Ok(())
    }

    async fn versions(&mut self, items: &[Item<'_>]) -> Result<Vec<Vec<StoredVersion>>, Fault> {
        let keys = items
            .iter()
            .map(|item| serde_json::json!([item.scope.gallery, item.record.job.image.as_str()]));
        let rows: Vec<VersionRow> = sqlx::query_as(include_str!("sql/versions.sql"))
            .bind(json(keys))
            .fetch_all(&mut *self.0)
            .await?;
        versions(items, rows)
    }

    /// No other connection writes meanwhile, so the ids can be given out before the rows exist.
    async fn new_ids(&mut self, needed: NeededIds) -> Result<NewIds, Fault> {
        let last: LastIds =
            sqlx::query_as(include_str!("sql/last_ids.sql")).fetch_one(&mut *self.0).await?;
        let after = |last: i64, count: i64| (last + 1..=last + count).collect::<Vec<_>>();
        Ok(NewIds {
            images: after(last.image_id, needed.images).into_iter(),
            results: after(last.result_id, needed.results).into_iter(),
        })
    }

    async fn write(&mut self, plan: &Plan<'_>) -> Result<(), Fault> {
        self.set_superseded(&plan.supersede, true).await?;
        self.set_superseded(&plan.revive, false).await?;
        let clear: Vec<i64> = plan.clear.iter().map(|(result, _)| *result).collect();
        self.update(include_str!("sql/delete_faces.sql"), &clear).await?;
        self.update(include_str!("sql/end_notes.sql"), &plan.end_notes).await?;
        self.update_texts(include_str!("sql/set_stamps.sql"), &plan.stamps).await?;
        self.set_labels(&plan.subjects).await?;
        insert::images(self.0, &plan.new).await?;
        insert::results(self.0, &plan.new, now_ms()).await?;
        insert::faces(self.0, &plan.new).await?;
        self.set_superseded(&plan.past, true).await
    }

    async fn ends(&mut self, results: &[i64]) -> Result<HashMap<i64, End>, Fault> {
        let rows: Vec<EndRow> = sqlx::query_as(include_str!("sql/ends.sql"))
            .bind(json(results.iter().copied()))
            .fetch_all(&mut *self.0)
            .await?;
        ends(rows)
    }

    async fn touch(&mut self, gallery_profiles: &[i64]) -> Result<(), Fault> {
        self.update(include_str!("sql/touch.sql"), gallery_profiles).await
    }

    async fn count_jobs(&mut self, jobs: &[JobToCount]) -> Result<Vec<Counted>, Fault> {
        counts::count_jobs(self.0, jobs).await
    }

    async fn move_jobs(&mut self, jobs: &[JobToCount]) -> Result<Vec<Counted>, Fault> {
        counts::move_jobs(self.0, jobs).await
    }

    async fn add_counts(
        &mut self,
        changes: &BTreeMap<(CampaignId, OutcomeKind), Change>,
    ) -> Result<(), Fault> {
        counts::add(self.0, changes).await
    }
}

impl SqliteTables<'_> {
    pub(super) async fn set_superseded(
        &mut self,
        results: &[i64],
        superseded: bool,
    ) -> Result<(), Fault> {
        if results.is_empty() {
            return Ok(());
        }
        for update in [
            include_str!("sql/set_superseded_results.sql"),
            include_str!("sql/set_superseded_faces.sql"),
        ] {
            sqlx::query(update)
                .bind(json(results.iter().copied()))
                .bind(superseded)
                .execute(&mut *self.0)
                .await?;
        }
        Ok(())
    }

    /// Updates or deletes the rows with these ids.
    pub(super) async fn update(&mut self, sql: &'static str, ids: &[i64]) -> Result<(), Fault> {
        if !ids.is_empty() {
            sqlx::query(sql).bind(json(ids.iter().copied())).execute(&mut *self.0).await?;
        }
        Ok(())
    }

    /// Sets a text of each of these rows.
    pub(super) async fn update_texts(
        &mut self,
        sql: &'static str,
        texts: &[(i64, &str)],
    ) -> Result<(), Fault> {
        if !texts.is_empty() {
            let pairs = texts.iter().map(|(id, text)| serde_json::json!([id, text]));
            sqlx::query(sql).bind(json(pairs)).execute(&mut *self.0).await?;
        }
        Ok(())
    }
}

/// A JSON array of pairs.
fn scope_list(names: &[ScopeName<'_>]) -> String {
    json(names.iter().map(|(gallery, profile)| serde_json::json!([gallery, profile])))
}
