//! The rows of an erasure, inside its transaction. Whoever erases holds an advisory lock alone that
//! whoever records holds together with others.

use uuid::Uuid;

use super::batch::PostgresTables;
use super::uri_key;
use crate::domain::{ErasureCounts, ErasurePlace, ErasureTarget, GalleryName, OperatorName};
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
        "DELETE FROM templates t
        USING erased_images x, results r, gallery_profiles gp
        WHERE r.image_id = x.id AND gp.id = r.gallery_profile_id
            AND t.profile_id = gp.profile_id AND t.result_id = r.id",
    ),
    (
        ErasurePlace::Faces,
        "DELETE FROM faces WHERE result_id IN (
            SELECT r.id FROM erased_images x JOIN results r ON r.image_id = x.id)",
    ),
    (
        ErasurePlace::Results,
        "DELETE FROM results WHERE image_id IN (SELECT x.id FROM erased_images x)",
    ),
    (
        ErasurePlace::References,
        "DELETE FROM subject_references
        WHERE image_id IN (SELECT x.id FROM erased_images x)",
    ),
    (
        ErasurePlace::Decisions,
        "DELETE FROM enrolments WHERE image_id IN (SELECT x.id FROM erased_images x)",
    ),
    (
        ErasurePlace::EnrolmentJobs,
        "DELETE FROM enrolment_jobs WHERE image_id IN (SELECT x.id FROM erased_images x)",
    ),
    (
        ErasurePlace::Verdicts,
        "DELETE FROM verdicts WHERE image_id IN (SELECT x.id FROM erased_images x)
            OR other_image_id IN (SELECT x.id FROM erased_images x)",
    ),
    (ErasurePlace::Images, include_str!("sql/delete_erased_images.sql")),
];

/// An image that is gone because a chosen one moved to its place stays so, by a verdict of its own.
const STAYS_GONE: &str = "UPDATE verdicts SET verdict = 'gone', other_image_id = NULL
    WHERE verdict = 'moved' AND other_image_id IN (SELECT x.id FROM erased_images x)";

/// What is left of a subject once its images are deleted: on images that stay.
const DELETE_SUBJECT: [(ErasurePlace, &str); 7] = [
    (
        ErasurePlace::References,
        "DELETE FROM subject_references WHERE subject_id IN (
            SELECT s.id FROM subjects s WHERE s.gallery_id = $1 AND s.name = $2)",
    ),
    (
        ErasurePlace::Decisions,
        "DELETE FROM enrolments WHERE subject_id IN (
            SELECT s.id FROM subjects s WHERE s.gallery_id = $1 AND s.name = $2)",
    ),
    (
        ErasurePlace::EnrolmentJobs,
        "DELETE FROM enrolment_jobs WHERE subject_id IN (
            SELECT s.id FROM subjects s WHERE s.gallery_id = $1 AND s.name = $2)",
    ),
    (
        ErasurePlace::Labels,
        "UPDATE images SET subject = NULL WHERE gallery_id = $1 AND subject = $2",
    ),
    (
        ErasurePlace::Verdicts,
        "DELETE FROM verdicts WHERE subject = $2
            AND image_id IN (SELECT i.id FROM images i WHERE i.gallery_id = $1)",
    ),
    (
        ErasurePlace::Labels,
        "UPDATE images SET verdict_subject = NULL WHERE gallery_id = $1 AND verdict_subject = $2",
    ),
    (ErasurePlace::Subjects, "DELETE FROM subjects WHERE gallery_id = $1 AND name = $2"),
];

/// What is left of a gallery once its images are deleted.
const DELETE_GALLERY: [(Option<ErasurePlace>, &str); 6] = [
    (Some(ErasurePlace::Subjects), "DELETE FROM subjects WHERE gallery_id = $1"),
    (Some(ErasurePlace::Activations), "DELETE FROM activations WHERE gallery_id = $1"),
    (None, "DELETE FROM subject_changes WHERE gallery_id = $1"),
    (None, "DELETE FROM curations WHERE gallery_id = $1"),
    (None, "DELETE FROM gallery_profiles WHERE gallery_id = $1"),
    (None, "DELETE FROM galleries WHERE id = $1"),
];

/// A list of hashes.
pub(super) fn hash_list(hashes: &[TombstoneHash]) -> Vec<&[u8]> {
    hashes.iter().map(<[u8; 32]>::as_slice).collect()
}

impl TombstoneTables for PostgresTables<'_> {
    async fn hold_off_erasures(&mut self) -> Result<(), Fault> {
        self.run(include_str!("sql/hold_off_erasures.sql")).await?;
        Ok(())
    }

    async fn erasure_key(&mut self) -> Result<Option<ErasureKey>, Fault> {
        let secret: Option<Vec<u8>> = sqlx::query_scalar("SELECT secret FROM erasure_key")
            .fetch_optional(&mut *self.connection)
            .await?;
        secret.as_deref().map(ErasureKey::new).transpose()
    }

    async fn tombstones(&mut self, hashes: Vec<TombstoneHash>) -> Result<Vec<Vec<u8>>, Fault> {
        let found = "SELECT hash FROM tombstones WHERE hash = ANY ($1::bytea[])";
        Ok(sqlx::query_scalar(found)
            .bind(hash_list(&hashes))
            .fetch_all(&mut *self.connection)
            .await?)
    }
}

impl ErasureTables for PostgresTables<'_> {
    async fn keep_out(&mut self) -> Result<(), Fault> {
        // An erasure takes as long as it takes: those that record try again meanwhile.
        self.run("SET LOCAL statement_timeout = 0").await?;
        self.run(include_str!("sql/keep_out.sql")).await?;
        Ok(())
    }

    async fn make_key(&mut self) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/make_erasure_key.sql"))
            .execute(&mut *self.connection)
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
            .fetch_one(&mut *self.connection)
            .await?)
    }

    async fn find_gallery(&mut self, gallery: &GalleryName) -> Result<Option<i64>, Fault> {
        Ok(sqlx::query_scalar("SELECT id FROM galleries WHERE name = $1")
            .bind(gallery.as_str())
            .fetch_optional(&mut *self.connection)
            .await?)
    }

    async fn begin_choice(&mut self) -> Result<(), Fault> {
        // A trial chooses twice in its transaction.
        self.run("DROP TABLE IF EXISTS pg_temp.erased_images").await?;
        self.run("CREATE TEMP TABLE erased_images (id bigint PRIMARY KEY) ON COMMIT DROP").await?;
        Ok(())
    }

    async fn choose(&mut self, gallery: i64, target: &ErasureTarget) -> Result<(), Fault> {
        self.begin_choice().await?;
        let (uri, subject) = match target {
            ErasureTarget::Gallery => {
                let all = "INSERT INTO erased_images (id)
                    SELECT id FROM images WHERE gallery_id = $1";
                sqlx::query(all).bind(gallery).execute(&mut *self.connection).await?;
                return Ok(());
            }
            ErasureTarget::Numbered(id, _) => return self.choose_these(&[id.0]).await,
            ErasureTarget::Image(uri) => (Some(uri_key(uri)), None),
            ErasureTarget::Subject(name) => (None, Some(name.as_str())),
        };
        sqlx::query(include_str!("sql/choose_erased.sql"))
            .bind(gallery)
            .bind(uri)
            .bind(subject)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn spare(&mut self, subject: &str) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/spare_of_others.sql"))
            .bind(subject)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn owners(&mut self, images: &[i64]) -> Result<Vec<(i64, String)>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/owners.sql"))
            .bind(images)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn choose_these(&mut self, images: &[i64]) -> Result<(), Fault> {
        let insert = "INSERT INTO erased_images (id)
            SELECT k.id FROM unnest($1::bigint[]) k (id) ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(images).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn leave_out(&mut self, images: &[i64]) -> Result<(), Fault> {
        let delete = "DELETE FROM erased_images WHERE id = ANY ($1::bigint[])";
        sqlx::query(delete).bind(images).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn choose_versions(&mut self, gallery: i64) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/choose_erased_versions.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn choose_contents(&mut self, gallery: i64) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/choose_erased_contents.sql"))
            .bind(gallery)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn chosen_images(&mut self) -> Result<Vec<RemainRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/chosen_images.sql"))
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn chosen_numbers(&mut self) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar("SELECT id FROM erased_images")
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn chosen_uris(&mut self, gallery: i64) -> Result<Vec<String>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/chosen_uris.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn chosen_contents(&mut self, gallery: i64) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/chosen_contents.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn bury(&mut self, erasure: Uuid, hashes: Vec<TombstoneHash>) -> Result<(), Fault> {
        let insert = "INSERT INTO tombstones (hash, erasure_id)
            SELECT k.hash, $2 FROM unnest($1::bytea[]) k (hash) ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(hash_list(&hashes))
            .bind(erasure)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn note_contents(&mut self, erasure: Uuid) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/note_erased_contents.sql"))
            .bind(erasure)
            .execute(&mut *self.connection)
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
            WHERE gallery_id = $1 AND strpos(reason, $2) > 0";
        Ok(sqlx::query_as(reasons)
            .bind(gallery)
            .bind(text)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn clear_reasons(&mut self, curations: &[i64]) -> Result<(), Fault> {
        sqlx::query("UPDATE curations SET reason = NULL WHERE id = ANY ($1::bigint[])")
            .bind(curations)
            .execute(&mut *self.connection)
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
                sqlx::query(delete).bind(gallery).bind(name).execute(&mut *self.connection).await?;
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
            let deleted = sqlx::query(delete).bind(gallery).execute(&mut *self.connection).await?;
            if let Some(place) = place {
                counts.add(place, deleted.rows_affected());
            }
        }
        let cancelled = sqlx::query(include_str!("sql/cancel_campaigns_of_gallery.sql"))
            .bind(name)
            .execute(&mut *self.connection)
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
        let campaigns = sqlx::query(include_str!("sql/forget_uris_of_campaigns.sql"))
            .bind(gallery)
            .bind(uris)
            .execute(&mut *self.connection)
            .await?;
        counts.add(ErasurePlace::Campaigns, campaigns.rows_affected());
        // The reasons of what was decided about nothing that is left may name somebody.
        self.run("DELETE FROM curations WHERE id NOT IN (SELECT v.curation_id FROM verdicts v)")
            .await?;
        sqlx::query(include_str!("sql/forget_uris_of_curations.sql"))
            .bind(gallery)
            .bind(uris)
            .execute(&mut *self.connection)
            .await?;
        let outages = sqlx::query(include_str!("sql/forget_uris_of_outages.sql"))
            .bind(uris)
            .execute(&mut *self.connection)
            .await?;
        counts.add(ErasurePlace::Outages, outages.rows_affected());
        Ok(())
    }

    async fn reopen(&mut self, erasure: Uuid, by: &OperatorName) -> Result<(), Fault> {
        sqlx::query("UPDATE erasures SET erased_by = $2, ended_at = NULL WHERE id = $1")
            .bind(erasure)
            .bind(by.as_str())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn set_counts(&mut self, erasure: Uuid, counts: &ErasureCounts) -> Result<(), Fault> {
        sqlx::query("UPDATE erasures SET counts = $2 WHERE id = $1")
            .bind(erasure)
            .bind(serde_json::to_string(counts).map_err(corrupt)?)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

impl PostgresTables<'_> {
    /// How many rows it changed.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<u64, Fault> {
        Ok(sqlx::query(sql).execute(&mut *self.connection).await?.rows_affected())
    }
}
