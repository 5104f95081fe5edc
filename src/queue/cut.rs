//! Messages that were cut when they were read, because they were too long to be held: they end with
//! a note of their true length.

const BEFORE: &str = "\n[cut: the message had ";
const AFTER: &str = " bytes]";

/// What the body of a message of `length` bytes ends with once it is cut.
pub fn note(length: u64) -> Vec<u8> {
    format!("{BEFORE}{length}{AFTER}").into_bytes()
}

/// How long a message was whose body ends with such a note.
pub fn true_length(body: &[u8]) -> Option<u64> {
    let end = &body[body.len().saturating_sub(BEFORE.len() + AFTER.len() + 20)..];
    let from = memchr::memmem::rfind(end, BEFORE.as_bytes())?;
    let length = end[from + BEFORE.len()..].strip_suffix(AFTER.as_bytes())?;
    std::str::from_utf8(length).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_from_the_end_alone() {
        for length in [0, 70_000, u64::MAX] {
            let body = [b"{\"id\":".to_vec(), note(length)].concat();
            assert_eq!(true_length(&body), Some(length));
            assert_eq!(true_length(&[&body[..], b"}"].concat()), None);
            assert_eq!(true_length(&note(length)), Some(length));
        }
        assert_eq!(true_length(b""), None);
    }
}
