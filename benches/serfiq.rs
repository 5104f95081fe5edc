//! The cost of SER-FIQ: the same network, chips and machine, one thread, in turn.
//!
//! - `embedding`: the prepared network without quality;
//! - `closed form`: embedding and distance from one pass, as facefleet runs it;
//! - `published`: the published algorithm, 100 passes of the whole network, each with its own
//!   dropout mask, then the mean pairwise distance. (It also runs in batches of 4, the fastest
//!   size: 25 passes of 4.)
//!
//! `cargo bench --bench serfiq [-- FOLDER]`; FOLDER defaults to the sample photos. Prints medians
//! and ratios of alternating rounds. Exits with an error if the closed form costs more than 1.03
//! times the embedding, or if the published algorithm costs less than 80 times the closed form.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod sample_chips;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use facefleet::app::App;
use facefleet::domain::{CHIP_SIDE, Chip};
use facefleet::inference::prepare::{Outputs, Target, encode, names, prepare_recogniser};
use facefleet::inference::runtime::Network;
use facefleet::quality::sampled::mean_pairwise_distance;
use facefleet::settings::Settings;
use ndarray::ArrayView2;

use self::sample_chips::sample_chips;

const BATCH: usize = 4;
const PASSES: usize = 100;
const ROUNDS: usize = 15;
const CHIPS: usize = 32;

fn main() -> Result<()> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = PathBuf::from(folder.unwrap_or_else(|| ".facefleet/samples".into()));
    let app = App::new(Settings::load(None)?);
    let chips = sample_chips(&app, folder, CHIPS)?;
    let inputs: Vec<Vec<f32>> = chips.chunks_exact(BATCH).map(input).collect();
    let mut networks = Networks::open(&app, &inputs[0])?;
    // One unmeasured round, so that every arena has its final size.
    networks.time_embedding(&inputs)?;
    networks.time_closed_form(&inputs)?;
    networks.time_published(&inputs[0])?;

    let (mut embedding, mut closed, mut cost) = (Vec::new(), Vec::new(), Vec::new());
    let (mut published, mut gain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // The order alternates: neither always runs on a warmer or a throttled core.
        let (a, b);
        if round % 2 == 0 {
            a = networks.time_embedding(&inputs)?;
            b = networks.time_closed_form(&inputs)?;
        } else {
            b = networks.time_closed_form(&inputs)?;
            a = networks.time_embedding(&inputs)?;
        }
        embedding.push(a);
        closed.push(b);
        cost.push(b / a);
        if round % 5 == 0 {
            let c = networks.time_published(&inputs[round % inputs.len()])?;
            published.push(c);
            gain.push(c / b);
        }
    }
    println!(
        "{} chips of {}, batch {BATCH}, 1 thread, medians of {ROUNDS} rounds",
        inputs.len() * BATCH,
        app.settings().models.recogniser
    );
    println!("  embedding alone            {:8.2} ms a face", median(&mut embedding));
    println!("  embedding and closed form  {:8.2} ms a face", median(&mut closed));
    println!("  published, {PASSES} passes      {:8.2} ms a face", median(&mut published));
    let (cost, gain) = (median(&mut cost), median(&mut gain));
    println!("  closed form / embedding alone: {cost:.3} (at most 1.03)");
    println!("  published / closed form: {gain:.0} (at least 80)");
    ensure!(cost <= 1.03, "the closed form costs {cost:.3} times the embedding");
    ensure!(gain >= 80.0, "the published algorithm takes only {gain:.0} times as long");
    Ok(())
}

/// The same recogniser, prepared in three ways.
struct Networks {
    plain: Network,
    quality: Network,
    masked: Network,
    masks: Masks,
}

impl Networks {
    fn open(app: &App, input: &[f32]) -> Result<Self> {
        let models = app.models();
        let manifest = models.manifest(&app.settings().models.recogniser)?;
        let published = models.published(&manifest)?;
        let runtime = app.runtime()?;
        let open = |outputs| -> Result<Network> {
            let prepared = prepare_recogniser(&published, &manifest, Target::Cpu, outputs)?;
            Ok(runtime.open("bench", &encode(&prepared.model), 1)?)
        };
        let mut quality = open(Outputs::Quality)?;
        let features = quality.run(&[(&shape(), input)], &[names::FEATURES])?;
        let masks = Masks { state: 1, features: features[0].values.len() / BATCH };
        let (plain, masked) = (open(Outputs::EmbeddingOnly)?, open(Outputs::Masked)?);
        Ok(Self { plain, quality, masked, masks })
    }

    fn time_embedding(&mut self, inputs: &[Vec<f32>]) -> Result<f64> {
        time_batches(&mut self.plain, inputs, &[names::EMBEDDING])
    }

    fn time_closed_form(&mut self, inputs: &[Vec<f32>]) -> Result<f64> {
        time_batches(&mut self.quality, inputs, &[names::EMBEDDING, names::DISTANCE])
    }

    /// Milliseconds for the first face of `input`.
    fn time_published(&mut self, input: &[f32]) -> Result<f64> {
        let started = Instant::now();
        published_distance(&mut self.masked, input, &mut self.masks)?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    }
}

fn shape() -> [usize; 4] {
    [BATCH, 3, CHIP_SIDE, CHIP_SIDE]
}

fn input(chips: &[Chip]) -> Vec<f32> {
    let plane = |chip: &Chip, channel: usize| {
        chip.pixels().iter().skip(channel).step_by(3).map(|&v| f32::from(v)).collect::<Vec<_>>()
    };
    chips.iter().flat_map(|chip| [0, 1, 2].map(|channel| plane(chip, channel))).flatten().collect()
}

/// Milliseconds for each face.
fn time_batches(network: &mut Network, inputs: &[Vec<f32>], wanted: &[&str]) -> Result<f64> {
    let started = Instant::now();
    for input in inputs {
        network.run(&[(&shape(), input)], wanted)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1000.0 / (inputs.len() * BATCH) as f64)
}

/// The distance of the first face of `input` from 100 passes of the whole network, each with
/// another mask.
fn published_distance(network: &mut Network, input: &[f32], masks: &mut Masks) -> Result<f64> {
    let face = &input[..3 * CHIP_SIDE * CHIP_SIDE];
    let repeated = face.repeat(BATCH);
    let mut embeddings = Vec::new();
    for _ in 0..PASSES / BATCH {
        let mask = masks.draw();
        let output = network.run(
            &[(&shape(), &repeated), (&[BATCH, masks.features], &mask)],
            &[names::EMBEDDING],
        )?;
        embeddings.extend_from_slice(&output[0].values);
    }
    let dimension = embeddings.len() / PASSES;
    Ok(mean_pairwise_distance(ArrayView2::from_shape((PASSES, dimension), &embeddings)?))
}

/// Dropout masks of ratio 0.4 from a linear congruential generator, which is fast: drawing masks
/// must not dominate the time of the published algorithm.
struct Masks {
    state: u64,
    features: usize,
}

impl Masks {
    fn draw(&mut self) -> Vec<f32> {
        let mut next = || {
            self.state = self
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if (self.state >> 33) as f64 / f64::from(1_u32 << 31) < 0.4 { 0.0 } else { 1.0 / 0.6 }
        };
        (0..BATCH * self.features).map(|_| next()).collect()
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
