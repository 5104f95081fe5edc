//! `data:` URIs: the bytes are in the URI, in base64.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::{FetchError, too_large};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a `data:` URI, at most `max_bytes`.
pub(super) fn decode(uri: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    let unreadable = |reason: &str| FetchError::Unreadable(reason.to_owned());
    let (head, text) =
        uri.split_once(',').ok_or_else(|| unreadable("a data: URI without a comma has no data"))?;
    if !head.to_ascii_lowercase().ends_with(";base64") {
        return Err(FetchError::Refused("only data: URIs in base64 are read".into()));
    }
    // Four letters are three bytes, so the size is known before decoding. A percent-encoded letter
    // (%2B) takes three characters; there are few.
    let at_least = |letters: usize| letters as u64 / 4 * 3;
    if at_least(text.len().saturating_sub(2 * text.matches('%').count()))
        > max_bytes.saturating_add(2)
    {
        return Err(too_large(at_least(text.len()), max_bytes));
    }
    let letters: Vec<u8> =
        percent_decode_str(text).filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes =
        BASE64.decode(letters).map_err(|_| unreadable("the data: URI is not valid base64"))?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(bytes.len() as u64, max_bytes));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_with_and_without_padding_and_percent_encoding() {
        for uri in
            ["data:image/png;base64,+/9h", "data:;base64,%2B/9h", "data:image/png;BASE64,+%2f9h"]
        {
            assert_eq!(decode(uri, 3).unwrap(), [0xfb, 0xff, b'a'], "{uri}");
        }
        assert_eq!(decode("data:;base64,YWI=", 2).unwrap(), b"ab");
        assert_eq!(decode("data:;base64,YWI%3D", 2).unwrap(), b"ab");
        assert_eq!(decode("data:;base64,YWI", 2).unwrap(), b"ab");
        assert_eq!(decode("data:;base64,", 2).unwrap(), b"");
    }

    #[test]
    fn too_large_is_refused_and_invalid_base64_is_unreadable() {
        let four = "data:;base64,YWJjZA==";
        assert_eq!(decode(four, 4).unwrap(), b"abcd");
        assert!(matches!(decode(four, 3), Err(FetchError::Refused(_))));
        let large = format!("data:;base64,{}", "A".repeat(4000));
        assert!(matches!(decode(&large, 100), Err(FetchError::Refused(_))));
        assert!(matches!(decode("data:text/plain,abc", 100), Err(FetchError::Refused(_))));
        for bad in ["data:;base64,a*b", "data:;base64", "data:;base64,abcde"] {
            assert!(matches!(decode(bad, 100), Err(FetchError::Unreadable(_))), "{bad}");
        }
    }
}
