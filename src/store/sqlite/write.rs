//! Recording a batch: what is known of its images is looked up, each record's fate is decided (see
//! [`crate::store::fate`]), and the rows are written, all under the one write lock of the file.
//! What the decisions mean is said at [`super::Store::record`].

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection, SqlitePool};

use super::campaigns;
use super::insert::{self, Placed, PlacedFace};
use super::rows::now_ms;
use super::{Recorded, StoreError};
use crate::domain::{GalleryName, JobRecord, Profile, ProfileId, SourceStamp};
use crate::store::columns::{attach_ends, known};
use crate::store::encoding::{definition, selection_key};
use crate::store::fate::{Fate, Item, Known, Scope, decide, ended_notes, named, outdated, rounds};
use crate::store::fault::Fault;

pub(super) async fn register_profile(pool: &SqlitePool, profile: &Profile) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO profiles (id, definition, created_at_ms) VALUES (?1, ?2, ?3) ON \
        CONFLICT DO NOTHING",
    )
    .bind(profile.id().as_str())
    .bind(definition(profile)?)
    .bind(now_ms())
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes a row as recording does, and takes it back before anybody sees it.
pub(super) async fn try_writing(pool: &SqlitePool) -> Result<(), Fault> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "INSERT INTO galleries (name, created_at_ms) VALUES ('a trial that is rolled back', 0)",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(())
}

pub(super) async fn record(
    pool: &SqlitePool,
    records: &[JobRecord],
) -> Result<Vec<Recorded>, Fault> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut fates = vec![Recorded::Repeated; records.len()];
    let selections: Vec<String> =
        records.iter().map(|record| selection_key(&record.selection)).collect();
    // A transaction that starts by reading could not wait for the lock later: another's write in
    // between would make it fail.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut scopes = HashMap::new();
    for round in rounds(records) {
        let mut items = Vec::with_capacity(round.len());
        for index in round {
            let record = &records[index];
            let key = (&record.gallery, &record.profile);
            let scope = match scopes.get(&key) {
                Some(scope) => *scope,
                None => *scopes.entry(key).or_insert(
                    find_scope(&mut transaction, &record.gallery, &record.profile).await?,
                ),
            };
            items.push(Item { index, record, selection: &selections[index], scope });
        }
        record_round(&mut transaction, &items, &mut fates).await?;
    }
    for (key, scope) in scopes {
        let written = |(record, fate): (&JobRecord, &Recorded)| {
            (&record.gallery, &record.profile) == key && *fate == Recorded::New
        };
        if records.iter().zip(&fates).any(written) {
            touch(&mut transaction, scope).await?;
        }
    }
    campaigns::count_ends(&mut transaction, records, &fates).await?;
    transaction.commit().await?;
    Ok(fates)
}

async fn find_scope(
    connection: &mut SqliteConnection,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<Scope, Fault> {
    let found = sqlx::query(
        "SELECT g.id, gp.id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = g.id \
            WHERE g.name = ?1 AND gp.profile_id = ?2",
    )
    .bind(gallery.as_str())
    .bind(profile.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = found {
        return Ok(Scope { gallery: row.try_get(0)?, gallery_profile: row.try_get(1)? });
    }
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM profiles WHERE id = ?1)")
        .bind(profile.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        return Err(
            StoreError::Invalid(format!("its profile {profile} was never registered")).into()
        );
    }
    let gallery: i64 = sqlx::query_scalar(
        "INSERT INTO galleries (name, created_at_ms) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE \
            SET name = excluded.name RETURNING id",
    )
    .bind(gallery.as_str())
    .bind(now_ms())
    .fetch_one(&mut *connection)
    .await?;
    let gallery_profile: i64 = sqlx::query_scalar(
        "INSERT INTO gallery_profiles (gallery_id, profile_id, touched) VALUES \
            (?1, ?2, 0) RETURNING id",
    )
    .bind(gallery)
    .bind(profile.as_str())
    .fetch_one(connection)
    .await?;
    Ok(Scope { gallery, gallery_profile })
}

/// Makes a gallery and profile the one recorded to last.
async fn touch(connection: &mut SqliteConnection, scope: Scope) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE gallery_profiles SET touched = (SELECT max(touched) + 1 FROM \
        gallery_profiles) WHERE id = ?1",
    )
    .bind(scope.gallery_profile)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records a round, and says at each record's place in the batch what became of it.
async fn record_round(
    connection: &mut SqliteConnection,
    items: &[Item<'_>],
    fates: &mut [Recorded],
) -> Result<(), Fault> {
    let known = look_up(connection, items).await?;
    let mut ids = next_ids(connection).await?;
    let (mut ended, mut rows) = (Vec::new(), Vec::with_capacity(items.len()));
    let (mut supersede, mut revive, mut clear) = (Vec::new(), Vec::new(), Vec::new());
    let (mut restamps, mut subjects, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (item, known) in items.iter().zip(&known) {
        let fate = decide(item, known);
        if let Fate::Repeat { restamp: Some(result), .. }
        | Fate::Revive { restamp: Some(result), .. } = fate
        {
            restamps.push((result, item.record));
        }
        if !matches!(fate, Fate::Write { .. }) {
            subjects.extend(named(item, known));
        }
        notes.extend(ended_notes(item, known));
        match fate {
            Fate::Repeat { ended: result, .. } => {
                ended.extend(result.map(|result| (item.index, result)));
                continue;
            }
            Fate::Revive { result, .. } => revive.push(result),
            Fate::Write { image, result, noted } => {
                clear.extend(result);
                rows.push(Placed {
                    record: item.record,
                    selection: item.selection,
                    gallery: item.scope.gallery,
                    gallery_profile: item.scope.gallery_profile,
                    image: image.unwrap_or_else(|| ids.image()),
                    result: result.unwrap_or_else(|| ids.result()),
                    noted,
                });
            }
        }
        supersede.extend(outdated(item, known));
        fates[item.index] = Recorded::New;
    }
    set_superseded(connection, &supersede, true).await?;
    set_superseded(connection, &revive, false).await?;
    if !clear.is_empty() {
        let deleted =
            sqlx::query("DELETE FROM faces WHERE result_id IN (SELECT value FROM json_each(?1))");
        deleted.bind(id_list(&clear)).execute(&mut *connection).await?;
    }
    end_notes(connection, &notes).await?;
    for (result, record) in restamps {
        let update = sqlx::query("UPDATE results SET stamp = ?2 WHERE id = ?1").bind(result);
        update
            .bind(record.stamp.as_ref().map(SourceStamp::as_str))
            .execute(&mut *connection)
            .await?;
    }
    for (image, subject) in subjects {
        let update = sqlx::query("UPDATE images SET subject = ?2 WHERE id = ?1").bind(image);
        update.bind(subject).execute(&mut *connection).await?;
    }
    insert::images(connection, &rows).await?;
    insert::results(connection, &rows, now_ms()).await?;
    insert::faces(connection, &placed_faces(&rows, &mut ids)).await?;
    look_up_ends(connection, &ended, fates).await
}

async fn end_notes(connection: &mut SqliteConnection, results: &[i64]) -> Result<(), Fault> {
    if !results.is_empty() {
        let update = sqlx::query(
            "UPDATE results SET noted = 0 WHERE id IN (SELECT value FROM json_each(?1))",
        );
        update.bind(id_list(results)).execute(connection).await?;
    }
    Ok(())
}

/// Of jobs that had `ended` before, by place in the batch and result: how.
async fn look_up_ends(
    connection: &mut SqliteConnection,
    ended: &[(usize, i64)],
    fates: &mut [Recorded],
) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ended.iter().map(|(_, result)| *result).collect();
    let rows = sqlx::query(
        "SELECT r.id, r.outcome, r.reason, (SELECT count(*) FROM faces f WHERE f.result_id = \
            r.id), \
                (SELECT f.quality FROM faces f WHERE f.result_id = r.id AND f.face_index = 0) \
         FROM results r WHERE r.id IN (SELECT value FROM json_each(?1))",
    )
    .bind(id_list(&ids))
    .fetch_all(connection)
    .await?;
    attach_ends(fates, ended, &rows)
}

fn placed_faces<'a>(rows: &[Placed<'a>], ids: &mut NextIds) -> Vec<PlacedFace<'a>> {
    let mut faces = Vec::with_capacity(rows.len());
    for row in rows {
        for (index, face) in (0_i64..).zip(row.record.outcome.faces()) {
            faces.push(PlacedFace {
                face,
                id: ids.face(),
                result: row.result,
                index,
                gallery_profile: row.gallery_profile,
            });
        }
    }
    faces
}

/// Everything known of the items' galleries and URIs, by item.
async fn look_up(
    connection: &mut SqliteConnection,
    items: &[Item<'_>],
) -> Result<Vec<Vec<Known>>, Fault> {
    let keys: serde_json::Value = items
        .iter()
        .map(|item| serde_json::json!([item.scope.gallery, item.record.image.as_str()]))
        .collect();
    // CROSS JOIN fixes the order: from the few keys into the big tables.
    let rows = sqlx::query(
        "SELECT k.key, i.id, i.content_hash, r.id, r.gallery_profile_id, r.superseded, r.outcome, \
            r.selection, r.stamp, r.job_id, \
         r.noted \
         FROM json_each(?1) k \
         CROSS JOIN images i ON i.gallery_id = k.value ->> 0 AND i.uri = k.value ->> 1 \
         LEFT JOIN results r ON r.image_id = i.id",
    )
    .bind(keys.to_string())
    .fetch_all(connection)
    .await?;
    let mut found: Vec<Vec<Known>> = items.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let of_item =
            usize::try_from(row.try_get::<i64, _>(0)?).ok().and_then(|item| found.get_mut(item));
        let of_item = of_item.ok_or_else(|| {
            StoreError::Corrupt("a look-up answered what was not asked".to_owned())
        })?;
        of_item.push(known(&row)?);
    }
    Ok(found)
}

/// The ids that new rows get. Nobody else writes meanwhile, so they can be given out before the
/// rows are there.
struct NextIds {
    image: i64,
    result: i64,
    face: i64,
}

impl NextIds {
    fn image(&mut self) -> i64 {
        self.image += 1;
        self.image
    }

    fn result(&mut self) -> i64 {
        self.result += 1;
        self.result
    }

    fn face(&mut self) -> i64 {
        self.face += 1;
        self.face
    }
}

async fn next_ids(connection: &mut SqliteConnection) -> Result<NextIds, Fault> {
    let row = sqlx::query(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'images'), 0), \
                coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'results'), 0), \
                coalesce((SELECT max(id) FROM faces), 0)",
    )
    .fetch_one(connection)
    .await?;
    Ok(NextIds { image: row.try_get(0)?, result: row.try_get(1)?, face: row.try_get(2)? })
}

async fn set_superseded(
    connection: &mut SqliteConnection,
    results: &[i64],
    superseded: bool,
) -> Result<(), Fault> {
    if results.is_empty() {
        return Ok(());
    }
    let ids = id_list(results);
    sqlx::query("UPDATE results SET superseded = ?2 WHERE id IN (SELECT value FROM json_each(?1))")
        .bind(&ids)
        .bind(superseded)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE faces SET superseded = ?2 WHERE result_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(&ids)
    .bind(superseded)
    .execute(connection)
    .await?;
    Ok(())
}

/// A JSON array for `json_each`.
pub(super) fn id_list(ids: &[i64]) -> String {
    ids.iter().copied().collect::<serde_json::Value>().to_string()
}
