//! Enrolments and references.

use async_trait::async_trait;
use pgvector::HalfVector;
use uuid::Uuid;

use super::{PostgresStore, READ, WRITE, column, uri_key};
use crate::domain::{CampaignId, GalleryName, ImageId, LabelledImage, ProfileId, SubjectName};
use crate::store::halves::Halves;
use crate::store::rows::{
    EnrolmentCountsRow, EnrolmentRow, LookAlikeRow, ReferenceTemplateRow, look_alikes,
    reference_templates,
};
use crate::store::summary::flags;
use crate::store::{
    EnrolmentCounts, Enrolments, LookAlike, LookAlikeProbe, ReferenceTemplate, ReviewQuery,
    StoreError, StoredEnrolment,
};

#[async_trait]
impl Enrolments for PostgresStore {
    async fn reference_templates(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        subject: Option<&SubjectName>,
    ) -> Result<Vec<ReferenceTemplate>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<ReferenceTemplateRow> =
                sqlx::query_as(include_str!("sql/reference_templates.sql"))
                    .bind(gallery.as_str())
                    .bind(profile.as_str())
                    .bind(subject.map(SubjectName::as_str))
                    .fetch_all(&self.pool)
                    .await?;
            reference_templates(rows)
        })
        .await
    }

    async fn look_alikes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        probes: &[LookAlikeProbe],
    ) -> Result<Vec<Option<LookAlike>>, StoreError> {
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let vector = |probe: &LookAlikeProbe| HalfVector::from(Halves::from(&probe.template));
        self.answer(WRITE, async {
            let rows: Vec<LookAlikeRow> = sqlx::query_as(include_str!("sql/look_alikes.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(column(probes, |probe| probe.subject.as_str()))
                .bind(column(probes, vector))
                .fetch_all(&self.pool)
                .await?;
            look_alikes(probes.len(), rows)
        })
        .await
    }

    async fn accepted(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError> {
        let keys: Vec<Uuid> = column(images, |image| uri_key(&image.image));
        let names: Vec<Option<&str>> =
            column(images, |image| image.subject.as_ref().map(SubjectName::as_str));
        self.answer(READ, async {
            let places: Vec<i64> = sqlx::query_scalar(include_str!("sql/accepted.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(keys)
                .bind(names)
                .fetch_all(&self.pool)
                .await?;
            Ok(flags(images.len(), places))
        })
        .await
    }

    async fn enrolments(&self, images: &[ImageId]) -> Result<Vec<StoredEnrolment>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<EnrolmentRow> =
                sqlx::query_as(include_str!("sql/enrolments_of_images.sql"))
                    .bind(column(images, |image| image.0))
                    .fetch_all(&self.pool)
                    .await?;
            rows.into_iter().map(EnrolmentRow::enrolment).collect()
        })
        .await
    }

    async fn reviews(&self, query: &ReviewQuery) -> Result<Vec<StoredEnrolment>, StoreError> {
        let after = query.after.as_ref();
        self.answer(READ, async {
            let rows: Vec<EnrolmentRow> = sqlx::query_as(include_str!("sql/reviews.sql"))
                .bind(query.gallery.as_str())
                .bind(after.map_or(0, |(image, _)| image.0))
                .bind(after.map_or("", |(_, subject)| subject.as_str()))
                .bind(i64::from(query.limit))
                .fetch_all(&self.pool)
                .await?;
            rows.into_iter().map(EnrolmentRow::enrolment).collect()
        })
        .await
    }

    async fn enrolment_counts(&self, campaign: CampaignId) -> Result<EnrolmentCounts, StoreError> {
        self.answer(READ, async {
            let row: EnrolmentCountsRow = sqlx::query_as(include_str!("sql/enrolment_counts.sql"))
                .bind(campaign.0)
                .fetch_one(&self.pool)
                .await?;
            row.counts()
        })
        .await
    }
}
