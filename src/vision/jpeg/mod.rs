//! JPEG: libjpeg-turbo decodes, and what it warns of is looked into here. docs/formats.md says why
//! it is libjpeg-turbo.

mod damage;
mod frame;
mod segments;
mod tidy;

use image::RgbImage;
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat};

use super::buffer;
use super::error::{DecodeError, PixelLimits};
use super::need::Header;
use frame::Frame;
use segments::{Segment, segments};

/// Progressive files may repeat scans at will, each of which costs as much time as the picture.
/// Encoders write about ten; one per bit of each coefficient would be a few hundred.
const MAX_SCANS: u32 = 500;

/// Decodes `bytes`. A damaged file is no picture: what is missing would be grey.
pub(super) fn decode(bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    let tidied = tidy::tidy(bytes);
    let mut decompressor = Decompressor::new().map_err(|error| refused(bytes, &message(error)))?;
    decompressor.set_scan_limit(MAX_SCANS).map_err(|error| refused(bytes, &message(error)))?;
    let header =
        decompressor.read_header(&tidied).map_err(|error| refused(bytes, &message(error)))?;
    limits.check(header.width as u64, header.height as u64)?;
    if let Some(not_read) =
        Frame::find(bytes).filter(Frame::is_narrow).and_then(|frame| frame.not_read())
    {
        return Err(DecodeError::Unreadable(not_read));
    }
    let (raw, warning) = Raw::decode(&mut decompressor, &tidied, &header, buffer::take);
    let raw = match warning {
        None => damage::unnoticed(&tidied).map_or(Ok(raw), |reason| Err(damaged(&reason))),
        Some(warning) => {
            // There is memory for one picture.
            drop(raw);
            without_extraneous(&mut decompressor, &tidied, &header, &warning).ok_or_else(|| {
                // Once more, into memory without another image's pixels: what is missing is told by
                // what was not written.
                let (raw, _) =
                    Raw::decode(&mut decompressor, &tidied, &header, |length| vec![0; length]);
                explain(bytes, &raw, &warning)
            })
        }
    }?;
    raw.into_rgb()
        .ok_or_else(|| refused(bytes, "the decoder wrote another size than the header names"))
}

/// Bytes that decoding takes, copies of the file included; none without a frame.
pub(super) fn memory(bytes: &[u8]) -> Option<Header> {
    let frame = Frame::find(bytes)?;
    let scan = segments(bytes).find(Segment::is_scan);
    let in_first_scan = scan.and_then(|scan| scan.parameters.first().copied()).unwrap_or(0);
    // The coefficients of the whole picture are held where it is not read in one go: two bytes a
    // sample.
    let several_scans =
        frame.is_progressive() || usize::from(in_first_scan) < frame.components.len();
    let units = |side: u16, most: u64| u64::from(side).next_multiple_of(8 * most);
    let largest = |of: fn(&frame::Component) -> u8| {
        frame.components.iter().map(of).max().map_or(1, |most| u64::from(most.max(1)))
    };
    let (widest, tallest) = (largest(|part| part.horizontal), largest(|part| part.vertical));
    let pixels = units(frame.width, widest) * units(frame.height, tallest);
    let factors: u64 = frame
        .components
        .iter()
        .map(|part| u64::from(part.horizontal) * u64::from(part.vertical))
        .sum();
    let coefficients = if several_scans { 2 * pixels * factors / (widest * tallest) } else { 0 };
    // CMYK, and RGB made of it.
    let samples = if frame.components.len() == 4 { 4 + 3 } else { 3 };
    let rows = 256 * u64::from(frame.width);
    // Copies of the file with what the decoder trips over mended.
    let memory = pixels * samples + coefficients + rows + 3 * bytes.len() as u64;
    Some(Header { width: frame.width.into(), height: frame.height.into(), memory })
}

/// The Exif blocks: the content of the APP1 segments that begin with `Exif\0`.
pub(super) fn exif(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let before_scans = segments(bytes).take_while(|segment| !segment.is_scan());
    let app1 =
        before_scans.filter(|segment| segment.marker == 0xE1).map(|segment| segment.parameters);
    app1.filter(|content| content.starts_with(b"Exif\0"))
}

/// The JPEG in `stored`, part of a TIFF, with the `tables` that a TIFF keeps apart (TIFF Technical
/// Note 2). The TIFF says what the colours are: an Adobe marker of ours says so in place of the
/// markers that are there.
pub(super) fn joined(tables: Option<&[u8]>, stored: &[u8], is_ycbcr: bool) -> Vec<u8> {
    // The decoder says what is wrong with it.
    let Some(scan) = segments(stored).find(Segment::is_scan) else { return stored.to_vec() };
    let mut stream =
        [&[0xFF, 0xD8, 0xFF, 0xEE, 0, 14][..], b"Adobe\0\x64\0\0\0\0", &[u8::from(is_ycbcr)]]
            .concat();
    let tables = tables
        .into_iter()
        .flat_map(segments)
        .take_while(|segment| !segment.is_end() && !segment.is_scan());
    let headers = tables.chain(segments(stored).take_while(|segment| !segment.is_scan()));
    for segment in headers.filter(|segment| !matches!(segment.marker, 0xE0 | 0xEE)) {
        segment.append_to(&mut stream);
    }
    stream.extend(&stored[scan.start..]);
    stream
}

/// Decoded samples as libjpeg-turbo writes them.
struct Raw {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    colorspace: Colorspace,
}

impl Raw {
    /// All that could be decoded; with it the last warning or the error, if there was one.
    fn decode(
        decompressor: &mut Decompressor,
        bytes: &[u8],
        header: &DecompressHeader,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> (Self, Option<String>) {
        let format = match header.colorspace {
            // These two libjpeg-turbo converts to nothing but CMYK.
            Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
            Colorspace::RGB | Colorspace::YCbCr | Colorspace::Gray => PixelFormat::RGB,
        };
        let (width, height) = (header.width, header.height);
        let pitch = width * format.size();
        let mut samples = buffer(pitch * height);
        let image = Image { pixels: &mut samples[..], width, pitch, height, format };
        let warning = decompressor.decompress(bytes, image).err().map(message);
        (Self { samples, width, height, colorspace: header.colorspace }, warning)
    }

    fn into_rgb(self) -> Option<RgbImage> {
        let samples = match self.colorspace {
            Colorspace::RGB | Colorspace::YCbCr | Colorspace::Gray => self.samples,
            Colorspace::CMYK | Colorspace::YCCK => {
                self.samples.chunks_exact(4).flat_map(cmyk_to_rgb).collect()
            }
        };
        RgbImage::from_raw(
            u32::try_from(self.width).ok()?,
            u32::try_from(self.height).ok()?,
            samples,
        )
    }

    /// The share of the picture that no data was decoded for: 8x8 blocks that are as the decoder
    /// leaves them, mid-grey.
    fn missing(&self) -> f64 {
        let untouched: &[u8] = match self.colorspace {
            Colorspace::RGB | Colorspace::YCbCr | Colorspace::Gray => &[128, 128, 128],
            Colorspace::CMYK => &[128, 128, 128, 128],
            Colorspace::YCCK => &[127, 127, 127, 128],
        };
        let pixel = untouched.len();
        let (columns, rows) = ((self.width / 8).max(1), (self.height / 8).max(1));
        let is_untouched = |column: usize, row: usize| {
            (row * 8..self.height.min(row * 8 + 8)).all(|y| {
                let (from, to) =
                    (y * self.width + column * 8, y * self.width + self.width.min(column * 8 + 8));
                self.samples[from * pixel..to * pixel]
                    .chunks_exact(pixel)
                    .all(|sample| sample == untouched)
            })
        };
        let blocks = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
        let count = blocks.filter(|&(column, row)| is_untouched(column, row)).count();
        count as f64 / (columns * rows) as f64
    }
}

/// Adobe's convention, which all but a few files follow and libjpeg-turbo's own tools assume: inks
/// are stored inverted.
fn cmyk_to_rgb(ink: &[u8]) -> [u8; 3] {
    let black = u32::from(ink[3]);
    [ink[0], ink[1], ink[2]].map(|value| ((u32::from(value) * black + 127) / 255) as u8)
}

/// The picture, if the decoder's only complaint were a few bytes, or padding, behind the data of a
/// scan.
fn without_extraneous(
    decompressor: &mut Decompressor,
    bytes: &[u8],
    header: &DecompressHeader,
    warning: &str,
) -> Option<Raw> {
    let count = tidy::extraneous(warning)?;
    // Only the last warning is told. Whether there were others shows when what this one is about is
    // gone.
    tidy::without_extraneous(bytes, count).into_iter().find_map(|tidied| {
        match Raw::decode(decompressor, &tidied, header, buffer::take) {
            (raw, None) if damage::unnoticed(&tidied).is_none() => Some(raw),
            _ => None,
        }
    })
}

fn explain(bytes: &[u8], raw: &Raw, warning: &str) -> DecodeError {
    let missing = raw.missing() * 100.0;
    let share =
        if missing >= 1.0 { format!("about {missing:.0} %") } else { "less than 1 %".into() };
    if !segments::is_complete(bytes) {
        return DecodeError::Unreadable(format!(
            "the JPEG is truncated: its end is missing, and with it {share} of the picture"
        ));
    }
    let damage = match warning.strip_prefix("Corrupt JPEG data: ") {
        Some(damage) => damage.to_owned(),
        None if tidy::is_warning(warning) => warning.to_owned(),
        None => return refused(bytes, warning),
    };
    if let Some(reason) = damage::zeros(bytes) {
        return damaged(&reason);
    }
    match tidy::extraneous(warning) {
        Some(count) if missing < 1.0 => {
            let all: usize = segments(bytes).map(|segment| segment.data.len()).sum();
            let share = count as f64 * 100.0 / all.max(1) as f64;
            damaged(&format!(
                "{count} bytes of its image data ({share:.0} %) are left over, so some before them \
                    are missing or wrong"
            ))
        }
        _ => damaged(&format!("{damage}; {share} of the picture is missing")),
    }
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Unreadable(format!("the JPEG is damaged: {reason}"))
}

/// What libjpeg-turbo does not read, in our words where we have them.
fn refused(bytes: &[u8], message: &str) -> DecodeError {
    let reason = match Frame::find(bytes).and_then(|frame| frame.not_read()) {
        Some(not_read) => format!("{not_read} (libjpeg-turbo: {message})"),
        None if !segments::is_complete(bytes) => {
            format!(
                "the JPEG is truncated: its end is missing, and nothing of it can be read \
                    ({message})"
            )
        }
        None => format!("the JPEG cannot be read (libjpeg-turbo: {message})"),
    };
    DecodeError::Unreadable(reason)
}

fn message(error: turbojpeg::Error) -> String {
    match error {
        // The name of a function is of no use to who reads this.
        turbojpeg::Error::TurboJpegError(message) => {
            message.split_once("(): ").map_or(message.clone(), |(_, text)| text.to_owned())
        }
        other => other.to_string(),
    }
}
