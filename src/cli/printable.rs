//! Names as they are printed: a file's name may hold line ends, and sequences that a terminal
//! obeys.

use std::borrow::Cow;

/// `text` with control characters, and those that turn the direction of writing, escaped.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_letters_are_not() {
        assert_eq!(printable("Zoë 面.jpg"), "Zoë 面.jpg");
        assert_eq!(printable("a\nb\x1b[31m\u{202e}gpj.jpg"), "a\\nb\\u{1b}[31m\\u{202e}gpj.jpg");
    }
}
