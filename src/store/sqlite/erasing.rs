//! The rows of an erasure, inside the transaction that holds the write lock of the file.

use uuid::Uuid;

use super::batch::SqliteTables;
use super::{json, now_ms};
use crate::domain::{
    ContentHash, ErasureCounts, ErasureId, ErasurePlace, ErasureTarget, GalleryName, OperatorName,
};
use crate::store::erasing::{
    ErasureKey, ErasureTables, NewErasureRow, TombstoneHash, TombstoneTables,
};
use crate::store::fault::Fault;
use crate::store::remains::RemainRow;
use crate::store::rows::{ErasureRow, corrupt};

/// What hangs on images, in an order in which nothing is left to cascade.
const DELETE_CHOSEN: [(ErasurePlace, &str); 8] = [
    (
        ErasurePlace::Templates,
        "DELETE FROM templates WHERE face_id IN (
            SELECT f.id FROM temp.erased_images x
            JOIN results r ON r.image_id = x.id
            JOIN faces f ON f.result_id = r.id)",
    ),
    (
        ErasurePlace::Faces,
        "DELETE FROM faces WHERE result_id IN (
            SELECT r.id FROM temp.erased_images x JOIN results r ON r.image_id = x.id)",
    ),
    (
        ErasurePlace::Results,
        "DELETE FROM results WHERE image_id IN (SELECT x.id FROM temp.erased_images x)",
    ),
    (
        ErasurePlace::References,
        "DELETE FROM subject_references
        WHERE image_id IN (SELECT x.id FROM temp.erased_images x)",
    ),
    (
        ErasurePlace::Decisions,
        "DELETE FROM enrolments WHERE image_id IN (SELECT x.id FROM temp.erased_images x)",
    ),
    (
        ErasurePlace::EnrolmentJobs,
        "DELETE FROM enrolment_jobs WHERE image_id IN (SELECT x.id FROM temp.erased_images x)",
    ),
    (
        ErasurePlace::Verdicts,
        "DELETE FROM verdicts WHERE image_id IN (SELECT x.id FROM temp.erased_images x)
            OR other_image_id IN (SELECT x.id FROM temp.erased_images x)",
    ),
    (
        ErasurePlace::Images,
        "DELETE FROM images WHERE id IN (SELECT x.id FROM temp.erased_images x)",
    ),
];

/// An image that is gone because a chosen one moved to its place stays so, by a verdict of its own.
const STAYS_GONE: &str = "UPDATE verdicts SET verdict = 'gone', other_image_id = NULL
    WHERE verdict = 'moved' AND other_image_id IN (SELECT x.id FROM temp.erased_images x)";

/// What is left of a subject once its images are deleted: on images that stay.
const DELETE_SUBJECT: [(ErasurePlace, &str); 7] = [
    (
        ErasurePlace::References,
        "DELETE FROM subject_references WHERE subject_id IN (
            SELECT s.id FROM subjects s WHERE s.gallery_id = ?1 AND s.name = ?2)",
    ),
    (
        ErasurePlace::Decisions,
        "DELETE FROM enrolments WHERE subject_id IN (
            SELECT s.id FROM subjects s WHERE s.gallery_id = ?1 AND s.name = ?2)",
    ),
    (
        ErasurePlace::EnrolmentJobs,
        "DELETE FROM enrolment_jobs WHERE subject_id IN (
            SELECT s.id FROM subjects s WHERE s.gallery_id = ?1 AND s.name = ?2)",
    ),
    (
        ErasurePlace::Labels,
        "UPDATE images SET subject = NULL WHERE gallery_id = ?1 AND subject = ?2",
    ),
    (
        ErasurePlace::Verdicts,
        "DELETE FROM verdicts WHERE subject = ?2
            AND image_id IN (SELECT i.id FROM images i WHERE i.gallery_id = ?1)",
    ),
    (
        ErasurePlace::Labels,
        "UPDATE images SET verdict_subject = NULL WHERE gallery_id = ?1 AND verdict_subject = ?2",
    ),
    (ErasurePlace::Subjects, "DELETE FROM subjects WHERE gallery_id = ?1 AND name = ?2"),
];

/// What is left of a gallery once its images are deleted.
const DELETE_GALLERY: [(Option<ErasurePlace>, &str); 6] = [
    (Some(ErasurePlace::Subjects), "DELETE FROM subjects WHERE gallery_id = ?1"),
    (Some(ErasurePlace::Activations), "DELETE FROM activations WHERE gallery_id = ?1"),
    (None, "DELETE FROM subject_changes WHERE gallery_id = ?1"),
    (None, "DELETE FROM curations WHERE gallery_id = ?1"),
    (None, "DELETE FROM gallery_profiles WHERE gallery_id = ?1"),
    (None, "DELETE FROM galleries WHERE id = ?1"),
];

/// A JSON array of hex digits.
pub(super) fn hex_list(hashes: &[TombstoneHash]) -> String {
    json(hashes.iter().map(|hash| blake3::Hash::from_bytes(*hash).to_hex().to_string()))
}

impl TombstoneTables for SqliteTables<'_> {
    /// The transaction holds the write lock of the file.
    async fn hold_off_erasures(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn erasure_key(&mut self) -> Result<Option<ErasureKey>, Fault> {
        let secret: Option<Vec<u8>> = sqlx::query_scalar("SELECT secret FROM erasure_key")
            .fetch_optional(&mut *self.0)
            .await?;
        secret.as_deref().map(ErasureKey::new).transpose()
    }

    async fn tombstones(&mut self, hashes: Vec<TombstoneHash>) -> Result<Vec<Vec<u8>>, Fault> {
        let found = "SELECT t.hash FROM json_each(?1) k
            CROSS JOIN tombstones t ON t.hash = unhex(k.value)";
        Ok(sqlx::query_scalar(found).bind(hex_list(&hashes)).fetch_all(&mut *self.0).await?)
    }
}

impl ErasureTables for SqliteTables<'_> {
    /// The transaction holds the write lock of the file.
    async fn keep_out(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn make_key(&mut self) -> Result<(), Fault> {
        sqlx::query("INSERT OR IGNORE INTO erasure_key (id, secret) VALUES (1, randomblob(32))")
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn begin_erasure(&mut self, row: &NewErasureRow<'_>) -> Result<ErasureRow, Fault> {
        Ok(sqlx::query_as(include_str!("sql/begin_erasure.sql"))
            .bind(row.id)
            .bind(row.gallery.as_str())
            .bind(row.kind.to_string())
            .bind(row.target.as_slice())
            .bind(row.by.as_str())
            .bind(now_ms())
            .fetch_one(&mut *self.0)
            .await?)
    }

    async fn find_gallery(&mut self, gallery: &GalleryName) -> Result<Option<i64>, Fault> {
        Ok(sqlx::query_scalar("SELECT id FROM galleries WHERE name = ?1")
            .bind(gallery.as_str())
            .fetch_optional(&mut *self.0)
            .await?)
    }

    async fn begin_choice(&mut self) -> Result<(), Fault> {
        self.run("CREATE TEMP TABLE IF NOT EXISTS erased_images (id INTEGER PRIMARY KEY) STRICT")
            .await?;
        self.run("DELETE FROM temp.erased_images").await?;
        Ok(())
    }

    async fn choose(&mut self, gallery: i64, target: &ErasureTarget) -> Result<(), Fault> {
        self.begin_choice().await?;
        let (uri, subject) = match target {
            ErasureTarget::Gallery => {
                let all = "INSERT INTO temp.erased_images (id)
                    SELECT id FROM images WHERE gallery_id = ?1";
                sqlx::query(all).bind(gallery).execute(&mut *self.0).await?;
                return Ok(());
            }
            ErasureTarget::Numbered(id, _) => return self.choose_these(&[id.0]).await,
            ErasureTarget::Image(uri) => (Some(uri.as_str()), None),
            ErasureTarget::Subject(name) => (None, Some(name.as_str())),
        };
        sqlx::query(include_str!("sql/choose_erased.sql"))
            .bind(gallery)
            .bind(uri)
            .bind(subject)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn spare(&mut self, subject: &str) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/spare_of_others.sql"))
            .bind(subject)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn owners(&mut self, images: &[i64]) -> Result<Vec<(i64, String)>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/owners.sql"))
            .bind(json(images.iter().copied()))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn choose_these(&mut self, images: &[i64]) -> Result<(), Fault> {
        let insert =
            "INSERT OR IGNORE INTO temp.erased_images (id) SELECT value FROM json_each(?1)";
        sqlx::query(insert).bind(json(images.iter().copied())).execute(&mut *self.0).await?;
        Ok(())
    }

    async fn leave_out(&mut self, images: &[i64]) -> Result<(), Fault> {
        let delete = "DELETE FROM temp.erased_images WHERE id IN (SELECT value FROM json_each(?1))";
        sqlx::query(delete).bind(json(images.iter().copied())).execute(&mut *self.0).await?;
        Ok(())
    }

    async fn choose_versions(&mut self, gallery: i64) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/choose_erased_versions.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn choose_contents(&mut self, gallery: i64) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/choose_erased_contents.sql"))
            .bind(gallery)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn chosen_images(&mut self) -> Result<Vec<RemainRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/chosen_images.sql")).fetch_all(&mut *self.0).await?)
    }

    async fn chosen_numbers(&mut self) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar("SELECT id FROM temp.erased_images").fetch_all(&mut *self.0).await?)
    }

    async fn chosen_uris(&mut self, gallery: i64) -> Result<Vec<String>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/chosen_uris.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn chosen_contents(&mut self, gallery: i64) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/chosen_contents.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn bury(&mut self, erasure: Uuid, hashes: Vec<TombstoneHash>) -> Result<(), Fault> {
        let insert = "INSERT OR IGNORE INTO tombstones (hash, erasure_id)
            SELECT unhex(value), ?2 FROM json_each(?1)";
        sqlx::query(insert).bind(hex_list(&hashes)).bind(erasure).execute(&mut *self.0).await?;
        Ok(())
    }

    async fn note_contents(&mut self, erasure: Uuid) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/note_erased_contents.sql"))
            .bind(erasure)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn delete_chosen(&mut self, counts: &mut ErasureCounts) -> Result<(), Fault> {
        self.run(STAYS_GONE).await?;
        for (place, delete) in DELETE_CHOSEN {
            counts.add(place, self.run(delete).await?);
        }
        Ok(())
    }

    async fn reasons_with(
        &mut self,
        gallery: i64,
        text: &str,
    ) -> Result<Vec<(i64, String)>, Fault> {
        let reasons = "SELECT id, reason FROM curations
            WHERE gallery_id = ?1 AND instr(reason, ?2) > 0";
        Ok(sqlx::query_as(reasons).bind(gallery).bind(text).fetch_all(&mut *self.0).await?)
    }

    async fn clear_reasons(&mut self, curations: &[i64]) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE curations SET reason = NULL WHERE id IN (SELECT value FROM json_each(?1))",
        )
        .bind(json(curations.iter().copied()))
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn delete_subject(
        &mut self,
        gallery: i64,
        name: &str,
        counts: &mut ErasureCounts,
    ) -> Result<(), Fault> {
        for (place, delete) in DELETE_SUBJECT {
            let deleted =
                sqlx::query(delete).bind(gallery).bind(name).execute(&mut *self.0).await?;
            counts.add(place, deleted.rows_affected());
        }
        Ok(())
    }

    async fn delete_gallery(
        &mut self,
        gallery: i64,
        name: &str,
        counts: &mut ErasureCounts,
    ) -> Result<(), Fault> {
        for (place, delete) in DELETE_GALLERY {
            let deleted = sqlx::query(delete).bind(gallery).execute(&mut *self.0).await?;
            if let Some(place) = place {
                counts.add(place, deleted.rows_affected());
            }
        }
        let cancelled = sqlx::query(include_str!("sql/cancel_campaigns_of_gallery.sql"))
            .bind(name)
            .execute(&mut *self.0)
            .await?;
        counts.add(ErasurePlace::Campaigns, cancelled.rows_affected());
        Ok(())
    }

    async fn forget_uris(
        &mut self,
        gallery: &str,
        uris: &[String],
        counts: &mut ErasureCounts,
    ) -> Result<(), Fault> {
        let uris = json(uris.iter().map(String::as_str));
        let campaigns = sqlx::query(include_str!("sql/forget_uris_of_campaigns.sql"))
            .bind(gallery)
            .bind(&uris)
            .execute(&mut *self.0)
            .await?;
        counts.add(ErasurePlace::Campaigns, campaigns.rows_affected());
        // The reasons of what was decided about nothing that is left may name somebody.
        self.run("DELETE FROM curations WHERE id NOT IN (SELECT v.curation_id FROM verdicts v)")
            .await?;
        sqlx::query(include_str!("sql/forget_uris_of_curations.sql"))
            .bind(gallery)
            .bind(&uris)
            .execute(&mut *self.0)
            .await?;
        let outages = sqlx::query(include_str!("sql/forget_uris_of_outages.sql"))
            .bind(uris)
            .execute(&mut *self.0)
            .await?;
        counts.add(ErasurePlace::Outages, outages.rows_affected());
        Ok(())
    }

    async fn reopen(&mut self, erasure: Uuid, by: &OperatorName) -> Result<(), Fault> {
        sqlx::query("UPDATE erasures SET erased_by = ?2, ended_at_ms = NULL WHERE id = ?1")
            .bind(erasure)
            .bind(by.as_str())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn set_counts(&mut self, erasure: Uuid, counts: &ErasureCounts) -> Result<(), Fault> {
        sqlx::query("UPDATE erasures SET counts = ?2 WHERE id = ?1")
            .bind(erasure)
            .bind(serde_json::to_string(counts).map_err(corrupt)?)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}

impl SqliteTables<'_> {
    /// The contents of images that an erasure removed, while it has not ended.
    pub(super) async fn noted_contents(
        &mut self,
        ErasureId(id): ErasureId,
    ) -> Result<Vec<ContentHash>, Fault> {
        let noted = "SELECT content_hash FROM erasure_contents WHERE erasure_id = ?1";
        let hashes: Vec<Vec<u8>> =
            sqlx::query_scalar(noted).bind(id).fetch_all(&mut *self.0).await?;
        let hash = |bytes: Vec<u8>| bytes.try_into().map(ContentHash);
        let hashes: Result<_, Vec<u8>> = hashes.into_iter().map(hash).collect();
        hashes.map_err(|_| corrupt("a content hash of another length"))
    }

    /// How many rows it changed.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<u64, Fault> {
        Ok(sqlx::query(sql).execute(&mut *self.0).await?.rows_affected())
    }
}
