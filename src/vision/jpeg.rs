//! Whether a JPEG is all there. The decoder fills what is missing with grey and says nothing.

const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;

/// True if the end-of-image marker follows the last scan. Walks the segments (ITU-T T.81, annex B), so that a thumbnail's marker
/// inside a header does not count. False for what is no JPEG.
pub fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = match bytes {
        [0xFF, START_OF_IMAGE, rest @ ..] => rest,
        _ => return false,
    };
    loop {
        // A marker: 0xFF, perhaps repeated as padding, then its code.
        let Some(start) = rest.iter().position(|&byte| byte == 0xFF) else { return false };
        rest = &rest[start..];
        let Some(code_at) = rest.iter().position(|&byte| byte != 0xFF) else { return false };
        let code = rest[code_at];
        rest = &rest[code_at + 1..];
        match code {
            END_OF_IMAGE => return true,
            // Stuffed zero, restart markers and TEM have no length; what follows them is scan data again.
            0x00 | 0x01 | 0xD0..=0xD7 => {}
            // A header, a scan's included: two bytes of length, themselves counted. After a scan's header comes its data, in which
            // 0xFF is always stuffed or a marker: the search above leads through it.
            _ => {
                let &[high, low, ..] = rest else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 || length > rest.len() {
                    return false;
                }
                rest = &rest[length..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> Vec<u8> {
        let image = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, (x * y) as u8]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_whole_file_is_complete_and_every_cut_is_not() {
        let bytes = encoded();
        assert!(is_complete(&bytes));
        for cut in 0..bytes.len() {
            assert!(!is_complete(&bytes[..cut]), "cut at {cut}");
        }
    }

    #[test]
    fn trailing_bytes_do_not_matter_and_a_thumbnails_end_does_not_count() {
        let bytes = encoded();
        assert!(is_complete(&[&bytes[..], b"appended by a camera"].concat()));
        // An APP1 segment that holds a whole small JPEG, then the picture, cut.
        let header = [&[0xFF, 0xE1][..], &(bytes.len() as u16 + 2).to_be_bytes(), &bytes].concat();
        let nested = [&bytes[..2], &header, &bytes[2..bytes.len() - 2]].concat();
        assert!(!is_complete(&nested));
        assert!(is_complete(&[&nested[..], &[0xFF, 0xD9]].concat()));
    }
}
