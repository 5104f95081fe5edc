//! Recognises file formats by ending and by first bytes: image formats, and names for the content
//! of other files.

/// An image format. A file of a format that is not decoded is still listed as an image; its outcome
/// is `unreadable`, with the format's name in the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageKind {
    /// JPEG in any wrapping (JFIF, Exif, MPO).
    Jpeg,
    /// PNG and APNG.
    Png,
    /// WebP.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// TIFF and BigTIFF. Camera raw formats that are TIFF inside (DNG, NEF, ARW) have the same
    /// first bytes.
    Tiff,
    /// GIF.
    Gif,
    /// HEIC and HEIF, the formats of iPhones.
    Heic,
    /// AVIF.
    Avif,
    /// JPEG XL, bare or in its container.
    JpegXl,
    /// JPEG 2000, bare or in its container.
    Jpeg2000,
    /// JPEG XR, formerly HD Photo.
    JpegXr,
    /// Netpbm: PBM, PGM, PPM and PAM.
    Pnm,
    /// A camera's raw format.
    Raw,
}

impl ImageKind {
    /// The number of first bytes of a file that [`Self::sniff`] and [`other_content`] need.
    pub const SNIFF_BYTES: usize = 64;

    /// The format of files with this ending (without the dot, case-insensitive). `None` if no image
    /// format has it.
    pub fn from_ending(ending: &str) -> Option<Self> {
        Some(match ending.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" | "jpe" | "jfif" | "jif" | "jfi" | "pjpeg" | "pjp" | "mpo" => Self::Jpeg,
            "png" | "apng" => Self::Png,
            "webp" => Self::WebP,
            "bmp" | "dib" => Self::Bmp,
            "tif" | "tiff" | "btf" | "tf8" => Self::Tiff,
            "gif" => Self::Gif,
            "heic" | "heif" | "heics" | "heifs" | "hif" => Self::Heic,
            "avif" | "avifs" => Self::Avif,
            "jxl" => Self::JpegXl,
            "jp2" | "jpf" | "jpx" | "j2k" | "j2c" | "jpc" => Self::Jpeg2000,
            "jxr" | "wdp" | "hdp" => Self::JpegXr,
            "pbm" | "pgm" | "ppm" | "pnm" | "pam" => Self::Pnm,
            "dng" | "nef" | "nrw" | "cr2" | "cr3" | "crw" | "arw" | "srf" | "sr2" | "orf"
            | "rw2" | "rwl" | "raw" | "raf" | "pef" | "srw" | "x3f" | "3fr" | "fff" | "iiq"
            | "mrw" | "dcr" | "kdc" | "erf" | "mef" | "mos" | "gpr" => Self::Raw,
            _ => return None,
        })
    }

    /// The format of a file that starts with these bytes. `None` if the file is not an image.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Self::Png,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            // Canon's CR2 and Phase One's IIQ are TIFF with a signature after the header.
            [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..]
            | [b'I', b'I', 42, 0, _, _, _, _, b'I', b'I', b'I', b'I', ..] => Self::Raw,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            [b'I', b'I', 0xBC, ..] => Self::JpegXr,
            _ if is_bitmap(bytes) => Self::Bmp,
            _ if RAW_STARTS.iter().any(|start| bytes.starts_with(start)) => Self::Raw,
            // Canon's CRW has its signature after the length of the header.
            [b'I', b'I' | b'M', _, _, _, _, b'H', b'E', b'A', b'P', b'C', b'C', b'D', b'R', ..] => {
                Self::Raw
            }
            [0xFF, 0x0A, ..]
            | [0, 0, 0, 12, b'J', b'X', b'L', b' ', 0x0D, 0x0A, 0x87, 0x0A, ..] => Self::JpegXl,
            [0xFF, 0x4F, 0xFF, 0x51, ..]
            | [0, 0, 0, 12, b'j', b'P', b' ', b' ', 0x0D, 0x0A, 0x87, 0x0A, ..] => Self::Jpeg2000,
            [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => Self::Pnm,
            _ => return of_brands(bytes),
        })
    }

    /// The format's name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Gif => "GIF",
            Self::Heic => "HEIC",
            Self::Avif => "AVIF",
            Self::JpegXl => "JPEG XL",
            Self::Jpeg2000 => "JPEG 2000",
            Self::JpegXr => "JPEG XR",
            Self::Pnm => "PNM (Netpbm)",
            Self::Raw => "camera raw",
        }
    }
}

/// Signatures of raw formats that are not plain TIFF: Olympus (three), Panasonic, Fujifilm,
/// Minolta, Sigma.
const RAW_STARTS: [&[u8]; 7] =
    [b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb"];

/// Whether the file is a bitmap. It starts with two letters, as a text may, so the length of its
/// header must also be a valid one.
fn is_bitmap(bytes: &[u8]) -> bool {
    match bytes {
        [b'B', b'M', rest @ ..] => {
            matches!(rest.get(12..16), Some(&[12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
        }
        _ => false,
    }
}

/// The brands of an ISO base media file (ISO/IEC 14496-12, 4.3), the major brand first, as far as
/// `bytes` contains them. `None` if the file is of another format.
fn brands(bytes: &[u8]) -> Option<impl Iterator<Item = [u8; 4]>> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let rest = rest.strip_prefix(b"ftyp")?;
    let inside = (u32::from_be_bytes(*size) as usize).saturating_sub(8).min(rest.len());
    let major = rest.first_chunk::<4>().copied();
    // Skip the major brand and its version.
    let compatible = rest[..inside].as_chunks::<4>().0.iter().skip(2).copied();
    Some(major.into_iter().chain(compatible))
}

/// The image format of an ISO base media file. Brands as `mif1` name only the container: if no
/// brand names the content, HEIF is assumed.
fn of_brands(bytes: &[u8]) -> Option<ImageKind> {
    let of_brand = |brand: [u8; 4]| match &brand {
        b"avif" | b"avis" => Some(ImageKind::Avif),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" | b"avci"
        | b"avcs" => Some(ImageKind::Heic),
        b"crx " => Some(ImageKind::Raw),
        b"jxl " => Some(ImageKind::JpegXl),
        b"jp2 " | b"jpx " => Some(ImageKind::Jpeg2000),
        _ => None,
    };
    let is_container = |brand: [u8; 4]| matches!(&brand, b"mif1" | b"mif2" | b"msf1" | b"heif");
    let container = || brands(bytes)?.any(is_container).then_some(ImageKind::Heic);
    brands(bytes)?.find_map(of_brand).or_else(container)
}

/// A name for the content of a file that starts with these bytes and is not an [`ImageKind`]:
/// formats that are confused with images, or that servers send in their place (a login page, a
/// placeholder). `None` if the content is unknown.
pub fn other_content(bytes: &[u8]) -> Option<&'static str> {
    let at_start = |start: &[u8]| bytes.starts_with(start);
    if let Some(brands) = brands(bytes) {
        let is_audio = |brand: [u8; 4]| matches!(&brand, b"M4A " | b"M4B ");
        return Some(if brands.take(1).any(is_audio) {
            "an audio file (MP4)"
        } else {
            "a video (MP4 or MOV)"
        });
    }
    let name = match bytes {
        [] => "an empty file",
        _ if bytes.iter().all(|&byte| byte == 0) => "only zeros",
        _ if at_start(b"%PDF") => "a PDF document",
        _ if at_start(b"8BPS") => "a Photoshop document (PSD)",
        _ if at_start(b"gimp xcf") => "a GIMP image (XCF)",
        _ if at_start(b"PK\x03\x04") || at_start(b"PK\x05\x06") => {
            "a ZIP archive or an office document"
        }
        _ if at_start(b"\x1F\x8B") => "a gzip archive",
        _ if at_start(b"7z\xBC\xAF\x27\x1C") => "a 7z archive",
        _ if at_start(b"Rar!\x1A\x07") => "a RAR archive",
        _ if at_start(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") => {
            "an office document or a thumbnail cache (OLE)"
        }
        _ if at_start(&[0, 0, 1, 0]) => "an icon (ICO)",
        _ if at_start(b"\x76\x2F\x31\x01") => "an OpenEXR image",
        _ if at_start(b"#?RADIANCE") => "a Radiance HDR image",
        _ if at_start(b"DDS ") => "a DirectDraw surface (DDS)",
        _ if at_start(b"qoif") => "a QOI image",
        _ if at_start(b"BPG\xFB") => "a BPG image",
        _ if at_start(b"\x1A\x45\xDF\xA3") => "a video (Matroska or WebM)",
        _ if at_start(&[0, 0, 1, 0xBA]) || at_start(&[0, 0, 1, 0xB3]) => "a video (MPEG)",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => "a video (AVI)",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "an audio file (WAV)",
        // Movies from before brands existed start with one of these boxes.
        [_, _, _, _, kind @ ..]
            if [b"wide", b"mdat", b"moov"].iter().any(|name| kind.starts_with(*name)) =>
        {
            "a video (MOV)"
        }
        // AppleDouble: macOS writes these next to files on foreign file systems, named `._` and the
        // name of the file.
        _ if at_start(&[0, 5, 0x16, 7]) => {
            "an AppleDouble file of macOS, which contains no picture"
        }
        _ => return text(bytes),
    };
    Some(name)
}

/// The kind of a text: a page, a drawing, or plain text. `None` if `bytes` are not text.
fn text(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(ImageKind::SNIFF_BYTES)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be truncated.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let is_printed = |c: char| !c.is_control() || c.is_ascii_whitespace();
    if text.is_empty() || !text.chars().all(is_printed) {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    Some(if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "an HTML page"
    } else if text.contains("<svg") {
        "a drawing (SVG)"
    } else if text.starts_with("<?xml") {
        "an XML document (an SVG drawing, perhaps)"
    } else if text.starts_with("version https://git-lfs") {
        "a Git LFS pointer: the image itself was not fetched"
    } else {
        "a text"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ftyp(brands: &str) -> Vec<u8> {
        let (major, others) = brands.split_at(4);
        let size = 16 + others.len() as u32;
        [&size.to_be_bytes()[..], b"ftyp", major.as_bytes(), &[0; 4], others.as_bytes(), &[0; 40]]
            .concat()
    }

    #[test]
    fn an_image_is_recognised_by_its_ending_in_any_case() {
        for ending in [
            "jpg", "JFIF", "Jif", "pjpeg", "HEIC", "heif", "hif", "avif", "jxl", "dng", "NEF",
            "cr3", "apng", "dib", "pgm",
        ] {
            assert!(ImageKind::from_ending(ending).is_some(), "{ending}");
        }
        for ending in ["", "txt", "mp4", "jpg_", "xmp", "pdf", "db"] {
            assert_eq!(ImageKind::from_ending(ending), None, "{ending}");
        }
    }

    #[test]
    fn an_image_is_recognised_by_its_first_bytes() {
        let bitmap = [&b"BM"[..], &[0; 12], &[40, 0, 0, 0], &[0; 8]].concat();
        for (bytes, kind) in [
            (&b"\xFF\xD8\xFF\xE0"[..], ImageKind::Jpeg),
            (b"\x89PNG\r\n\x1A\n", ImageKind::Png),
            (b"RIFF\x10\0\0\0WEBPVP8 ", ImageKind::WebP),
            (b"GIF89a", ImageKind::Gif),
            (&bitmap, ImageKind::Bmp),
            (b"II*\0\x08\0\0\0\0\0", ImageKind::Tiff),
            (b"MM\0+\0\x08\0\0", ImageKind::Tiff),
            (b"II*\0\x10\0\0\0CR\x02\0", ImageKind::Raw),
            (b"IIRO\x08\0\0\0", ImageKind::Raw),
            (b"IIU\0\x18\0\0\0", ImageKind::Raw),
            (b"FUJIFILMCCD-RAW 0201", ImageKind::Raw),
            (b"\xFF\x0A", ImageKind::JpegXl),
            (b"\0\0\0\x0CJXL \r\n\x87\n", ImageKind::JpegXl),
            (b"P5\n10 10\n255\n", ImageKind::Pnm),
            (&ftyp("heicmif1heic"), ImageKind::Heic),
            (&ftyp("mif1mif1heic"), ImageKind::Heic),
            (&ftyp("mif1mif1avif"), ImageKind::Avif),
            (&ftyp("msf1"), ImageKind::Heic),
            (&ftyp("avifmif1miaf"), ImageKind::Avif),
            (&ftyp("crx isom"), ImageKind::Raw),
        ] {
            assert_eq!(ImageKind::sniff(bytes), Some(kind), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn other_content_is_named() {
        for (bytes, name) in [
            (&b""[..], "empty"),
            (&[0; 20], "zeros"),
            (&ftyp("isommp42"), "video"),
            (&ftyp("qt  "), "video"),
            (b"\0\0\0\x08wide\0\0\0\0mdat", "video"),
            (b"%PDF-1.7", "PDF"),
            (b"8BPS\0\x01", "PSD"),
            (b"PK\x03\x04\x14", "ZIP"),
            (b"\n<!DOCTYPE html><html>", "HTML"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
            (b"just a text, \xC3\xA4 and so on", "text"),
            (b"BM is how this text begins, and no bitmap", "text"),
        ] {
            assert_eq!(ImageKind::sniff(bytes), None, "{}", bytes.escape_ascii());
            assert!(
                other_content(bytes).is_some_and(|found| found.contains(name)),
                "{}",
                bytes.escape_ascii()
            );
        }
        assert_eq!(other_content(b"\x01\x02\xFE\xFF\x80"), None);
    }

    #[test]
    fn no_prefix_of_anything_panics() {
        for whole in [
            ftyp("mif1heic"),
            b"MM\0+\0\x08\0\0".to_vec(),
            vec![0xFF; 64],
            b"<\xC3\xA4svg".to_vec(),
            b"BM".repeat(20),
        ] {
            for length in 0..=whole.len() {
                ImageKind::sniff(&whole[..length]);
                other_content(&whole[..length]);
            }
        }
    }
}
