//! How a fused quality does on what its fit has not seen: the degraded photos of `make evidence`.
//!
//!     cargo run --release --example left_out -- GALLERY DEGRADATIONS.csv
//!
//! The gallery has the scores of the photos, and `DEGRADATIONS.csv` says how each was degraded.
//! Half of the people (10 draws) are predicted by a fit on the other half: once on all of their
//! photos, and once with each kind of degradation left out of the fit that predicts its photos.
//! Prints the area under the error-versus-discard curve at FMR 1e-3 up to 30 % discarded, beside
//! those of the single measures on the same photos.
#![allow(clippy::print_stdout, reason = "it prints for people")]

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use facefleet::app::App;
use facefleet::evaluate::bootstrap::draw;
use facefleet::evaluate::collect;
use facefleet::evaluate::edc::DiscardOrder;
use facefleet::evaluate::evaluation::Bootstrap;
use facefleet::evaluate::fuse::FuseSet;
use facefleet::evaluate::pairs::{Comparisons, Weights};
use facefleet::evaluate::samples::SampleSet;
use facefleet::settings::Settings;

const FMR: f64 = 1e-3;
const DISCARDED: f64 = 0.3;
const DRAWS: u32 = 10;
/// Single measures to show: SER-FIQ, norm, detector score.
const SINGLE: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let [gallery, kinds] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        anyhow::bail!("name a gallery and its degradations.csv");
    };
    let app = App::new(Settings::load(None)?);
    let store = app.filled_store().await?;
    let gallery = gallery.parse()?;
    let profile = collect::closed_form_profile(store.as_ref(), &gallery).await?;
    let profile = profile.context("The gallery has no results")?;
    let found = collect::gallery(store.as_ref(), &gallery, &profile).await?;
    let bootstrap = Bootstrap { replicates: 0, seed: 1, threads: app.settings().threads() };
    let comparisons = found.compare(&[1e-2], bootstrap)?;
    let samples = &found.samples;
    let kinds = kinds_of(samples, kinds)?;
    println!("half of the people  {}", header(samples));
    let mut means = [0.0; SINGLE + 2];
    for number in 0..DRAWS {
        let areas = one_half(samples, &comparisons, &kinds, number)?;
        println!("{:18}  {}", number + 1, row(&areas));
        means.iter_mut().zip(areas).for_each(|(mean, area)| *mean += area / f64::from(DRAWS));
    }
    println!("{:18}  {}", "mean", row(&means));
    Ok(())
}

fn header(samples: &SampleSet) -> String {
    let single = samples.measures[..SINGLE].iter().map(|measure| measure.name.as_str());
    let names: Vec<&str> = single.chain(["fused", "fused, kind left out"]).collect();
    names.join("  ")
}

fn row(areas: &[f64]) -> String {
    areas.iter().map(|area| format!("{area:.3}")).collect::<Vec<_>>().join("  ")
}

/// The kind of each photo's degradation; empty for photos that are not degraded.
fn kinds_of(samples: &SampleSet, file: &str) -> Result<Vec<String>> {
    let mut table = csv::Reader::from_path(file).with_context(|| file.to_owned())?;
    let rows: Vec<(String, String, String)> = table.deserialize().collect::<Result<_, _>>()?;
    let kinds: HashMap<&str, &str> =
        rows.iter().map(|(file, kind, _)| (file.as_str(), kind.as_str())).collect();
    let of = |image: &facefleet::domain::ImageUri| {
        let uri = image.to_string();
        let name = uri.rsplit('/').next().unwrap_or_default();
        kinds.get(name).copied().unwrap_or_default().to_owned()
    };
    Ok(samples.images.iter().map(of).collect())
}

/// The areas on one half of the people, by fits on the other.
fn one_half(
    samples: &SampleSet,
    comparisons: &Comparisons,
    kinds: &[String],
    number: u32,
) -> Result<[f64; SINGLE + 2]> {
    let subjects = &samples.subjects;
    let people = subjects.iter().max().map_or(0, |&last| last as usize + 1);
    // Who is drawn an even number of times is tested: about half.
    let tested: Vec<bool> =
        draw(people, number, 7).iter().map(|times| times % 2.0 == 0.0).collect();
    let is_tested = |photo: usize| tested[subjects[photo] as usize];
    let set = FuseSet {
        comparisons,
        subjects,
        inputs: &samples.inputs,
        scores: &samples.scores,
        measures: &samples.measures,
        data: &samples.fingerprint,
    };
    let predict = |without: Option<&str>| -> Result<Vec<Option<f64>>> {
        let in_fit = |photo: usize| !is_tested(photo) && without != Some(kinds[photo].as_str());
        let training: Vec<bool> = (0..subjects.len()).map(in_fit).collect();
        let fused = set.fit_on(&training, FMR, 1)?;
        let value = |photo: usize| {
            fused.value_of(|_, term| {
                samples.inputs.iter().find(|each| each.input == term.name)?.values[photo]
            })
        };
        Ok((0..subjects.len()).map(|photo| Some(value(photo))).collect())
    };
    let all = predict(None)?;
    let mut left_out = all.clone();
    let names: BTreeSet<&str> = kinds.iter().map(String::as_str).collect();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let predicted = predict(Some(name))?;
        for photo in (0..kinds.len()).filter(|&photo| kinds[photo] == name) {
            left_out[photo] = predicted[photo];
        }
    }
    let weights = tested.iter().map(|&tested| if tested { 1.0 } else { 0.0 }).collect();
    let weights = Weights::new(weights, subjects);
    let threshold = comparisons.threshold(FMR, &weights).context("Too few comparisons")?;
    let area = |values: &[Option<f64>]| {
        DiscardOrder::new(values)
            .edc(comparisons.mated(), threshold, &weights)
            .pauc(DISCARDED)
            .context("No errors")
    };
    let single = &samples.measures[..SINGLE];
    let mut areas = [0.0; SINGLE + 2];
    for (to, measure) in areas.iter_mut().zip(single) {
        *to = area(&measure.values)?;
    }
    areas[SINGLE] = area(&all)?;
    areas[SINGLE + 1] = area(&left_out)?;
    Ok(areas)
}
