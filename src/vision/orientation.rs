//! Finds the orientation of an image, which viewers apply: in Exif blocks and TIFF files, at every
//! position where a format or a program stores it. A corrupt block is ignored: it is no reason to
//! lose the image.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

use super::directory::Directory;
use super::jpeg;
use crate::domain::ImageKind;

/// The tag of the orientation (TIFF 6.0, section 8).
const ORIENTATION: u16 = 274;

/// Largest Exif block, bytes. In a JPEG a block is below 64 KiB.
const MOST_EXIF: u64 = 1 << 20;

/// Least size that a compressed text counts as, bytes: decompressing takes time even if the text is
/// short.
const LEAST_TEXT: u64 = 1 << 10;

/// The orientation of an image of `kind`.
pub(super) fn of(kind: ImageKind, bytes: &[u8]) -> Orientation {
    let named = match kind {
        ImageKind::Jpeg => jpeg::exif(bytes).find_map(in_exif),
        ImageKind::Png => in_png(bytes),
        ImageKind::WebP => in_webp(bytes),
        ImageKind::Tiff => in_exif(bytes),
        _ => None,
    };
    named.unwrap_or(Orientation::NoTransforms)
}

/// The orientation in an Exif block: a TIFF structure, with or without `Exif\0\0` before it.
fn in_exif(mut block: &[u8]) -> Option<Orientation> {
    while let Some(rest) = block.strip_prefix(b"Exif\0") {
        // The sixth byte is padding.
        block = rest.get(1..)?;
    }
    // Programs write the value as BYTE, SHORT or LONG.
    let value = Directory::first(block)?.number(ORIENTATION)?;
    Orientation::from_exif(u8::try_from(value).ok()?)
}

/// The orientation in the `eXIf` chunk of a PNG, or else in a text `Raw profile type exif`, which
/// ImageMagick wrote before the chunk was standardised.
fn in_png(bytes: &[u8]) -> Option<Orientation> {
    let chunks = || Chunks { rest: bytes.get(8..).unwrap_or_default(), big_endian: true };
    let exif = chunks().filter(|(name, _)| name == b"eXIf").find_map(|(_, block)| in_exif(block));
    // A limit for all texts together (two digits a byte, and line breaks): a file may contain
    // thousands, each of a few bytes when compressed.
    let mut budget = 4 * MOST_EXIF;
    exif.or_else(|| {
        chunks().find_map(|(name, content)| in_exif(&raw_profile(&name, content, &mut budget)?))
    })
}

fn in_webp(bytes: &[u8]) -> Option<Orientation> {
    let mut chunks = Chunks { rest: bytes.get(12..)?, big_endian: false };
    chunks.find_map(|(name, block)| (&name == b"EXIF").then(|| in_exif(block)).flatten())
}

/// The chunks of a PNG (length, name, content, checksum) or a RIFF file (name, length, content
/// padded to an even length).
struct Chunks<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, after) = self.rest.split_first_chunk::<4>()?;
        let (second, after) = after.split_first_chunk::<4>()?;
        let (name, length, filling) = if self.big_endian {
            (*second, u32::from_be_bytes(*first), 4)
        } else {
            let length = u32::from_le_bytes(*second);
            (*first, length, length % 2)
        };
        let content = after.get(..length as usize)?;
        self.rest = after.get(length as usize + filling as usize..).unwrap_or_default();
        Some((name, content))
    }
}

/// The Exif block in a text chunk of a PNG: `\nexif\n`, its length in decimal, then hexadecimal
/// digits with line breaks. Decompresses at most `budget` bytes and subtracts them from it.
fn raw_profile(name: &[u8; 4], content: &[u8], budget: &mut u64) -> Option<Vec<u8>> {
    let end = content.iter().position(|&byte| byte == 0)?;
    let keyword = &content[..end];
    if ![&b"Raw profile type exif"[..], b"Raw profile type APP1"]
        .iter()
        .any(|wanted| keyword.eq_ignore_ascii_case(wanted))
    {
        return None;
    }
    let rest = &content[end + 1..];
    let text = match name {
        b"tEXt" => rest.to_vec(),
        // The first byte is the compression method; only one method exists.
        b"zTXt" => inflate(rest.get(1..)?, budget)?,
        b"iTXt" => {
            let [compressed, _, rest @ ..] = rest else { return None };
            // Language and translated keyword end with zeros.
            let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
            if *compressed == 1 { inflate(text, budget)? } else { text.to_vec() }
        }
        _ => return None,
    };
    let mut words =
        text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(2).peekable();
    words.peek()?;
    let digits: Vec<u8> = words
        .flatten()
        .map_while(|&digit| char::from(digit).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    Some(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
}

fn inflate(bytes: &[u8], budget: &mut u64) -> Option<Vec<u8>> {
    if *budget == 0 {
        return None;
    }
    let mut text = Vec::new();
    let result = ZlibDecoder::new(bytes).take(*budget).read_to_end(&mut text);
    // Bytes before an error were decompressed too.
    *budget = budget.saturating_sub((text.len() as u64).max(LEAST_TEXT));
    result.ok().map(|_| text)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use image::{ImageFormat, RgbImage};

    use super::*;

    const BYTE: u16 = 1;
    const SHORT: u16 = 3;
    const LONG: u16 = 4;

    /// An Exif block with one entry.
    fn exif(orientation: u32, kind: u16, big_endian: bool) -> Vec<u8> {
        let short = |value: u16| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let value = match kind {
            BYTE => vec![orientation as u8, 0, 0, 0],
            SHORT => [short(orientation as u16), [0, 0]].concat(),
            _ => long(orientation).to_vec(),
        };
        let order = if big_endian { b"MM" } else { b"II" };
        let entry = [&short(ORIENTATION)[..], &short(kind), &long(1), &value].concat();
        [&order[..], &short(42), &long(8), &short(1), &entry, &long(0)].concat()
    }

    fn encode(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::new(3, 2).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn jpeg(block: &[u8]) -> Vec<u8> {
        let plain = encode(ImageFormat::Jpeg);
        let segment = |content: &[u8]| {
            [&[0xFF, 0xE1][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
        };
        let xmp = segment(b"http://ns.adobe.com/xap/1.0/\0<x/>");
        [&plain[..2], &xmp, &[0xFF], &segment(&[b"Exif\0\0", block].concat()), &plain[2..]].concat()
    }

    fn png(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        with_chunk(&encode(ImageFormat::Png), name, content)
    }

    /// The PNG `plain` with one more chunk, directly after the header.
    fn with_chunk(plain: &[u8], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(content);
        let chunk =
            [&(content.len() as u32).to_be_bytes()[..], name, content, &crc.sum().to_be_bytes()]
                .concat();
        [&plain[..33], &chunk, &plain[33..]].concat()
    }

    fn webp(block: &[u8]) -> Vec<u8> {
        let plain = encode(ImageFormat::WebP);
        let chunk = |name: &[u8], content: &[u8]| {
            let filling: &[u8] = if content.len() % 2 == 1 { &[0] } else { &[] };
            [name, &(content.len() as u32).to_le_bytes(), content, filling].concat()
        };
        let content = [
            b"WEBP",
            &chunk(b"VP8X", &[8, 0, 0, 0, 2, 0, 0, 1, 0, 0])[..],
            &plain[12..],
            &chunk(b"EXIF", block),
        ]
        .concat();
        chunk(b"RIFF", &content)
    }

    /// A text in the form that ImageMagick writes.
    fn profile(block: &[u8]) -> Vec<u8> {
        let digits: Vec<String> = block.iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<String> = digits.chunks(36).map(<[String]>::concat).collect();
        format!("\nexif\n{:8}\n{}\n", block.len(), lines.join("\n")).into_bytes()
    }

    fn deflated(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Images with `block` at every position where formats and programs store it.
    fn everywhere(block: &[u8]) -> Vec<(&'static str, ImageKind, Vec<u8>)> {
        let prefixed = [b"Exif\0\0", block].concat();
        let text = profile(&prefixed);
        let keyword = b"Raw profile type exif\0";
        vec![
            ("JPEG", ImageKind::Jpeg, jpeg(block)),
            ("JPEG, prefixed twice", ImageKind::Jpeg, jpeg(&prefixed)),
            ("WebP", ImageKind::WebP, webp(block)),
            ("WebP, prefixed", ImageKind::WebP, webp(&prefixed)),
            ("PNG", ImageKind::Png, png(b"eXIf", block)),
            ("PNG, prefixed", ImageKind::Png, png(b"eXIf", &prefixed)),
            ("PNG, text", ImageKind::Png, png(b"tEXt", &[&keyword[..], &text].concat())),
            (
                "PNG, APP1",
                ImageKind::Png,
                png(b"tEXt", &[&b"Raw profile type APP1\0"[..], &text].concat()),
            ),
            (
                "PNG, packed text",
                ImageKind::Png,
                png(b"zTXt", &[&keyword[..], &[0], &deflated(&text)].concat()),
            ),
            (
                "PNG, international text",
                ImageKind::Png,
                png(b"iTXt", &[&keyword[..], &[0, 0, 0, 0], &text].concat()),
            ),
            (
                "PNG, packed international",
                ImageKind::Png,
                png(b"iTXt", &[&keyword[..], &[1, 0, 0, 0], &deflated(&text)].concat()),
            ),
        ]
    }

    #[test]
    fn an_orientation_is_found_in_every_position_and_encoding() {
        for orientation in 1..=8 {
            for (kind, big_endian) in [
                (SHORT, false),
                (SHORT, true),
                (LONG, false),
                (LONG, true),
                (BYTE, false),
                (BYTE, true),
            ] {
                for (place, format, bytes) in everywhere(&exif(orientation, kind, big_endian)) {
                    let case =
                        format!("{place}, {orientation} as type {kind}, big endian: {big_endian}");
                    assert_eq!(u32::from(of(format, &bytes).to_exif()), orientation, "{case}");
                }
            }
        }
    }

    #[test]
    fn no_more_text_is_decompressed_than_one_block_may_have() {
        let keyword = b"Raw profile type exif\0\0";
        let text = |content: &[u8]| [&keyword[..], &deflated(content)].concat();
        let named = png(b"zTXt", &text(&profile(&exif(6, SHORT, true))));
        assert_eq!(of(ImageKind::Png, &named).to_exif(), 6);
        let after_another = with_chunk(&named, b"zTXt", &text(&profile(b"no block")));
        assert_eq!(of(ImageKind::Png, &after_another).to_exif(), 6);
        let bomb = text(&vec![b' '; 4 * MOST_EXIF as usize]);
        assert!(bomb.len() < 100_000);
        let after_a_bomb = with_chunk(&named, b"zTXt", &bomb);
        assert_eq!(of(ImageKind::Png, &after_a_bomb), Orientation::NoTransforms);
    }

    #[test]
    fn a_picture_with_an_orientation_is_decoded_upright() {
        let limits = crate::vision::PixelLimits { max_pixels: 1000 };
        for (place, _, bytes) in everywhere(&exif(6, LONG, false)) {
            let picture = crate::vision::Picture::decode(&bytes, limits)
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(picture.size(), (2, 3), "{place}");
        }
    }

    #[test]
    fn a_missing_or_corrupt_orientation_leaves_the_image_unchanged() {
        let whole = exif(6, SHORT, true);
        let mut blocks: Vec<Vec<u8>> =
            (0..whole.len() - 6).map(|length| whole[..length].to_vec()).collect();
        blocks.extend([0, 9, 255, 65535].map(|value| exif(value, SHORT, false)));
        blocks.extend([0, 9, 0x0106, u32::MAX].map(|value| exif(value, LONG, true)));
        // The directory is past the end of the block, or has more entries than fit.
        blocks.push([&b"II*\0\xFF\xFF\xFF\xFF"[..], &[0; 8]].concat());
        blocks.push([&b"II*\0\x08\0\0\0\xFF\xFF"[..], &[0; 8]].concat());
        let limits = crate::vision::PixelLimits { max_pixels: 1000 };
        for block in blocks {
            for (place, format, bytes) in everywhere(&block) {
                assert_eq!(of(format, &bytes), Orientation::NoTransforms, "{place}: {block:?}");
                let picture = crate::vision::Picture::decode(&bytes, limits)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(picture.size(), (3, 2), "{place}: {block:?}");
            }
        }
    }
}
