//! Checks that a WebP file is complete: its decoder does not compare the length in the header with
//! the length of the file.

/// Why the file is shorter than its header says, if it is.
pub(super) fn shortfall(bytes: &[u8]) -> Option<String> {
    let &[b'R', b'I', b'F', b'F', a, b, c, d, ..] = bytes else { return None };
    let named = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    let there = bytes.len() as u64;
    let missing = named.checked_sub(there).filter(|&missing| missing > 0)?;
    let share = missing as f64 * 100.0 / named as f64;
    Some(format!(
        "the WebP is damaged: {missing} of the {named} bytes that its header names are missing \
         ({share:.0} %)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_shorter_than_its_header_says_lacks_something() {
        let whole = b"RIFF\x04\0\0\0WEBP";
        assert_eq!(shortfall(whole), None);
        assert_eq!(shortfall(b"RIFF\x04\0\0\0WEBP and more"), None);
        assert!(shortfall(&whole[..11]).unwrap().contains("1 of the 12 bytes"));
        assert_eq!(shortfall(b"GIF89a"), None);
    }
}
