//! What a scan looks at: folders, buckets, lists, or images of the gallery once more.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::printable;
use crate::app::App;
use crate::domain::{OutcomeKind, ProfileId, counted};
use crate::gallery::again::{AgainImages, AgainQuery};
use crate::gallery::campaign::{ListSource, ScanPlan};
use crate::gallery::list::Images;
use crate::images::{
    ListFormat, ListPlace, ListSurvey, Listing, OutsideCounts, Places, Root, SurveyedLists,
};
use crate::store::{Store, choose_profile};

/// More columns than this are not named.
const SHOWN_COLUMNS: usize = 8;

#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    #[arg(
        required_unless_present_any = ["from", "again"],
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from),
        help = "Folders (searched at any depth), image files, buckets or prefixes in them \
            (s3://bucket/prefix, gs:, az:), and single images on web servers (https:)"
    )]
    pub(super) roots: Vec<Root>,
    /// Scan the images that a list names: a file, an object (s3:, gs:, az:), an https: URL, or -
    /// for standard input. May be repeated.
    ///
    /// A list is text (a path or URI a line), CSV, JSON lines or Parquet (columns uri, or url,
    /// file, path, image; and, if you like, subject and `content_hash`, BLAKE3), or the manifest of
    /// an S3 inventory; .gz too. Relative paths are relative to the list. See docs/sources.md.
    #[arg(
        long,
        value_name = "FILE|URL|-",
        value_parser = OsStringValueParser::new().try_map(ListPlace::try_from)
    )]
    from: Vec<ListPlace>,
    /// The format of the lists, if it is not recognised: text, csv, jsonl, parquet, inventory.
    #[arg(long, value_name = "FORMAT", requires = "from")]
    from_format: Option<ListFormat>,
    /// Images may be read from here too; nothing is listed. For lists and --again. May be repeated.
    #[arg(
        long = "root",
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from)
    )]
    allowed: Vec<Root>,
    /// Scan those images of the gallery again whose result, or latest attempt to read them, is one
    /// of these: failed, unreadable, refused, `no_face`.
    #[arg(
        long,
        value_name = "OUTCOMES",
        value_delimiter = ',',
        value_parser = again_outcome,
        conflicts_with_all = ["roots", "from"]
    )]
    again: Vec<OutcomeKind>,
    /// Folder of the relative paths of lists, if it is not the lists' own.
    #[arg(skip)]
    below: Option<PathBuf>,
}

fn again_outcome(text: &str) -> Result<OutcomeKind, String> {
    match text.parse() {
        Ok(OutcomeKind::Scored) => {
            Err("scored images of this profile are up to date: scan their folder".into())
        }
        Ok(outcome) => Ok(outcome),
        Err(_) => {
            Err(format!("unknown outcome '{text}': use failed, unreadable, refused or no_face"))
        }
    }
}

impl SourceArgs {
    /// The images of one list, whose relative paths are in the folder `below` if there is one.
    pub(super) fn of_list(list: ListPlace, below: Option<PathBuf>, mut allowed: Vec<Root>) -> Self {
        allowed.extend(below.clone().map(Root::Path));
        let (roots, from, again) = (Vec::new(), vec![list], Vec::new());
        Self { roots, from, from_format: None, allowed, again, below }
    }

    /// Where images may be read from in this process, in addition to the settings. Who names a
    /// list names its folder with it.
    pub(super) fn readable(&self) -> Vec<Root> {
        let folders = self.from.iter().filter_map(ListPlace::folder);
        self.roots.iter().chain(&self.allowed).cloned().chain(folders).collect()
    }

    /// What the worker of this process, or those of the fleet, may read. `None`: unknown here.
    fn allowed(&self, app: &App) -> Result<Option<Places>> {
        let mut roots = app.allowed_roots()?;
        roots.extend(if app.is_embedded() { self.readable() } else { self.allowed.clone() });
        let known = app.is_embedded() || !roots.is_empty();
        Ok(known.then(|| Places::new(&roots)))
    }

    /// `listing` with the lists, which are read once.
    ///
    /// # Errors
    /// If a list cannot be read, or names images outside of what may be read.
    pub(super) async fn with_lists(&self, app: &App, listing: Listing) -> Result<Listing> {
        if self.from.is_empty() {
            return Ok(listing);
        }
        let mut lists = app.lists(&self.from, self.from_format).await?;
        if let Some(folder) = &self.below {
            lists = lists.below(folder)?;
        }
        let lists = lists.survey(self.allowed(app)?, Places::new(&self.roots)).await?;
        let survey = lists.survey();
        tell(survey);
        check(&survey.outside, survey.images + survey.repeats, app)?;
        Ok(listing.with_lists(lists))
    }

    /// How a campaign names the lists.
    pub(super) fn list_source(&self, lists: Option<&SurveyedLists>) -> Option<ListSource> {
        let digest = lists?.survey().digest.clone();
        Some(ListSource { names: self.from.iter().map(ToString::to_string).collect(), digest })
    }

    /// The images of the gallery to scan again; `None` without --again.
    pub(super) fn again(&self, plan: &ScanPlan, profile: &ProfileId) -> Option<AgainQuery> {
        (!self.again.is_empty()).then(|| AgainQuery {
            gallery: plan.gallery.clone(),
            profile: profile.clone(),
            outcomes: self.again.clone(),
        })
    }

    /// The images of the scan, and how many there are if that is known.
    ///
    /// # Errors
    /// If the store fails, or images to scan again are outside of what may be read.
    pub(super) async fn images(
        &self,
        app: &App,
        again: Option<AgainQuery>,
        listing: Listing,
        store: Arc<dyn Store>,
    ) -> Result<(Images, Option<u64>)> {
        let Some(query) = again else { return Ok((Images::Listing(Box::new(listing)), None)) };
        // A gallery without results is a mistake, not a gallery without failures.
        choose_profile(store.as_ref(), &query.gallery, Some(query.profile.clone())).await?;
        let allowed = self.allowed(app)?;
        let versions = app.versions(allowed.clone().unwrap_or_default())?;
        let found = AgainImages::find(store, query, allowed.as_ref(), versions).await?;
        check(&found.outside, found.images, app)?;
        let count = found.images;
        Ok((Images::Again(Box::new(found)), Some(count)))
    }
}

/// Says what is in the lists.
fn tell(survey: &ListSurvey) {
    if survey.rows == 0 {
        eprintln!("the list is empty");
        return;
    }
    let mut parts = Vec::new();
    for (count, what) in [
        (survey.repeats, "repeat others"),
        (survey.others, "name no images"),
        (survey.bad, "cannot be used"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let rest = if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
    let (rows, images) = (counted(survey.rows, "row"), counted(survey.images, "image"));
    eprintln!("the list has {rows} and {images}{rest}");
    for (name, columns) in &survey.ignored {
        let more = if columns.len() > SHOWN_COLUMNS { ", …" } else { "" };
        let shown: Vec<_> =
            columns.iter().take(SHOWN_COLUMNS).map(|column| printable(column)).collect();
        let people = columns.iter().any(|column| {
            ["name", "person", "label", "identity"].contains(&column.to_lowercase().as_str())
        });
        let hint = if people { " (people's names are read from a column 'subject')" } else { "" };
        let shown = shown.join(", ");
        eprintln!("{}: columns that are not read: {shown}{more}{hint}", printable(name));
    }
}

/// Stops if images are outside of what may be read.
pub(super) fn check(outside: &OutsideCounts, images: u64, app: &App) -> Result<()> {
    let Some(told) = outside.told(images) else { return Ok(()) };
    let whose = if app.is_embedded() { "" } else { ", which decides what a worker reads" };
    bail!(
        "{told}. Nothing was scanned: allow them with {}, or in the setting images.allow{whose}",
        outside.roots()
    );
}
