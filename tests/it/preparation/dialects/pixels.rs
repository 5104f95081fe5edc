//! The pixels that a graph expects: their range, type and layout.

use facefleet::inference::onnx::data_type;
use facefleet::inference::prepare::{Pixels, inspect};

use super::{MANIFEST_DROPOUT, around, check, check_pixels, check_turned, chips};
use crate::support::arithmetic::Array;
use crate::support::networks::{iresnet_with_casts, tensorflow};
use crate::support::tape::Style;

#[test]
fn the_range_of_pixels_follows_from_the_numbers_of_the_normalisation() {
    let steps: [(&[(&'static str, f32)], Pixels); 6] = [
        (&[], Pixels::Unknown),
        (&[("Sub", 127.5), ("Mul", 0.007_812_5)], Pixels::Bytes),
        (&[("Div", 255.0), ("Sub", 0.5), ("Div", 0.5)], Pixels::Bytes),
        (&[("Mul", 0.003_921_57)], Pixels::Bytes),
        (&[("Sub", 0.5), ("Div", 0.5)], Pixels::Fractions),
        (&[("Mul", 2.0), ("Add", -1.0)], Pixels::Fractions),
    ];
    for (steps, expected) in steps {
        let network = around(Style::pytorch(13), |tape, input| {
            let step = |x, (i, &(op, value)): (usize, &(&'static str, f32))| {
                tape.scalar(op, x, &format!("step{i}"), value)
            };
            steps.iter().enumerate().fold(input, step)
        });
        let facts = inspect(&network.file()).unwrap();
        assert_eq!((facts.pixels, facts.normalisation.len()), (expected, steps.len()), "{steps:?}");
        check(&network, MANIFEST_DROPOUT);
    }
    let learned = around(Style::pytorch(13), |tape, input| tape.batch_norm(input, "bn_data", 3));
    assert_eq!(
        inspect(&learned.file()).unwrap().pixels,
        Pixels::Unknown,
        "its means are those of normalised values"
    );
}

#[test]
fn pixels_as_integers_that_are_cast_first_come_as_floats() {
    let mut network = iresnet_with_casts();
    network.tape.style.kind = data_type::UINT8;
    check_pixels(&network, MANIFEST_DROPOUT);
}

#[test]
fn images_with_the_channels_last_are_transposed() {
    for batch in [Some(1), None] {
        let network = tensorflow(Style { batch, ..Style::pytorch(13) });
        let input = chips(2);
        let plane = 112 * 112;
        let pixel = |i: usize| {
            f64::from(input[i / (3 * plane) * 3 * plane + i % 3 * plane + i / 3 % plane])
        };
        let turned = Array::new(&[2, 112, 112, 3], (0..input.len()).map(pixel).collect());
        check_turned(&network, MANIFEST_DROPOUT, &input, turned);
    }
}
