//! Rows of verdicts.

use super::{parsed, time};
use crate::domain::{CurationId, ImageId, VerdictId};
use crate::store::StoredVerdict;
use crate::store::fault::Fault;
use crate::store::judging::{LiveVerdict, verdict};
use crate::store::row::row;

row! {
    /// An image that is to be judged.
    pub(in crate::store) struct JudgedImageRow {
        pub(in crate::store) image_id: i64,
        pub(in crate::store) subject: Option<String>,
        pub(in crate::store) content_hash: Vec<u8>,
        /// It is a reference, or it was decided whether it is one.
        pub(in crate::store) enrolled: bool,
    }
}

row! {
    /// A verdict in force.
    pub(in crate::store) struct LiveVerdictRow {
        id: i64,
        image_id: i64,
        verdict: String,
        subject: Option<String>,
        other_image_id: Option<i64>,
        undoes: Option<i64>,
    }
}

impl LiveVerdictRow {
    pub(in crate::store) fn verdict(self) -> Result<LiveVerdict, Fault> {
        let subject = self.subject.as_deref();
        Ok(LiveVerdict {
            id: VerdictId(self.id),
            image: ImageId(self.image_id),
            verdict: verdict(&self.verdict, subject, self.other_image_id, self.undoes)?,
        })
    }
}

row! {
    /// A verdict as it was given.
    pub(in crate::store) struct StoredVerdictRow {
        id: i64,
        curation_id: i64,
        image_id: i64,
        uri: String,
        verdict: String,
        subject: Option<String>,
        other_image_id: Option<i64>,
        undoes: Option<i64>,
        decided_by: String,
        reason: Option<String>,
        decided_at_ms: i64,
        undone_by: Option<i64>,
    }
}

impl StoredVerdictRow {
    pub(in crate::store) fn verdict(self) -> Result<StoredVerdict, Fault> {
        let subject = self.subject.as_deref();
        Ok(StoredVerdict {
            id: VerdictId(self.id),
            curation: CurationId(self.curation_id),
            image: ImageId(self.image_id),
            uri: parsed(&self.uri)?,
            verdict: verdict(&self.verdict, subject, self.other_image_id, self.undoes)?,
            by: parsed(&self.decided_by)?,
            reason: self.reason.as_deref().map(parsed).transpose()?,
            at: time(self.decided_at_ms)?,
            undone_by: self.undone_by.map(VerdictId),
        })
    }
}
