//! `facefleet curate log`

use anyhow::Result;
use clap::Args;

use crate::cli::named_image::NamedImage;
use crate::cli::{GalleryArgs, printable, say, say_json};
use crate::domain::{CurationId, Verdict};
use crate::gallery::curate::find_image;
use crate::store::{ImageKey, Store, StoredVerdict, VerdictQuery, choose_profile};
use crate::view::curation::VerdictView;

/// Verdicts that are read at once.
const PAGE: u32 = 500;

/// Show verdicts, the latest first: what, who, when and why, and what was undone.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Only verdicts about this image: a path, a URI, or its `image_id`.
    #[arg(long, value_name = "IMAGE", value_parser = NamedImage::parser_with_ids())]
    image: Option<NamedImage>,
    /// Only verdicts of this curation.
    #[arg(long, value_name = "NUMBER")]
    curation: Option<CurationId>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl LogArgs {
    pub(super) async fn run(self, store: &dyn Store) -> Result<()> {
        let gallery = self.gallery.gallery;
        let image = match &self.image {
            None => None,
            Some(NamedImage { key: ImageKey::Id(id), .. }) => Some(*id),
            Some(NamedImage { key, .. }) => {
                Some(find_image(store, &gallery, (key, "of that name")).await?.id)
            }
        };
        let (curation, limit) = (self.curation, PAGE);
        let mut query = VerdictQuery { gallery, image, curation, after: None, limit };
        let mut count = 0_u64;
        loop {
            let page = store.verdicts(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.id);
            count += page.len() as u64;
            for verdict in &page {
                if self.json {
                    say_json(&VerdictView::from(verdict))?;
                } else {
                    say(printable(&line(verdict)))?;
                }
            }
        }
        if count == 0 {
            choose_profile(store, &query.gallery, None).await?;
        }
        if count == 0 && !self.json {
            say(format!("no verdicts in gallery {}", query.gallery))?;
        }
        Ok(())
    }
}

/// A verdict in a line.
fn line(stored: &StoredVerdict) -> String {
    let StoredVerdict { id, curation, image, uri, verdict, by, reason, at, undone_by } = stored;
    let what = match verdict {
        Verdict::Exclude => "exclude".to_owned(),
        Verdict::Restore => "restore".to_owned(),
        Verdict::Keep => "keep".to_owned(),
        Verdict::Reassign(subject) => format!("reassign to '{}':", subject.as_str()),
        Verdict::NotTheSame(other) => format!("not the same as image {other}:"),
        Verdict::Gone => "gone".to_owned(),
        Verdict::Moved(other) => {
            format!("moved: image {other} has its new place, and its old one has")
        }
        Verdict::Found => "found again".to_owned(),
        Verdict::Undo(of) => format!("undo verdict {of}:"),
    };
    let reason = reason.as_ref().map(|it| format!(", \"{}\"", it.as_str())).unwrap_or_default();
    let undone = undone_by.map(|by| format!(" (undone by verdict {by})")).unwrap_or_default();
    format!(
        "{id}  {what} image {image}  {}  by {by} at {at:.19}Z{reason}, curation {curation}{undone}",
        uri.for_people()
    )
}
