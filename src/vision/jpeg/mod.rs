//! JPEG: libjpeg-turbo decodes, and this module examines its warnings. docs/formats.md explains the
//! choice of libjpeg-turbo.

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

/// Most scans of a progressive file. A file may repeat scans, and each costs as much time as the
/// whole picture. Encoders write about ten; one for each bit of each coefficient would be a few
/// hundred.
const MAX_SCANS: u32 = 500;

/// Decodes `bytes`. A damaged file is an error: its missing parts would be grey.
pub(super) fn decode(bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    let tidied = tidy::tidy(bytes);
    let mut decompressor = Decompressor::new().map_err(|error| refused(bytes, &message(error)))?;
    decompressor.set_scan_limit(MAX_SCANS).map_err(|error| refused(bytes, &message(error)))?;
    let header =
        decompressor.read_header(&tidied).map_err(|error| refused(bytes, &message(error)))?;
    limits.check(header.width as u64, header.height as u64)?;
    if let Some(unsupported) =
        Frame::find(bytes).filter(Frame::is_narrow).and_then(|frame| frame.unsupported())
    {
        return Err(DecodeError::Unreadable(unsupported));
    }
    let (raw, warning) = Raw::decode(&mut decompressor, &tidied, &header, buffer::take);
    let raw = match warning {
        None => damage::unnoticed(&tidied).map_or(Ok(raw), |reason| Err(damaged(&reason))),
        Some(warning) => {
            // Memory is reserved for one picture only.
            drop(raw);
            without_extraneous(&mut decompressor, &tidied, &header, &warning).ok_or_else(|| {
                // Decode again into zeroed memory, without pixels of an earlier image, to find the
                // parts that are not written.
                let (raw, _) =
                    Raw::decode(&mut decompressor, &tidied, &header, |length| vec![0; length]);
                explain(bytes, &raw, &warning)
            })
        }
    }?;
    raw.into_rgb()
        .ok_or_else(|| refused(bytes, "the decoded size differs from the size in the header"))
}

/// Bytes of memory that decoding takes, including copies of the file. `None` without a frame
/// header.
pub(super) fn memory(bytes: &[u8]) -> Option<Header> {
    let frame = Frame::find(bytes)?;
    let scan = segments(bytes).find(Segment::is_scan);
    let in_first_scan = scan.and_then(|scan| scan.parameters.first().copied()).unwrap_or(0);
    // A file with several scans needs all coefficients of the picture in memory: two bytes a
    // sample.
    let several_scans =
        frame.is_progressive() || usize::from(in_first_scan) < frame.components.len();
    let units = |side: u16, most: u64| u64::from(side).next_multiple_of(8 * most);
    let largest = |of: fn(&frame::FrameComponent) -> u8| {
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
    // CMYK needs four samples, and three for the RGB made from it.
    let samples = if frame.components.len() == 4 { 4 + 3 } else { 3 };
    let rows = 256 * u64::from(frame.width);
    // Three copies of the file, for the repairs of `tidy`.
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

/// Joins the JPEG in `stored`, a part of a TIFF, with the `tables` that a TIFF stores separately
/// (TIFF Technical Note 2). The TIFF defines the colour space, so an Adobe marker that says so
/// replaces the markers in `stored`.
pub(super) fn joined(tables: Option<&[u8]>, stored: &[u8], is_ycbcr: bool) -> Vec<u8> {
    // Without a scan, return `stored` unchanged: the decoder reports the error.
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

/// Decoded samples in the layout of libjpeg-turbo.
struct Raw {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    colorspace: Colorspace,
}

impl Raw {
    /// Decodes as much as possible. Also returns the last warning or the error, if any.
    fn decode(
        decompressor: &mut Decompressor,
        bytes: &[u8],
        header: &DecompressHeader,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> (Self, Option<String>) {
        let format = match header.colorspace {
            // libjpeg-turbo converts these two only to CMYK.
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

    /// The share of the picture without decoded data: 8x8 blocks that still have the decoder's
    /// initial mid-grey.
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

/// Inks are stored inverted: Adobe's convention, which nearly all files follow and the tools of
/// libjpeg-turbo assume.
fn cmyk_to_rgb(ink: &[u8]) -> [u8; 3] {
    let black = u32::from(ink[3]);
    [ink[0], ink[1], ink[2]].map(|value| ((u32::from(value) * black + 127) / 255) as u8)
}

/// The picture, if the only fault is a few extraneous bytes, or padding, after the data of a scan.
fn without_extraneous(
    decompressor: &mut Decompressor,
    bytes: &[u8],
    header: &DecompressHeader,
    warning: &str,
) -> Option<Raw> {
    let count = tidy::extraneous(warning)?;
    // libjpeg-turbo reports only the last warning. Decode without the extraneous bytes to see
    // whether there were others.
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
                "{count} bytes of its image data ({share:.0} %) are left over, so earlier bytes \
                 are missing or wrong"
            ))
        }
        _ => damaged(&format!("{damage}; {share} of the picture is missing")),
    }
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Unreadable(format!("the JPEG is damaged: {reason}"))
}

/// The error of a file that libjpeg-turbo does not decode, with our own description if possible.
fn refused(bytes: &[u8], message: &str) -> DecodeError {
    let reason = match Frame::find(bytes).and_then(|frame| frame.unsupported()) {
        Some(unsupported) => format!("{unsupported} (libjpeg-turbo: {message})"),
        None if !segments::is_complete(bytes) => {
            format!(
                "the JPEG is truncated: its end is missing, and no part of the picture can be \
                 decoded ({message})"
            )
        }
        None => format!("the JPEG cannot be decoded (libjpeg-turbo: {message})"),
    };
    DecodeError::Unreadable(reason)
}

fn message(error: turbojpeg::Error) -> String {
    match error {
        // Remove the function name of libjpeg-turbo: it does not help the reader.
        turbojpeg::Error::TurboJpegError(message) => {
            message.split_once("(): ").map_or(message.clone(), |(_, text)| text.to_owned())
        }
        other => other.to_string(),
    }
}
