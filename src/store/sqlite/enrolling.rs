//! The rows of subjects, inside the transaction that holds the write lock of the file.

use super::batch::SqliteTables;
use super::{insert, json, now_ms};
use crate::domain::{JobId, ProfileId};
use crate::store::enrolling::{EnrolledJob, EnrolmentTables, NewEnrolment, NewState, SubjectKey};
use crate::store::fault::Fault;
use crate::store::rows::{
    DecidedRow, EnrolledJobRow, ReferenceRow, SubjectIdRow, corrupt, set_aside,
};

/// A JSON array of pairs.
fn pairs<'a>(names: &[SubjectKey<'a>]) -> String {
    json(names.iter().map(|(gallery, name)| serde_json::json!([gallery, name])))
}

impl EnrolmentTables for SqliteTables<'_> {
    async fn add_subjects(&mut self, names: &[SubjectKey<'_>]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/insert_subjects.sql"))
            .bind(pairs(names))
            .bind(now_ms())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// The transaction holds the write lock of the file.
    async fn lock_subjects(
        &mut self,
        names: &[SubjectKey<'_>],
    ) -> Result<Vec<(usize, i64)>, Fault> {
        let rows: Vec<SubjectIdRow> = sqlx::query_as(include_str!("sql/find_subjects.sql"))
            .bind(pairs(names))
            .fetch_all(&mut *self.0)
            .await?;
        rows.into_iter().map(|row| Ok((row.place.try_into().map_err(corrupt)?, row.id))).collect()
    }

    async fn references(
        &mut self,
        subjects: &[i64],
        gallery_profile: i64,
        _: &ProfileId,
    ) -> Result<Vec<ReferenceRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/references_of_subjects.sql"))
            .bind(json(subjects.iter().copied()))
            .bind(gallery_profile)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn enrolled_jobs(&mut self, jobs: &[JobId]) -> Result<Vec<EnrolledJobRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/enrolled_jobs.sql"))
            .bind(json(jobs.iter().map(|job| job.0.simple().to_string())))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn write_jobs(&mut self, rows: &[EnrolledJob]) -> Result<(), Fault> {
        let sql = include_str!("sql/insert_enrolled_jobs.sql");
        insert::insert(self.0, sql, rows, |mut row, new| {
            row.push_bind(new.job.0)
                .push_bind(new.subject)
                .push_bind(new.image)
                .push_bind(new.decision.as_str());
        })
        .await
    }

    async fn decided(&mut self, keys: &[(i64, i64)]) -> Result<Vec<DecidedRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/decided_enrolments.sql"))
            .bind(json(keys.iter().map(|(subject, image)| vec![*subject, *image])))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn ruled_out(&mut self, keys: &[(i64, i64)]) -> Result<Vec<(i64, i64)>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/ruled_out.sql"))
            .bind(json(keys.iter().map(|(subject, image)| vec![*subject, *image])))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn write_enrolments(&mut self, rows: &[NewEnrolment<'_>]) -> Result<(), Fault> {
        let jobs =
            rows.iter().map(|row| serde_json::json!([row.job.0.simple().to_string(), row.image]));
        sqlx::query(include_str!("sql/delete_other_enrolments.sql"))
            .bind(json(jobs))
            .execute(&mut *self.0)
            .await?;
        let now_ms = now_ms();
        let reasons: Vec<(&NewEnrolment<'_>, String)> = rows
            .iter()
            .map(|row| Ok((row, serde_json::to_string(&row.enrolment.reasons).map_err(corrupt)?)))
            .collect::<Result<_, Fault>>()?;
        let sql = include_str!("sql/insert_enrolments.sql");
        insert::insert(self.0, sql, &reasons, |mut row, (new, reasons)| {
            row.push_bind(new.subject)
                .push_bind(new.image)
                .push_bind(new.job.0)
                .push_bind(new.profile.as_str().to_owned())
                .push_bind(new.enrolment.decision.as_str())
                .push_bind(reasons.clone())
                .push_bind(now_ms);
        })
        .await
    }

    async fn note_jobs(&mut self, rows: &[((i64, i64), JobId)]) -> Result<(), Fault> {
        let rows = rows.iter().map(|((subject, image), job)| {
            serde_json::json!([subject, image, job.0.simple().to_string()])
        });
        sqlx::query(include_str!("sql/note_enrolling_jobs.sql"))
            .bind(json(rows))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn set_labels(&mut self, labels: &[(i64, &str)]) -> Result<(), Fault> {
        self.update_texts(include_str!("sql/set_subjects.sql"), labels).await
    }

    async fn write_references(&mut self, rows: &[NewState]) -> Result<(), Fault> {
        let now_ms = now_ms();
        let sql = include_str!("sql/insert_references.sql");
        insert::insert(self.0, sql, rows, |mut row, new| {
            row.push_bind(new.subject)
                .push_bind(new.image)
                .push_bind(set_aside(new.state))
                .push_bind(now_ms);
        })
        .await
    }
}
