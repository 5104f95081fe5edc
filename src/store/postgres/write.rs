//! Recording a batch: the sources of its images are locked, what is known of them is looked up,
//! each record's fate is decided (see [`crate::store::fate`]), and the rows are written. As many
//! statements for a batch of one as for one of thousands. What the decisions mean is said at
//! [`super::Store::record`].
//!
//! Locks are taken in one order everywhere: galleries, sources, galleries with their profiles,
//! campaigns; in each of them by key.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::campaigns;
use super::fault;
use super::insert::{self, Placed};
use super::read::uri_key;
use super::{Recorded, StoreError};
use crate::domain::{JobRecord, Profile, SourceStamp};
use crate::store::columns::{attach_ends, known};
use crate::store::encoding::{definition, selection_key};
use crate::store::fate::{Fate, Item, Known, Scope, decide, ended_notes, named, outdated, rounds};
use crate::store::fault::Fault;

/// How often a batch is tried that another transaction was faster than. The order of locks should
/// leave no such case; an administrator's transaction may still make one.
const TRIES: usize = 3;

pub(super) async fn register_profile(pool: &PgPool, profile: &Profile) -> Result<(), Fault> {
    sqlx::query("SELECT add_profile($1, $2)")
        .bind(profile.id().as_str())
        .bind(definition(profile)?)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn record(pool: &PgPool, records: &[JobRecord]) -> Result<Vec<Recorded>, Fault> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    for _ in 1..TRIES {
        match try_record(pool, records).await {
            Err(fault) if fault::is_race(&fault) => (),
            ended => return ended,
        }
    }
    try_record(pool, records).await
}

async fn try_record(pool: &PgPool, records: &[JobRecord]) -> Result<Vec<Recorded>, Fault> {
    let mut fates = vec![Recorded::Repeated; records.len()];
    let selections: Vec<String> =
        records.iter().map(|record| selection_key(&record.selection)).collect();
    let keys: Vec<Uuid> = records.iter().map(|record| uri_key(&record.image)).collect();
    // Each statement must see what was committed while it waited for a lock, whatever the
    // database's default.
    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let scopes = find_scopes(&mut transaction, records).await?;
    let all_new = lock_sources(&mut transaction, records, &keys, &scopes).await?;
    for (number, round) in rounds(records).into_iter().enumerate() {
        let items: Vec<_> = round
            .into_iter()
            .map(|index| Item {
                index,
                record: &records[index],
                selection: &selections[index],
                scope: scopes[index],
            })
            .collect();
        let known = if all_new && number == 0 {
            items.iter().map(|_| Vec::new()).collect()
        } else {
            look_up(&mut transaction, &items, &keys).await?
        };
        record_round(&mut transaction, &items, &known, &keys, &mut fates).await?;
    }
    let written = scopes.iter().zip(&fates).filter(|(_, fate)| **fate == Recorded::New);
    touch(&mut transaction, written.map(|(scope, _)| scope.gallery_profile)).await?;
    campaigns::count_ends(&mut transaction, records, &fates).await?;
    transaction.commit().await?;
    Ok(fates)
}

fn names(record: &JobRecord) -> (&str, &str) {
    (record.gallery.as_str(), record.profile.as_str())
}

/// The ids of each record's gallery and profile.
async fn find_scopes(
    connection: &mut PgConnection,
    records: &[JobRecord],
) -> Result<Vec<Scope>, Fault> {
    let wanted: BTreeSet<(&str, &str)> = records.iter().map(names).collect();
    let (galleries, profiles): (Vec<&str>, Vec<&str>) = wanted.iter().copied().unzip();
    let mut found = look_up_scopes(connection, &galleries, &profiles).await?;
    if found.len() < wanted.len() {
        add_scopes(connection, &galleries, &profiles).await?;
        found = look_up_scopes(connection, &galleries, &profiles).await?;
    }
    let scopes: HashMap<(&str, &str), Scope> = wanted.into_iter().zip(found).collect();
    records
        .iter()
        .map(|record| scopes.get(&names(record)).copied())
        .collect::<Option<_>>()
        .ok_or_else(unasked)
}

/// The ids of galleries with profiles, in the order given; fewer if some are new.
async fn look_up_scopes(
    connection: &mut PgConnection,
    galleries: &[&str],
    profiles: &[&str],
) -> Result<Vec<Scope>, Fault> {
    let rows = sqlx::query(
        "SELECT g.id, gp.id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k (name, \
            profile_id, place) \
         JOIN galleries g ON g.name = k.name JOIN gallery_profiles gp ON gp.gallery_id = g.id AND \
         gp.profile_id = k.profile_id \
         ORDER BY k.place",
    )
    .bind(galleries)
    .bind(profiles)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok(Scope { gallery: row.try_get(0)?, gallery_profile: row.try_get(1)? }))
        .collect()
}

async fn add_scopes(
    connection: &mut PgConnection,
    galleries: &[&str],
    profiles: &[&str],
) -> Result<(), Fault> {
    let stranger: Option<String> = sqlx::query_scalar(
        "SELECT k.id FROM unnest($1::text[]) k (id) WHERE NOT EXISTS (SELECT FROM profiles p WHERE \
            p.id = k.id) LIMIT 1",
    )
    .bind(profiles)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(profile) = stranger {
        return Err(
            StoreError::Invalid(format!("its profile {profile} was never registered")).into()
        );
    }
    sqlx::query(
        "INSERT INTO galleries (name) SELECT DISTINCT k.name FROM unnest($1::text[]) k (name) \
            ORDER BY 1 ON CONFLICT DO NOTHING",
    )
    .bind(galleries)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO gallery_profiles (gallery_id, profile_id) \
         SELECT g.id, k.profile_id FROM unnest($1::text[], $2::text[]) k (name, profile_id) JOIN \
         galleries g ON g.name = k.name \
         ORDER BY 1, 2 ON CONFLICT DO NOTHING",
    )
    .bind(galleries)
    .bind(profiles)
    .execute(connection)
    .await?;
    Ok(())
}

/// From Postgres's places, which begin at 1.
fn place(ordinality: i64) -> Option<usize> {
    usize::try_from(ordinality.checked_sub(1)?).ok()
}

fn unasked() -> Fault {
    StoreError::Corrupt("a look-up answered what was not asked".to_owned()).into()
}

/// Holds the batch's sources until the end of the transaction, new ones by inserting them. True if
/// all were new: then nothing is known of them. Keys come sorted, so that two batches with the same
/// images never wait for each other in a circle.
async fn lock_sources(
    connection: &mut PgConnection,
    records: &[JobRecord],
    keys: &[Uuid],
    scopes: &[Scope],
) -> Result<bool, Fault> {
    let places = scopes.iter().map(|scope| scope.gallery).zip(keys.iter().copied());
    let sources: BTreeMap<(i64, Uuid), &str> =
        places.zip(records.iter().map(|record| record.image.as_str())).collect();
    let galleries: Vec<i64> = sources.keys().map(|(gallery, _)| *gallery).collect();
    let keys: Vec<Uuid> = sources.keys().map(|(_, key)| *key).collect();
    let inserted = sqlx::query(
        "INSERT INTO sources (gallery_id, uri_key, uri) SELECT * FROM unnest($1::bigint[], \
            $2::uuid[], $3::text[]) ORDER BY 1, 2 \
         ON CONFLICT DO NOTHING",
    )
    .bind(&galleries)
    .bind(&keys)
    .bind(sources.values().copied().collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    if usize::try_from(inserted.rows_affected()).is_ok_and(|inserted| inserted == sources.len()) {
        return Ok(true);
    }
    sqlx::query(
        "SELECT FROM unnest($1::bigint[], $2::uuid[]) k (gallery_id, uri_key) \
         JOIN sources s ON s.gallery_id = k.gallery_id AND s.uri_key = k.uri_key \
         ORDER BY s.gallery_id, s.uri_key FOR NO KEY UPDATE OF s",
    )
    .bind(&galleries)
    .bind(&keys)
    .execute(connection)
    .await?;
    Ok(false)
}

/// Everything known of the items' sources, by item.
async fn look_up(
    connection: &mut PgConnection,
    items: &[Item<'_>],
    keys: &[Uuid],
) -> Result<Vec<Vec<Known>>, Fault> {
    let rows = sqlx::query(
        "SELECT k.place, i.id, i.content_hash, r.id, r.gallery_profile_id, r.superseded, \
            r.outcome, r.selection, r.stamp, r.job_id, \
         r.noted \
         FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY k (gallery_id, uri_key, place) \
         JOIN images i ON i.gallery_id = k.gallery_id AND i.uri_key = k.uri_key LEFT JOIN results \
         r ON r.image_id = i.id",
    )
    .bind(items.iter().map(|item| item.scope.gallery).collect::<Vec<_>>())
    .bind(items.iter().map(|item| keys[item.index]).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let mut found: Vec<Vec<Known>> = items.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let of_item =
            place(row.try_get(0)?).and_then(|place| found.get_mut(place)).ok_or_else(unasked)?;
        of_item.push(known(&row)?);
    }
    Ok(found)
}

/// Records a round, and says at each record's place in the batch what became of it.
async fn record_round(
    connection: &mut PgConnection,
    items: &[Item<'_>],
    known: &[Vec<Known>],
    keys: &[Uuid],
    recorded: &mut [Recorded],
) -> Result<(), Fault> {
    let (mut ended, mut rows) = (Vec::new(), Vec::with_capacity(items.len()));
    let (mut supersede, mut revive, mut clear) = (Vec::new(), Vec::new(), Vec::new());
    let (mut restamps, mut subjects, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let fates: Vec<Fate> =
        items.iter().zip(known).map(|(item, known)| decide(item, known)).collect();
    let mut ids = draw_ids(connection, &fates).await?;
    for ((item, known), fate) in items.iter().zip(known).zip(fates) {
        if let Fate::Repeat { restamp: Some(result), .. }
        | Fate::Revive { restamp: Some(result), .. } = fate
        {
            restamps.push((result, item.record.stamp.as_ref().map(SourceStamp::as_str)));
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
                clear.extend(result.map(|result| (result, item.record.profile.as_str())));
                rows.push(Placed {
                    record: item.record,
                    selection: item.selection,
                    scope: item.scope,
                    uri_key: keys[item.index],
                    image: image.or_else(|| ids.images.next()).ok_or_else(unasked)?,
                    result: result.or_else(|| ids.results.next()).ok_or_else(unasked)?,
                    noted,
                });
            }
        }
        supersede.extend(outdated(item, known));
        recorded[item.index] = Recorded::New;
    }
    set_superseded(connection, &supersede, true).await?;
    set_superseded(connection, &revive, false).await?;
    clear_faces(connection, &clear).await?;
    restamp(connection, &restamps).await?;
    end_notes(connection, &notes).await?;
    name(connection, &subjects).await?;
    if !rows.is_empty() {
        insert::images(connection, &rows).await?;
        insert::results(connection, &rows).await?;
        insert::faces(connection, &rows).await?;
    }
    look_up_ends(connection, &ended, recorded).await
}

/// Of jobs that had `ended` before, by place in the batch and result: how.
async fn look_up_ends(
    connection: &mut PgConnection,
    ended: &[(usize, i64)],
    recorded: &mut [Recorded],
) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ended.iter().map(|(_, result)| *result).collect();
    let rows = sqlx::query(
        "SELECT r.id, r.outcome, r.reason, (SELECT count(*) FROM faces f WHERE f.result_id = \
            r.id), \
                (SELECT f.quality::bigint FROM faces f WHERE f.result_id = r.id AND f.face_index = \
                0) \
         FROM results r WHERE r.id = ANY ($1::bigint[])",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    attach_ends(recorded, ended, &rows)
}

/// The ids that new rows get.
struct Ids {
    images: std::vec::IntoIter<i64>,
    results: std::vec::IntoIter<i64>,
}

async fn draw_ids(connection: &mut PgConnection, fates: &[Fate]) -> Result<Ids, Fault> {
    let count = |wanted: fn(&Fate) -> bool| {
        i64::try_from(fates.iter().filter(|fate| wanted(fate)).count()).unwrap_or(i64::MAX)
    };
    let images = count(|fate| matches!(fate, Fate::Write { image: None, .. }));
    let results = count(|fate| matches!(fate, Fate::Write { result: None, .. }));
    if images == 0 && results == 0 {
        return Ok(Ids { images: Vec::new().into_iter(), results: Vec::new().into_iter() });
    }
    let row = sqlx::query(
        "SELECT ARRAY(SELECT nextval('images_id_seq') FROM generate_series(1, $1::bigint)), \
                ARRAY(SELECT nextval('results_id_seq') FROM generate_series(1, $2::bigint))",
    )
    .bind(images)
    .bind(results)
    .fetch_one(connection)
    .await?;
    Ok(Ids {
        images: row.try_get::<Vec<_>, _>(0)?.into_iter(),
        results: row.try_get::<Vec<_>, _>(1)?.into_iter(),
    })
}

async fn set_superseded(
    connection: &mut PgConnection,
    results: &[i64],
    superseded: bool,
) -> Result<(), Fault> {
    if results.is_empty() {
        return Ok(());
    }
    for update in [
        "UPDATE results SET superseded = $2 WHERE id = ANY ($1::bigint[])",
        "UPDATE faces SET superseded = $2 WHERE result_id = ANY ($1::bigint[])",
    ] {
        sqlx::query(update).bind(results).bind(superseded).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Takes away what replaced results found, templates included.
async fn clear_faces(connection: &mut PgConnection, results: &[(i64, &str)]) -> Result<(), Fault> {
    if results.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = results.iter().map(|(id, _)| *id).collect();
    sqlx::query(
        "DELETE FROM templates WHERE profile_id = ANY ($2::text[]) AND result_id = ANY \
        ($1::bigint[])",
    )
    .bind(&ids)
    .bind(results.iter().map(|(_, profile)| *profile).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM faces WHERE result_id = ANY ($1::bigint[])")
        .bind(&ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// Remembers new listed versions.
async fn restamp(
    connection: &mut PgConnection,
    stamps: &[(i64, Option<&str>)],
) -> Result<(), Fault> {
    if stamps.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE results r SET stamp = k.stamp FROM unnest($1::bigint[], $2::text[]) k (id, \
        stamp) WHERE r.id = k.id",
    )
    .bind(stamps.iter().map(|(result, _)| *result).collect::<Vec<_>>())
    .bind(stamps.iter().map(|(_, stamp)| *stamp).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn end_notes(connection: &mut PgConnection, results: &[i64]) -> Result<(), Fault> {
    if !results.is_empty() {
        sqlx::query("UPDATE results SET noted = false WHERE id = ANY ($1::bigint[])")
            .bind(results)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Remembers whose images these are.
async fn name(connection: &mut PgConnection, subjects: &[(i64, &str)]) -> Result<(), Fault> {
    if subjects.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE images i SET subject = k.subject FROM unnest($1::bigint[], $2::text[]) k (id, \
            subject) \
         WHERE i.id = k.id AND i.subject IS DISTINCT FROM k.subject",
    )
    .bind(subjects.iter().map(|(image, _)| *image).collect::<Vec<_>>())
    .bind(subjects.iter().map(|(_, subject)| *subject).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes galleries with profiles the ones recorded to last. Where they are already, no row is
/// locked or written: the workers that fill a gallery would queue up at it.
async fn touch(
    connection: &mut PgConnection,
    gallery_profiles: impl Iterator<Item = i64>,
) -> Result<(), Fault> {
    let ids: BTreeSet<i64> = gallery_profiles.collect();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH late AS (SELECT gp.id FROM gallery_profiles gp WHERE gp.id = ANY ($1::bigint[]) AND \
            EXISTS (\
             SELECT FROM gallery_profiles o WHERE o.gallery_id = gp.gallery_id AND o.id <> gp.id \
             AND o.touched >= gp.touched) \
             ORDER BY gp.id FOR NO KEY UPDATE) \
         UPDATE gallery_profiles gp SET touched = \
             (SELECT max(o.touched) + 1 FROM gallery_profiles o WHERE o.gallery_id = \
             gp.gallery_id) \
         FROM late WHERE late.id = gp.id",
    )
    .bind(ids.into_iter().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
