//! Enrolments and references.

use async_trait::async_trait;

use super::{SqliteStore, json};
use crate::domain::{CampaignId, GalleryName, ImageId, LabelledImage, ProfileId, SubjectName};
use crate::store::rows::{
    EnrolmentCountsRow, EnrolmentRow, ReferenceTemplateRow, reference_templates,
};
use crate::store::summary::flags;
use crate::store::{
    EnrolmentCounts, Enrolments, ReferenceTemplate, ReviewQuery, StoreError, StoredEnrolment,
};

#[async_trait]
impl Enrolments for SqliteStore {
    async fn reference_templates(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        subject: Option<&SubjectName>,
    ) -> Result<Vec<ReferenceTemplate>, StoreError> {
        self.answer(async {
            let rows: Vec<ReferenceTemplateRow> =
                sqlx::query_as(include_str!("sql/reference_templates.sql"))
                    .bind(gallery.as_str())
                    .bind(profile.as_str())
                    .bind(subject.map(SubjectName::as_str))
                    .fetch_all(&self.readers)
                    .await?;
            reference_templates(rows)
        })
        .await
    }

    async fn accepted(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError> {
        let pairs = json(images.iter().map(|image| {
            let subject = image.subject.as_ref().map(SubjectName::as_str);
            serde_json::json!([image.image.as_str(), subject])
        }));
        self.answer(async {
            let places: Vec<i64> = sqlx::query_scalar(include_str!("sql/accepted.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(pairs)
                .fetch_all(&self.readers)
                .await?;
            Ok(flags(images.len(), places))
        })
        .await
    }

    async fn enrolments(&self, images: &[ImageId]) -> Result<Vec<StoredEnrolment>, StoreError> {
        self.answer(async {
            let rows: Vec<EnrolmentRow> =
                sqlx::query_as(include_str!("sql/enrolments_of_images.sql"))
                    .bind(json(images.iter().map(|image| image.0)))
                    .fetch_all(&self.readers)
                    .await?;
            rows.into_iter().map(EnrolmentRow::enrolment).collect()
        })
        .await
    }

    async fn reviews(&self, query: &ReviewQuery) -> Result<Vec<StoredEnrolment>, StoreError> {
        let after = query.after.as_ref();
        self.answer(async {
            let rows: Vec<EnrolmentRow> = sqlx::query_as(include_str!("sql/reviews.sql"))
                .bind(query.gallery.as_str())
                .bind(after.map_or(0, |(image, _)| image.0))
                .bind(after.map_or("", |(_, subject)| subject.as_str()))
                .bind(query.limit)
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(EnrolmentRow::enrolment).collect()
        })
        .await
    }

    async fn enrolment_counts(&self, campaign: CampaignId) -> Result<EnrolmentCounts, StoreError> {
        self.answer(async {
            let row: EnrolmentCountsRow = sqlx::query_as(include_str!("sql/enrolment_counts.sql"))
                .bind(campaign.0)
                .fetch_one(&self.readers)
                .await?;
            row.counts()
        })
        .await
    }
}
