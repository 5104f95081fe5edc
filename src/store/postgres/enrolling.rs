//! The rows of subjects, inside the transaction of a batch.

use super::batch::PostgresTables;
use super::column;
use crate::domain::{JobId, ProfileId};
use crate::store::enrolling::{EnrolledJob, EnrolmentTables, NewEnrolment, NewState, SubjectKey};
use crate::store::fault::Fault;
use crate::store::rows::{
    DecidedRow, EnrolledJobRow, ReferenceRow, SubjectIdRow, corrupt, set_aside,
};

impl EnrolmentTables for PostgresTables<'_> {
    async fn add_subjects(&mut self, names: &[SubjectKey<'_>]) -> Result<(), Fault> {
        let (galleries, names): (Vec<i64>, Vec<&str>) = names.iter().copied().unzip();
        sqlx::query(include_str!("sql/insert_subjects.sql"))
            .bind(galleries)
            .bind(names)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn lock_subjects(
        &mut self,
        names: &[SubjectKey<'_>],
    ) -> Result<Vec<(usize, i64)>, Fault> {
        let (galleries, names): (Vec<i64>, Vec<&str>) = names.iter().copied().unzip();
        let rows: Vec<SubjectIdRow> = sqlx::query_as(include_str!("sql/lock_subjects.sql"))
            .bind(galleries)
            .bind(names)
            .fetch_all(&mut *self.connection)
            .await?;
        rows.into_iter().map(|row| Ok((row.place.try_into().map_err(corrupt)?, row.id))).collect()
    }

    async fn references(
        &mut self,
        subjects: &[i64],
        gallery_profile: i64,
        profile: &ProfileId,
    ) -> Result<Vec<ReferenceRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/references_of_subjects.sql"))
            .bind(subjects)
            .bind(gallery_profile)
            .bind(profile.as_str())
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn enrolled_jobs(&mut self, jobs: &[JobId]) -> Result<Vec<EnrolledJobRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/enrolled_jobs.sql"))
            .bind(column(jobs, |job| job.0))
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn write_jobs(&mut self, rows: &[EnrolledJob]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/insert_enrolled_jobs.sql"))
            .bind(column(rows, |row| row.job.0))
            .bind(column(rows, |row| row.subject))
            .bind(column(rows, |row| row.image))
            .bind(column(rows, |row| row.decision.as_str()))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn decided(&mut self, keys: &[(i64, i64)]) -> Result<Vec<DecidedRow>, Fault> {
        let (subjects, images): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
        Ok(sqlx::query_as(include_str!("sql/decided_enrolments.sql"))
            .bind(subjects)
            .bind(images)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn ruled_out(&mut self, keys: &[(i64, i64)]) -> Result<Vec<(i64, i64)>, Fault> {
        let (subjects, images): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
        Ok(sqlx::query_as(include_str!("sql/ruled_out.sql"))
            .bind(subjects)
            .bind(images)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn write_enrolments(&mut self, rows: &[NewEnrolment<'_>]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/delete_other_enrolments.sql"))
            .bind(column(rows, |row| row.job.0))
            .bind(column(rows, |row| row.image))
            .execute(&mut *self.connection)
            .await?;
        // Postgres has no NUL in texts.
        let reasons = |row: &NewEnrolment<'_>| {
            let text = serde_json::to_string(&row.enrolment.reasons).map_err(corrupt)?;
            Ok(text.replace("\\u0000", "\\ufffd"))
        };
        let reasons: Vec<String> = rows.iter().map(reasons).collect::<Result<_, Fault>>()?;
        sqlx::query(include_str!("sql/insert_enrolments.sql"))
            .bind(column(rows, |row| row.subject))
            .bind(column(rows, |row| row.image))
            .bind(column(rows, |row| row.job.0))
            .bind(column(rows, |row| row.profile.as_str()))
            .bind(column(rows, |row| row.enrolment.decision.as_str()))
            .bind(reasons)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn note_jobs(&mut self, rows: &[((i64, i64), JobId)]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/note_enrolling_jobs.sql"))
            .bind(column(rows, |((subject, _), _)| *subject))
            .bind(column(rows, |((_, image), _)| *image))
            .bind(column(rows, |(_, job)| job.0))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn set_labels(&mut self, labels: &[(i64, &str)]) -> Result<(), Fault> {
        self.update_texts(include_str!("sql/set_subjects.sql"), labels).await
    }

    async fn write_references(&mut self, rows: &[NewState]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/insert_references.sql"))
            .bind(column(rows, |row| row.subject))
            .bind(column(rows, |row| row.image))
            .bind(column(rows, |row| set_aside(row.state)))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}
