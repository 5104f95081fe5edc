//! What was erased or removed is not looked at again.

use std::sync::Arc;

use async_trait::async_trait;
use facefleet::domain::{
    ErasureTarget, ImageUri, JobRecord, Lane, OutcomeKind, RetentionRule, SubjectName, UtcTime,
};
use facefleet::images::{FetchError, ImageSource};
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Erasures, NewErasure, Recorded, Results, Retention, RetentionQuery};
use facefleet::worker::{Process, Processed};

use super::{chip_file, processor};
use crate::support::{gallery, job, uri};

/// Each image has bytes of its own: a picture, and its URI behind it.
struct Photos;

#[async_trait]
impl ImageSource for Photos {
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        Ok([chip_file(), image.as_str().into()].concat())
    }
}

/// The images that were looked at, and the outcomes that are recorded.
async fn processed(
    processor: &dyn Process,
    store: &SqliteStore,
    names: &[&str],
    subject: Option<&str>,
) -> (Vec<bool>, Vec<OutcomeKind>) {
    let mut records: Vec<JobRecord> = Vec::new();
    for name in names {
        let mut job = job(Lane::Scan, name);
        (job.profile, job.subject) =
            (None, subject.map(|name| name.parse::<SubjectName>().unwrap()));
        let Processed::Ended(record) = processor.process(&job).await else { panic!("{name}") };
        records.push(*record);
    }
    let decoded = records.iter().map(|record| record.content.unwrap().size.is_some()).collect();
    let recorded: Vec<Recorded> = store.record(&records).await.unwrap();
    let ends = recorded.iter().zip(&records).map(|(end, record)| end.end(record).outcome);
    (decoded, ends.collect())
}

#[tokio::test]
async fn erased_images_that_lie_in_the_source_are_fetched_and_not_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("faces.db").display());
    let store = Arc::new(SqliteStore::open(&url).await.unwrap());
    let first = processor(Arc::new(Photos), 4).for_store(store.clone());
    store.register_profile(first.profile()).await.unwrap();
    let names = ["one", "two", "three"];
    let (decoded, ends) = processed(&first, &store, &names, None).await;
    assert_eq!((decoded, ends), (vec![true; 3], vec![OutcomeKind::Scored; 3]));
    let target = ErasureTarget::Image(uri("one"));
    let by = "Olga".parse().unwrap();
    store.erase(&NewErasure { gallery: gallery(), target, by }).await.unwrap();
    let (decoded, ends) = processed(&first, &store, &names, None).await;
    assert_eq!(decoded, [true; 3], "it is asked once in a while whether anything was erased");
    assert_eq!(ends, [OutcomeKind::Erased, OutcomeKind::Scored, OutcomeKind::Scored]);

    let next = processor(Arc::new(Photos), 4).for_store(store.clone());
    let (decoded, ends) = processed(&next, &store, &names, None).await;
    assert_eq!(decoded, [false, true, true]);
    assert_eq!(ends, [OutcomeKind::Erased, OutcomeKind::Scored, OutcomeKind::Scored]);

    let run = store.begin_retention(&gallery(), &"Olga".parse().unwrap()).await.unwrap();
    let before = UtcTime::from_millisecond(i64::from(u32::MAX) * 1000).unwrap();
    let query =
        RetentionQuery { gallery: gallery(), rule: RetentionRule::Images, before, after: 0 };
    assert_eq!(store.remove_due(run, &query).await.unwrap().counts.images, 2);
    let (decoded, ends) = processed(&next, &store, &names, None).await;
    assert_eq!((decoded, ends), (vec![false; 3], vec![OutcomeKind::Erased; 3]));
    let (decoded, ends) = processed(&next, &store, &["one", "two"], Some("Ann")).await;
    assert_eq!(decoded, [false, true], "whoever is enrolled brings back what was removed");
    assert_eq!(ends, [OutcomeKind::Erased, OutcomeKind::Scored]);
}
