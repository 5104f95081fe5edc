//! Whether a store holds what was recorded.

use facefleet::domain::JobRecord;
use facefleet::store::StoredImage;

pub fn recorded_at(stored: &StoredImage) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(stored.recorded_at.as_millisecond()).unwrap()
}

/// `stored` is what was recorded as `record`, just now.
pub fn assert_holds(stored: &StoredImage, record: &JobRecord) {
    assert!(jiff::Timestamp::now().duration_since(recorded_at(stored)).abs().as_secs() < 3600);
    assert_held(stored, record);
}

/// `stored` is what was recorded as `record`, at any time.
pub fn assert_held(stored: &StoredImage, record: &JobRecord) {
    let id = stored.id;
    assert_eq!(stored.image, record.job.image);
    assert_eq!(stored.hash, record.content.map(|content| content.hash));
    assert_eq!(stored.bytes, record.content.map(|content| content.bytes));
    assert_eq!(stored.size, record.content.and_then(|content| content.size));
    assert_eq!(stored.outcome, record.outcome.kind());
    assert_eq!(stored.reason.as_deref(), record.outcome.reason());
    assert_eq!(stored.provider, record.provider);
    assert_eq!(stored.timings, record.timings);
    assert_eq!(stored.faces.len(), record.outcome.faces().len());
    for ((index, stored), recorded) in (0..).zip(&stored.faces).zip(record.outcome.faces()) {
        let recognition = recorded.recognition.as_ref();
        assert_eq!((&stored.image, stored.id.index), (&record.job.image, index));
        assert_eq!(stored.id.image, id);
        assert_eq!(stored.hash, record.content.map(|content| content.hash));
        assert_eq!(stored.face, recorded.face);
        assert_eq!(stored.components, recorded.components);
        assert_eq!(stored.distance, recognition.map(|recognition| recognition.distance));
        assert_eq!(stored.score, recognition.map(|recognition| recognition.score));
        assert_eq!(stored.quality, recognition.map(|recognition| recognition.quality));
        assert_eq!(stored.norm, recognition.map(|recognition| recognition.norm));
        assert_eq!(stored.template.is_some(), recognition.is_some());
        if let Some((stored, recorded)) = stored.template.as_ref().zip(recognition) {
            assert!(stored.similarity(&recorded.template) > 0.9999);
            assert_eq!(stored.to_halves(), recorded.template.to_halves());
        }
    }
}
