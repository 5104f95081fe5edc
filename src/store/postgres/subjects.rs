//! Subjects as operators see and change them. A change locks the subjects' rows first.

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, Transaction};

use super::batch::PostgresTables;
use super::reading::find_scope;
use super::results::{READ_COMMITTED, tried};
use super::{PostgresStore, READ, WRITE};
use crate::domain::{
    EnrolmentDecision, GalleryName, ImageId, OperatorName, ReferenceRules, ReferenceState,
    SubjectChange, SubjectName,
};
use crate::store::enrolling::{EnrolmentTables, NewState, merged};
use crate::store::erasing::{TombstoneTables, erased_names};
use crate::store::fault::Fault;
use crate::store::judging::choose_among;
use crate::store::rows::{EnrolmentRow, StoredReferenceRow, SubjectRow, set_aside};
use crate::store::{
    Renamed, StoreError, StoredSubject, SubjectMerge, SubjectQuery, SubjectSummary, Subjects,
};

#[async_trait]
impl Subjects for PostgresStore {
    async fn subjects(&self, query: &SubjectQuery) -> Result<Vec<SubjectSummary>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<SubjectRow> = sqlx::query_as(include_str!("sql/subjects.sql"))
                .bind(query.gallery.as_str())
                .bind(query.after.as_ref().map_or("", SubjectName::as_str))
                .bind(i64::from(query.limit))
                .fetch_all(&self.pool)
                .await?;
            rows.into_iter().map(SubjectRow::summary).collect()
        })
        .await
    }

    async fn subject(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
    ) -> Result<Option<StoredSubject>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let Some(row) = find(&mut snapshot, gallery, name).await? else { return Ok(None) };
            let references: Vec<StoredReferenceRow> =
                sqlx::query_as(include_str!("sql/stored_references.sql"))
                    .bind(row.id)
                    .fetch_all(&mut *snapshot)
                    .await?;
            let enrolments: Vec<EnrolmentRow> =
                sqlx::query_as(include_str!("sql/enrolments_of_subject.sql"))
                    .bind(row.id)
                    .fetch_all(&mut *snapshot)
                    .await?;
            row.subject(references, enrolments).map(Some)
        })
        .await
    }

    async fn rename_subject(
        &self,
        gallery: &GalleryName,
        from: &SubjectName,
        to: &SubjectName,
        merge: Option<&SubjectMerge>,
        rules: Option<&ReferenceRules>,
        by: &OperatorName,
    ) -> Result<Renamed, StoreError> {
        let rename = || self.try_rename(gallery, (from, to), (merge, rules), by);
        self.answer(WRITE, tried(rename)).await
    }

    async fn remove_subject(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
        rules: Option<&ReferenceRules>,
        by: &OperatorName,
    ) -> Result<Option<SubjectSummary>, StoreError> {
        let remove = || async {
            let mut transaction = self.begin_change().await?;
            if locked(&mut transaction, gallery, &[name]).await?.is_empty() {
                return Ok(None);
            }
            let Some(row) = find(&mut transaction, gallery, name).await? else { return Ok(None) };
            let judged = unlabel(&mut transaction, row.id, name).await?;
            delete(&mut transaction, row.id).await?;
            let mut tables = PostgresTables::new(&mut transaction);
            let back = tables.judge_references(&judged).await?;
            choose_among(&mut tables, gallery, rules, &back).await?;
            note(&mut transaction, gallery, (None, None, SubjectChange::Removed), by).await?;
            transaction.commit().await?;
            Ok(Some(row.summary()?))
        };
        self.answer(WRITE, tried(remove)).await
    }

    async fn set_reference(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
        image: ImageId,
        state: ReferenceState,
        by: &OperatorName,
    ) -> Result<bool, StoreError> {
        let set = || async {
            let mut transaction = self.begin_change().await?;
            let Some((_, subject)) = locked(&mut transaction, gallery, &[name]).await?.pop() else {
                return Ok(false);
            };
            let set = sqlx::query(include_str!("sql/set_reference.sql"))
                .bind(subject)
                .bind(image.0)
                .bind(set_aside(state))
                .execute(&mut *transaction)
                .await?;
            if set.rows_affected() == 0 {
                return Ok(false);
            }
            if let Some(decision) = state.review() {
                review(&mut transaction, (subject, name), image, decision).await?;
            }
            let noted = (Some(subject), Some(image), state.into());
            note(&mut transaction, gallery, noted, by).await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.answer(WRITE, tried(set)).await
    }
}

impl PostgresStore {
    /// Begins a change. It waits for an erasure that is under way before it locks any row: the
    /// erasure would wait for that row in turn.
    async fn begin_change(&self) -> Result<Transaction<'static, Postgres>, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        PostgresTables::new(&mut transaction).hold_off_erasures().await?;
        Ok(transaction)
    }

    async fn try_rename(
        &self,
        gallery: &GalleryName,
        (from, to): (&SubjectName, &SubjectName),
        (merge, rules): (Option<&SubjectMerge>, Option<&ReferenceRules>),
        by: &OperatorName,
    ) -> Result<Renamed, Fault> {
        let mut transaction = self.begin_change().await?;
        let found = locked(&mut transaction, gallery, &[from, to]).await?;
        let id = |place: usize| found.iter().find(|(of, _)| *of == place).map(|(_, id)| *id);
        let Some(old) = id(0) else { return Ok(Renamed::Unknown) };
        if from == to {
            return Ok(Renamed::Renamed);
        }
        let mut tables = PostgresTables::new(&mut transaction);
        if !erased_names(&mut tables, gallery, &[to]).await?.is_empty() {
            return Ok(Renamed::Erased);
        }
        let new = id(1);
        if new.is_some() && merge.is_none() {
            return Ok(Renamed::Taken);
        }
        let back = label(&mut transaction, old, from, to).await?;
        let renamed = match new.zip(merge) {
            None => {
                // A subject of that name that was added meanwhile is a race: it is tried again.
                sqlx::query("UPDATE subjects SET name = $2 WHERE id = $1")
                    .bind(old)
                    .bind(to.as_str())
                    .execute(&mut *transaction)
                    .await?;
                let mut tables = PostgresTables::new(&mut transaction);
                choose_among(&mut tables, gallery, rules, &back).await?;
                let noted = (Some(old), None, SubjectChange::Renamed);
                note(&mut transaction, gallery, noted, by).await?;
                Renamed::Renamed
            }
            Some((new, merge)) => {
                join(&mut transaction, gallery, [old, new], merge).await?;
                let noted = (Some(new), None, SubjectChange::Merged);
                note(&mut transaction, gallery, noted, by).await?;
                Renamed::Merged
            }
        };
        transaction.commit().await?;
        Ok(renamed)
    }
}

/// The places and ids of those of these subjects that exist, with their rows locked.
async fn locked(
    connection: &mut PgConnection,
    gallery: &GalleryName,
    names: &[&SubjectName],
) -> Result<Vec<(usize, i64)>, Fault> {
    let id: Option<i64> = sqlx::query_scalar("SELECT id FROM galleries WHERE name = $1")
        .bind(gallery.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(id) = id else { return Ok(Vec::new()) };
    let keys: Vec<(i64, &str)> = names.iter().map(|name| (id, name.as_str())).collect();
    PostgresTables::new(connection).lock_subjects(&keys).await
}

async fn find(
    connection: &mut PgConnection,
    gallery: &GalleryName,
    name: &SubjectName,
) -> Result<Option<SubjectRow>, Fault> {
    Ok(sqlx::query_as(include_str!("sql/subject.sql"))
        .bind(gallery.as_str())
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?)
}

/// Gives the images that were enrolled for a subject, or given to it by verdicts, another label,
/// and these verdicts the other name. The subjects and images of references that count again.
async fn label(
    connection: &mut PgConnection,
    subject: i64,
    from: &SubjectName,
    to: &SubjectName,
) -> Result<Vec<(i64, i64)>, Fault> {
    for sql in [
        include_str!("sql/label_images.sql"),
        include_str!("sql/rename_verdicts.sql"),
        include_str!("sql/relabel_by_verdict.sql"),
    ] {
        sqlx::query(sql)
            .bind(subject)
            .bind(from.as_str())
            .bind(to.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(sqlx::query_as(include_str!("sql/restore_references.sql"))
        .bind(subject)
        .bind(to.as_str())
        .fetch_all(connection)
        .await?)
}

/// Takes a subject's label off its images, with the verdicts that gave it to them. The result are
/// the images that verdicts had given to it.
async fn unlabel(
    connection: &mut PgConnection,
    subject: i64,
    name: &SubjectName,
) -> Result<Vec<i64>, Fault> {
    sqlx::query(include_str!("sql/unlabel_images.sql"))
        .bind(subject)
        .bind(name.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query(include_str!("sql/delete_verdicts_for.sql"))
        .bind(subject)
        .bind(name.as_str())
        .execute(&mut *connection)
        .await?;
    Ok(sqlx::query_scalar(include_str!("sql/take_back_label.sql"))
        .bind(subject)
        .bind(name.as_str())
        .fetch_all(connection)
        .await?)
}

/// Notes a change of a subject, or of its reference of an image, for the audit.
async fn note(
    connection: &mut PgConnection,
    gallery: &GalleryName,
    (subject, image, change): (Option<i64>, Option<ImageId>, SubjectChange),
    by: &OperatorName,
) -> Result<(), Fault> {
    sqlx::query(include_str!("sql/insert_subject_change.sql"))
        .bind(gallery.as_str())
        .bind(subject)
        .bind(image.map(|image| image.0))
        .bind(<&str>::from(change))
        .bind(by.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Decides about an image that was to be reviewed.
async fn review(
    connection: &mut PgConnection,
    (subject, name): (i64, &SubjectName),
    image: ImageId,
    decision: EnrolmentDecision,
) -> Result<(), Fault> {
    let reviewed = sqlx::query(include_str!("sql/review_enrolment.sql"))
        .bind(subject)
        .bind(image.0)
        .bind(decision.as_str())
        .execute(&mut *connection)
        .await?;
    if reviewed.rows_affected() > 0 && decision == EnrolmentDecision::Accepted {
        PostgresTables::new(connection).set_labels(&[(image.0, name.as_str())]).await?;
    }
    Ok(())
}

/// Deletes a subject; its references and enrolments go with it.
async fn delete(connection: &mut PgConnection, subject: i64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM subjects WHERE id = $1").bind(subject).execute(connection).await?;
    Ok(())
}

/// Makes the subject `old` a part of `new`.
async fn join(
    connection: &mut PgConnection,
    gallery: &GalleryName,
    [old, new]: [i64; 2],
    merge: &SubjectMerge,
) -> Result<(), Fault> {
    // Without any result under the profile, no reference has a template.
    let scope = find_scope(&mut *connection, gallery, &merge.profile).await?.unwrap_or_default();
    let mut tables = PostgresTables::new(&mut *connection);
    let rows = tables.references(&[old, new], scope, &merge.profile).await?;
    let state = |(image, state): (ImageId, _)| NewState { subject: new, image: image.0, state };
    let states: Vec<NewState> = merged(rows, &merge.rules)?.into_iter().map(state).collect();
    tables.write_references(&states).await?;
    for sql in [
        include_str!("sql/delete_overruled_enrolments.sql"),
        include_str!("sql/merge_enrolments.sql"),
        "UPDATE enrolment_jobs SET subject_id = $2 WHERE subject_id = $1",
    ] {
        sqlx::query(sql).bind(old).bind(new).execute(&mut *connection).await?;
    }
    delete(connection, old).await
}
