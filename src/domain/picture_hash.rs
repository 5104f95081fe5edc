//! A hash of what a picture shows, which hardly changes if the picture is stored in another size,
//! format or compression.

use std::fmt;

/// Signs of the low frequencies of a picture, 255 bits: a bit is set where the coefficient of a
/// discrete cosine transform is above the median (Zauner, Implementation and Benchmarking of
/// Perceptual Image Hash Functions, 2010, section 3.2.1; here with 16 x 16 frequencies of 64 x 64
/// means of the luminance, without the mean of the picture). It is no picture: amplitudes are not
/// kept. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PictureHash(pub [u64; 4]);

impl PictureHash {
    /// Number of bits.
    pub const BITS: u32 = 255;

    /// The hash whose bytes are `bytes`, little-endian.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// Its bytes, little-endian.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// The number of bits that differ, 0..=255: about half of them between pictures that have
    /// nothing in common.
    #[inline(always)]
    pub fn bits_from(&self, other: &Self) -> u32 {
        self.0.iter().zip(&other.0).map(|(one, other)| (one ^ other).count_ones()).sum()
    }
}

impl fmt::Debug for PictureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PictureHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_same_hash_again() {
        let bytes: [u8; 32] = std::array::from_fn(|place| place as u8 * 7);
        let hash = PictureHash::from_bytes(bytes);
        assert_eq!(hash.to_bytes(), bytes);
        assert_eq!(format!("{hash:?}"), "PictureHash(..)");
    }

    #[test]
    fn the_distance_counts_bits() {
        let one = PictureHash([0, 0b1011, 0, u64::MAX]);
        assert_eq!(one.bits_from(&one), 0);
        assert_eq!(one.bits_from(&PictureHash([1, 0, 0, u64::MAX])), 4);
    }
}
