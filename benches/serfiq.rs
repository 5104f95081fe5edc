//! The cost of SER-FIQ: the same network, chips and machine, one thread, in turns.
//!
//! - `embedding`: the prepared network without quality;
//! - `closed form`: embedding and distance in one pass, as facefleet computes them;
//! - `published`: the published algorithm, 100 passes of the whole network, each with its own
//!   dropout mask, then the mean pairwise distance. It also runs in batches of four, which are the
//!   fastest here: 25 passes of 4.
//!
//! `cargo bench --bench serfiq [-- FOLDER]`; FOLDER defaults to the sample photos. Prints medians
//! and ratios of the rounds. It is an error if the closed form costs more than 1.03 times the
//! embedding, or if the published algorithm takes less than 80 times as long as the closed form.
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

    let models = app.models();
    let manifest = models.manifest(&app.settings().models.recogniser)?;
    let published = models.published(&manifest)?;
    let runtime = app.runtime()?;
    let open = |outputs| -> Result<Network> {
        let prepared = prepare_recogniser(&published, &manifest, Target::Cpu, outputs)?;
        Ok(runtime.open("bench", &encode(&prepared.model), 1)?)
    };
    let (mut plain, mut quality, mut masked) =
        (open(Outputs::EmbeddingOnly)?, open(Outputs::Quality)?, open(Outputs::Masked)?);
    let features = {
        let output = quality.run(&[(&shape(), &inputs[0])], &[names::FEATURES])?;
        output[0].values.len() / BATCH
    };
    let mut masks = Masks { state: 1, features };

    // One unmeasured pass of each, so that every arena has grown.
    time_batches(&mut plain, &inputs, &[names::EMBEDDING])?;
    time_batches(&mut quality, &inputs, &[names::EMBEDDING, names::DISTANCE])?;
    published_distance(&mut masked, &inputs[0], &mut masks)?;

    let mut times = Times::default();
    for round in 0..ROUNDS {
        let closed = times.add_closed_form(round, &mut plain, &mut quality, &inputs)?;
        if round % 5 == 0 {
            let started = Instant::now();
            published_distance(&mut masked, &inputs[round % inputs.len()], &mut masks)?;
            let sampled = started.elapsed().as_secs_f64() * 1000.0;
            times.sampled.push(sampled);
            times.gain.push(sampled / closed);
        }
    }
    println!(
        "{} chips of {}, batch {BATCH}, 1 thread, medians of {ROUNDS} rounds",
        inputs.len() * BATCH,
        manifest.name
    );
    times.report()
}

/// Milliseconds a face in each round, and their ratios.
#[derive(Default)]
struct Times {
    embedding: Vec<f64>,
    closed: Vec<f64>,
    sampled: Vec<f64>,
    /// Closed form over embedding alone.
    cost: Vec<f64>,
    /// Published algorithm over closed form.
    gain: Vec<f64>,
}

impl Times {
    /// Times a round of the embedding alone and of the closed form. Returns the closed form's time.
    fn add_closed_form(
        &mut self,
        round: usize,
        plain: &mut Network,
        quality: &mut Network,
        inputs: &[Vec<f32>],
    ) -> Result<f64> {
        let mut time_plain = || time_batches(plain, inputs, &[names::EMBEDDING]);
        let mut time_quality =
            || time_batches(quality, inputs, &[names::EMBEDDING, names::DISTANCE]);
        // The order alternates, so that neither always meets a warm or a throttled core.
        let (a, b);
        if round.is_multiple_of(2) {
            a = time_plain()?;
            b = time_quality()?;
        } else {
            b = time_quality()?;
            a = time_plain()?;
        }
        self.embedding.push(a);
        self.closed.push(b);
        self.cost.push(b / a);
        Ok(b)
    }

    fn report(&mut self) -> Result<()> {
        println!("  embedding alone            {:8.2} ms a face", median(&mut self.embedding));
        println!("  embedding and closed form  {:8.2} ms a face", median(&mut self.closed));
        println!("  published, {PASSES} passes      {:8.2} ms a face", median(&mut self.sampled));
        let (cost, gain) = (median(&mut self.cost), median(&mut self.gain));
        println!("  closed form / embedding alone: {cost:.3} (at most 1.03)");
        println!("  published / closed form: {gain:.0} (at least 80)");
        ensure!(cost <= 1.03, "the closed form costs {cost:.3} times the embedding");
        ensure!(gain >= 80.0, "the published algorithm takes only {gain:.0} times as long");
        Ok(())
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

/// Milliseconds a face.
fn time_batches(network: &mut Network, inputs: &[Vec<f32>], wanted: &[&str]) -> Result<f64> {
    let started = Instant::now();
    for input in inputs {
        network.run(&[(&shape(), input)], wanted)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1000.0 / (inputs.len() * BATCH) as f64)
}

/// Runs the whole network 100 times on the first face of `input`, each time with another mask.
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

/// Dropout masks of ratio 0.4 from a linear congruential generator, so that drawing masks takes
/// little of the published algorithm's time.
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
