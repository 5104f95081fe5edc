//! Results and speed of the networks on one device.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use image::RgbImage;

use super::{App, CheckedDevice, Rows};
use crate::domain::{Chip, Face, Precision};
use crate::inference::canvas::{Canvas, CanvasSize};
use crate::inference::plan::{DevicePlan, Kernels};
use crate::inference::recogniser::{Estimator, NetworkAnswer, Recogniser, RecogniserModel};
use crate::inference::runtime::side_by_side;
use crate::inference::yunet::{Yunet, YunetModel};

/// Batch sizes of the recogniser. A CPU gains nothing from large ones.
const CPU_BATCHES: [usize; 3] = [1, 4, 8];
const GPU_BATCHES: [usize; 6] = [1, 8, 16, 32, 64, 128];
/// Canvases in a batch of the detector.
const CANVASES: [usize; 2] = [1, 16];
/// The batch size that kernels are compared with.
const KERNELS_BATCH: usize = 32;
/// Batch sizes that one session gets in turn.
const IN_TURN: [usize; 3] = [1, 8, 32];
/// The least confidence of a face.
const MIN_SCORE: f32 = 0.6;
/// By how much a landmark may be off, as a share of the face's width.
const SAME_PLACE: f32 = 0.01;

/// A measured number.
pub(super) struct DeviceNumber {
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) detail: Option<String>,
}

/// The networks, open on a device.
pub(super) struct OpenNetworks {
    plan: DevicePlan,
    model: RecogniserModel,
    recogniser: Recogniser,
    detector_model: YunetModel,
    detector: Yunet,
    canvas: CanvasSize,
}

/// Opens both networks as `plan` says, which runs their self-tests.
pub(super) fn open(app: &App, plan: &DevicePlan) -> Result<OpenNetworks> {
    let (runtime, settings) = (app.runtime()?, app.settings());
    runtime.require(plan.device)?;
    let model = recogniser_model(app, plan)?;
    let detector_model = YunetModel::load(
        &app.models().prepared_as(plan.variant()),
        &settings.models.detector,
        &runtime,
    )
    .context("the device check measures YuNet: set models.detector")?;
    let max_side = settings.detector.max_side;
    let canvas = CanvasSize::Letterbox { max_side };
    let recogniser = model.open_on(plan)?;
    let detector =
        detector_model.open_on(&DevicePlan { batch: CANVASES[1], ..plan.clone() }, canvas)?;
    Ok(OpenNetworks { plan: plan.clone(), model, recogniser, detector_model, detector, canvas })
}

fn recogniser_model(app: &App, plan: &DevicePlan) -> Result<RecogniserModel> {
    Ok(RecogniserModel::load(
        &app.models().prepared_as(plan.variant()),
        &app.settings().models.recogniser,
        &app.runtime()?,
        Estimator::ClosedForm,
    )?)
}

fn answers(recogniser: &mut Recogniser, chips: &[Chip]) -> Result<Vec<NetworkAnswer>> {
    let answers: Option<Vec<_>> = recogniser.recognise(chips)?.into_iter().collect();
    answers.context("the network gave no usable embedding")
}

/// How often `pass` can be done a second, by as many threads as there are `items`. The first pass
/// of each is not counted.
fn rate<T: Send>(
    items: &mut [T],
    time: Duration,
    pass: impl Fn(&mut T) -> Result<()> + Sync,
) -> Result<f64> {
    for item in &mut *items {
        pass(item)?;
    }
    let started = Instant::now();
    let work = |item: &mut T| {
        let mut passes = 0;
        while passes < 2 || started.elapsed() < time {
            pass(item)?;
            passes += 1;
        }
        Ok(passes)
    };
    let passes: Result<Vec<usize>> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            items.iter_mut().map(|item| scope.spawn(move || work(item))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    Ok(passes?.iter().sum::<usize>() as f64 / started.elapsed().as_secs_f64())
}

/// By how much the landmarks of a face are elsewhere than those of another, in widths of it.
fn moved(found: &Face, face: &Face) -> f32 {
    let points = found.landmarks.iter().flatten().zip(face.landmarks.iter().flatten());
    let by = points.map(|(found, place)| (found.x - place.x).hypot(found.y - place.y));
    by.fold(0.0, f32::max) / face.bbox.width
}

impl OpenNetworks {
    /// The least cosine and the largest error of the distance, to the CPU in 32 bits.
    pub(super) fn compare_recogniser(&mut self, app: &App, chips: &[Chip]) -> Result<String> {
        let reference = DevicePlan::cpu(self.plan.threads);
        let reference =
            answers(&mut recogniser_model(app, &reference)?.open_on(&reference)?, chips)?;
        let mut found = Vec::with_capacity(chips.len());
        for chips in chips.chunks(self.plan.batch) {
            found.extend(answers(&mut self.recogniser, chips)?);
        }
        let (mut cosine, mut off) = (1.0_f64, 0.0_f64);
        for (found, reference) in found.iter().zip(&reference) {
            cosine = cosine.min(found.template.similarity(&reference.template));
            off = off.max((found.distance / reference.distance - 1.0).abs());
        }
        let (least, most) = match self.plan.precision {
            Precision::Float32 => (0.999_99, 1e-3),
            Precision::Half | Precision::Bfloat16 => (0.99, 0.02),
        };
        let said = format!(
            "{} faces: least cosine {cosine:.6}, distance off by at most {:.4} %",
            chips.len(),
            100.0 * off
        );
        ensure!(
            cosine > least && off < most,
            "{said}; over {least} and under {} % wanted",
            100.0 * most
        );
        Ok(said)
    }

    /// Whether the detector finds the CPU's faces.
    pub(super) fn compare_detector(&mut self, app: &App, pictures: &[RgbImage]) -> Result<String> {
        let cpu =
            YunetModel::load(&app.models(), self.detector_model.identity().0, &app.runtime()?)?;
        let mut cpu = cpu.open_on(&DevicePlan::cpu(1), self.canvas)?;
        let canvases = self.canvases(pictures);
        let inputs: Vec<(&Canvas, f32)> =
            canvases.iter().map(|canvas| (canvas, MIN_SCORE)).collect();
        let (expected, found) = (cpu.detect_batch(&inputs)?, self.detector.detect_batch(&inputs)?);
        let mut off = 0.0_f32;
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let (count, wanted) = (found.len(), expected.len());
            ensure!(count == wanted, "{count} faces in picture {place}, the CPU finds {wanted}");
            for face in expected {
                off = off.max(found.iter().map(|found| moved(found, face)).fold(9.0, f32::min));
            }
        }
        let found_count = expected.iter().map(Vec::len).sum::<usize>();
        let said =
            format!("the same {found_count} faces, landmarks off by at most {off:.5} widths");
        ensure!(off < SAME_PLACE, "{said}");
        Ok(said)
    }

    /// Whether a second start gives the same bits for the same batch.
    pub(super) fn compare_starts(&mut self, chips: &[Chip]) -> Result<String> {
        let chips = &chips[..chips.len().min(self.plan.batch)];
        let first = answers(&mut self.recogniser, chips)?;
        let mut again = self.model.open_untested(&self.plan, &self.sizes_of(chips.len()))?;
        let second = answers(&mut again, chips)?;
        let same = first.iter().zip(&second).filter(|(first, second)| first == second).count();
        Ok(format!("the same bits for {same} of {} faces", chips.len()))
    }

    fn sizes_of(&self, batch: usize) -> Vec<usize> {
        if self.plan.padded { vec![batch] } else { Vec::new() }
    }

    /// Faces a second, by batch size and number of copies.
    pub(super) fn measure_recogniser(
        &self,
        checked: CheckedDevice,
        chips: &[Chip],
        time: Duration,
        rows: &mut Rows<'_>,
    ) {
        let gpu = self.plan.padded;
        let batches = if gpu { &GPU_BATCHES[..] } else { &CPU_BATCHES };
        let copies = [1, self.plan.sessions];
        for &batch in batches {
            for copies in copies.into_iter().take(if copies[0] == copies[1] { 1 } else { 2 }) {
                let what = format!("batch {batch}, copies {copies}");
                let measured = self.recogniser_rate(&self.plan, copies, batch, chips, time);
                rows.add("recogniser", &checked, what).measured(measured);
            }
        }
    }

    fn recogniser_rate(
        &self,
        plan: &DevicePlan,
        copies: usize,
        batch: usize,
        chips: &[Chip],
        time: Duration,
    ) -> Result<DeviceNumber> {
        let started = Instant::now();
        let sizes = self.sizes_of(batch);
        let mut open = side_by_side(copies, |_| self.model.open_untested(plan, &sizes))?;
        let chips: Vec<Chip> = chips.iter().cycle().take(batch).cloned().collect();
        for recogniser in &mut open {
            answers(recogniser, &chips)?;
        }
        let start = started.elapsed().as_secs_f64();
        let rate = rate(&mut open, time, |recogniser| answers(recogniser, &chips).map(drop))?;
        let detail = Some(format!("opened and warm after {start:.1} s"));
        Ok(DeviceNumber { value: rate * batch as f64, unit: "faces/s", detail })
    }

    /// What a change of shape costs a session that gets any.
    pub(super) fn measure_shapes(
        &self,
        checked: CheckedDevice,
        chips: &[Chip],
        rows: &mut Rows<'_>,
    ) {
        let measure = || {
            let mut recogniser = self.model.open_untested(&self.plan, &[])?;
            let mut last = Vec::new();
            for round in 0..3 {
                last.clear();
                for batch in IN_TURN {
                    let chips: Vec<Chip> = chips.iter().cycle().take(batch).cloned().collect();
                    let started = Instant::now();
                    answers(&mut recogniser, &chips)?;
                    last.push(started.elapsed().as_secs_f64() * 1000.0);
                }
                tracing::debug!(round, ?last, "batches in turn");
            }
            let each: Vec<String> = last.iter().map(|time| format!("{time:.1}")).collect();
            let detail = Some(format!("{} ms for batches of 1, 8, 32", each.join(", ")));
            Ok(DeviceNumber { value: last.iter().sum(), unit: "ms", detail })
        };
        rows.add("shapes", &checked, "batches of 1, 8, 32 in turn, one session")
            .measured(measure());
    }

    /// Faces a second with other kernels than those that are set.
    pub(super) fn measure_kernels(
        &self,
        checked: CheckedDevice,
        chips: &[Chip],
        time: Duration,
        rows: &mut Rows<'_>,
    ) {
        let kernels = [
            ("as set", Kernels::default()),
            ("every kernel tried", Kernels { exhaustive: true, tf32: false }),
            ("TF32, which the self-tests refuse", Kernels { exhaustive: false, tf32: true }),
        ];
        for (what, kernels) in kernels {
            let plan = DevicePlan { kernels, ..self.plan.clone() };
            let batch = KERNELS_BATCH;
            let measured = self.recogniser_rate(&plan, 1, batch, chips, time);
            rows.add("kernels", &checked, format!("{what}, batch {batch}, copies 1"))
                .measured(measured);
        }
    }

    /// Pictures a second, by the side of the canvas and the batch size.
    pub(super) fn measure_detector(
        &mut self,
        checked: CheckedDevice,
        pictures: &[RgbImage],
        time: Duration,
        rows: &mut Rows<'_>,
    ) {
        for side in self.canvas.squares() {
            let scaled: Vec<RgbImage> = pictures
                .iter()
                .take(CANVASES[1])
                .map(|picture| image::imageops::thumbnail(picture, side as u32, side as u32))
                .collect();
            let canvases = self.canvases(&scaled);
            for batch in CANVASES {
                let inputs: Vec<(&Canvas, f32)> =
                    canvases.iter().cycle().take(batch).map(|canvas| (canvas, MIN_SCORE)).collect();
                let pass = |detector: &mut &mut Yunet| {
                    detector.detect_batch(&inputs)?;
                    Ok(())
                };
                let measured = rate(&mut [&mut self.detector], time, pass).map(|rate| {
                    DeviceNumber { value: rate * batch as f64, unit: "images/s", detail: None }
                });
                let what = format!("{side}x{side}, batch {batch}, copies 1");
                rows.add("detector", &checked, what).measured(measured);
            }
        }
    }

    fn canvases(&self, pictures: &[RgbImage]) -> Vec<Canvas> {
        pictures.iter().map(|picture| self.detector_model.canvas(picture, self.canvas)).collect()
    }
}
