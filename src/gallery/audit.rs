//! One list of what was decided in galleries, in the order of time: decisions about enrolments,
//! verdicts, changes of subjects, activations, erasures, runs of retention. It is read from the
//! store in pages.

use std::collections::VecDeque;

use super::GalleryError;
use crate::domain::{GalleryName, UtcTime};
use crate::store::{AuditQuery, Store, StoreError, TimePlace};
use crate::view::audit::{AuditKind, AuditView};

/// Events of one kind that are read at once.
const PAGE: u32 = 1000;

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only of this gallery.
    pub gallery: Option<GalleryName>,
    /// Only from this time on.
    pub since: Option<UtcTime>,
    /// Only before this time.
    pub until: Option<UtcTime>,
    /// Only of these kinds; empty: of all.
    pub kinds: Vec<AuditKind>,
}

impl AuditFilter {
    fn has(&self, kind: AuditKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn matches(&self, event: &AuditView) -> bool {
        self.has(event.kind)
            && self.gallery.as_ref().is_none_or(|gallery| event.gallery == *gallery)
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
    }
}

/// Events of one kind, of which there may be very many.
struct PagedEvents {
    kind: AuditKind,
    page: VecDeque<AuditView>,
    /// Where the next page begins; none after the last page.
    after: Option<TimePlace>,
}

/// The events of galleries, the oldest first.
pub struct AuditLog<'a> {
    store: &'a dyn Store,
    filter: AuditFilter,
    /// Events that are few.
    few: VecDeque<AuditView>,
    paged: [PagedEvents; 3],
}

impl<'a> AuditLog<'a> {
    /// Begins to read. None if nothing is known of the gallery.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(
        store: &'a dyn Store,
        filter: AuditFilter,
    ) -> Result<Option<Self>, GalleryError> {
        let mut few: Vec<AuditView> = Vec::new();
        few.extend(store.activations().await?.iter().map(AuditView::from));
        few.extend(store.erasures().await?.iter().map(AuditView::from));
        few.extend(store.retentions().await?.iter().map(AuditView::from));
        if let Some(gallery) = &filter.gallery
            && few.iter().all(|event| event.gallery != *gallery)
            && store.active_profile(gallery).await?.is_none()
        {
            return Ok(None);
        }
        few.retain(|event| filter.matches(event));
        few.sort_by_key(|event| event.at);
        let begin = filter.since.map_or(TimePlace::BEGIN, TimePlace::before).max(TimePlace::BEGIN);
        let paged = [AuditKind::Decision, AuditKind::Verdict, AuditKind::Subject];
        let paged = paged.map(|kind| PagedEvents {
            kind,
            page: VecDeque::new(),
            after: filter.has(kind).then_some(begin),
        });
        Ok(Some(Self { store, filter, few: few.into(), paged }))
    }

    /// The next event.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn next(&mut self) -> Result<Option<AuditView>, GalleryError> {
        for of in &mut self.paged {
            of.fill(self.store, &self.filter).await?;
        }
        let queues = std::iter::once(&mut self.few);
        let queues = queues.chain(self.paged.iter_mut().map(|of| &mut of.page));
        let first = queues.filter(|queue| !queue.is_empty()).min_by_key(|queue| {
            // Empty ones are left out.
            queue.front().map(|event| event.at)
        });
        Ok(first.and_then(VecDeque::pop_front))
    }
}

impl PagedEvents {
    /// Reads the next page if this one has ended.
    async fn fill(&mut self, store: &dyn Store, filter: &AuditFilter) -> Result<(), StoreError> {
        let Some(after) = self.after.filter(|_| self.page.is_empty()) else { return Ok(()) };
        let (gallery, until, limit) = (filter.gallery.clone(), filter.until, PAGE);
        let query = AuditQuery { gallery, after, until, limit };
        (self.after, self.page) = match self.kind {
            AuditKind::Decision => {
                let page = store.audited_decisions(&query).await?;
                (page.last().map(|last| last.place), viewed(page))
            }
            AuditKind::Verdict => {
                let page = store.audited_verdicts(&query).await?;
                (page.last().map(|last| last.place), viewed(page))
            }
            _ => {
                let page = store.audited_changes(&query).await?;
                (page.last().map(|last| last.place), viewed(page))
            }
        };
        Ok(())
    }
}

fn viewed<T: Into<AuditView>>(page: Vec<T>) -> VecDeque<AuditView> {
    page.into_iter().map(T::into).collect()
}
