//! Why images of a scan did not become results, and whether that is so for most of them: then it is
//! the scan that failed, and not its images.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::follow::CampaignCounts;
use crate::domain::{Campaign, CampaignProgress, End, ImageUri, JobId, OutcomeKind, counted};
use crate::store::{PageFilter, PageQuery, Store, StoreError, StoredImage};
use crate::view::scan::ReasonView;

/// More groups than this are not told apart.
const MOST_GROUPS: usize = 200;
/// The most reasons of a summary.
const SHOWN: usize = 5;
/// The most images whose reasons are read from the store.
pub(super) const MOST_READ: u64 = 100_000;
/// In the reason of an image to which an object store denies access.
const DENIED: &str = "the object store denies access";
/// Images of a page.
const PAGE: u32 = 512;
/// The outcomes of images without a result, other than for want of a face.
const FAILURES: [OutcomeKind; 3] =
    [OutcomeKind::Unreadable, OutcomeKind::Refused, OutcomeKind::Failed];

/// Reasons of images that ended as unreadable, refused or failed, each with its number. Reasons
/// that differ only in numbers, or in the name of the image, count together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureReasons {
    groups: HashMap<(OutcomeKind, String), ReasonView>,
    images: u64,
}

impl FailureReasons {
    /// Counts the end of `image`, if it has a reason.
    pub fn count(&mut self, image: &ImageUri, end: &End) {
        if let Some(reason) = &end.reason {
            self.add(end.outcome, general(reason, image), reason, 1);
        }
    }

    /// Those of the images that ended in a campaign, from the store: of the first
    /// 100,000 of them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn of_campaign(store: &dyn Store, campaign: &Campaign) -> Result<Self, StoreError> {
        let since = campaign.started_at.parse().ok();
        let mut query = PageQuery {
            gallery: campaign.gallery.clone(),
            profile: campaign.profile.clone(),
            outcomes: FAILURES.to_vec(),
            filter: PageFilter { since, ..PageFilter::default() },
            notes: true,
            after: 0,
            limit: PAGE,
            templates: false,
        };
        let (mut all, wanted) = (Self::default(), failed(&campaign.progress).min(MOST_READ));
        while all.images < wanted {
            let page = store.page(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = last.cursor;
            let job = |image: &StoredImage| campaign.job_on(&image.image, image.expected_hash);
            let jobs: Vec<JobId> = page.iter().map(job).collect();
            let of_others = store.uncounted_jobs(campaign.id, &jobs).await?;
            let of_others: HashSet<JobId> = of_others.into_iter().collect();
            for (image, job) in page.iter().zip(&jobs) {
                if let Some(reason) = &image.reason
                    && !of_others.contains(job)
                {
                    all.add(image.outcome, general(reason, &image.image), reason, 1);
                }
            }
        }
        Ok(all)
    }

    /// The number of images that were counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// The most frequent reasons, the most frequent first; each as one image had it.
    pub fn most_frequent(&self) -> Vec<ReasonView> {
        let mut all: Vec<&ReasonView> = self.groups.values().collect();
        all.sort_by(|a, b| b.images.cmp(&a.images).then_with(|| a.reason.cmp(&b.reason)));
        all.into_iter().take(SHOWN).cloned().collect()
    }

    /// The most frequent reason with which an object store denied access.
    fn denied(&self) -> Option<&ReasonView> {
        let denied = self.groups.values().filter(|group| group.reason.contains(DENIED));
        denied.max_by_key(|group| group.images)
    }

    fn add(&mut self, outcome: OutcomeKind, group: String, reason: &str, images: u64) {
        self.images += images;
        let full = self.groups.len() >= MOST_GROUPS;
        match self.groups.entry((outcome, group)) {
            Entry::Occupied(mut known) => known.get_mut().images += images,
            Entry::Vacant(_) if full => {}
            Entry::Vacant(new) => {
                new.insert(ReasonView { outcome, reason: reason.to_owned(), images });
            }
        }
    }
}

/// `reason` without the name of its image and without numbers.
fn general(reason: &str, image: &ImageUri) -> String {
    let shown = image.to_string();
    let file = shown.rsplit('/').next().unwrap_or_default();
    let names = [image.as_str(), shown.as_str(), file];
    let unnamed = names
        .into_iter()
        .filter(|name| name.len() > 3)
        .fold(reason.to_owned(), |reason, name| reason.replace(name, "…"));
    without_numbers(&unnamed)
}

/// `reason` with `#` for each number, except for the status of HTTP.
fn without_numbers(reason: &str) -> String {
    let mut general = String::with_capacity(reason.len());
    let mut chars = reason.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_ascii_digit() || general.ends_with("HTTP ") {
            general.push(c);
            let in_status = c.is_ascii_digit();
            while in_status && let Some(digit) = chars.next_if(char::is_ascii_digit) {
                general.push(digit);
            }
            continue;
        }
        while chars.next_if(|c| c.is_ascii_digit()).is_some() {}
        general.push('#');
    }
    general
}

/// Images that ended without a result, other than for want of a face.
pub fn failed(progress: &CampaignProgress) -> u64 {
    FAILURES.iter().filter_map(|kind| progress.outcomes.get(kind)).sum()
}

/// If more than the share `fail_over` of the images that ended are unreadable, refused or failed:
/// a sentence with their number, the most frequent reason, and what to do. An object store that
/// denies access is a cause beyond the images however few they are, unless `fail_over` is 1.
pub fn verdict(counts: &CampaignCounts, fail_over: f64) -> Option<String> {
    let (failed, ended) = (failed(&counts.progress), counts.progress.ended());
    let too_many = failed as f64 > fail_over * ended as f64;
    let (mut text, lead, reason) = if failed > 0 && too_many {
        let text = format!(
            "{failed} of {ended} images ended as unreadable, refused or failed, a larger share \
                than --fail-over {fail_over} accepts (images that are up to date do not count)"
        );
        let most = counts.failures.most_frequent();
        let lead = match &most[..] {
            [first, second, ..] if first.images == second.images => "one of the reasons",
            [_, _, ..] => "the most frequent reason",
            _ => "the reason",
        };
        (text, lead, most.into_iter().next())
    } else {
        let denied = counts.failures.denied().filter(|_| fail_over < 1.0)?;
        let text = format!("access to some of {ended} images was denied");
        (text, "the reason", Some(denied.clone()))
    };
    match reason {
        Some(ReasonView { outcome, reason, images }) => {
            let advice = advice(outcome, &reason);
            let reason = reason.trim_end_matches('.');
            let images = counted(images, "image");
            text += &format!("; {lead}, of {images}: {outcome}: {reason}. {advice}");
        }
        None => text += "; `facefleet report` and `facefleet export` show the reasons",
    }
    Some(text)
}

/// What to do about a reason that most images of a scan have.
fn advice(outcome: OutcomeKind, reason: &str) -> &'static str {
    let mentions = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
    if mentions(&["images.allow_private_hosts"]) {
        "Name the host in images.allow_private_hosts of every process that fetches"
    } else if mentions(&["images.allow"]) {
        "Allow the place on every worker, with --root or images.allow; `facefleet worker list` \
            shows what each allows"
    } else if mentions(&["denies access", "is denied"]) {
        "Correct the credentials or the rights of every process that fetches, try them with \
            `facefleet doctor --root PLACE`, then scan again"
    } else if mentions(&["are not a chip"]) {
        "Scan photos without --aligned, which is for galleries of chips"
    } else if mentions(&["setting limits.", "limits.memory"]) {
        "Raise the limit that the reason names on every worker, then scan again"
    } else if mentions(&["no such", "does not exist"]) {
        "Check that the files exist under the names that are scanned, on every host that fetches \
            them (mounts, buckets), then scan again"
    } else {
        match outcome {
            OutcomeKind::Failed => {
                "Remove the cause (the log of the workers has more), then scan again: failed \
                    images are tried again"
            }
            OutcomeKind::Refused => "Remove the cause, then scan again",
            _ => "Look at one of the files; docs/formats.md lists what can be read",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> ImageUri {
        format!("s3://photos/{name}").parse().unwrap()
    }

    fn end(outcome: OutcomeKind, reason: &str) -> End {
        End { outcome, reason: Some(reason.to_owned()), faces: 0, quality: None }
    }

    fn counts(outcomes: &[(OutcomeKind, u64)], failures: FailureReasons) -> CampaignCounts {
        let progress = CampaignProgress {
            outcomes: outcomes.iter().copied().collect(),
            skipped: 1000,
            ..CampaignProgress::default()
        };
        CampaignCounts { progress, failures, ..CampaignCounts::default() }
    }

    #[test]
    fn reasons_that_differ_in_numbers_and_names_count_together() {
        let mut reasons = FailureReasons::default();
        for (name, size) in [("a 1.jpg", 70_000_000), ("b/cc.jpg", 80_000_001)] {
            let reason = format!("{}: the image has {size} bytes", image(name));
            reasons.count(&image(name), &end(OutcomeKind::Refused, &reason));
        }
        let status = |code| format!("the object store answered HTTP {code}");
        for code in [500, 503, 503, 503] {
            reasons.count(&image("c"), &end(OutcomeKind::Failed, &status(code)));
        }
        let none = End { outcome: OutcomeKind::NoFace, reason: None, faces: 0, quality: None };
        reasons.count(&image("d"), &none);
        assert_eq!(reasons.images(), 6);
        let frequent = reasons.most_frequent();
        let numbers: Vec<u64> = frequent.iter().map(|reason| reason.images).collect();
        assert_eq!(numbers, [3, 2, 1]);
        assert_eq!(frequent[0].reason, status(503));
        assert!(frequent[1].reason.contains("70000000 bytes"), "as one image had it");
    }

    #[test]
    fn reasons_without_number_take_no_memory_without_end() {
        let mut reasons = FailureReasons::default();
        for number in 0..10_000_u32 {
            let letters: String =
                number.to_string().bytes().map(|digit| char::from(digit + 0x31)).collect();
            reasons.count(&image("a.jpg"), &end(OutcomeKind::Failed, &letters));
        }
        assert_eq!((reasons.images(), reasons.groups.len()), (10_000, MOST_GROUPS));
    }

    #[test]
    fn a_scan_fails_as_a_whole_beyond_the_share_and_not_at_it() {
        use OutcomeKind::{NoFace, Refused, Scored, Unreadable};
        let half = [(Scored, 1), (NoFace, 1), (Unreadable, 1), (Refused, 1)];
        let said = |outcomes: &[(OutcomeKind, u64)], share| {
            verdict(&counts(outcomes, FailureReasons::default()), share)
        };
        assert_eq!(said(&half, 0.5), None);
        assert!(said(&half, 0.49).unwrap().starts_with("2 of 4 images"));
        assert_eq!(said(&[(Scored, 5)], 0.0), None);
        assert!(said(&[(Scored, 5), (Refused, 1)], 0.0).is_some());
        assert_eq!(said(&[(Unreadable, 5)], 1.0), None, "1 accepts everything");
        assert_eq!(said(&[], 0.0), None, "images that are up to date do not count");
    }

    #[test]
    fn a_store_that_denies_access_is_told_however_few_images_it_has() {
        use OutcomeKind::{Scored, Unreadable};
        let mut reasons = FailureReasons::default();
        let denied = "the object store denies access with HTTP 403 (SignatureDoesNotMatch)";
        for (name, reason) in [("a", "not an image"), ("b", "not an image"), ("c", denied)] {
            reasons.count(&image(name), &end(Unreadable, reason));
        }
        let counts = counts(&[(Scored, 97), (Unreadable, 3)], reasons);
        let said = verdict(&counts, 0.5).unwrap();
        assert!(said.contains("of 1 image: unreadable: the object store denies"), "{said}");
        assert!(said.contains("facefleet doctor --root"), "{said}");
        assert_eq!(verdict(&counts, 1.0), None);
    }

    #[test]
    fn a_verdict_says_whether_its_reason_is_the_only_or_the_most_frequent_one() {
        let mut reasons = FailureReasons::default();
        for (reason, lead) in [
            ("empty", "; the reason, of 1 image: "),
            ("text", "; one of the reasons, of 1 image: "),
            ("text", "; the most frequent reason, of 2 images: "),
        ] {
            reasons.count(&image("a.jpg"), &end(OutcomeKind::Unreadable, reason));
            let images = reasons.images();
            let counts = counts(&[(OutcomeKind::Unreadable, images)], reasons.clone());
            let said = verdict(&counts, 0.5).unwrap();
            assert!(said.contains(lead), "{said}");
        }
    }

    #[test]
    fn the_verdict_names_the_reason_and_what_to_do() {
        for (outcome, reason, to_do) in [
            (
                OutcomeKind::Unreadable,
                "the object store denies access with HTTP 403 (SignatureDoesNotMatch): check the \
                    credentials of this machine and their permissions",
                "facefleet doctor",
            ),
            (
                OutcomeKind::Refused,
                "the URI is outside the allowed locations (setting images.allow)",
                "--root or images.allow",
            ),
            (OutcomeKind::Refused, "640x480 pixels are not a chip, which", "without --aligned"),
            (OutcomeKind::Refused, "more than allowed (setting limits.max_bytes)", "Raise"),
            (OutcomeKind::Unreadable, "the file does not exist", "mounts"),
            (OutcomeKind::Unreadable, "it is not an image", "docs/formats.md"),
        ] {
            let mut reasons = FailureReasons::default();
            reasons.count(&image("a.jpg"), &end(outcome, reason));
            let said = verdict(&counts(&[(outcome, 1)], reasons), 0.5).unwrap();
            assert!(said.contains(reason) && said.contains(to_do), "{said}");
        }
    }
}
