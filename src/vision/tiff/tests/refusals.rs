//! Damaged, oversized and unsupported files, and strips without lengths.

use super::builder::{BYTE, LONG, SHORT, Tiff, must_be_named};
use super::*;

/// A TIFF of 100 strips of 2,000 bytes each; the pixels of strip N are N.
fn many_strips() -> Vec<u8> {
    let strips: Vec<Vec<u8>> = (0..100).map(|row| vec![row; 2000]).collect();
    Tiff::new(2000, 100, 8, 1, 1)
        .strips(1, &strips.iter().map(Vec::as_slice).collect::<Vec<_>>())
        .bytes()
}

/// The offset of the directory entry `StripByteCounts`.
fn entry_of_lengths(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|entry| entry == [0x17, 1, 4, 0]).unwrap()
}

#[test]
fn strips_without_lengths_end_where_the_next_ones_start() {
    let mut bytes = many_strips();
    let limits = PixelLimits { max_pixels: 200_000 };
    let whole = decode(&bytes, limits).unwrap();
    assert_eq!((whole.get_pixel(1999, 0), whole.get_pixel(0, 99)), (&Rgb([0; 3]), &Rgb([99; 3])));
    // Replace the tag by a private one.
    let at = entry_of_lengths(&bytes);
    bytes[at + 1] = 0xFE;
    assert!(decode(&bytes, limits).unwrap() == whole);
    assert_eq!(lengths_between(&[50, 10, 50, 30]), [u64::MAX, 20, u64::MAX, 20]);
}

#[test]
fn strips_that_are_all_the_same_large_part_of_the_file_are_refused() {
    let mut bytes = many_strips();
    let at = entry_of_lengths(&bytes);
    let values = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    bytes[values..values + 400].fill(0xFF);
    match decode(&bytes, PixelLimits { max_pixels: 200_000 }) {
        Err(DecodeError::Unreadable(reason)) => {
            assert!(reason.contains("its 100 strips overlap"), "{reason}")
        }
        other => panic!("{:?}", other.map(|image| image.dimensions())),
    }
}

#[test]
fn a_tile_is_limited_by_its_memory_and_not_by_a_small_image() {
    let tiled = |bits: u64, samples: u64, (width, height): (u64, u64), chunk: Vec<u8>| {
        let tiff = Tiff::new(100, 100, bits, samples, if samples == 3 { 2 } else { 1 });
        Tiff {
            tiled: true,
            chunks: vec![chunk],
            ..tiff.with(322, LONG, &[width]).with(323, LONG, &[height])
        }
        .bytes()
    };
    let small = decode(&tiled(8, 1, (512, 512), vec![7; 512 * 512]), LIMITS).unwrap();
    assert!(small.dimensions() == (100, 100) && small.iter().all(|&value| value == 7));
    let limits = PixelLimits { max_pixels: 1 << 20 };
    // Too many pixels, and too many bytes a pixel.
    for (bits, samples, side) in [(1, 1, 1536), (16, 3, 1280)] {
        let refused = decode(&tiled(bits, samples, (side, side), vec![0]), limits);
        let Err(DecodeError::TooLarge(reason)) = refused else { panic!("{side}") };
        assert!(reason.contains("limits.max_pixels = 1048576"), "{side}: {reason}");
    }
    assert!(matches!(
        decode(&tiled(8, 3, (1280, 1280), vec![0]), limits),
        Err(DecodeError::Unreadable(_))
    ));
}

#[test]
fn the_reason_names_what_is_not_supported() {
    let grey = || Tiff::new(2, 1, 8, 1, 1).strip(&[0, 0]);
    grey().with(259, SHORT, &[50000]).must_be_named("Zstandard compression (50000)");
    grey().with(259, SHORT, &[34925]).must_be_named("LZMA");
    grey().with(259, SHORT, &[6]).must_be_named("old-style JPEG");
    grey().with(262, SHORT, &[32845]).must_be_named("LogLuv");
    grey().with(262, SHORT, &[10]).must_be_named("ITU L*a*b*");
    grey().with(339, SHORT, &[2]).must_be_named("1 signed samples of 8 bits");
    grey().with(50706, BYTE, &[1, 4, 0, 0]).must_be_named("DNG");
    grey().with(262, SHORT, &[32803]).must_be_named("camera raw");
    Tiff::new(2, 1, 8, 2, 2).strip(&[0; 4]).must_be_named("3 samples");
    let empty = [&b"II*\0\x08\0\0\0"[..], &[0; 20]].concat();
    must_be_named(&empty, "DNG");
}

#[test]
fn a_raw_image_with_a_small_preview_is_unreadable() {
    let preview =
        Tiff::new(2, 1, 8, 1, 1).with(254, LONG, &[1]).with(330, LONG, &[0]).strip(&[7, 9]);
    let mut bytes = preview.bytes();
    let below = bytes.len() as u32;
    let at = bytes.windows(4).position(|entry| entry == [0x4A, 0x01, 4, 0]).unwrap();
    bytes[at + 8..at + 12].copy_from_slice(&below.to_le_bytes());
    let directory_of =
        |photometric: u8| [1, 0, 6, 1, 3, 0, 1, 0, 0, 0, photometric, 0x80, 0, 0, 0, 0, 0, 0];
    let raw = [&bytes[..], &directory_of(0x23)].concat();
    must_be_named(&raw, "camera raw");
    let layers = [&bytes[..], &directory_of(0x00)].concat();
    assert_eq!(decode(&layers, LIMITS).unwrap().into_raw(), [7, 7, 7, 9, 9, 9]);
}

#[test]
fn a_truncated_tiff_is_unreadable_at_every_length() {
    let data: Vec<u8> = (0..120).collect();
    let bytes = Tiff { wide: true, ..Tiff::new(4, 10, 8, 3, 2) }
        .strips(4, &[&data[..48], &data[48..96], &data[96..]])
        .bytes();
    assert!(decode(&bytes, LIMITS).is_ok());
    for cut in 0..bytes.len() {
        assert!(
            matches!(decode(&bytes[..cut], LIMITS), Err(DecodeError::Unreadable(_))),
            "cut at {cut}"
        );
    }
}

#[test]
fn sizes_are_checked_before_memory_is_allocated() {
    let size = |width: u64, height: u64| {
        Tiff::new(1, 1, 8, 1, 1).with(256, LONG, &[width]).with(257, LONG, &[height]).strip(&[0])
    };
    for (width, height) in [(101, 100), (0xFFFF_FFFF, 1), (0xFFFF_FFFF, 0xFFFF_FFFF)] {
        assert!(
            matches!(decode(&size(width, height).bytes(), LIMITS), Err(DecodeError::TooLarge(_))),
            "{width}x{height}"
        );
    }
    let tile = Tiff::new(10, 10, 8, 1, 1).with(322, LONG, &[1]).with(323, LONG, &[0xFFFF_FFFF]);
    let tile = Tiff { tiled: true, chunks: vec![vec![0]; 10], ..tile };
    assert!(matches!(decode(&tile.bytes(), LIMITS), Err(DecodeError::TooLarge(_))));
    assert!(matches!(decode(&size(0, 5).bytes(), LIMITS), Err(DecodeError::Unreadable(_))));
}
