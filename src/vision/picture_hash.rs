//! The hash of what a picture shows: [`PictureHash`] says how it is made.

use std::f32::consts::PI;
use std::sync::LazyLock;

use super::Picture;
use crate::domain::PictureHash;

/// Side of the copy that is transformed, pixels.
const SIDE: usize = 64;
/// Frequencies of the hash in each direction.
const FREQUENCIES: usize = 16;

/// The cosines of each frequency at each pixel.
static COSINES: LazyLock<[[f32; SIDE]; FREQUENCIES]> = LazyLock::new(|| {
    std::array::from_fn(|frequency| {
        let cosine = |at: usize| (PI / SIDE as f32 * (at as f32 + 0.5) * frequency as f32).cos();
        std::array::from_fn(cosine)
    })
});

/// The hash of `picture`.
pub fn of(picture: &Picture) -> PictureHash {
    let copy = picture.averaged((SIDE as u32, SIDE as u32));
    // ITU-R BT.601, as in JPEG.
    let luminance = |pixel: &[u8; 3]| {
        let [red, green, blue] = pixel.map(f32::from);
        0.299 * red + 0.587 * green + 0.114 * blue
    };
    let pixels: Vec<f32> = copy.as_raw().as_chunks().0.iter().map(luminance).collect();
    let rows: Vec<[f32; FREQUENCIES]> = pixels.chunks_exact(SIDE).map(transformed).collect();
    let mut coefficients = Vec::with_capacity(FREQUENCIES * FREQUENCIES);
    for frequency in 0..FREQUENCIES {
        let column: Vec<f32> = rows.iter().map(|row| row[frequency]).collect();
        coefficients.extend(transformed(&column));
    }
    // The first one is the mean of the picture.
    let coefficients = &coefficients[1..];
    let mut sorted = coefficients.to_vec();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let mut words = [0_u64; 4];
    for (place, _) in coefficients.iter().enumerate().filter(|(_, value)| **value > median) {
        words[place / 64] |= 1 << (place % 64);
    }
    PictureHash(words)
}

/// The low frequencies of a row or column.
fn transformed(values: &[f32]) -> [f32; FREQUENCIES] {
    COSINES.map(|cosines| values.iter().zip(cosines).map(|(value, cosine)| value * cosine).sum())
}

#[cfg(test)]
mod tests {
    use image::imageops::{self, FilterType};
    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;
    use crate::vision::PixelLimits;

    /// Forty boxes in places and colours that depend on `seed`.
    fn made(seed: u32, width: u32, height: u32) -> RgbImage {
        let mut state = seed;
        let mut next = move |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let mut image = RgbImage::new(width, height);
        for _ in 0..40 {
            let color = Rgb([(); 3].map(|()| next(256) as u8));
            let (left, top) = (next(width), next(height));
            let (right, bottom) = (left + next(width / 2), top + next(height / 2));
            for y in top..bottom.min(height) {
                for x in left..right.min(width) {
                    image.put_pixel(x, y, color);
                }
            }
        }
        image
    }

    fn hash(image: RgbImage) -> PictureHash {
        of(&Picture::from_rgb(image))
    }

    #[test]
    fn copies_of_a_picture_have_nearly_its_hash() {
        let original = made(1, 250, 300);
        let hash_of_original = hash(original.clone());
        let mut jpeg = std::io::Cursor::new(Vec::new());
        original.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let limits = PixelLimits { max_pixels: 1 << 20 };
        let encoded = of(&Picture::decode(jpeg.get_ref(), limits).unwrap());
        let scaled = hash(imageops::resize(&original, 125, 150, FilterType::Triangle));
        let cropped = hash(imageops::crop_imm(&original, 4, 6, 243, 291).to_image());
        assert!(encoded.bits_from(&hash_of_original) <= 10, "encoded anew");
        assert!(scaled.bits_from(&hash_of_original) <= 10, "half as large");
        assert!(cropped.bits_from(&hash_of_original) <= 70, "cut by 3 %");
    }

    #[test]
    fn other_pictures_have_other_hashes() {
        let one = hash(made(1, 250, 250));
        let mut mirrored = made(1, 250, 250);
        imageops::flip_horizontal_in_place(&mut mirrored);
        for other in [made(2, 250, 250), made(3, 250, 250), mirrored] {
            assert!(one.bits_from(&hash(other)) > 90);
        }
    }

    #[test]
    fn half_of_the_bits_are_set() {
        let PictureHash(words) = hash(made(4, 90, 50));
        assert_eq!(words.iter().map(|word| word.count_ones()).sum::<u32>(), 127);
        assert_eq!(words[3] >> 63, 0, "255 bits");
    }
}
