//! Subjects as operators see and change them.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::batch::SqliteTables;
use super::reading::find_scope;
use super::{SqliteStore, now_ms};
use crate::domain::{
    EnrolmentDecision, GalleryName, ImageId, OperatorName, ReferenceRules, ReferenceState,
    SubjectChange, SubjectName,
};
use crate::store::enrolling::{EnrolmentTables, NewState, merged};
use crate::store::erasing::erased_names;
use crate::store::fault::Fault;
use crate::store::judging::choose_among;
use crate::store::rows::{EnrolmentRow, StoredReferenceRow, SubjectRow, set_aside};
use crate::store::{
    Renamed, StoreError, StoredSubject, SubjectMerge, SubjectQuery, SubjectSummary, Subjects,
};

#[async_trait]
impl Subjects for SqliteStore {
    async fn subjects(&self, query: &SubjectQuery) -> Result<Vec<SubjectSummary>, StoreError> {
        self.answer(async {
            let rows: Vec<SubjectRow> = sqlx::query_as(include_str!("sql/subjects.sql"))
                .bind(query.gallery.as_str())
                .bind(query.after.as_ref().map_or("", SubjectName::as_str))
                .bind(query.limit)
                .fetch_all(&self.readers)
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
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
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
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let Some(old) = find(&mut transaction, gallery, from).await? else {
                return Ok(Renamed::Unknown);
            };
            let new = find(&mut transaction, gallery, to).await?;
            if from == to {
                return Ok(Renamed::Renamed);
            }
            let mut tables = SqliteTables(&mut transaction);
            if !erased_names(&mut tables, gallery, &[to]).await?.is_empty() {
                return Ok(Renamed::Erased);
            }
            let back = label(&mut transaction, old.id, from, to).await?;
            let renamed = match (new, merge) {
                (None, _) => {
                    sqlx::query("UPDATE subjects SET name = ?2 WHERE id = ?1")
                        .bind(old.id)
                        .bind(to.as_str())
                        .execute(&mut *transaction)
                        .await?;
                    let mut tables = SqliteTables(&mut transaction);
                    choose_among(&mut tables, gallery, rules, &back).await?;
                    let noted = (Some(old.id), None, SubjectChange::Renamed);
                    note(&mut transaction, gallery, noted, by).await?;
                    Renamed::Renamed
                }
                // Dropping the transaction undoes the labels.
                (Some(_), None) => return Ok(Renamed::Taken),
                (Some(new), Some(merge)) => {
                    join(&mut transaction, gallery, [old.id, new.id], merge).await?;
                    let noted = (Some(new.id), None, SubjectChange::Merged);
                    note(&mut transaction, gallery, noted, by).await?;
                    Renamed::Merged
                }
            };
            transaction.commit().await?;
            Ok(renamed)
        })
        .await
    }

    async fn remove_subject(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
        rules: Option<&ReferenceRules>,
        by: &OperatorName,
    ) -> Result<Option<SubjectSummary>, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let Some(row) = find(&mut transaction, gallery, name).await? else { return Ok(None) };
            let judged = unlabel(&mut transaction, row.id, name).await?;
            delete(&mut transaction, row.id).await?;
            let mut tables = SqliteTables(&mut transaction);
            let back = tables.judge_references(&judged).await?;
            choose_among(&mut tables, gallery, rules, &back).await?;
            note(&mut transaction, gallery, (None, None, SubjectChange::Removed), by).await?;
            transaction.commit().await?;
            Ok(Some(row.summary()?))
        })
        .await
    }

    async fn set_reference(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
        image: ImageId,
        state: ReferenceState,
        by: &OperatorName,
    ) -> Result<bool, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let Some(SubjectRow { id, .. }) = find(&mut transaction, gallery, name).await? else {
                return Ok(false);
            };
            let set = sqlx::query(include_str!("sql/set_reference.sql"))
                .bind(id)
                .bind(image.0)
                .bind(set_aside(state))
                .bind(now_ms())
                .execute(&mut *transaction)
                .await?;
            if set.rows_affected() == 0 {
                return Ok(false);
            }
            if let Some(decision) = state.review() {
                review(&mut transaction, (id, name), image, decision).await?;
            }
            let noted = (Some(id), Some(image), state.into());
            note(&mut transaction, gallery, noted, by).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }
}

async fn find(
    connection: &mut SqliteConnection,
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
    connection: &mut SqliteConnection,
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
        .bind(now_ms())
        .fetch_all(connection)
        .await?)
}

/// Takes a subject's label off its images, with the verdicts that gave it to them. The result are
/// the images that verdicts had given to it.
async fn unlabel(
    connection: &mut SqliteConnection,
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
    connection: &mut SqliteConnection,
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
        .bind(now_ms())
        .execute(connection)
        .await?;
    Ok(())
}

/// Decides about an image that was to be reviewed.
async fn review(
    connection: &mut SqliteConnection,
    (subject, name): (i64, &SubjectName),
    image: ImageId,
    decision: EnrolmentDecision,
) -> Result<(), Fault> {
    let reviewed = sqlx::query(include_str!("sql/review_enrolment.sql"))
        .bind(subject)
        .bind(image.0)
        .bind(decision.as_str())
        .bind(now_ms())
        .execute(&mut *connection)
        .await?;
    if reviewed.rows_affected() > 0 && decision == EnrolmentDecision::Accepted {
        SqliteTables(connection).set_labels(&[(image.0, name.as_str())]).await?;
    }
    Ok(())
}

/// Deletes a subject; its references and enrolments go with it.
async fn delete(connection: &mut SqliteConnection, subject: i64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM subjects WHERE id = ?1").bind(subject).execute(connection).await?;
    Ok(())
}

/// Makes the subject `old` a part of `new`.
async fn join(
    connection: &mut SqliteConnection,
    gallery: &GalleryName,
    [old, new]: [i64; 2],
    merge: &SubjectMerge,
) -> Result<(), Fault> {
    // Without any result under the profile, no reference has a template.
    let scope = find_scope(&mut *connection, gallery, &merge.profile).await?.unwrap_or_default();
    let mut tables = SqliteTables(connection);
    let rows = tables.references(&[old, new], scope, &merge.profile).await?;
    let state = |(image, state): (ImageId, _)| NewState { subject: new, image: image.0, state };
    let states: Vec<NewState> = merged(rows, &merge.rules)?.into_iter().map(state).collect();
    tables.write_references(&states).await?;
    for sql in [
        include_str!("sql/delete_overruled_enrolments.sql"),
        include_str!("sql/merge_enrolments.sql"),
        "UPDATE enrolment_jobs SET subject_id = ?2 WHERE subject_id = ?1",
    ] {
        sqlx::query(sql).bind(old).bind(new).execute(&mut *tables.0).await?;
    }
    delete(tables.0, old).await
}
