//! PNG: removes the chunks that do not affect the pixels before the image crate decodes the file. A
//! megabyte of such chunks may decompress to a gigabyte (iCCP, zTXt, iTXt).

use std::borrow::Cow;

use super::need::Header;

/// Bytes of the signature, and of the header with its length, name and checksum.
const HEADER: usize = 8 + 25;

/// Bytes of memory that decoding takes, including copies of the file. `None` without a header.
pub(super) fn memory(bytes: &[u8]) -> Option<Header> {
    let header = bytes.get(8..HEADER).filter(|header| &header[4..8] == b"IHDR")?;
    let side = |at: usize| {
        u64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    let (width, height, wide, colour) = (side(8), side(12), header[16] == 16, header[17]);
    // A tRNS chunk may define a transparent colour: then the decoder adds alpha.
    let channels: u64 = match colour {
        0 => 2,
        2 | 3 | 6 => 4,
        _ => 2,
    };
    let opaque = !chunks(bytes).any(|chunk| chunk.name == b"tRNS");
    let sample = if wide { 2 } else { 1 };
    let pixel = match (colour, opaque, wide) {
        // Decoded directly into the picture.
        (2 | 3, true, false) => 3,
        (2 | 3, true, true) => 3 * 2 + 3,
        (0, true, _) => sample + 3,
        _ => channels * sample + 3,
    };
    // The previous row, the current one, and bytes decompressed ahead of them.
    let rows = width.saturating_mul(4 * 8);
    let memory = width
        .saturating_mul(height)
        .saturating_mul(pixel)
        .saturating_add(rows)
        .saturating_add(bytes.len() as u64);
    Some(Header { width, height, memory })
}

/// `bytes` without the chunks that do not affect the pixels: keeps the critical chunks and tRNS.
/// Keeps everything after the first invalid chunk.
pub(super) fn essential(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_essential =
        |chunk: &Chunk<'_>| chunk.name[0].is_ascii_uppercase() || chunk.name == b"tRNS";
    if chunks(bytes).all(|chunk| is_essential(&chunk)) {
        return Cow::Borrowed(bytes);
    }
    let mut kept = bytes[..8].to_vec();
    let mut end = 8;
    for chunk in chunks(bytes) {
        end += chunk.whole.len();
        if is_essential(&chunk) {
            kept.extend(chunk.whole);
        }
    }
    kept.extend(&bytes[end..]);
    Cow::Owned(kept)
}

struct Chunk<'a> {
    name: &'a [u8],
    /// The chunk with length, name and checksum.
    whole: &'a [u8],
}

/// The complete chunks, up to the first incomplete one.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
        let (whole, after) = rest.split_at_checked(length.checked_add(12)?)?;
        rest = after;
        Some(Chunk { name: &whole[4..8], whole })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, RgbImage};

    use super::*;

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(content);
        [&(content.len() as u32).to_be_bytes()[..], name, content, &crc.sum().to_be_bytes()]
            .concat()
    }

    #[test]
    fn only_chunks_that_affect_the_pixels_reach_the_decoder() {
        let mut plain = Cursor::new(Vec::new());
        RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, 9]))
            .write_to(&mut plain, ImageFormat::Png)
            .unwrap();
        let plain = plain.into_inner();
        assert!(matches!(essential(&plain), Cow::Borrowed(_)));
        let added = [chunk(b"iCCP", b"a\0\0not zlib"), chunk(b"zTXt", b"b"), chunk(b"eXIf", b"II")]
            .concat();
        let laden = [&plain[..HEADER], &added, &plain[HEADER..]].concat();
        assert_eq!(essential(&laden), plain);
        // A truncated chunk is passed to the decoder unchanged.
        assert_eq!(essential(&laden[..HEADER + 10]), &laden[..HEADER + 10]);
        assert_eq!(essential(&laden[..laden.len() - 1]), &plain[..plain.len() - 1]);
        let transparent = [&plain[..HEADER], &chunk(b"tRNS", &[0; 6]), &plain[HEADER..]].concat();
        assert_eq!(essential(&transparent), transparent);
    }
}
