//! The cost of the components of a face, beside what the face costs in a scan.
//!
//! `cargo bench --bench components [-- FOLDER]`; FOLDER defaults to the sample photos. The photos
//! are analysed from memory by all threads, as a scan does. Prints both times per face, on one
//! core, and their ratio, and exits with an error if the components take more than 3 %.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use facefleet::app::App;
use facefleet::domain::{Chip, Landmarks};
use facefleet::images::{ListingEntry, Root};
use facefleet::settings::Settings;
use facefleet::vision::components;
use futures::{StreamExt, stream};

/// Photos to analyse; a folder of fewer is repeated.
const PHOTOS: usize = 200;
const ROUNDS: usize = 5;
/// Goal: share of the time of a face in a scan.
const LARGEST_SHARE: f64 = 0.03;

/// What the components of a face are measured from.
type MeasuredFace = (Chip, Landmarks, (u32, u32));

fn main() -> Result<()> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = PathBuf::from(folder.unwrap_or_else(|| ".facefleet/samples".into()));
    let app = App::new(Settings::load(None)?);
    let runtime = tokio::runtime::Runtime::new()?;
    let photos = runtime.block_on(photos(&app, folder))?;
    let processor = app.processor(&[], false)?;
    let threads = app.settings().threads();
    let scan = || async {
        let analyses = photos.iter().map(|bytes| processor.analyse(bytes.clone()));
        let found: Vec<_> = stream::iter(analyses).buffered(2 * threads + 2).collect().await;
        found.into_iter().collect::<Result<Vec<_>, _>>()
    };
    let faces: Vec<MeasuredFace> = runtime
        .block_on(scan())?
        .into_iter()
        .flat_map(|analysis| {
            let size = analysis.content.and_then(|content| content.size).unwrap_or_default();
            let faces = analysis.outcome.faces().to_vec().into_iter().zip(analysis.chips);
            faces.filter_map(move |(face, chip)| Some((chip?, face.face.landmarks?, size)))
        })
        .collect();
    ensure!(!faces.is_empty(), "no face in this folder");

    let (mut scans, mut measured) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        runtime.block_on(scan())?;
        scans.push(started.elapsed().as_secs_f64() * threads as f64 / faces.len() as f64);
        let started = Instant::now();
        for (chip, landmarks, size) in &faces {
            black_box(components::of_face(chip, landmarks, *size, 0.0));
        }
        measured.push(started.elapsed().as_secs_f64() / faces.len() as f64);
    }
    let (scan, components) = (median(scans), median(measured));
    let share = components / scan;
    println!(
        "{} faces of {} photos, {threads} threads, medians of {ROUNDS} rounds: a face takes \
            {:.2} ms of a core in a scan, its components {:.1} us: {:.2} %",
        faces.len(),
        photos.len(),
        scan * 1e3,
        components * 1e6,
        share * 100.0
    );
    ensure!(share <= LARGEST_SHARE, "over the goal of {LARGEST_SHARE}");
    Ok(())
}

/// The bytes of [`PHOTOS`] photos.
async fn photos(app: &App, folder: PathBuf) -> Result<Vec<Vec<u8>>> {
    let listing = app.listing(&[Root::Path(folder)]).context("run `make setup` first")?;
    let (mut photos, mut entries) = (Vec::new(), listing.entries(None)?);
    while let Some(entry) = entries.next().await {
        let ListingEntry::Image { image, .. } = entry? else { continue };
        let Some(path) = image.image.to_path() else { continue };
        photos.push(std::fs::read(path)?);
        if photos.len() == PHOTOS {
            break;
        }
    }
    ensure!(!photos.is_empty(), "no photo in this folder");
    Ok(photos.into_iter().cycle().take(PHOTOS).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
