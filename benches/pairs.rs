//! Time and memory of an evaluation of 20 million comparisons, and of searches of random galleries:
//! `cargo bench --bench pairs`. Needs no model and no photo. Exits with an error if it misses a
//! goal.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use facefleet::evaluate::evaluation::{Bootstrap, FMRS, evaluate};
use facefleet::evaluate::identification::Identification;
use facefleet::evaluate::pairs::Comparisons;
use facefleet::evaluate::samples::{Measure, random_measure};
use ndarray::Array2;

/// Photos: 20.5 million comparisons.
const PHOTOS: usize = 6_400;
/// People, with about five photos each.
const PEOPLE: usize = 1_280;
const DIMENSION: usize = 128;
/// The number of measures that `evaluate` prints.
const MEASURES: u64 = 22;
const REPLICATES: u32 = 200;

/// Goals.
const SECONDS: f64 = 60.0;
const MEGABYTES: f64 = 2_000.0;

fn main() -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let subjects: Vec<u32> = (0..PHOTOS as u32).map(|photo| photo % PEOPLE as u32).collect();
    let noise: Vec<Vec<f64>> =
        (0..DIMENSION as u64).map(|seed| values(&random_measure(PHOTOS, seed))).collect();
    let people: Vec<Vec<f64>> =
        (0..DIMENSION as u64).map(|seed| values(&random_measure(PEOPLE, 1000 + seed))).collect();
    let component = |photo: usize, d: usize| (noise[d][photo] + people[d][photo % PEOPLE]) as f32;
    let mut templates =
        Array2::from_shape_fn((PHOTOS, DIMENSION), |(photo, d)| component(photo, d));
    for mut row in templates.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    let measures: Vec<Measure> = (0..MEASURES).map(|seed| random_measure(PHOTOS, seed)).collect();

    let started = Instant::now();
    let comparisons = Comparisons::all(&templates.view(), &subjects, FMRS[0], threads)?;
    let compared = started.elapsed().as_secs_f64();
    let bootstrap = Bootstrap { replicates: REPLICATES, seed: 1, threads };
    let points = evaluate(&comparisons, &subjects, &measures, &FMRS, bootstrap);
    let evaluated = started.elapsed().as_secs_f64();
    let identification = Identification::measure(&templates.view(), &subjects, bootstrap)
        .context("the people have several photos each")?;
    let seconds = started.elapsed().as_secs_f64();
    let megabytes = peak_megabytes()?;
    println!(
        "{} non-mated and {} mated comparisons on {threads} threads",
        comparisons.non_mated_total(),
        comparisons.mated().len()
    );
    println!(
        "compared in {compared:.1} s; with {} thresholds, {MEASURES} measures and {REPLICATES} \
            replicates {evaluated:.1} s",
        points.len()
    );
    println!(
        "identification: {} mated and {} non-mated searches of {} galleries with {} references in \
            {:.1} s",
        identification.mated_searches,
        identification.non_mated_searches,
        identification.galleries,
        identification.references,
        seconds - evaluated
    );
    println!("peak memory {megabytes:.0} MB");
    ensure!(seconds < SECONDS, "over the goal of {SECONDS} s");
    ensure!(megabytes < MEGABYTES, "over the goal of {MEGABYTES} MB");
    Ok(())
}

/// The values of a random measure, scaled to -1 to 1.
fn values(measure: &Measure) -> Vec<f64> {
    measure.values.iter().flatten().map(|value| 2.0 * value / f64::from(u32::MAX) - 1.0).collect()
}

/// The peak memory of this process.
fn peak_megabytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .context("no VmHWM in /proc/self/status")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("VmHWM has no value")?.parse()?;
    Ok(kilobytes / 1000.0)
}
