//! `facefleet subject …`

mod change;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::change::{change, merged_as, remove, rename};
use super::named_image::NamedImage;
use super::operator::OperatorArgs;
use super::{GalleryArgs, printable, say, say_json};
use crate::app::App;
use crate::domain::{
    EnrolmentDecision, GalleryName, ImageId, Reason, ReferenceState, SetAsideReason, SubjectName,
    counted,
};
use crate::gallery::subjects::{find_subject, look_alikes_of, require_gallery};
use crate::store::{
    ReviewQuery, Store, StoredEnrolment, StoredReference, StoredSubject, SubjectQuery,
    SubjectSummary,
};
use crate::view::enrol::EnrolmentView;
use crate::view::subject::{SubjectDetailView, SubjectView};

/// Subjects that are read at once.
const PAGE: u32 = 1000;

/// A subject is a person of a gallery who was enrolled with `facefleet enrol` or through the queue.
///
/// Exit status: 1 if there is no such gallery, subject or reference, or a name is taken.
#[derive(Debug, Subcommand)]
pub(super) enum SubjectCommand {
    /// List the people of a gallery by name, each with its references and decisions.
    List {
        #[command(flatten)]
        gallery: GalleryArgs,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show the references of a person, and what was decided about each image.
    Show {
        #[command(flatten)]
        of: SubjectArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the images that a person has to decide about, with the reasons.
    ///
    /// `subject restore` accepts an image, `subject set-aside` refuses it; it is then no longer in
    /// this list.
    Review {
        #[command(flatten)]
        gallery: GalleryArgs,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Give a person another name.
    ///
    /// References, decisions and the label of the person's images follow.
    Rename {
        #[command(flatten)]
        of: SubjectArgs,
        /// The new name.
        #[arg(value_name = "NEW")]
        to: SubjectName,
        /// If there is a person of that name already, both are one person: their references are
        /// chosen anew among those of both. Cannot be undone, and refused if they do not look like
        /// one person.
        #[arg(long)]
        merge: bool,
        /// Merge them even if they do not look like one person.
        #[arg(long, requires = "merge")]
        force: bool,
        #[command(flatten)]
        operator: OperatorArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Remove a person with references and decisions; images and their results stay.
    ///
    /// Searches by subject do not find the person any more, searches by face still find the faces.
    Remove {
        #[command(flatten)]
        of: SubjectArgs,
        #[command(flatten)]
        operator: OperatorArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Set a reference aside: searches and checks do not use it any more.
    ///
    /// An image that a person had to review is refused this way.
    SetAside(ReferenceArgs),
    /// Make an image that was set aside a reference again, whatever the reason was.
    ///
    /// An image that a person had to review is accepted this way.
    Restore(ReferenceArgs),
}

/// A person.
#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// The person's name.
    name: SubjectName,
}

/// A reference of a person.
#[derive(Debug, Args)]
pub(super) struct ReferenceArgs {
    #[command(flatten)]
    of: SubjectArgs,
    /// Its image: a path, a URI, or the `image_id` that `subject show` prints.
    #[arg(value_name = "IMAGE", value_parser = NamedImage::parser_with_ids())]
    image: NamedImage,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl SubjectCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        let (open, store) = (store.clone(), store.as_ref());
        match self {
            Self::List { gallery, json } => list(store, &gallery.gallery, json).await?,
            Self::Show { of, json } => show(store, of, json).await?,
            Self::Review { gallery, json } => review(store, &gallery.gallery, json).await?,
            Self::Rename { of, to, merge, force, operator, json } => {
                let merge = match merge {
                    true => Some(merged_as(app, store, (&of, &to), force).await?),
                    false => None,
                };
                let rules = app.settings().references();
                rename(store, of, to, (merge, &rules), (&operator.name()?, json)).await?;
            }
            Self::Remove { of, operator, json } => {
                remove(store, of, &app.settings().references(), (&operator.name()?, json)).await?;
            }
            Self::SetAside(reference) => {
                let aside = ReferenceState::SetAside(SetAsideReason::Operator);
                change(store, reference, aside).await?;
            }
            Self::Restore(reference) => change(store, reference, ReferenceState::Active).await?,
        }
        open.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(store: &dyn Store, gallery: &GalleryName, json: bool) -> Result<()> {
    let (mut after, mut count) = (None, 0_u64);
    loop {
        let query = SubjectQuery { gallery: gallery.clone(), after, limit: PAGE };
        let page = store.subjects(&query).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        count += page.len() as u64;
        for summary in page {
            if json {
                say_json(&SubjectView::new(gallery.clone(), summary))?;
            } else {
                say(printable(&as_line(&summary)))?;
            }
        }
    }
    if count == 0 {
        require_gallery(store, gallery).await?;
    }
    if !json {
        say(format!("{} in gallery {gallery}", counted(count, "subject")))?;
    }
    Ok(())
}

fn as_line(summary: &SubjectSummary) -> String {
    let SubjectSummary { name, references, set_aside, accepted, review, rejected, .. } = summary;
    let lacking = match summary.without_template {
        0 => String::new(),
        count => format!("  {count} without a template under the active profile"),
    };
    format!(
        "references {references:>2}, set aside {set_aside:>2}  accepted {accepted:>3}, review \
         {review:>3}, rejected {rejected:>3}  {}{lacking}",
        name.as_str()
    )
}

async fn show(store: &dyn Store, of: SubjectArgs, json: bool) -> Result<()> {
    let gallery = of.gallery.gallery;
    let subject = find_subject(store, &gallery, &of.name).await?;
    let look_alikes = look_alikes_of(store, &subject.enrolments).await?;
    if json {
        say_json(&SubjectDetailView::new(gallery, subject, &look_alikes))?;
        return Ok(());
    }
    let StoredSubject { summary, references, enrolments } = subject;
    let SubjectSummary { name, created_at, .. } = &summary;
    say(printable(&format!("{} in gallery {gallery}, since {created_at:.19}Z", name.as_str())))?;
    let SubjectSummary { references: active, set_aside, accepted, review, rejected, .. } = summary;
    let lacking = match summary.without_template {
        0 => String::new(),
        count => format!(", {count} without a template under the active profile"),
    };
    say(format!(
        "  references: {active} active{lacking}, {set_aside} set aside; enrolments: {accepted} \
         accepted, {review} to review, {rejected} rejected"
    ))?;
    for reference in &references {
        say(printable(&reference_line(reference)))?;
    }
    for enrolment in &enrolments {
        let reference = references.iter().find(|each| each.image == enrolment.image);
        let state = reference.map(|each| each.state);
        for line in enrolment_lines(enrolment, state, &look_alikes) {
            say(printable(&line))?;
        }
    }
    Ok(())
}

async fn review(store: &dyn Store, gallery: &GalleryName, json: bool) -> Result<()> {
    let (mut after, mut count) = (None, 0_u64);
    loop {
        let query = ReviewQuery { gallery: gallery.clone(), after, limit: PAGE };
        let page = store.reviews(&query).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.image, last.subject.clone()));
        count += page.len() as u64;
        let look_alikes = look_alikes_of(store, &page).await?;
        for stored in page {
            if json {
                say_json(&EnrolmentView::new(&stored, &look_alikes))?;
                continue;
            }
            say(printable(stored.subject.as_str()))?;
            for line in enrolment_lines(&stored, None, &look_alikes) {
                say(printable(&line))?;
            }
        }
    }
    if count == 0 {
        require_gallery(store, gallery).await?;
    }
    if !json {
        say(format!("{count} to review in gallery {gallery}"))?;
    }
    if !json && count > 0 {
        say(format!(
            "accept one with `facefleet subject restore SUBJECT IMAGE_ID --gallery {gallery}`, \
             refuse it with `facefleet subject set-aside SUBJECT IMAGE_ID --gallery {gallery}`"
        ))?;
    }
    Ok(())
}

fn reference_line(reference: &StoredReference) -> String {
    let StoredReference { image, uri, state, since, has_template } = reference;
    let state = match state {
        ReferenceState::Active if !has_template => {
            "reference without a template under the active profile".to_owned()
        }
        ReferenceState::Active => "reference".to_owned(),
        ReferenceState::SetAside(reason) => format!("set aside, {}", told(*reason)),
    };
    format!("  {state}: image {image}  {}  since {since:.19}Z", uri.for_people())
}

/// Why a reference does not count, in words.
fn told(reason: SetAsideReason) -> &'static str {
    match reason {
        SetAsideReason::SameBytes => "a reference has the same bytes",
        SetAsideReason::NearlyIdentical => "a reference is nearly the same picture",
        SetAsideReason::NotBetter => "no better than the references",
        SetAsideReason::Replaced => "a better one replaced it",
        SetAsideReason::Review => "to be reviewed",
        SetAsideReason::Operator => "by an operator",
        SetAsideReason::Verdict => "by a verdict of curation",
    }
}

/// The decision, and a line for each reason. An accepted image may be no reference, as its `state`
/// says.
fn enrolment_lines(
    stored: &StoredEnrolment,
    state: Option<ReferenceState>,
    look_alikes: &BTreeMap<ImageId, SubjectName>,
) -> Vec<String> {
    let StoredEnrolment { image, uri, enrolment, decided_at, .. } = stored;
    let aside = match (enrolment.decision, state) {
        (EnrolmentDecision::Accepted, Some(ReferenceState::SetAside(_))) => ", kept aside",
        _ => "",
    };
    let mut lines = vec![format!(
        "  {}{aside}: image {image}  {}  at {decided_at:.19}Z",
        enrolment.decision,
        uri.for_people()
    )];
    let reasons = enrolment.reasons.iter();
    lines.extend(reasons.map(|reason| format!("    {}", reason_text(reason, look_alikes))));
    lines
}

/// A reason as people read it, and whom the image that it names was accepted for.
pub(super) fn reason_text(reason: &Reason, look_alikes: &BTreeMap<ImageId, SubjectName>) -> String {
    let named = reason.image_id.and_then(|image| Some((image, look_alikes.get(&image)?)));
    let named = named
        .map(|(image, subject)| format!("; image {image} was accepted for '{}'", subject.as_str()));
    format!("{}: {}{}", reason.code, reason.sentence(), named.unwrap_or_default())
}
