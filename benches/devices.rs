//! Speed of a device by batch size, and how far its results are from the CPU's in 32 bits.
//!
//! `cargo bench --bench devices [-- DEVICE…]`. DEVICE is `cpu`, `openvino`, `cuda:N` or
//! `tensorrt:N`, each with `+half` or `+bfloat16` for lower precision; the default is `cpu`. The
//! ONNX Runtime in `runtime.library` must have all of them, and the models must be prepared for
//! them. Every round runs each device once, so that all see the same load of the machine; the
//! results are medians. A CPU session has one thread: a worker runs one per core.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod sample_chips;

use std::time::Instant;

use anyhow::{Context, Result};
use facefleet::app::App;
use facefleet::domain::{Chip, Device, DeviceChoice, Precision};
use facefleet::inference::canvas::{Canvas, CanvasSize};
use facefleet::inference::plan::DevicePlan;
use facefleet::inference::recogniser::{Estimator, NetworkAnswer, Recogniser, RecogniserModel};
use facefleet::inference::yunet::{Yunet, YunetModel};
use facefleet::settings::Settings;
use image::RgbImage;

use self::sample_chips::sample_chips;

const CHIPS: usize = 64;
const ROUNDS: usize = 7;

/// Batch sizes. A CPU gains nothing from large ones.
fn batches(device: Device) -> &'static [usize] {
    if matches!(device, Device::Cpu | Device::OpenVino) { &[1, 4, 8] } else { &[1, 8, 16, 32, 64] }
}

struct Contender {
    name: String,
    batch: usize,
    recogniser: Recogniser,
    times: Vec<f64>,
}

fn main() -> Result<()> {
    let mut names: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if names.is_empty() {
        names.push("cpu".into());
    }
    let app = App::new(Settings::load(None)?);
    let chips = chips(&app)?;
    let reference = answers(&mut open(&app, &DevicePlan::cpu(1))?, &chips, 4)?;

    let mut contenders = Vec::new();
    for name in &names {
        let plan = plan(&app, name)?;
        for &batch in batches(plan.device) {
            let plan = DevicePlan { batch, ..plan.clone() };
            let mut recogniser = open(&app, &plan)?;
            if batch == 1 {
                let (cosine, distance) =
                    error(&answers(&mut recogniser, &chips, batch)?, &reference);
                println!(
                    "{name}: least cosine to the CPU {cosine:.6}, largest error of the distance \
                        {:.4} %",
                    100.0 * distance
                );
            }
            contenders.push(Contender { name: name.clone(), batch, recogniser, times: Vec::new() });
        }
    }
    for _ in 0..ROUNDS {
        for contender in &mut contenders {
            let started = Instant::now();
            answers(&mut contender.recogniser, &chips, contender.batch)?;
            contender.times.push(started.elapsed().as_secs_f64() * 1000.0 / chips.len() as f64);
        }
    }
    println!("recogniser, {CHIPS} chips, medians of {ROUNDS} rounds, ms a face");
    for Contender { name, batch, times, .. } in &mut contenders {
        println!("  {name:<16} batch {batch:>3}  {:8.3}", median(times));
    }
    println!("detector, blank canvas, medians of {ROUNDS} passes, ms an image");
    for name in names.iter().filter(|name| !name.contains('+')) {
        let plan = plan(&app, name)?;
        let most = if plan.padded { 16 } else { 1 };
        for (side, batch) in [(320, 1), (320, most), (640, 1), (640, most)]
            .into_iter()
            .take(if most == 1 { 3 } else { 4 })
        {
            let plan = DevicePlan { batch, ..plan.clone() };
            println!(
                "  {name:<16} {side}x{side} batch {batch:>3}  {:8.3}",
                detector(&app, &plan, side, batch)?
            );
        }
    }
    Ok(())
}

fn plan(app: &App, name: &str) -> Result<DevicePlan> {
    let (device, precision) = match name.split_once('+') {
        Some((device, precision)) => {
            (device, Precision::try_from(precision.to_owned()).map_err(anyhow::Error::msg)?)
        }
        None => (name, Precision::Float32),
    };
    let DeviceChoice::Only(device) = device.parse()? else {
        anyhow::bail!("name a device, not auto")
    };
    Ok(DevicePlan { precision, sessions: 1, ..app.plan(device) })
}

fn open(app: &App, plan: &DevicePlan) -> Result<Recogniser> {
    let models = app.models().prepared_as(plan.variant());
    let model = RecogniserModel::load(
        &models,
        &app.settings().models.recogniser,
        &app.runtime()?,
        Estimator::ClosedForm,
    )?;
    Ok(model.open_on(plan)?)
}

fn answers(
    recogniser: &mut Recogniser,
    chips: &[Chip],
    batch: usize,
) -> Result<Vec<NetworkAnswer>> {
    let mut answers = Vec::with_capacity(chips.len());
    for chips in chips.chunks(batch) {
        for answer in recogniser.recognise(chips)? {
            answers.push(answer.context("the network gave no usable embedding")?);
        }
    }
    Ok(answers)
}

/// The least cosine and the largest relative error of the distance.
fn error(answers: &[NetworkAnswer], reference: &[NetworkAnswer]) -> (f64, f64) {
    answers.iter().zip(reference).fold((1.0, 0.0), |(cosine, distance), (answer, reference)| {
        let off = (answer.distance / reference.distance - 1.0).abs();
        (answer.template.similarity(&reference.template).min(cosine), off.max(distance))
    })
}

fn detector(app: &App, plan: &DevicePlan, side: u32, batch: usize) -> Result<f64> {
    let model = YunetModel::load(&app.models(), &app.settings().models.detector, &app.runtime()?)?;
    let size = CanvasSize::Letterbox { max_side: side };
    let mut detector: Yunet = model.open_on(plan, size)?;
    let canvas = model.canvas(&RgbImage::new(side, side), size);
    let looks: Vec<(&Canvas, f32)> = vec![(&canvas, 0.6); batch];
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        detector.detect_batch(&looks)?;
        times.push(started.elapsed().as_secs_f64() * 1000.0 / batch as f64);
    }
    Ok(median(&mut times))
}

/// Always found on the CPU in 32 bits.
fn chips(app: &App) -> Result<Vec<Chip>> {
    let mut settings = app.settings().clone();
    settings.runtime.device = DeviceChoice::Only(Device::Cpu);
    settings.models.precision = Precision::Float32;
    sample_chips(&App::new(settings), ".facefleet/samples".into(), CHIPS)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
