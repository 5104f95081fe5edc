//! `facefleet subject rename`, `remove`, `set-aside` and `restore`.

use anyhow::Result;

use super::{ReferenceArgs, SubjectArgs};
use crate::app::App;
use crate::cli::{printable, say, say_json};
use crate::domain::{
    GalleryName, ImageId, OperatorName, ReferenceRules, ReferenceState, SubjectChange, SubjectName,
    counted,
};
use crate::gallery::subjects::{
    find_subject, remove_subject, rename_subject, require_alike, set_reference,
};
use crate::store::{Store, SubjectMerge, SubjectSummary, choose_profile};
use crate::view::subject::{SubjectChangeView, SubjectView};

/// How a subject and another one become one. Without `force`, only if they look like one person.
pub(super) async fn merged_as(
    app: &App,
    store: &dyn Store,
    (of, to): (&SubjectArgs, &SubjectName),
    force: bool,
) -> Result<SubjectMerge> {
    let gallery = &of.gallery.gallery;
    let profile = choose_profile(store, gallery, None).await?;
    if !force {
        let rules = match store.profile(&profile).await? {
            Some(profile) => app.enrol_rules(&profile)?.match_threshold,
            None => None,
        };
        require_alike(store, gallery, &profile, (&of.name, to), rules).await?;
    }
    Ok(SubjectMerge { profile, rules: app.settings().references() })
}

pub(super) async fn rename(
    store: &dyn Store,
    of: SubjectArgs,
    to: SubjectName,
    (merge, rules): (Option<SubjectMerge>, &ReferenceRules),
    (by, json): (&OperatorName, bool),
) -> Result<()> {
    let (gallery, from) = (of.gallery.gallery, of.name);
    let merged = rename_subject(store, &gallery, (&from, &to), merge, rules, by).await?;
    let summary = find_subject(store, &gallery, &to).await?.summary;
    let change = if merged { SubjectChange::Merged } else { SubjectChange::Renamed };
    let told = match change {
        SubjectChange::Merged => format!(
            "'{}' is now part of '{}', with {} and {} set aside",
            from.as_str(),
            to.as_str(),
            counted(summary.references, "reference"),
            summary.set_aside
        ),
        _ => format!("'{}' is now '{}'", from.as_str(), to.as_str()),
    };
    tell(json, &told, change, (gallery, summary), (Some(from), None))
}

pub(super) async fn remove(
    store: &dyn Store,
    of: SubjectArgs,
    rules: &ReferenceRules,
    (by, json): (&OperatorName, bool),
) -> Result<()> {
    let gallery = of.gallery.gallery;
    let summary = remove_subject(store, &gallery, &of.name, rules, by).await?;
    let SubjectSummary { references, set_aside, accepted, review, rejected, .. } = summary;
    let told = format!(
        "'{}' was removed from gallery {gallery}, with {} and {}; the images and their results \
         stay",
        of.name.as_str(),
        counted(references + set_aside, "reference"),
        counted(accepted + review + rejected, "decision")
    );
    tell(json, &told, SubjectChange::Removed, (gallery, summary), (None, None))
}

pub(super) async fn change(
    store: &dyn Store,
    of: ReferenceArgs,
    state: ReferenceState,
) -> Result<()> {
    let ReferenceArgs { of: SubjectArgs { gallery, name }, image, operator, json } = of;
    let gallery = gallery.gallery;
    let by = operator.name()?;
    let reference = set_reference(store, &gallery, &name, &image.key, state, &by).await?;
    let summary = find_subject(store, &gallery, &name).await?.summary;
    let what = match state {
        ReferenceState::Active => "is a reference of",
        ReferenceState::SetAside(_) => "is set aside of",
    };
    let told = format!(
        "{} {what} '{}', who has {}",
        reference.uri.for_people(),
        name.as_str(),
        counted(summary.references, "active reference")
    );
    tell(json, &told, state.into(), (gallery, summary), (None, Some(reference.image)))
}

/// Prints what was done, in a sentence or as JSON.
fn tell(
    json: bool,
    sentence: &str,
    change: SubjectChange,
    (gallery, summary): (GalleryName, SubjectSummary),
    (renamed_from, image_id): (Option<SubjectName>, Option<ImageId>),
) -> Result<()> {
    if json {
        let subject = SubjectView::new(gallery, summary);
        say_json(&SubjectChangeView { change, renamed_from, image_id, subject })?;
    } else {
        say(printable(sentence))?;
    }
    Ok(())
}
