//! Makes a degraded copy of labelled photos, for `make evidence`:
//!
//!     cargo run --release --example degrade -- FOLDER/labels.csv OUT
//!
//! `OUT` gets the labels and every photo, under the same names. Half of the photos, drawn by a hash
//! of their names, are degraded by one kind at random strength; the others are copied as they are.
//! `OUT/degradations.csv` says which. The same photos give the same bytes again. The options
//! `--share` (0.5) and `--seed` (1) change the draw.
#![allow(clippy::print_stdout, reason = "it prints a line for people")]

mod kinds;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use facefleet::vision::{Picture, PixelLimits};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use self::kinds::{Kind, unit};

/// Of the JPEG files that are written: little is lost on top of the degradation.
const JPEG_QUALITY: u8 = 95;

/// Make a degraded copy of labelled photos.
#[derive(Parser)]
struct Arguments {
    /// A table with a column `file`, next to its photos.
    labels: PathBuf,
    /// The folder to write.
    out: PathBuf,
    /// The share of the photos that are degraded.
    #[arg(long, default_value_t = 0.5)]
    share: f32,
    /// Another draw of photos, kinds and strengths.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments.labels.parent().context("The labels are in no folder")?;
    let files = files(&arguments.labels)?;
    fs::create_dir_all(&arguments.out)?;
    let mut list = csv::Writer::from_path(arguments.out.join("degradations.csv"))?;
    list.write_record(["file", "kind", "strength"])?;
    let mut degraded = 0;
    for file in &files {
        let from = folder.join(file);
        let bytes = fs::read(&from).with_context(|| from.display().to_string())?;
        let to = arguments.out.join(file);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut random = random(file, arguments.seed);
        if unit(&mut random) >= arguments.share {
            fs::write(&to, bytes)?;
            continue;
        }
        let kind = Kind::ALL[(unit(&mut random) * Kind::ALL.len() as f32) as usize];
        let strength = unit(&mut random);
        let photo = decoded(&bytes).with_context(|| from.display().to_string())?;
        let photo = kind.apply(&photo, strength, &mut random)?;
        fs::write(&to, encoded(&photo, file)?)?;
        list.write_record([file, kind.name(), &format!("{strength:.4}")])?;
        degraded += 1;
    }
    list.flush()?;
    let name = arguments.labels.file_name().context("The labels have no name")?;
    fs::copy(&arguments.labels, arguments.out.join(name))?;
    println!("{}: {degraded} of {} photos degraded", arguments.out.display(), files.len());
    Ok(())
}

/// The column `file` of the labels.
fn files(labels: &Path) -> Result<Vec<String>> {
    let mut table = csv::Reader::from_path(labels).with_context(|| labels.display().to_string())?;
    let column = table.headers()?.iter().position(|name| name == "file");
    let column = column.context("The labels have no column `file`")?;
    let mut files = Vec::new();
    for row in table.records() {
        let file = row?.get(column).unwrap_or_default().to_owned();
        if Path::new(&file).is_absolute() || file.split('/').any(|part| part == "..") {
            bail!("{file} is not below the folder of the labels");
        }
        files.push(file);
    }
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

fn random(file: &str, seed: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(file.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// The upright pixels of a photo of any format that facefleet reads.
fn decoded(bytes: &[u8]) -> Result<RgbImage> {
    let picture = Picture::decode(bytes, PixelLimits { max_pixels: 100_000_000 })?;
    Ok(picture.upright(picture.size()))
}

/// A JPEG if the name of the file says so, otherwise a PNG.
fn encoded(photo: &RgbImage, file: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let name = file.to_lowercase();
    if name.ends_with(".jpg") || name.ends_with(".jpeg") {
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(photo)?;
    } else {
        photo.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
    }
    Ok(bytes)
}
