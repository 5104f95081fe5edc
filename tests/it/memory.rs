//! Memory: what images and messages need is computed and reserved first, and a worker stays within
//! its limit.

use std::ffi::OsStr;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use facefleet::domain::{Lane, OutcomeKind};
use facefleet::queue::JobQueue;
use facefleet::vision::{Need, PixelLimits};
use futures::StreamExt;
use image::{DynamicImage, ImageFormat};
use lapin::Confirmation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::broker::TestBroker;
use crate::support::large::{self, Png};
use crate::support::{PHOTOS, job, sample};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(300);
const LIMITS: PixelLimits = PixelLimits { max_pixels: 120_000_000 };

/// A running program whose memory is measured.
struct Watched {
    child: Child,
    /// Its cgroup, if one could be created.
    _cgroup: Option<Cgroup>,
}

/// The end of a program.
struct Ran {
    /// The peak of its memory, bytes.
    peak: u64,
    code: Option<i32>,
    out: String,
}

impl Watched {
    fn start<A: AsRef<OsStr>>(
        arguments: &[A],
        folder: &Path,
        variables: &[(&str, &str)],
        cgroup: Option<Cgroup>,
    ) -> Self {
        let program = env!("CARGO_BIN_EXE_facefleet");
        let mut command = match &cgroup {
            Some(cgroup) => {
                let mut command = Command::new("sh");
                command
                    .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
                    .arg(cgroup.0.join("cgroup.procs"))
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).current_dir(folder).envs(variables.iter().copied());
        command.env("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR")).stdout(Stdio::piped());
        Self { child: command.spawn().unwrap(), _cgroup: cgroup }
    }

    fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().unwrap() << 10)
    }

    /// Waits until it exits.
    fn end(mut self) -> Ran {
        let mut out = self.child.stdout.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let mut peak = 0;
        let code = loop {
            peak = peak.max(self.peak().unwrap_or(0));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        Ran { peak, code, out: reading.join().unwrap() }
    }
}

impl Drop for Watched {
    /// Ends it if the test failed.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A cgroup whose processes are killed if they exceed its memory limit.
struct Cgroup(PathBuf);

impl Cgroup {
    /// A limit of `bytes`; `None` if this user may not create a cgroup.
    fn new(name: &str, bytes: u64) -> Option<Self> {
        let created =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
                .iter()
                .find_map(|(at, file)| {
                    let folder =
                        Path::new(at).join(format!("facefleet-{name}-{}", std::process::id()));
                    std::fs::create_dir(&folder).ok()?;
                    let cgroup = Self(folder);
                    std::fs::write(cgroup.0.join(file), bytes.to_string()).ok()?;
                    Some(cgroup)
                });
        if created.is_none() {
            println!("no cgroup can be created here: only the peak of memory is checked");
        }
        created
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).ok();
    }
}

/// Runs a program and prints the peak of its memory, KiB, which the kernel knows when it ended.
const MEASURED: &str = "import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))";

/// What `score` prints of an image, and the peak of its memory, bytes.
fn score(folder: &Path, name: &str) -> (String, u64) {
    let mut command = Command::new("python3");
    command.args(["-c", MEASURED, env!("CARGO_BIN_EXE_facefleet"), "score", name]);
    command.env("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR"));
    command.env("FACEFLEET__WORKER__THREADS", "1").current_dir(folder);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let (out, peak) = out.trim_end().rsplit_once('\n').unwrap();
    (out.to_owned(), peak.parse::<u64>().unwrap() << 10)
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG with four million comments of four bytes each.
fn commented(jpeg: &[u8]) -> Vec<u8> {
    let (start, rest) = jpeg.split_at(2);
    [start, &[0xFF, 0xFE, 0, 2].repeat(4_000_000), rest].concat()
}

/// An image of about 15 megapixels of each kind.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let png = |bits, colour, interlaced| Png { bits, colour, interlaced }.black(5000, 3000, &[]);
    let rgb = DynamicImage::new_rgb8(3900, 3900);
    vec![
        ("1 bit.png", png(1, 0, false)),
        ("grey.png", png(8, 0, false)),
        ("grey 16.png", png(16, 0, false)),
        ("grey and alpha.png", png(8, 4, false)),
        ("palette.png", png(8, 3, false)),
        ("RGB.png", png(8, 2, false)),
        ("RGB interlaced.png", png(8, 2, true)),
        ("RGB 16.png", png(16, 2, false)),
        ("RGBA.png", png(8, 6, false)),
        ("RGBA 16 interlaced.png", png(16, 6, true)),
        ("baseline.jpg", large::jpeg(3900, false, false)),
        ("progressive.jpg", large::jpeg(3900, true, false)),
        ("millions of segments.jpg", commented(&large::jpeg(3900, false, false))),
        ("CMYK.jpg", large::jpeg(3900, false, true)),
        ("progressive CMYK.jpg", large::jpeg(3900, true, true)),
        ("RGB 16 in strips.tif", large::tiff_rgb16(3900, 16, None)),
        ("RGB 16 in one strip.tif", large::tiff_rgb16(3900, 3900, None)),
        ("RGB 16 in tiles.tif", large::tiff_rgb16(3900, 0, Some(512))),
        ("lossless.webp", encoded(&rgb, ImageFormat::WebP)),
        ("RGBA.webp", encoded(&DynamicImage::new_rgba8(3900, 3900), ImageFormat::WebP)),
        ("a.gif", encoded(&DynamicImage::new_rgba8(3900, 3900), ImageFormat::Gif)),
        ("RGB.bmp", encoded(&DynamicImage::new_rgb8(3900, 3900), ImageFormat::Bmp)),
    ]
}

#[test]
fn an_image_needs_no_more_memory_than_computed_and_not_far_less() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.png"), Png::GREY.black(1500, 1000, &[])).unwrap();
    // With the memory that a detector keeps after its largest copy.
    let (_, small) = score(folder.path(), "small.png");
    for (name, bytes) in kinds() {
        std::fs::write(folder.path().join(name), &bytes).unwrap();
        let (out, peak) = score(folder.path(), name);
        assert!(out.contains("no_face"), "{name}: {out}");
        let computed = Need::of(&bytes, LIMITS).unwrap().memory + bytes.len() as u64;
        let used = peak.saturating_sub(small);
        println!("{name}: {} MiB computed, {} used", computed / MIB, used / MIB);
        // The copies for the detector, which are computed separately, and fragmentation.
        assert!(used <= computed + 24 * MIB, "{name}: {used} bytes used, {computed} computed");
        // At the start, models need memory for a moment, which small images use later.
        assert!(
            computed <= 3 * (used + 64 * MIB),
            "{name}: {used} bytes used, {computed} computed"
        );
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
}

/// The memory limit of the smallest worker.
const LIMIT: u64 = 1 << 30;

/// Photos of faces, and among them images of each kind that once crashed a worker.
fn hostile(folder: &Path) -> usize {
    let photos = folder.join("photos");
    std::fs::create_dir(&photos).unwrap();
    for round in 0..4 {
        for name in PHOTOS {
            std::fs::write(photos.join(format!("photo-{round}-{name}")), sample(name)).unwrap();
        }
    }
    let put = |name: &str, bytes: &[u8]| std::fs::write(photos.join(name), bytes).unwrap();
    put("photo-0-wide.png", &Png::GREY.black(119_000_000, 1, &[]));
    put("photo-0-tall.png", &Png::GREY.black(1, 119_000_000, &[]));
    put("photo-1-rgba16.png", &Png::RGBA16.black(10_000, 10_000, &[]));
    put("photo-1-cmyk.jpg", &large::jpeg_progressive(10_000, 4));
    put("photo-1-rgb16.tif", &large::tiff_rgb16(9_000, 9_000, None));
    put("photo-2-profile.png", &Png::GREY.black(600, 400, &large::bomb(b"iCCP", 1 << 30)));
    put("photo-2-text.png", &Png::GREY.black(600, 400, &large::bomb(b"zTXt", 1 << 30)));
    // The memory is enough for one of these at a time.
    for number in 0..4 {
        put(&format!("photo-{number}-fits.png"), &Png::RGBA16.black(5_000, 4_000, &[]));
    }
    4 * PHOTOS.len()
}

#[test]
fn a_worker_of_a_gigabyte_for_two_cores_outlives_every_image_and_scores_their_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let photos = hostile(folder.path());
    let cgroup = Cgroup::new("images", LIMIT);
    let memory = if cgroup.is_some() { 0 } else { LIMIT };
    let variables =
        [("FACEFLEET__WORKER__THREADS", "2"), ("FACEFLEET__LIMITS__MEMORY", &memory.to_string())];
    let ran =
        Watched::start(&["scan", "photos", "--json"], folder.path(), &variables, cgroup).end();
    let summary: serde_json::Value =
        serde_json::from_str(ran.out.lines().last().unwrap_or_default()).unwrap();
    let ended = &summary["summary"]["outcomes"];
    println!("peak {} MiB; {ended}", ran.peak / MIB);
    assert!(ran.code.is_some(), "it was killed");
    assert!(ran.peak < LIMIT, "{} MiB were used", ran.peak / MIB);
    assert_eq!(ended["scored"], photos, "{summary}");
    assert_eq!(ended["refused"], 5, "{summary}");
    assert_eq!(ended["no_face"], 6, "{summary}");
}

/// Publishes `count` messages of `bytes` that are not jobs.
async fn publish_large(broker: &TestBroker, count: usize, bytes: usize) {
    let channel = broker.channel().await;
    // Without confirms, a quorum queue may lose what it has not applied when the channel closes.
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let exchange = format!("{}.jobs", broker.prefix);
    let body = vec![b' '; bytes];
    for _ in 0..count {
        let (exchange, options) = (exchange.clone().into(), BasicPublishOptions::default());
        let confirm = channel
            .basic_publish(exchange, "scan".into(), options, &body, Default::default())
            .await
            .unwrap();
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(None)));
    }
}

/// The result of `wait`; where the jobs are, if it takes too long.
async fn patiently<T>(queue: &impl JobQueue, what: &str, wait: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, wait).await {
        Ok(result) => result,
        Err(_) => panic!("{what} did not come: {:?}", queue.status().await),
    }
}

#[tokio::test]
async fn messages_as_large_as_memory_are_dead_letters_and_their_neighbours_are_scored() {
    // Together more than the memory.
    const MESSAGES: usize = 30;
    const BYTES: usize = 40_000_000;
    let folder: TempDir = tempfile::tempdir().unwrap();
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let mut events = queue.events().await.unwrap();
    let mut jobs = Vec::new();
    for name in PHOTOS {
        std::fs::write(folder.path().join(name), sample(name)).unwrap();
        let image = facefleet::domain::ImageUri::from_path(&folder.path().join(name)).unwrap();
        jobs.push(facefleet::domain::Job { image, profile: None, ..job(Lane::Scan, "photo") });
    }
    publish_large(&broker, MESSAGES, BYTES).await;
    queue.publish(jobs).await.unwrap();

    let cgroup = Cgroup::new("messages", LIMIT);
    let memory = if cgroup.is_some() { 0 } else { LIMIT }.to_string();
    let root = folder.path().to_str().unwrap();
    let variables = [
        ("FACEFLEET__WORKER__THREADS", "2"),
        ("FACEFLEET__LIMITS__MEMORY", &memory),
        ("FACEFLEET__QUEUE__URL", broker.url.as_str()),
        ("FACEFLEET__QUEUE__PREFIX", &broker.prefix),
        ("FACEFLEET__STORE__URL", "sqlite:faces.db"),
        ("FACEFLEET__SERVER__LISTEN", ""),
    ];
    let worker = Watched::start(&["worker", "--root", root], folder.path(), &variables, cgroup);
    for name in PHOTOS {
        let event = patiently(&queue, name, events.next()).await.unwrap();
        assert_eq!(event.end.outcome, OutcomeKind::Scored);
    }
    let found = async {
        loop {
            let letters = queue.dead_letters(100).await.unwrap();
            if letters.len() >= MESSAGES {
                break letters;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let letters = patiently(&queue, "the dead letters", found).await;
    let names_length = |reason: &str| reason.contains(&BYTES.to_string());
    assert!(letters.iter().all(|letter| names_length(&letter.reason)), "{:?}", letters[0]);
    let peak = worker.peak().expect("it should be running");
    println!("peak {} MiB", peak / MIB);
    assert!(peak < LIMIT);
    assert!(Command::new("kill").arg(worker.child.id().to_string()).status().unwrap().success());
    assert_eq!(worker.end().code, Some(0));
    broker.remove().await;
}
