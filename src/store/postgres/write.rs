//! Recording a batch: what is known of its images is looked up, each record's fate is decided (see [`crate::store::fate`]), and the
//! rows are written, in one transaction of a fixed number of statements. Rows are written in one order, by gallery and URI, and the few
//! rows that all workers share (counters) last, so that transactions rarely wait for each other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sqlx::{Acquire, PgConnection, PgPool, Row};

use super::fault::Fault;
use super::insert::{self, Placed, PlacedFace, uri_key};
use super::rows::{corrupt, parsed};
use super::{Recorded, StoreError, campaigns};
use crate::domain::{GalleryName, JobRecord, Profile, ProfileId};
use crate::store::fate::{Fate, Item, Known, KnownResult, Scope, decide, outdated, rounds};
use crate::store::selection_key;

/// How often a batch that met another's is tried again at once. Each time, the other one has got further.
const RACES: u32 = 8;

pub(super) async fn register_profile(pool: &PgPool, profile: &Profile) -> Result<(), Fault> {
    let definition = serde_json::to_string(profile).map_err(|error| StoreError::Invalid(format!("the profile: {error}")))?;
    sqlx::query("SELECT add_profile($1, $2)").bind(profile.id().as_str()).bind(definition).execute(pool).await?;
    Ok(())
}

pub(super) async fn record(pool: &PgPool, records: &[JobRecord]) -> Result<Vec<Recorded>, Fault> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut races = 0;
    loop {
        match try_record(pool, records).await {
            Err(fault) if fault.is_race() && races < RACES => races += 1,
            Err(fault) if fault.is_race() => {
                return Err(StoreError::Unavailable("other workers record the same images".into()).into());
            }
            ended => return ended,
        }
    }
}

async fn try_record(pool: &PgPool, records: &[JobRecord]) -> Result<Vec<Recorded>, Fault> {
    let mut fates = vec![Recorded::Repeated; records.len()];
    let selections: Vec<String> = records.iter().map(|record| selection_key(&record.selection)).collect();
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let mut scopes: BTreeMap<(&GalleryName, &ProfileId), Scope> = BTreeMap::new();
    for record in records {
        if let Entry::Vacant(scope) = scopes.entry((&record.gallery, &record.profile)) {
            scope.insert(find_scope(&mut transaction, &record.gallery, &record.profile).await?);
        }
    }
    for round in rounds(records) {
        let mut items: Vec<Item<'_>> = Vec::with_capacity(round.len());
        for index in round {
            let record = &records[index];
            let scope = scopes.get(&(&record.gallery, &record.profile)).copied();
            let scope = scope.ok_or_else(|| corrupt("a gallery that was found is gone"))?;
            items.push(Item { index, record, selection: &selections[index], scope });
        }
        for index in record_round(&mut transaction, &items).await? {
            fates[index] = Recorded::New;
        }
    }
    campaigns::count_ends(&mut transaction, records).await?;
    let written: Vec<i64> = scopes
        .iter()
        .filter(|(key, _)| {
            records.iter().zip(&fates).any(|(record, fate)| (&record.gallery, &record.profile) == **key && *fate == Recorded::New)
        })
        .map(|(_, scope)| scope.gallery_profile)
        .collect();
    touch(&mut transaction, &written).await?;
    transaction.commit().await?;
    Ok(fates)
}

async fn find_scope(connection: &mut PgConnection, gallery: &GalleryName, profile: &ProfileId) -> Result<Scope, Fault> {
    let found = sqlx::query(
        "SELECT g.id, gp.id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = g.id WHERE g.name = $1 AND gp.profile_id = $2",
    )
    .bind(gallery.as_str())
    .bind(profile.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = found {
        return Ok(Scope { gallery: row.try_get(0)?, gallery_profile: row.try_get(1)? });
    }
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM profiles WHERE id = $1)")
        .bind(profile.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        return Err(StoreError::Invalid(format!("its profile {profile} was never registered")).into());
    }
    let gallery: i64 = sqlx::query_scalar(
        "INSERT INTO galleries (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(gallery.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let gallery_profile: i64 = sqlx::query_scalar(
        "INSERT INTO gallery_profiles (gallery_id, profile_id, touched) VALUES ($1, $2, 0) \
         ON CONFLICT (gallery_id, profile_id) DO UPDATE SET touched = gallery_profiles.touched RETURNING id",
    )
    .bind(gallery)
    .bind(profile.as_str())
    .fetch_one(connection)
    .await?;
    Ok(Scope { gallery, gallery_profile })
}

/// Makes galleries and profiles the ones recorded to last. What is the last already is left alone: every worker would wait for its row.
async fn touch(connection: &mut PgConnection, scopes: &[i64]) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE gallery_profiles SET touched = (SELECT max(touched) + 1 FROM gallery_profiles) \
         WHERE id = ANY ($1) AND (touched = 0 OR touched < (SELECT max(touched) FROM gallery_profiles))",
    )
    .bind(scopes)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records a round; returns the places in the batch of what was written.
async fn record_round(connection: &mut PgConnection, items: &[Item<'_>]) -> Result<Vec<usize>, Fault> {
    let known = look_up(connection, items).await?;
    let fates: Vec<Fate> = items.iter().zip(&known).map(|(item, known)| decide(item, known)).collect();
    let new = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
    let new_images = new(|fate| matches!(fate, Fate::Write { image: None, .. }));
    let new_results = new(|fate| matches!(fate, Fate::Write { result: None, .. }));
    let new_faces: usize = items
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| matches!(fate, Fate::Write { .. }))
        .map(|(item, _)| item.record.outcome.faces().len())
        .sum();
    let mut ids = next_ids(connection, new_images, new_results, new_faces).await?;

    let (mut written, mut rows) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    let (mut supersede, mut revive, mut clear, mut restamps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((item, known), fate) in items.iter().zip(&known).zip(fates) {
        if let Fate::Repeat { restamp: Some(result) } | Fate::Revive { restamp: Some(result), .. } = fate {
            restamps.push((result, item.record.stamp.as_ref().map(|stamp| stamp.0.clone())));
        }
        match fate {
            Fate::Repeat { .. } => continue,
            Fate::Revive { result, .. } => revive.push(result),
            Fate::Write { image, result } => {
                clear.extend(result);
                rows.push(Placed {
                    record: item.record,
                    selection: item.selection,
                    gallery: item.scope.gallery,
                    gallery_profile: item.scope.gallery_profile,
                    image: match image {
                        Some(image) => image,
                        None => ids.image()?,
                    },
                    new_image: image.is_none(),
                    result: match result {
                        Some(result) => result,
                        None => ids.result()?,
                    },
                });
            }
        }
        supersede.extend(outdated(item, known));
        written.push(item.index);
    }
    // The ids follow the order of the batch; the rows are written in one order by all.
    rows.sort_by_cached_key(|placed| (placed.gallery, uri_key(&placed.record.image)));
    set_superseded(connection, &mut supersede, true).await?;
    set_superseded(connection, &mut revive, false).await?;
    if !clear.is_empty() {
        clear_faces(connection, &clear).await?;
    }
    if !restamps.is_empty() {
        let (results, stamps): (Vec<i64>, Vec<Option<String>>) = restamps.into_iter().unzip();
        sqlx::query(
            "UPDATE results SET stamp = n.stamp FROM unnest($1::bigint[], $2::text[]) AS n (id, stamp) WHERE results.id = n.id",
        )
        .bind(results)
        .bind(stamps)
        .execute(&mut *connection)
        .await?;
    }
    insert::images(connection, &rows).await?;
    insert::results(connection, &rows).await?;
    insert::faces(connection, &placed_faces(&rows, &mut ids)?).await?;
    Ok(written)
}

fn placed_faces<'a>(rows: &[Placed<'a>], ids: &mut NextIds) -> Result<Vec<PlacedFace<'a>>, Fault> {
    let mut faces = Vec::with_capacity(rows.len());
    for row in rows {
        for (index, face) in (0_i32..).zip(row.record.outcome.faces()) {
            let profile = row.record.profile.as_str();
            let (result, gallery_profile) = (row.result, row.gallery_profile);
            faces.push(PlacedFace { face, profile, id: ids.face()?, result, index, gallery_profile });
        }
    }
    Ok(faces)
}

/// Everything known of the items' galleries and URIs, by item.
async fn look_up(connection: &mut PgConnection, items: &[Item<'_>]) -> Result<Vec<Vec<Known>>, Fault> {
    let galleries: Vec<i64> = items.iter().map(|item| item.scope.gallery).collect();
    let keys: Vec<Vec<u8>> = items.iter().map(|item| uri_key(&item.record.image)).collect();
    let rows = sqlx::query(
        "SELECT k.place, i.id, i.content_hash, r.id, r.gallery_profile_id, r.superseded, r.outcome, r.selection, r.stamp, r.job_id \
         FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS k (gallery_id, uri_key, place) \
         JOIN images i ON i.gallery_id = k.gallery_id AND i.uri_key = k.uri_key \
         LEFT JOIN results r ON r.image_id = i.id",
    )
    .bind(galleries)
    .bind(keys)
    .fetch_all(connection)
    .await?;
    let mut known: Vec<Vec<Known>> = items.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let result = match row.try_get::<Option<i64>, _>(3)? {
            None => None,
            Some(id) => Some(KnownResult {
                id,
                gallery_profile: row.try_get(4)?,
                superseded: row.try_get(5)?,
                outcome: parsed(&row, 6)?,
                selection: row.try_get(7)?,
                stamp: row.try_get(8)?,
                job: row.try_get::<uuid::Uuid, _>(9)?.as_bytes().to_vec(),
            }),
        };
        let item = usize::try_from(row.try_get::<i64, _>(0)? - 1).ok().and_then(|item| known.get_mut(item));
        let item = item.ok_or_else(|| corrupt("a look-up answered what was not asked"))?;
        item.push(Known { image: row.try_get(1)?, hash: row.try_get(2)?, result });
    }
    Ok(known)
}

/// The ids that new rows get, known before the rows are there.
struct NextIds {
    images: std::vec::IntoIter<i64>,
    results: std::vec::IntoIter<i64>,
    faces: std::vec::IntoIter<i64>,
}

impl NextIds {
    fn image(&mut self) -> Result<i64, Fault> {
        Self::take(&mut self.images)
    }

    fn result(&mut self) -> Result<i64, Fault> {
        Self::take(&mut self.results)
    }

    fn face(&mut self) -> Result<i64, Fault> {
        Self::take(&mut self.faces)
    }

    fn take(ids: &mut std::vec::IntoIter<i64>) -> Result<i64, Fault> {
        ids.next().ok_or_else(|| corrupt("the server gave fewer ids than were asked for"))
    }
}

async fn next_ids(connection: &mut PgConnection, images: usize, results: usize, faces: usize) -> Result<NextIds, Fault> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let row = sqlx::query(
        "SELECT ARRAY(SELECT nextval(pg_get_serial_sequence('images', 'id')) FROM generate_series(1, $1)), \
                ARRAY(SELECT nextval(pg_get_serial_sequence('results', 'id')) FROM generate_series(1, $2)), \
                ARRAY(SELECT nextval(pg_get_serial_sequence('faces', 'id')) FROM generate_series(1, $3))",
    )
    .bind(count(images))
    .bind(count(results))
    .bind(count(faces))
    .fetch_one(connection)
    .await?;
    let ids = |column: usize| -> Result<_, Fault> { Ok(row.try_get::<Vec<i64>, _>(column)?.into_iter()) };
    Ok(NextIds { images: ids(0)?, results: ids(1)?, faces: ids(2)? })
}

async fn set_superseded(connection: &mut PgConnection, results: &mut [i64], superseded: bool) -> Result<(), Fault> {
    if results.is_empty() {
        return Ok(());
    }
    results.sort_unstable();
    for statement in
        ["UPDATE results SET superseded = $2 WHERE id = ANY ($1)", "UPDATE faces SET superseded = $2 WHERE result_id = ANY ($1)"]
    {
        sqlx::query(statement).bind(&*results).bind(superseded).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Takes the faces of results that are about to be replaced away, with their templates.
async fn clear_faces(connection: &mut PgConnection, results: &[i64]) -> Result<(), Fault> {
    sqlx::query(
        "WITH gone AS (DELETE FROM faces WHERE result_id = ANY ($1) RETURNING id) DELETE FROM templates USING gone WHERE face_id = gone.id",
    )
    .bind(results)
    .execute(connection)
    .await?;
    Ok(())
}
