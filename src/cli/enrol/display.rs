//! What `enrol` prints: a line for each image as it ends, and the summary.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::super::progress::accounts;
use super::super::{INTERRUPTED, SOME_FAILED, printable, say, say_json};
use crate::domain::{
    Campaign, Enrolment, EnrolmentDecision, OutcomeEvent, OutcomeKind, ProfileId, counted,
};
use crate::gallery::follow::{CampaignCounts, CampaignEvent};
use crate::store::EnrolmentCounts;
use crate::view::enrol::{DecisionView, EnrolSummaryLine, EnrolSummaryView, EnrolledImageView};
use crate::view::image::ImageView;
use crate::view::outcome_counts;

/// More files and rows that cannot be listed than this are not named.
const SHOWN_PROBLEMS: u64 = 20;

/// Shows a running enrolment.
pub(super) struct EnrolDisplay {
    json: bool,
    problems: u64,
}

impl EnrolDisplay {
    pub(super) fn new(json: bool) -> Self {
        Self { json, problems: 0 }
    }

    pub(super) fn show(&mut self, _: &CampaignCounts, event: &CampaignEvent<'_>) {
        match event {
            // An error means that the reader closed the pipe: the enrolment goes on, and the
            // summary reports the error.
            CampaignEvent::Ended(event) if self.json => match &event.enrolment {
                Some(enrolment) => drop(say_json(&EnrolledImageView {
                    image: ImageView::from(*event),
                    decision: DecisionView::from(enrolment),
                })),
                None => drop(say_json(&ImageView::from(*event))),
            },
            CampaignEvent::Ended(event) => drop(say(printable(&line(event)))),
            CampaignEvent::Unlisted(error) => {
                self.problems += 1;
                match self.problems {
                    ..=SHOWN_PROBLEMS => eprintln!("{}", printable(&error.to_string())),
                    problems if problems == SHOWN_PROBLEMS + 1 => eprintln!("(and more)"),
                    _ => {}
                }
            }
            CampaignEvent::NotListed(_) | CampaignEvent::Counted => {}
        }
    }
}

/// An image in a line.
fn line(event: &OutcomeEvent) -> String {
    let image = event.image.for_people();
    match &event.enrolment {
        None => format!("undecided  {image}  {}", event.end.outcome),
        Some(Enrolment { decision: EnrolmentDecision::Accepted, .. }) => {
            let quality = event.end.quality.map(|quality| format!("  quality {quality}"));
            format!("accepted  {image}{}", quality.unwrap_or_default())
        }
        Some(Enrolment { decision, reasons }) => {
            let told =
                reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.sentence()));
            format!("{:8}  {image}  {}", decision.as_str(), told.collect::<Vec<_>>().join("; "))
        }
    }
}

/// How following an enrolment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnrolEnd {
    /// Every image ended.
    Complete,
    /// A signal stopped it; this process was the worker.
    Interrupted,
    /// A signal stopped it; the workers go on.
    LeftToWorkers,
}

/// What an enrolment prints last.
pub(super) struct EnrolSummary<'a> {
    pub(super) campaign: &'a Campaign,
    pub(super) counts: &'a CampaignCounts,
    pub(super) decided: EnrolmentCounts,
    /// The active profile of the gallery.
    pub(super) active: Option<ProfileId>,
    /// Whether the profile of the enrolment was asked for, active or not.
    pub(super) profile_named: bool,
    /// What could not be listed.
    pub(super) unlisted: u64,
    pub(super) end: EnrolEnd,
    pub(super) elapsed: Duration,
}

impl EnrolSummary<'_> {
    /// Prints it; the exit status of the command.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode> {
        if json {
            say_json(&self.view())?;
        } else {
            say(self.text())?;
        }
        let EnrolmentCounts { accepted, .. } = self.decided;
        let progress = &self.counts.progress;
        let all_accepted = progress.left() == 0
            && self.unlisted == 0
            && accepted + progress.skipped == progress.listed;
        Ok(match self.end {
            EnrolEnd::Interrupted | EnrolEnd::LeftToWorkers => ExitCode::from(INTERRUPTED),
            EnrolEnd::Complete if all_accepted => ExitCode::SUCCESS,
            EnrolEnd::Complete => ExitCode::from(SOME_FAILED),
        })
    }

    fn text(&self) -> String {
        let Self { campaign, counts, decided, .. } = self;
        let EnrolmentCounts { accepted, review, rejected, subjects, enrolled_subjects, .. } =
            *decided;
        let mut text = format!(
            "gallery {}, profile {}, campaign {}\n",
            campaign.gallery, campaign.profile, campaign.id
        );
        text += &format!(
            "{accepted} accepted, {review} to review, {rejected} rejected, {} accepted before\n",
            counts.progress.skipped
        );
        text += &self.no_references();
        if decided.review > 0 {
            text += &format!(
                "`facefleet subject review --gallery {}` shows what is to review\n",
                campaign.gallery
            );
        }
        if subjects > 0 {
            text += &format!(
                "of {} of these images, {enrolled_subjects} can be found\n",
                counted(subjects, "subject")
            );
        }
        if let Some(active) = self.active.as_ref().filter(|active| **active != campaign.profile) {
            let switched = match self.profile_named {
                true => String::new(),
                false => format!("profile {active} was made the active one meanwhile: "),
            };
            text += &format!(
                "{switched}found under this profile alone, until they are re-scored under the \
                 gallery's active profile {active}\n"
            );
        }
        let undecided = counts.progress.ended().saturating_sub(accepted + review + rejected);
        if undecided > 0 {
            text += &format!("{undecided} ended without a decision\n");
        }
        if self.unlisted > 0 {
            text += &format!("{} files or rows could not be listed\n", self.unlisted);
        }
        if let Some(next) = self.next() {
            text += &format!("{next}\n");
        }
        text + &accounts(&counts.progress)
    }

    /// What became of accepted images that are no references.
    fn no_references(&self) -> String {
        let EnrolmentCounts { accepted, references, ruled_out, .. } = self.decided;
        let mut text = String::new();
        if ruled_out > 0 {
            let (are, them) = match ruled_out {
                1 => ("image is no reference", "it"),
                _ => ("images are no references", "them"),
            };
            text += &format!(
                "{ruled_out} accepted {are}: a verdict excludes {them}, or gives {them} to another \
                 subject (`facefleet curate log`)\n"
            );
        }
        let aside = accepted.saturating_sub(references + ruled_out);
        if aside > 0 {
            let are = match aside {
                1 => "image is kept aside: the references of its subject",
                _ => "images are kept aside: the references of their subjects",
            };
            text += &format!(
                "{aside} accepted {are} are as good, or nearly the same (`facefleet subject \
                 show`)\n"
            );
        }
        text
    }

    /// Whether no image of a list can be read.
    fn all_unreadable(&self) -> bool {
        let progress = &self.counts.progress;
        let unreadable = progress.outcomes.get(&OutcomeKind::Unreadable).copied();
        self.campaign.source.starts_with("--subjects")
            && unreadable.is_some_and(|unreadable| unreadable == progress.listed)
    }

    fn next(&self) -> Option<String> {
        match self.end {
            EnrolEnd::Complete if self.all_unreadable() => Some(
                "none of the images can be read: if their paths begin at another folder than that \
                 of the list, name it with --images"
                    .to_owned(),
            ),
            EnrolEnd::Complete => None,
            EnrolEnd::Interrupted => {
                Some("interrupted: the same command continues from here".to_owned())
            }
            EnrolEnd::LeftToWorkers => Some(format!(
                "interrupted: the jobs in the queue go on; `facefleet campaign show {}` shows the \
                 progress",
                self.campaign.id
            )),
        }
    }

    fn view(&self) -> EnrolSummaryLine {
        let Self { campaign, counts, decided, end, .. } = self;
        let progress = &counts.progress;
        EnrolSummaryLine {
            summary: EnrolSummaryView {
                gallery: campaign.gallery.clone(),
                profile: campaign.profile.clone(),
                active_profile: self.active.clone(),
                campaign: campaign.id,
                listed: progress.listed,
                accepted_before: progress.skipped,
                accepted: decided.accepted,
                references: decided.references,
                ruled_out: decided.ruled_out,
                review: decided.review,
                rejected: decided.rejected,
                subjects: decided.subjects,
                enrolled_subjects: decided.enrolled_subjects,
                outcomes: outcome_counts(progress),
                left: progress.left(),
                unlisted: self.unlisted,
                seconds: self.elapsed.as_secs_f64(),
                interrupted: *end != EnrolEnd::Complete,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CampaignId, CampaignProgress, CampaignState, Lane};

    #[test]
    fn an_enrolment_says_why_people_are_not_found() {
        let profile = |digit: &str| digit.repeat(16).parse::<ProfileId>().unwrap();
        let campaign = Campaign {
            id: CampaignId::new(),
            lane: Lane::Enrol,
            gallery: "staff".parse().unwrap(),
            profile: profile("0"),
            selection: None,
            source: "photos".to_owned(),
            state: CampaignState::Running,
            progress: CampaignProgress::default(),
            started_at: String::new(),
        };
        let counts = CampaignCounts::default();
        let summary = |active: Option<ProfileId>, profile_named| EnrolSummary {
            campaign: &campaign,
            counts: &counts,
            decided: EnrolmentCounts::default(),
            active,
            profile_named,
            unlisted: 0,
            end: EnrolEnd::Complete,
            elapsed: Duration::ZERO,
        };
        for active in [None, Some(profile("0"))] {
            assert!(!summary(active, false).text().contains("re-scored"));
        }
        let other = || Some(profile("1"));
        let (switched, named) = (summary(other(), false).text(), summary(other(), true).text());
        let meanwhile = "profile 1111111111111111 was made the active one meanwhile: found under";
        assert!(switched.contains(meanwhile), "{switched}");
        let ruled_out = EnrolmentCounts { accepted: 3, ruled_out: 2, ..EnrolmentCounts::default() };
        let text = EnrolSummary { decided: ruled_out, ..summary(None, false) }.text();
        assert!(text.contains("2 accepted images are no references: a verdict"), "{text}");
        assert!(text.contains("1 accepted image is kept aside"), "{text}");
        assert!(named.contains("found under") && !named.contains("meanwhile"), "{named}");
    }
}
