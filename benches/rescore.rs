//! A re-score from the chip cache beside the same re-score from the photos.
//!
//! `cargo bench --bench rescore [-- FOLDER]`; FOLDER defaults to the sample photos. The photos are
//! scanned once into the store of a temporary folder, with a chip cache next to it. Then all are
//! re-scored in turn from the photos and from the cache, by a worker of this process as
//! `facefleet rescore --all` runs one. Prints images per second, the faces found by each way and
//! the ratio of the speeds, and exits with an error if it is below 2 or the ways differ in what
//! they found.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use facefleet::app::App;
use facefleet::app::session::Session;
use facefleet::domain::{GalleryName, OutcomeKind};
use facefleet::gallery::campaign::new_campaign;
use facefleet::gallery::follow::{CampaignCounts, CampaignRun};
use facefleet::gallery::list::Images;
use facefleet::gallery::rescore::{RescoreImages, RescorePlan, RescoreWhich};
use facefleet::images::Root;
use facefleet::settings::Settings;
use tokio_util::sync::CancellationToken;

/// Photos to score; a folder of fewer is repeated.
const PHOTOS: usize = 200;
const ROUNDS: usize = 5;
/// Goal: how many times as fast the cache is.
const LEAST_RATIO: f64 = 2.0;

/// What a run found: images by outcome, and faces.
type Results = (BTreeMap<OutcomeKind, u64>, u64);

/// A folder with photos, a store and a chip cache.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(photos: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut files: Vec<PathBuf> = std::fs::read_dir(photos)
            .with_context(|| photos.display().to_string())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|file| file.is_file());
        files.sort();
        ensure!(!files.is_empty(), "{}: no files", photos.display());
        std::fs::create_dir(folder.path().join("photos"))?;
        for (number, file) in (0..PHOTOS).zip(files.iter().cycle()) {
            let name = file.file_name().context("a file without a name")?.to_string_lossy();
            let copy = folder.path().join("photos").join(format!("{number:04}-{name}"));
            std::fs::copy(file, copy)?;
        }
        Ok(Self { folder })
    }

    /// The application, with the chip cache or without.
    fn app(&self, chips: bool) -> Result<App> {
        let mut settings = Settings::load(None)?;
        settings.queue.url = "memory:".to_owned().into();
        let store = self.folder.path().join("facefleet.db");
        settings.store.url = format!("sqlite:{}", store.display()).into();
        if chips {
            settings.chips.url = self.folder.path().join("chips").display().to_string();
        }
        Ok(App::new(settings))
    }

    fn root(&self) -> Root {
        Root::Path(self.folder.path().join("photos"))
    }

    async fn scan(&self) -> Result<Results> {
        let app = self.app(true)?;
        let session = Session::open(&app, &[self.root()], false).await?;
        let selection = app.settings().selection();
        let campaign = new_campaign(gallery()?, session.profile_id(), selection, "photos".into());
        let images = Images::Listing(Box::new(app.listing(&[self.root()])?));
        let run = CampaignRun { images, campaign, selection, claim: None };
        Ok(results(session.run(run, CancellationToken::new(), |_, _| {}).await?))
    }

    /// Seconds of a re-score, what it found, and how many images came from the cache.
    async fn rescore(&self, chips: bool) -> Result<(f64, Results, u64)> {
        let app = self.app(chips)?;
        let session = Session::open(&app, &[self.root()], false).await?;
        let (profile, selection) = (session.profile_id(), app.settings().selection());
        let plan = RescorePlan {
            gallery: gallery()?,
            from: profile.clone(),
            to: profile,
            selection,
            which: RescoreWhich::All,
        };
        let campaign = plan.campaign();
        let store = session.store();
        let images = RescoreImages::find(store, plan, None, None).await?;
        let images = Images::Rescore(Box::new(images));
        let run = CampaignRun { images, campaign, selection, claim: None };
        let stop = CancellationToken::new();
        let started = Instant::now();
        let counts = session.run(run, stop, |_, _| {}).await?;
        let cached = counts.from_chips;
        Ok((started.elapsed().as_secs_f64(), results(counts), cached))
    }
}

fn gallery() -> Result<GalleryName> {
    Ok("bench".parse()?)
}

fn results(counts: CampaignCounts) -> Results {
    (counts.progress.outcomes, counts.progress.faces)
}

fn main() -> Result<()> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = PathBuf::from(folder.unwrap_or_else(|| ".facefleet/samples".into()));
    let runtime = tokio::runtime::Runtime::new()?;
    let bench = Bench::new(&folder)?;
    let scanned = runtime.block_on(bench.scan())?;
    let (mut from_photos, mut from_chips) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (chips, seconds) in [(false, &mut from_photos), (true, &mut from_chips)] {
            let (took, found, cached) = runtime.block_on(bench.rescore(chips))?;
            ensure!(found == scanned, "a re-score found {found:?}, and the scan {scanned:?}");
            let decoded = found.0.iter().filter(|(kind, _)| **kind != OutcomeKind::Unreadable);
            let expected = if chips { decoded.map(|(_, images)| images).sum() } else { 0 };
            ensure!(cached == expected, "{cached} images from the cache, not {expected}");
            seconds.push(took);
        }
    }
    let (outcomes, faces) = scanned;
    let found: Vec<String> =
        outcomes.iter().map(|(kind, images)| format!("{images} {kind}")).collect();
    let (photos, chips) = (median(from_photos), median(from_chips));
    let ratio = photos / chips;
    println!(
        "{PHOTOS} photos ({}), {faces} faces, {} threads, medians of {ROUNDS} rounds: re-scored \
            from the photos {:.1} images/s, from the chip cache {:.1} images/s: {ratio:.2} times \
            as fast, the same results",
        found.join(", "),
        bench.app(true)?.settings().threads(),
        PHOTOS as f64 / photos,
        PHOTOS as f64 / chips,
    );
    ensure!(ratio >= LEAST_RATIO, "below the goal of {LEAST_RATIO}");
    Ok(())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
