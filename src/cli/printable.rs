//! Escapes names before they are printed: the name of a file may contain line ends and terminal
//! control sequences.

use std::borrow::Cow;

/// `text` with control characters escaped, and those that change the direction of writing.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_control(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_escaped_and_letters_are_not() {
        assert_eq!(printable("Zoë 面.jpg"), "Zoë 面.jpg");
        assert_eq!(printable("a\nb\x1b[31m\u{202e}gpj.jpg"), "a\\nb\\u{1b}[31m\\u{202e}gpj.jpg");
    }
}
