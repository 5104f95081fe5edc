//! The beginning of a message body that is not a job, for people who look for its producer.
//!
//! Nobody knows what such a body holds. Shown is a short beginning, in which control characters are
//! escaped and what may be a secret is replaced by `…`: user names and queries of URLs, values with
//! a name such as `password` or `token`, and long words without meaning, as keys and base64 are. Of
//! a body that is not text, only the first bytes are shown.

use super::truncation;

/// The most characters shown.
const SHOWN: usize = 80;
/// Bytes of the body that are looked at.
const LOOKED_AT: usize = 1000;
/// Bytes shown of a body that is not text: they tell its format.
const SHOWN_BYTES: usize = 8;
/// A word of so many letters, digits, `+` and `=` is replaced: with a digit, and without.
const LONG_MIXED: usize = 16;
const LONG: usize = 24;
/// Names whose values are replaced, in lower case without `_` and `-`. Longer names may end so.
const SECRET: [&str; 15] = [
    "password",
    "passwd",
    "pwd",
    "pass",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "keyid",
    "credential",
    "credentials",
    "signature",
    "sig",
    "cookie",
    "subject",
];
/// Names after which nothing more is shown.
const SECRET_TO_THE_END: [&str; 7] =
    ["authorization", "bearer", "basic", "template", "embedding", "vector", "privatekey"];

/// The beginning of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyHead {
    /// At most 80 characters, without control characters and without what may be a secret.
    pub text: String,
    /// The bytes of the whole body.
    pub bytes: u64,
}

impl BodyHead {
    /// The beginning of `body`.
    pub fn of(body: &[u8]) -> Self {
        let bytes = truncation::original_length(body).unwrap_or(body.len() as u64);
        let start = &body[..body.len().min(LOOKED_AT)];
        let text = match std::str::from_utf8(start) {
            Ok(text) => shown(text, body.len() > start.len()),
            // A character may be cut at the end.
            Err(error) if error.valid_up_to() + 4 > LOOKED_AT => {
                shown(&String::from_utf8_lossy(&start[..error.valid_up_to()]), true)
            }
            Err(_) => {
                let first = start.iter().take(SHOWN_BYTES);
                let hex: Vec<String> = first.map(|byte| format!("{byte:02x}")).collect();
                format!("not text, begins with the bytes {}", hex.join(" "))
            }
        };
        Self { text, bytes }
    }
}

fn shown(text: &str, is_cut: bool) -> String {
    let redacted = without_long_words(&without_named(&without_logins(text)));
    let escaped: String = redacted.chars().flat_map(escape).collect();
    if escaped.chars().count() <= SHOWN && !is_cut {
        return escaped;
    }
    let kept: String = escaped.chars().take(SHOWN - 1).collect();
    kept.trim_end_matches('…').to_owned() + "…"
}

/// `c`, escaped if it is a control character or changes the direction of writing.
fn escape(c: char) -> Vec<char> {
    let is_control = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if is_control { c.escape_default().collect() } else { vec![c] }
}

/// The pieces of a text: words of a sentence, values of JSON.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(|c: char| c.is_whitespace() || "\"',<>{}[]()".contains(c))
}

/// URLs without what stands before an `@` and after a `?`.
fn without_logins(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in pieces(text) {
        let Some((scheme, rest)) = piece.split_once("://") else {
            shown.push_str(piece);
            continue;
        };
        let rest = rest.rsplit_once('@').map_or(rest.to_owned(), |(_, host)| format!("…@{host}"));
        shown.push_str(scheme);
        shown.push_str("://");
        match rest.split_once('?') {
            Some((address, query)) => {
                shown.push_str(address);
                shown.push_str("?…");
                // What ended the piece.
                shown.extend(query.chars().last().filter(|c| !c.is_alphanumeric()));
            }
            None => shown.push_str(&rest),
        }
    }
    shown
}

/// Values of secret names replaced.
fn without_named(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_name) {
        let word_end =
            rest[start..].find(|c: char| !is_of_name(c)).map_or(rest.len(), |end| start + end);
        let name = &rest[start..word_end];
        shown.push_str(&rest[..word_end]);
        rest = &rest[word_end..];
        if is_name(name, &SECRET_TO_THE_END) && !rest.is_empty() {
            return shown + "…";
        }
        if !is_name(name, &SECRET) {
            continue;
        }
        let value = rest.find(|c: char| !c.is_whitespace() && !"\"'\\:=>".contains(c));
        let value = value.unwrap_or(rest.len());
        let separator = &rest[..value];
        if !separator.contains([':', '=']) {
            continue;
        }
        let quoted = separator.ends_with(['"', '\'']);
        let ends = |c: char| {
            if quoted { c == '"' || c == '\'' } else { c.is_whitespace() || ",;&}".contains(c) }
        };
        let end = rest[value..].find(ends).map_or(rest.len(), |end| value + end);
        shown.push_str(separator);
        shown.push('…');
        rest = &rest[end..];
    }
    shown + rest
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Whether `name` is one of `names`, or ends with one.
fn is_name(name: &str, names: &[&str]) -> bool {
    let plain: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    names.iter().any(|secret| plain.ends_with(secret))
}

/// Each piece up to its first long word without meaning.
fn without_long_words(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in pieces(text) {
        match long_word(piece) {
            Some(at) => {
                shown.push_str(&piece[..at]);
                shown.push('…');
                shown.extend(piece.chars().last().filter(|c| !is_of_word(*c)));
            }
            None => shown.push_str(piece),
        }
    }
    shown
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '+' || c == '='
}

/// Where the first long word of `piece` begins.
fn long_word(piece: &str) -> Option<usize> {
    let mut at = 0;
    for word in piece.split_inclusive(|c: char| !is_of_word(c)) {
        let letters = word.trim_end_matches(|c: char| !is_of_word(c));
        let mixed = letters.contains(|c: char| c.is_ascii_digit());
        if letters.len() >= if mixed { LONG_MIXED } else { LONG } {
            return Some(at);
        }
        at += word.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(body: &str) -> String {
        BodyHead::of(body.as_bytes()).text
    }

    #[test]
    fn a_short_text_is_shown_as_it_is() {
        for body in [
            "",
            "hello",
            "{\"uri\": \"file:///photos/Zoë 面/a.jpg\", \"lane\": \"scan\"}",
            "{\"Records\":[{\"s3\":{\"bucket\":{\"name\":\"photos\"},\"key\":\"a/b.jpg\"}}]}",
            "019a0000-0000-7000-8000-000000000001",
        ] {
            assert_eq!(head(body), body);
        }
        assert_eq!(BodyHead::of(b"hello").bytes, 5);
    }

    #[test]
    fn it_is_cut_and_has_no_control_character() {
        let long = head(&"word ".repeat(1000));
        assert_eq!(long.chars().count(), SHOWN);
        assert!(long.starts_with("word word") && long.ends_with('…'));
        assert_eq!(head("a\nb\x1b[31m\u{202e}c"), "a\\nb\\u{1b}[31m\\u{202e}c");
        for shift in 0..4 {
            let text = format!("{}{}", "x ".repeat(shift), "面".repeat(1000));
            assert!(head(&text).contains('面'), "a character that is cut is no reason");
        }
        assert_eq!(
            head("\u{0}").chars().filter(|c| c.is_control()).count(),
            0,
            "a NUL is a control character"
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_not_shown() {
        let mut body = vec![0xff, 0xd8, 0xff, 0xe0, 0, 0x10, b'J', b'F', b'I', b'F'];
        body.extend([0xee; 5000]);
        let head = BodyHead::of(&body);
        assert_eq!(head.text, "not text, begins with the bytes ff d8 ff e0 00 10 4a 46");
        assert_eq!(head.bytes, 5010);
    }

    #[test]
    fn a_truncated_body_has_its_whole_length() {
        let body = [b"{".to_vec(), truncation::note(300_000)].concat();
        assert_eq!(BodyHead::of(&body).bytes, 300_000);
    }

    #[test]
    fn what_may_be_a_secret_is_replaced() {
        for body in [
            "amqp://me:hunter2@host/vhost",
            "amqp://me:hun/hunter2@host/vhost",
            "see https://host/a.jpg?sig=hunter2&x=1 please",
            "{\"password\": \"hunter2\", \"a\": 1}",
            "{\"db_password\":\"hunter2\"}",
            "{'Secret-Access-Key': 'hunter2'}",
            "{\\\"token\\\":\\\"hunter2\\\"}",
            "PASSWORD=hunter2 run",
            "x-api-key: hunter2",
            "aws_access_key=hunter2",
            "Authorization: Bearer hunter2",
            "{\"headers\":{\"authorization\":\"Basic hunter2\"}}",
            "{\"subject\":\"hunter2 Müller\"}",
            "{\"template\":[0.1,hunter2,0.3]}",
            "eyJhbGciOiJIUzI1NiJ9.hunter2.abc-def",
            "key AKIAIOSFODNN7EXAMPLEhunter2",
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUghunter2AAAAA",
        ] {
            let shown = head(body);
            assert!(!shown.contains("hunter2") && shown.contains('…'), "{body}: {shown}");
        }
        assert_eq!(
            head("{\"password\": \"p\", \"lane\": \"scan\", \"url\": \"amqp://a:b@host/v?c=d\"}"),
            "{\"password\": \"…\", \"lane\": \"scan\", \"url\": \"amqp://…@host/v?…\"}"
        );
    }
}
