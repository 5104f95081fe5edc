//! Message bodies that were truncated while they were received, because they exceed what a process
//! accepts: a truncated body ends with a note of its original length.

const PREFIX: &str = "\n[truncated: the message had ";
const SUFFIX: &str = " bytes]";

/// The end of a truncated body that had `length` bytes.
pub fn note(length: u64) -> Vec<u8> {
    format!("{PREFIX}{length}{SUFFIX}").into_bytes()
}

/// The original length of a truncated body; `None` if `body` is not truncated.
pub fn original_length(body: &[u8]) -> Option<u64> {
    let end = &body[body.len().saturating_sub(PREFIX.len() + SUFFIX.len() + 20)..];
    let from = memchr::memmem::rfind(end, PREFIX.as_bytes())?;
    let length = end[from + PREFIX.len()..].strip_suffix(SUFFIX.as_bytes())?;
    std::str::from_utf8(length).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_only_at_the_end_of_a_body() {
        for length in [0, 70_000, u64::MAX] {
            let body = [b"{\"id\":".to_vec(), note(length)].concat();
            assert_eq!(original_length(&body), Some(length));
            assert_eq!(original_length(&[&body[..], b"}"].concat()), None);
            assert_eq!(original_length(&note(length)), Some(length));
        }
        assert_eq!(original_length(b""), None);
    }
}
