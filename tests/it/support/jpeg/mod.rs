//! A small JPEG encoder for files that common encoders do not write: any sampling factors, separate
//! scans for components, every colour space. It follows ITU-T T.81 and shares no code with the
//! decoder under test.

mod coding;

use coding::{AC_CHROMA, AC_LUMA, Bits, DC_CHROMA, DC_LUMA, HuffmanTable};
use image::RgbImage;

/// The colour space of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl Colour {
    pub fn components(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::YCbCr | Self::Rgb => 3,
            Self::Cmyk | Self::Ycck => 4,
        }
    }

    /// The RGB colour of a pixel with these components. Inks are stored inverted, as Adobe's
    /// programs do.
    pub fn to_rgb(self, parts: &[f64]) -> [u8; 3] {
        let byte = |value: f64| value.round().clamp(0.0, 255.0);
        let from_ycc = |y: f64, cb: f64, cr: f64| {
            let (cb, cr) = (cb - 128.0, cr - 128.0);
            [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(byte)
        };
        let inked = |inks: [f64; 3], black: f64| inks.map(|ink| byte(ink * byte(black) / 255.0));
        let colour = match (self, parts) {
            (Self::Grey, &[y]) => [byte(y); 3],
            (Self::YCbCr, &[y, cb, cr]) => from_ycc(y, cb, cr),
            (Self::Rgb, &[r, g, b]) => [r, g, b].map(byte),
            (Self::Cmyk, &[c, m, y, k]) => inked([c, m, y].map(byte), k),
            // YCbCr of the complements of the inks.
            (Self::Ycck, &[y, cb, cr, k]) => {
                inked(from_ycc(y, cb, cr).map(|value| 255.0 - value), k)
            }
            _ => unreachable!("{self:?} of {} components", parts.len()),
        };
        colour.map(|value| value as u8)
    }
}

/// The distribution of the components over scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scans {
    Interleaved,
    OneEach,
    LumaThenChroma,
    /// DC of all components without the last bit, then AC of each component in two bands, then the
    /// last bit of DC.
    Progressive,
}

impl Scans {
    pub const ALL: [Self; 4] =
        [Self::Interleaved, Self::OneEach, Self::LumaThenChroma, Self::Progressive];
}

/// The specification of a file.
#[derive(Debug, Clone)]
pub struct Spec {
    pub size: (usize, usize),
    pub colour: Colour,
    /// Horizontal and vertical sampling factors of each component.
    pub sampling: Vec<(usize, usize)>,
    pub scans: Scans,
    /// Restart interval in units.
    pub restart: Option<u16>,
    /// The quantisation step of all coefficients.
    pub quantisation: u8,
}

impl Spec {
    fn largest(&self) -> (usize, usize) {
        let horizontal = self.sampling.iter().map(|factors| factors.0).max().unwrap();
        (horizontal, self.sampling.iter().map(|factors| factors.1).max().unwrap())
    }

    /// True if the standard allows a scan of these components: at most ten blocks a unit.
    fn fits(&self, components: &[usize]) -> bool {
        let blocks = components
            .iter()
            .map(|&index| self.sampling[index].0 * self.sampling[index].1)
            .sum::<usize>();
        components.len() == 1 || blocks <= 10
    }

    /// The components of each scan that covers the whole picture.
    fn groups(&self) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..self.sampling.len()).collect();
        match self.scans {
            Scans::Interleaved => vec![all],
            Scans::LumaThenChroma if all.len() > 1 => vec![vec![0], all[1..].to_vec()],
            Scans::Progressive if self.fits(&all) => vec![all],
            _ => all.into_iter().map(|index| vec![index]).collect(),
        }
    }

    /// True if a unit of a scan has more blocks than the standard allows.
    pub fn has_too_large_a_unit(&self) -> bool {
        self.groups().iter().any(|group| !self.fits(group))
    }

    /// True if the sampling factors of a component do not divide the largest ones.
    pub fn is_fractional(&self) -> bool {
        let (horizontal, vertical) = self.largest();
        self.sampling.iter().any(|factors| horizontal % factors.0 != 0 || vertical % factors.1 != 0)
    }

    /// True if the component has a sample for each pixel.
    pub fn is_full(&self, component: usize) -> bool {
        self.sampling[component] == self.largest()
    }

    /// Encodes the picture in which `component` has the value `value(component, x, y)` at a pixel.
    pub fn encode(&self, value: &dyn Fn(usize, f64, f64) -> f64) -> Vec<u8> {
        let planes: Vec<Plane> =
            (0..self.sampling.len()).map(|component| self.plane(component, value)).collect();
        let mut bytes = vec![0xFF, 0xD8];
        self.write_headers(&mut bytes);
        if self.scans == Scans::Progressive {
            for group in self.groups() {
                self.write_scan(
                    &mut bytes,
                    &planes,
                    &group,
                    Pass { band: (0, 0), high: 0, low: 1 },
                );
            }
            for component in 0..planes.len() {
                for band in [(1, 5), (6, 63)] {
                    self.write_scan(
                        &mut bytes,
                        &planes,
                        &[component],
                        Pass { band, high: 0, low: 0 },
                    );
                }
            }
            for group in self.groups() {
                self.write_scan(
                    &mut bytes,
                    &planes,
                    &group,
                    Pass { band: (0, 0), high: 1, low: 0 },
                );
            }
        } else {
            for group in self.groups() {
                self.write_scan(
                    &mut bytes,
                    &planes,
                    &group,
                    Pass { band: (0, 63), high: 0, low: 0 },
                );
            }
        }
        bytes.extend([0xFF, 0xD9]);
        bytes
    }

    /// The picture that `encode` encodes.
    pub fn picture(&self, value: &dyn Fn(usize, f64, f64) -> f64) -> RgbImage {
        RgbImage::from_fn(self.size.0 as u32, self.size.1 as u32, |x, y| {
            let parts: Vec<f64> = (0..self.sampling.len())
                .map(|part| value(part, f64::from(x), f64::from(y)))
                .collect();
            image::Rgb(self.colour.to_rgb(&parts))
        })
    }

    fn plane(&self, component: usize, value: &dyn Fn(usize, f64, f64) -> f64) -> Plane {
        let (largest, (horizontal, vertical)) = (self.largest(), self.sampling[component]);
        let (step_x, step_y) =
            (largest.0 as f64 / horizontal as f64, largest.1 as f64 / vertical as f64);
        let side = |pixels: usize, factor: usize, largest: usize| {
            (pixels * factor).div_ceil(largest).div_ceil(8)
        };
        let units = |pixels: usize, largest: usize| pixels.div_ceil(8 * largest);
        let own =
            (side(self.size.0, horizontal, largest.0), side(self.size.1, vertical, largest.1));
        let padded =
            (units(self.size.0, largest.0) * horizontal, units(self.size.1, largest.1) * vertical);
        let sample = |x: usize, y: usize| {
            // The centre of the pixels that the sample covers. Beyond the edge, the last pixel is
            // repeated.
            let middle = |at: usize, step: f64, pixels: usize| {
                let middle = (at as f64 + 0.5) * step - 0.5;
                middle.min(pixels as f64 - 1.0)
            };
            value(component, middle(x, step_x, self.size.0), middle(y, step_y, self.size.1))
                .round()
                .clamp(0.0, 255.0)
        };
        let blocks = (0..padded.0 * padded.1).map(|index| {
            let (left, top) = (index % padded.0 * 8, index / padded.0 * 8);
            coding::coefficients(
                &|x, y| sample(left + x, top + y) - 128.0,
                f64::from(self.quantisation),
            )
        });
        Plane { own, padded, blocks: blocks.collect() }
    }

    fn write_headers(&self, bytes: &mut Vec<u8>) {
        let mut segment = |marker: u8, parameters: &[u8]| {
            bytes.extend([0xFF, marker]);
            bytes.extend((parameters.len() as u16 + 2).to_be_bytes());
            bytes.extend(parameters);
        };
        match self.colour {
            Colour::Grey | Colour::YCbCr => segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            Colour::Rgb | Colour::Cmyk => segment(0xEE, b"Adobe\0\x64\0\0\0\0\0"),
            Colour::Ycck => segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02"),
        }
        segment(0xDB, &[&[0][..], &[self.quantisation; 64]].concat());
        let mut frame = vec![8];
        frame.extend((self.size.1 as u16).to_be_bytes());
        frame.extend((self.size.0 as u16).to_be_bytes());
        frame.push(self.sampling.len() as u8);
        for (index, &(horizontal, vertical)) in self.sampling.iter().enumerate() {
            frame.extend([index as u8 + 1, (horizontal << 4 | vertical) as u8, 0]);
        }
        segment(if self.scans == Scans::Progressive { 0xC2 } else { 0xC0 }, &frame);
        for (identifier, table) in
            [(0x00, &DC_LUMA), (0x01, &DC_CHROMA), (0x10, &AC_LUMA), (0x11, &AC_CHROMA)]
        {
            segment(0xC4, &[&[identifier], &table.0[..], table.1].concat());
        }
        if let Some(interval) = self.restart {
            segment(0xDD, &interval.to_be_bytes());
        }
    }

    fn write_scan(&self, bytes: &mut Vec<u8>, planes: &[Plane], group: &[usize], pass: Pass) {
        bytes.extend([0xFF, 0xDA]);
        bytes.extend((group.len() as u16 * 2 + 6).to_be_bytes());
        bytes.push(group.len() as u8);
        for &component in group {
            bytes.extend([component as u8 + 1, table_of(component) * 0x11]);
        }
        bytes.extend([pass.band.0 as u8, pass.band.1 as u8, pass.high << 4 | pass.low]);
        let tables = [(DC_LUMA, AC_LUMA), (DC_CHROMA, AC_CHROMA)]
            .map(|(dc, ac)| (HuffmanTable::of(&dc), HuffmanTable::of(&ac)));
        let mut bits = Bits::default();
        let mut last_dc = vec![0; planes.len()];
        for (index, unit) in self.units(planes, group).iter().enumerate() {
            if let Some(interval) =
                self.restart.map(usize::from).filter(|&interval| index > 0 && index % interval == 0)
            {
                bits.finish();
                bits.bytes.extend([0xFF, 0xD0 + ((index / interval - 1) % 8) as u8]);
                last_dc.fill(0);
            }
            for &(component, block) in unit {
                let (dc, ac) = &tables[usize::from(table_of(component))];
                pass.write_block(
                    &mut bits,
                    &planes[component].blocks[block],
                    (dc, ac),
                    &mut last_dc[component],
                );
            }
        }
        bits.finish();
        bytes.extend(bits.bytes);
    }

    /// The units of a scan in order. Each unit is a list of blocks: component and index.
    fn units(&self, planes: &[Plane], group: &[usize]) -> Vec<Vec<(usize, usize)>> {
        if let &[component] = group {
            // In a scan of one component, a unit is a block, and blocks that only pad units are
            // omitted.
            let plane = &planes[component];
            let blocks = (0..plane.own.1)
                .flat_map(|row| (0..plane.own.0).map(move |column| row * plane.padded.0 + column));
            return blocks.map(|block| vec![(component, block)]).collect();
        }
        let largest = self.largest();
        let (columns, rows) =
            (self.size.0.div_ceil(8 * largest.0), self.size.1.div_ceil(8 * largest.1));
        let unit = |index: usize| {
            let blocks = group.iter().flat_map(|&component| {
                let (horizontal, vertical) = self.sampling[component];
                let (left, top) = (index % columns * horizontal, index / columns * vertical);
                let width = planes[component].padded.0;
                (0..vertical).flat_map(move |y| {
                    (0..horizontal).map(move |x| (component, (top + y) * width + left + x))
                })
            });
            blocks.collect()
        };
        (0..columns * rows).map(unit).collect()
    }
}

/// The index of a component's tables: the second and third component use those of chroma.
fn table_of(component: usize) -> u8 {
    u8::from(matches!(component, 1 | 2))
}

/// The quantised blocks of a component, in zigzag order.
struct Plane {
    /// Blocks horizontally and vertically that contain samples of the picture.
    own: (usize, usize),
    /// Blocks horizontally and vertically, padded to whole units.
    padded: (usize, usize),
    blocks: Vec<[i32; 64]>,
}

/// The coefficients and bits in a scan.
#[derive(Clone, Copy)]
struct Pass {
    band: (usize, usize),
    high: u8,
    low: u8,
}

impl Pass {
    fn write_block(
        self,
        bits: &mut Bits,
        block: &[i32; 64],
        (dc, ac): (&HuffmanTable, &HuffmanTable),
        last_dc: &mut i32,
    ) {
        if self.band.0 == 0 && self.high > 0 {
            bits.push((block[0] >> self.low & 1) as u32, 1);
            return;
        }
        if self.band.0 == 0 {
            let value = block[0] >> self.low;
            bits.push_value(dc, 0, value - *last_dc);
            *last_dc = value;
        }
        let mut run = 0;
        for &value in &block[self.band.0.max(1)..=self.band.1] {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                bits.push_symbol(ac, 0xF0);
                run -= 16;
            }
            bits.push_value(ac, run, value);
            run = 0;
        }
        if run > 0 {
            bits.push_symbol(ac, 0);
        }
    }
}
