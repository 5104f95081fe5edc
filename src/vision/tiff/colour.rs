//! Converts the colour spaces of TIFF (TIFF 6.0, sections 3 to 6, 16, 20 to 23) to sRGB of 8 bits.
//! Alpha and other extra samples are dropped.

use super::chunks::Subsampling;
use super::{JPEG, Page, unsupported};
use crate::vision::directory::Directory;
use crate::vision::error::{DecodeError, unreadable};

/// The meaning of the samples.
#[derive(Debug)]
pub(super) struct Colour {
    space: Space,
    /// The largest value of a sample.
    most: u32,
}

#[derive(Debug)]
enum Space {
    Grey { white_is_zero: bool },
    Rgb,
    Palette(Vec<[u8; 3]>),
    Cmyk,
    YCbCr(YCbCr),
    Lab(LabEncoding),
}

impl Colour {
    /// The colour space of `page`.
    ///
    /// # Errors
    /// If it is not supported.
    pub(super) fn of(directory: &Directory<'_>, page: &Page) -> Result<Self, DecodeError> {
        let bits = if page.float { 16 } else { page.bits };
        let (space, samples) = match page.photometric {
            0 => (Space::Grey { white_is_zero: true }, 1),
            1 => (Space::Grey { white_is_zero: false }, 1),
            2 => (Space::Rgb, 3),
            3 => (Space::Palette(palette(directory, bits)?), 1),
            5 if matches!(directory.number(332), None | Some(1)) => (Space::Cmyk, 4),
            6 => (Space::YCbCr(YCbCr::of(directory, page)?), 3),
            8 | 9 if matches!(page.bits, 8 | 16) && !page.float => {
                (Space::Lab(LabEncoding::of(page)), 3)
            }
            other => return Err(unsupported(&format!("{} ({other})", space_name(other)))),
        };
        if page.samples < samples {
            return Err(unreadable(format!(
                "the TIFF is damaged: {} has {samples} samples a pixel, not {}",
                space_name(page.photometric),
                page.samples
            )));
        }
        let colour = Self { space, most: (1 << bits) - 1 };
        let in_jpeg = matches!(colour.space, Space::Grey { .. } | Space::Rgb | Space::YCbCr(_));
        if page.compression == JPEG && (!in_jpeg || page.planar || page.bits != 8) {
            let planes = if page.planar { " in planes" } else { "" };
            return Err(unsupported(&format!(
                "{}{planes} of {} bits in JPEG compression",
                space_name(page.photometric),
                page.bits
            )));
        }
        Ok(colour)
    }

    /// Whether a JPEG in the TIFF holds YCbCr.
    pub(super) fn is_ycbcr(&self) -> bool {
        matches!(self.space, Space::YCbCr(_))
    }

    /// Whether white is stored as 0.
    pub(super) fn is_inverted(&self) -> bool {
        matches!(self.space, Space::Grey { white_is_zero: true })
    }

    /// The chroma subsampling, if chroma is not stored for each pixel.
    pub(super) fn subsampling(&self) -> Option<Subsampling> {
        match &self.space {
            Space::YCbCr(ycbcr) => Some(ycbcr.subsampling)
                .filter(|sampling| *sampling != Subsampling { columns: 1, rows: 1 }),
            _ => None,
        }
    }

    /// Converts the samples of a pixel to sRGB.
    pub(super) fn to_rgb(&self, samples: &[u16]) -> [u8; 3] {
        let eight = |value: u16| ((u32::from(value) * 510 + self.most) / (2 * self.most)) as u8;
        match (&self.space, samples) {
            (Space::Grey { white_is_zero: false }, &[grey, ..]) => [eight(grey); 3],
            (Space::Grey { white_is_zero: true }, &[grey, ..]) => [255 - eight(grey); 3],
            (Space::Rgb, &[red, green, blue, ..]) => [red, green, blue].map(eight),
            (Space::Palette(colours), &[index, ..]) => {
                colours.get(usize::from(index)).copied().unwrap_or_default()
            }
            // Without an ink profile: each ink reduces the white of the paper.
            (Space::Cmyk, &[cyan, magenta, yellow, black, ..]) => {
                [cyan, magenta, yellow].map(|ink| {
                    let through = |ink: u16| 255 - u32::from(eight(ink));
                    ((through(ink) * through(black) + 127) / 255) as u8
                })
            }
            (Space::YCbCr(ycbcr), &[y, cb, cr, ..]) => ycbcr.to_rgb([y, cb, cr].map(f64::from)),
            (Space::Lab(encoding), &[l, a, b, ..]) => lab_to_rgb(encoding.decode([l, a, b])),
            // Not reachable: the number of samples was checked.
            _ => [0; 3],
        }
    }
}

fn space_name(photometric: u64) -> &'static str {
    match photometric {
        0 | 1 => "grey",
        2 => "RGB",
        3 => "a palette",
        4 => "a transparency mask",
        5 => "CMYK or other inks",
        6 => "YCbCr",
        8 => "CIE L*a*b*",
        9 => "ICC L*a*b*",
        10 => "ITU L*a*b*",
        32844 | 32845 => "logarithmic luminance (LogL, LogLuv)",
        _ => "an unknown colour space",
    }
}

/// The colour map: all reds, all greens, all blues, of 16 bits. Some programs write 8 bits; then no
/// value is above 255.
fn palette(directory: &Directory<'_>, bits: u32) -> Result<Vec<[u8; 3]>, DecodeError> {
    let map = directory.numbers(320).unwrap_or_default();
    let colours = 1_usize << bits;
    let (Some(reds), Some(greens), Some(blues)) =
        (map.get(..colours), map.get(colours..2 * colours), map.get(2 * colours..3 * colours))
    else {
        return Err(unreadable("the TIFF is damaged: its palette is missing or too short"));
    };
    let shift = if map.iter().all(|&value| value < 256) { 0 } else { 8 };
    let colour = |index: usize| {
        [reds[index], greens[index], blues[index]].map(|value| (value >> shift) as u8)
    };
    Ok((0..colours).map(colour).collect())
}

/// YCbCr (TIFF 6.0, section 21): luma coefficients (ITU-R BT.601 by default) and the values of
/// black and white.
#[derive(Debug)]
struct YCbCr {
    /// The shares of red, green and blue in luma.
    luma: [f64; 3],
    /// Black and white of Y, Cb and Cr.
    range: [f64; 6],
    subsampling: Subsampling,
}

impl YCbCr {
    fn of(directory: &Directory<'_>, page: &Page) -> Result<Self, DecodeError> {
        let subsampling = match directory.numbers(530).as_deref() {
            None => Subsampling { columns: 2, rows: 2 },
            Some(&[columns @ (1 | 2 | 4), rows @ (1 | 2 | 4)]) => {
                Subsampling { columns: columns as u32, rows: rows as u32 }
            }
            Some(_) => {
                return Err(unsupported("YCbCr subsampled by other factors than 1, 2 and 4"));
            }
        };
        let is_whole = subsampling == Subsampling { columns: 1, rows: 1 };
        if page.bits != 8
            || page.float
            || (page.planar && !is_whole)
            || (!is_whole && page.predictor != 1)
            || page.samples != 3
        {
            let planes = if page.planar { ", subsampled in planes" } else { "" };
            return Err(unsupported(&format!(
                "YCbCr of {} samples of {} bits{planes}",
                page.samples, page.bits
            )));
        }
        let list = |tag: u16| {
            directory.fractions(tag).filter(|values| values.iter().all(|value| value.is_finite()))
        };
        // Some programs write the range as whole numbers.
        let whole = |tag: u16| {
            Some(directory.numbers(tag)?.into_iter().map(|value| value as f64).collect())
        };
        let luma =
            list(529).and_then(|values| values.try_into().ok()).unwrap_or([0.299, 0.587, 0.114]);
        let range =
            list(532).or_else(|| whole(532)).and_then(|values: Vec<f64>| values.try_into().ok());
        let range: [f64; 6] = range.unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        if luma[1] == 0.0 || range.as_chunks::<2>().0.iter().any(|[black, white]| black == white) {
            return Err(unreadable("the TIFF is damaged: its YCbCr coefficients are invalid"));
        }
        Ok(Self { luma, range, subsampling })
    }

    fn to_rgb(&self, [y, cb, cr]: [f64; 3]) -> [u8; 3] {
        let [y_black, y_white, cb_black, cb_white, cr_black, cr_white] = self.range;
        let [red_share, green_share, blue_share] = self.luma;
        let y = (y - y_black) * 255.0 / (y_white - y_black);
        let cb = (cb - cb_black) * 127.0 / (cb_white - cb_black);
        let cr = (cr - cr_black) * 127.0 / (cr_white - cr_black);
        let red = y + cr * (2.0 - 2.0 * red_share);
        let blue = y + cb * (2.0 - 2.0 * blue_share);
        let green = (y - red_share * red - blue_share * blue) / green_share;
        // The cast saturates.
        [red, green, blue].map(|value| value.round() as u8)
    }
}

/// The encoding of L*, a* and b*.
#[derive(Debug)]
enum LabEncoding {
    /// Section 23: L* from 0, a* and b* signed. With 16 bits, a* and b* in 256ths.
    Cie { wide: bool },
    /// TIFF Technical Note 4, for ICC profiles: a* and b* start at -128; with 16 bits, 100 is
    /// 0xFF00.
    Icc { wide: bool },
}

impl LabEncoding {
    fn of(page: &Page) -> Self {
        let wide = page.bits == 16;
        if page.photometric == 8 { Self::Cie { wide } } else { Self::Icc { wide } }
    }

    fn decode(&self, [l, a, b]: [u16; 3]) -> [f64; 3] {
        let l = f64::from(l);
        match self {
            Self::Cie { wide: false } => {
                [l / 2.55, f64::from(a as u8 as i8), f64::from(b as u8 as i8)]
            }
            Self::Cie { wide: true } => {
                [l / 655.35, f64::from(a as i16) / 256.0, f64::from(b as i16) / 256.0]
            }
            Self::Icc { wide: false } => [l / 2.55, f64::from(a) - 128.0, f64::from(b) - 128.0],
            Self::Icc { wide: true } => {
                [l / 652.8, f64::from(a) / 256.0 - 128.0, f64::from(b) / 256.0 - 128.0]
            }
        }
    }
}

/// Converts CIE 1976 L*a*b* (CIE 15) relative to the white of D50, as in TIFF and ICC, to sRGB (IEC
/// 61966-2-1). The matrix includes the Bradford adaptation from D50 to the D65 of sRGB, so that
/// white stays white.
fn lab_to_rgb([l, a, b]: [f64; 3]) -> [u8; 3] {
    const D50: [f64; 3] = [0.96422, 1.0, 0.82521];
    const TO_RGB: [[f64; 3]; 3] = [
        [3.133_856_1, -1.616_866_7, -0.490_614_6],
        [-0.978_768_4, 1.916_141_5, 0.033_454_0],
        [0.071_945_3, -0.228_991_4, 1.405_242_7],
    ];
    let fy = (l + 16.0) / 116.0;
    let restore = |f: f64| {
        if f > 6.0 / 29.0 { f.powi(3) } else { 3.0 * (6.0_f64 / 29.0).powi(2) * (f - 4.0 / 29.0) }
    };
    let [fx, fz] = [fy + a / 500.0, fy - b / 200.0];
    let xyz = [D50[0] * restore(fx), D50[1] * restore(fy), D50[2] * restore(fz)];
    TO_RGB.map(|row| {
        let linear: f64 = row.iter().zip(xyz).map(|(factor, value)| factor * value).sum();
        let curved = if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        };
        // The cast saturates.
        (curved * 255.0).round() as u8
    })
}
