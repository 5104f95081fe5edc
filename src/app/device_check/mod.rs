//! Checks and measures a device: whether it starts, gives the CPU's results, how fast it is in
//! which layout, and which settings follow. The self-tests of every start prove the results; this
//! says how to use the device.

mod advice;
mod machine;
mod measure;

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures::StreamExt;
use image::RgbImage;

use self::measure::DeviceNumber;
use super::App;
use crate::domain::{Chip, Device, DeviceChoice, Precision};
use crate::images::{ListingEntry, Root};
use crate::inference::plan::DevicePlan;
use crate::view::device::{DeviceRowView, RowVerdict};
use crate::vision::{Picture, PixelLimits};

/// Faces and pictures to measure on; repeated if the photos have fewer.
const SAMPLES: usize = 64;
/// A GPU that no machine has: naming it must be an error.
const NO_SUCH_GPU: u16 = 99;

/// A device and the precision of the recogniser on it: `cuda:0`, `cuda:0+half`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedDevice {
    device: Device,
    precision: Precision,
}

impl std::str::FromStr for CheckedDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (device, precision) = match text.split_once('+') {
            Some((device, precision)) => (device, Precision::try_from(precision.to_owned())?),
            None => (text, Precision::Float32),
        };
        match device.parse::<DeviceChoice>().map_err(|error| error.to_string())? {
            DeviceChoice::Only(device) => Ok(Self { device, precision }),
            DeviceChoice::Auto => Err("name a device, not auto".to_owned()),
        }
    }
}

impl std::fmt::Display for CheckedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.precision {
            Precision::Float32 => write!(f, "{}", self.device),
            Precision::Half => write!(f, "{}+half", self.device),
            Precision::Bfloat16 => write!(f, "{}+bfloat16", self.device),
        }
    }
}

/// What to check, on which photos, and how long each measurement lasts.
#[derive(Debug, Clone)]
pub struct DeviceCheck {
    /// The devices; none: the CPU, and what the library was built for.
    pub devices: Vec<CheckedDevice>,
    /// A folder of photos with faces.
    pub photos: Root,
    /// The time of a measurement.
    pub time: Duration,
}

/// Photos to measure on.
struct Samples {
    chips: Vec<Chip>,
    pictures: Vec<RgbImage>,
}

/// The rows so far, each shown as it comes.
struct Rows<'a> {
    all: Vec<DeviceRowView>,
    show: &'a mut (dyn FnMut(&DeviceRowView) + Send),
}

impl Rows<'_> {
    fn add(
        &mut self,
        part: &'static str,
        device: &impl ToString,
        what: impl Into<String>,
    ) -> PendingRow<'_> {
        let row = DeviceRowView {
            part,
            device: device.to_string(),
            what: what.into(),
            verdict: RowVerdict::Measured,
            value: None,
            unit: None,
            detail: None,
            gpu_memory_mib: None,
        };
        PendingRow { all: &mut self.all, show: self.show, row }
    }
}

/// A row that is not shown yet.
struct PendingRow<'a> {
    all: &'a mut Vec<DeviceRowView>,
    show: &'a mut (dyn FnMut(&DeviceRowView) + Send),
    row: DeviceRowView,
}

impl PendingRow<'_> {
    /// Whether what was tried is as it should be.
    fn found(self, found: Result<String>) -> bool {
        let ok = found.is_ok();
        let verdict = if ok { RowVerdict::Ok } else { RowVerdict::Wrong };
        self.ends(verdict, None, Some(found.unwrap_or_else(|error| format!("{error:#}"))));
        ok
    }

    fn measured(self, measured: Result<DeviceNumber>) {
        match measured {
            Ok(DeviceNumber { value, unit, detail }) => {
                self.ends(RowVerdict::Measured, Some((value, unit)), detail);
            }
            Err(error) => self.ends(RowVerdict::Wrong, None, Some(format!("{error:#}"))),
        }
    }

    fn ends(
        mut self,
        verdict: RowVerdict,
        value: Option<(f64, &'static str)>,
        detail: Option<String>,
    ) {
        (self.row.verdict, self.row.detail) = (verdict, detail);
        (self.row.value, self.row.unit) = value.unzip();
        self.row.gpu_memory_mib = machine::gpu_memory_mib();
        (self.show)(&self.row);
        self.all.push(self.row);
    }
}

/// Checks devices as `check` says; `show` gets each row as it comes. Returns all rows.
///
/// # Errors
/// If the library or a model is missing, or the photos have no face. What a device cannot do is a
/// row.
pub async fn check_devices(
    app: &App,
    check: &DeviceCheck,
    show: &mut (dyn FnMut(&DeviceRowView) + Send),
) -> Result<Vec<DeviceRowView>> {
    let samples = samples(app, &check.photos).await?;
    let mut rows = Rows { all: Vec::new(), show };
    machine::describe(app, &mut rows)?;
    let devices = if check.devices.is_empty() { offered(app)? } else { check.devices.clone() };
    for checked in devices {
        check_device(app, checked, &samples, check.time, &mut rows);
    }
    advice::add(&mut rows);
    Ok(rows.all)
}

/// The CPU, and the first GPU in both precisions if the library was built for GPUs.
fn offered(app: &App) -> Result<Vec<CheckedDevice>> {
    let runtime = app.runtime()?;
    let of = |device, precision| CheckedDevice { device, precision };
    let all = [
        of(Device::Cpu, Precision::Float32),
        of(Device::OpenVino, Precision::Float32),
        of(Device::Cuda(0), Precision::Float32),
        of(Device::Cuda(0), Precision::Half),
        of(Device::TensorRt(0), Precision::Float32),
    ];
    Ok(all.into_iter().filter(|checked| runtime.offers(checked.device)).collect())
}

fn check_device(
    app: &App,
    checked: CheckedDevice,
    samples: &Samples,
    time: Duration,
    rows: &mut Rows<'_>,
) {
    let plan = DevicePlan { precision: checked.precision, ..app.plan(checked.device) };
    let started = Instant::now();
    let networks = measure::open(app, &plan);
    let start = networks.as_ref().map(|_| {
        format!("both networks passed their self-tests, {:.1} s", started.elapsed().as_secs_f64())
    });
    let start = start.map_err(|error| anyhow::anyhow!("{error:#}"));
    if !rows.add("start", &checked, "self-tests").found(start) {
        return;
    }
    let Ok(mut networks) = networks else { return };
    rows.add("results", &checked, "recogniser, against the CPU in 32 bits")
        .found(networks.compare_recogniser(app, &samples.chips));
    rows.add("results", &checked, "detector, against the CPU")
        .found(networks.compare_detector(app, &samples.pictures));
    rows.add("results", &checked, "a second start, the same batch")
        .found(networks.compare_starts(&samples.chips));
    networks.measure_recogniser(checked, &samples.chips, time, rows);
    networks.measure_detector(checked, &samples.pictures, time, rows);
    if !plan.padded {
        return;
    }
    networks.measure_shapes(checked, &samples.chips, rows);
    networks.measure_kernels(checked, &samples.chips, time, rows);
    drop(networks);
    let missing = match checked.device {
        Device::TensorRt(_) => Device::TensorRt(NO_SUCH_GPU),
        _ => Device::Cuda(NO_SUCH_GPU),
    };
    rows.add("start", &missing, "must be an error").found(refusal_of(app, missing));
    rows.add("loss", &checked, "started without its GPU, must be an error")
        .found(machine::start_without_gpu(app, checked.device));
}

/// The error of a device that is not there.
fn refusal_of(app: &App, missing: Device) -> Result<String> {
    match measure::open(app, &app.plan(missing)) {
        Ok(_) => bail!("{missing} was used, and there is no such device"),
        Err(error) => {
            let error = format!("{error:#}");
            ensure!(error.contains(&missing.to_string()), "the error does not name it: {error}");
            Ok(error)
        }
    }
}

/// Faces and pictures of the photos, found on the CPU in 32 bits.
async fn samples(app: &App, photos: &Root) -> Result<Samples> {
    let mut settings = app.settings().clone();
    settings.runtime.device = DeviceChoice::Only(Device::Cpu);
    settings.models.precision = Precision::Float32;
    let limits = PixelLimits { max_pixels: settings.limits.max_pixels };
    let side = settings.detector.max_side;
    let cpu = App::new(settings);
    let processor = cpu.processor(&[], false)?;
    let listing = cpu.listing(std::slice::from_ref(photos))?;
    let mut samples = Samples { chips: Vec::new(), pictures: Vec::new() };
    let mut entries = listing.entries(None)?;
    while let Some(entry) = entries.next().await {
        let ListingEntry::Image { image, .. } = entry? else { continue };
        let Some(bytes) = image.image.to_path().and_then(|path| std::fs::read(path).ok()) else {
            continue;
        };
        let Ok(picture) = Picture::decode(&bytes, limits) else { continue };
        let (width, height) = picture.size();
        let shrink = f64::from(side) / f64::from(width.max(height).max(side));
        let scaled = |length: u32| ((f64::from(length) * shrink) as u32).max(1);
        samples.pictures.push(picture.upright((scaled(width), scaled(height))));
        let found = processor.analyse(bytes).await?;
        samples.chips.extend(found.chips.into_iter().flatten());
        if samples.chips.len().min(samples.pictures.len()) >= SAMPLES {
            break;
        }
    }
    ensure!(!samples.chips.is_empty(), "no face in the photos of {}", photos.name());
    let Samples { chips, pictures } = samples;
    Ok(Samples {
        chips: chips.into_iter().cycle().take(SAMPLES).collect(),
        pictures: pictures.into_iter().cycle().take(SAMPLES).collect(),
    })
}
