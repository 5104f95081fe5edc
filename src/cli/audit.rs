//! `facefleet audit`

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use strum::VariantNames;

use super::report::time;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{ErasurePlace, GalleryName, SubjectChange, UtcTime, counted};
use crate::gallery::audit::{AuditFilter, AuditLog};
use crate::view::audit::{AuditKind, AuditView, DecisionEvent, SubjectEvent, VerdictEvent};

/// List what was decided, the oldest first: decisions about enrolments, verdicts, changes of
/// subjects, activations of profiles, erasures, and what retention removed; when, and who where it
/// is known.
///
/// It names neither images by URI nor reasons, and nothing of what was erased or removed: only
/// counts.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only of this gallery [default: of all].
    #[arg(long, value_name = "NAME")]
    gallery: Option<GalleryName>,
    /// Only from then on: a date (UTC), or a time such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only before then.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only events of this kind: decision, verdict, subject, activation, erasure or retention. Can
    /// be repeated.
    #[arg(
        long,
        value_name = "KIND",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(AuditKind::VARIANTS)
            .try_map(|kind| kind.parse::<AuditKind>())
    )]
    kind: Vec<AuditKind>,
    /// At most N events, 1 or more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl AuditArgs {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let store = app.filled_store().await?;
        let filter = AuditFilter {
            gallery: self.gallery.clone(),
            since: self.since.map(UtcTime::from),
            until: self.until.map(UtcTime::from),
            kinds: self.kind.clone(),
        };
        let log = AuditLog::open(store.as_ref(), filter).await?;
        let mut log = log.with_context(|| {
            let gallery = self.gallery.as_ref().map(GalleryName::as_str).unwrap_or_default();
            format!("there is no gallery {gallery}, and nothing was erased or removed from one")
        })?;
        let mut count = 0_u64;
        while self.limit.is_none_or(|limit| count < limit)
            && let Some(event) = log.next().await?
        {
            count += 1;
            if self.json { say_json(&event)? } else { say(printable(&line(&event)))? }
        }
        if count == 0 && !self.json {
            say("no such events")?;
        }
        store.close().await;
        Ok(())
    }
}

/// An event in a line.
fn line(event: &AuditView) -> String {
    let AuditView { at, kind, gallery, by, .. } = event;
    let by = by.as_ref().map(|by| format!("  by {by}")).unwrap_or_default();
    format!("{at:.19}Z  {:10}  {gallery}  {}{by}", kind.to_string(), what(event))
}

fn what(event: &AuditView) -> String {
    if let Some(DecisionEvent { subject, image_id, decision, codes, .. }) = &event.decision {
        let codes =
            if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        return format!("{decision}{codes} image {image_id} for '{}'", subject.as_str());
    }
    if let Some(verdict) = &event.verdict {
        return of_verdict(verdict);
    }
    if let Some(change) = &event.subject {
        return of_change(change);
    }
    if let Some(activation) = &event.activation {
        let forced = if activation.forced { ", forced" } else { "" };
        return format!("profile {}{forced}", activation.profile);
    }
    if let Some(erasure) = &event.erasure {
        let removed = ErasurePlace::removed().filter_map(|place| match erasure.removed.of(place) {
            0 => None,
            count => Some(format!("{count} {}", place.words(count))),
        });
        return format!("erased one {}: {}", erasure.what, listed(removed, erasure.ended_at));
    }
    let Some(retention) = &event.retention else { return String::new() };
    let removed = [
        ("image", retention.removed.images),
        ("dead letter", retention.removed.dead_letters),
        ("rejected enrolment", retention.removed.rejected),
        ("rejected image", retention.removed.rejected_images),
        ("verdict", retention.removed.verdicts),
    ];
    let removed = removed.into_iter().filter(|(_, count)| *count > 0);
    let removed = removed.map(|(thing, count)| counted(count, thing));
    format!("removed {}", listed(removed, retention.ended_at))
}

fn of_verdict(event: &VerdictEvent) -> String {
    let VerdictEvent { verdict_id, image_id, verdict, subject, other_image_id, undoes, .. } = event;
    let to = subject.as_ref().map(|to| format!(" to '{}'", to.as_str()));
    let other = other_image_id.map(|other| format!(" as image {other}"));
    let undoes = undoes.map(|undoes| format!(" verdict {undoes}"));
    let more = to.or(other).or(undoes).unwrap_or_default();
    let undone = event.undone_by.map(|by| format!(" (undone by verdict {by})")).unwrap_or_default();
    format!("verdict {verdict_id}: {verdict}{more}, image {image_id}{undone}")
}

fn of_change(event: &SubjectEvent) -> String {
    let subject = match &event.subject {
        Some(subject) => format!("'{}'", subject.as_str()),
        None => "a subject that is gone".to_owned(),
    };
    let image = match event.image_id {
        Some(image) => format!("image {image}"),
        None => "an image that is gone".to_owned(),
    };
    match event.change {
        SubjectChange::Renamed => format!("renamed a subject, now {subject}"),
        SubjectChange::Merged => format!("merged a subject into {subject}"),
        SubjectChange::Removed => "removed a subject".to_owned(),
        SubjectChange::SetAside => format!("set {image} aside of {subject}"),
        SubjectChange::Restored => format!("restored {image} of {subject}"),
    }
}

/// What was removed, in words.
fn listed(removed: impl Iterator<Item = String>, ended_at: Option<UtcTime>) -> String {
    let removed: Vec<String> = removed.collect();
    let text = if removed.is_empty() { "nothing".to_owned() } else { removed.join(", ") };
    if ended_at.is_some() { text } else { format!("{text} (not ended)") }
}
