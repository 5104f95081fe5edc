//! Large images of one colour, in the formats that take most memory to decode, and small files that
//! decompress to large ones. They are written by hand, so that writing them takes only the memory
//! of the file.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Compresses `zeros` zero bytes.
pub fn packed(zeros: u64) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    let mut left = zeros;
    while left > 0 {
        let now = left.min(block.len() as u64);
        encoder.write_all(&block[..now as usize]).unwrap();
        left -= now;
    }
    encoder.finish().unwrap()
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(content);
    [&(content.len() as u32).to_be_bytes()[..], name, content, &crc.sum().to_be_bytes()].concat()
}

/// The format of a PNG.
#[derive(Clone, Copy)]
pub struct Png {
    pub bits: u8,
    /// 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
    pub colour: u8,
    pub interlaced: bool,
}

impl Png {
    pub const GREY: Self = Self { bits: 8, colour: 0, interlaced: false };
    pub const RGBA16: Self = Self { bits: 16, colour: 6, interlaced: false };

    fn row_bytes(self, width: u64) -> u64 {
        let channels = match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        1 + (width * channels * u64::from(self.bits)).div_ceil(8)
    }

    /// A black PNG, with the chunks `more` after the header.
    pub fn black(self, width: u32, height: u32, more: &[u8]) -> Vec<u8> {
        let (w, h) = (u64::from(width), u64::from(height));
        // Start and step of each pass of Adam7, horizontally and vertically.
        let adam7 = [
            (0, 8, 0, 8),
            (4, 8, 0, 8),
            (0, 4, 4, 8),
            (2, 4, 0, 4),
            (0, 2, 2, 4),
            (1, 2, 0, 2),
            (0, 1, 1, 2),
        ];
        let passes: &[(u64, u64, u64, u64)] =
            if self.interlaced { &adam7 } else { &[(0, 1, 0, 1)] };
        let bytes = |&(x, across, y, down): &(u64, u64, u64, u64)| {
            self.row_bytes(w.saturating_sub(x).div_ceil(across))
                * h.saturating_sub(y).div_ceil(down)
        };
        let header = [
            &width.to_be_bytes()[..],
            &height.to_be_bytes(),
            &[self.bits, self.colour, 0, 0, u8::from(self.interlaced)],
        ];
        let palette = if self.colour == 3 { chunk(b"PLTE", &[0; 768]) } else { Vec::new() };
        [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &header.concat()),
            more.to_vec(),
            palette,
            chunk(b"IDAT", &packed(passes.iter().map(bytes).sum())),
            chunk(b"IEND", b""),
        ]
        .concat()
    }
}

/// A chunk of a PNG that decompresses to `bytes`: a colour profile or a text.
pub fn bomb(name: &[u8; 4], bytes: u64) -> Vec<u8> {
    chunk(name, &[&b"Raw profile type exif\0\0"[..], &packed(bytes)].concat())
}

/// A black compressed TIFF of 16-bit RGB, in strips of `rows` rows or in tiles of side `tile`.
pub fn tiff_rgb16(side: u32, rows: u32, tile: Option<u32>) -> Vec<u8> {
    let (count, each) = match tile {
        Some(tile) => (side.div_ceil(tile).pow(2), u64::from(tile).pow(2) * 6),
        None => (side.div_ceil(rows), u64::from(side) * u64::from(rows) * 6),
    };
    let part = packed(each);
    // All strips have the same content.
    let mut file = [&b"II*\0"[..], &(8 + count * part.len() as u32).to_le_bytes()].concat();
    (0..count).for_each(|_| file.extend(&part));
    let directory_at = file.len() as u32;
    let (width_tag, places) =
        if tile.is_some() { (322_u16, (324_u16, 325_u16)) } else { (278, (273, 279)) };
    let mut entries = vec![
        (256, vec![side]),
        (257, vec![side]),
        (258, vec![16; 3]),
        (259, vec![8]),
        (262, vec![2]),
        (277, vec![3]),
    ];
    entries.push((width_tag, vec![tile.unwrap_or(rows)]));
    entries.extend(tile.map(|tile| (323, vec![tile])));
    entries.push((places.0, (0..count).map(|number| 8 + number * part.len() as u32).collect()));
    entries.push((places.1, vec![part.len() as u32; count as usize]));
    entries.sort_by_key(|(tag, _)| *tag);
    let mut after = directory_at + 2 + 12 * entries.len() as u32 + 4;
    let (mut directory, mut values) = ((entries.len() as u16).to_le_bytes().to_vec(), Vec::new());
    for (tag, numbers) in entries {
        directory.extend(
            [&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &(numbers.len() as u32).to_le_bytes()]
                .concat(),
        );
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        if bytes.len() == 4 {
            directory.extend(bytes);
        } else {
            directory.extend(after.to_le_bytes());
            after += bytes.len() as u32;
            values.extend(bytes);
        }
    }
    [file, directory, vec![0; 4], values].concat()
}

/// A mid-grey progressive JPEG of `components` components with one scan. Its other scans are
/// missing, which the decoder detects only when all coefficients are in memory.
pub fn jpeg_progressive(side: u16, components: u8) -> Vec<u8> {
    let each = |of: fn(u8) -> Vec<u8>| (1..=components).flat_map(of).collect::<Vec<u8>>();
    let segment = |code: u8, content: &[u8]| {
        [&[0xFF, code][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
    };
    let sides = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let blocks = usize::from(side).div_ceil(8).pow(2) * usize::from(components);
    [
        vec![0xFF, 0xD8],
        segment(0xDB, &[&[0][..], &[1; 64]].concat()),
        segment(0xC2, &[&[8][..], &sides, &[components], &each(|id| vec![id, 0x11, 0])].concat()),
        segment(0xC4, &[&[0, 1][..], &[0; 15], &[0]].concat()),
        segment(0xDA, &[&[components][..], &each(|id| vec![id, 0]), &[0, 0, 0]].concat()),
        vec![0; blocks.div_ceil(8)],
        vec![0xFF, 0xD9],
    ]
    .concat()
}

/// A JPEG of side `side`, encoded by libjpeg-turbo.
pub fn jpeg(side: usize, progressive: bool, cmyk: bool) -> Vec<u8> {
    let format = if cmyk { turbojpeg::PixelFormat::CMYK } else { turbojpeg::PixelFormat::RGB };
    let pixels = vec![100; side * side * format.size()];
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    compressor.set_progressive(progressive).unwrap();
    let image = turbojpeg::Image {
        pixels: &pixels[..],
        width: side,
        pitch: side * format.size(),
        height: side,
        format,
    };
    compressor.compress_to_vec(image).unwrap()
}
