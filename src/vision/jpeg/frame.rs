//! The frame header of a JPEG, and descriptions of the kinds of JPEG that are not supported.

use super::segments::{Segment, segments};

/// The parameters of the frame (ITU-T T.81, B.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The code of the frame's marker, which is the coding process.
    pub(super) process: u8,
    pub(super) precision: u8,
    pub(super) height: u16,
    pub(super) width: u16,
    pub(super) components: Vec<FrameComponent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameComponent {
    pub(super) id: u8,
    pub(super) horizontal: u8,
    pub(super) vertical: u8,
}

impl Frame {
    /// The first frame header of the file.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        Self::parse(&segments(bytes).find(Segment::is_frame)?)
    }

    fn parse(segment: &Segment<'_>) -> Option<Self> {
        let &[precision, height_high, height_low, width_high, width_low, count, ref rest @ ..] =
            segment.parameters
        else {
            return None;
        };
        let components = rest.chunks_exact(3).take(usize::from(count));
        Some(Self {
            process: segment.marker,
            precision,
            height: u16::from_be_bytes([height_high, height_low]),
            width: u16::from_be_bytes([width_high, width_low]),
            components: components
                .map(|part| FrameComponent {
                    id: part[0],
                    horizontal: part[1] >> 4,
                    vertical: part[1] & 15,
                })
                .collect(),
        })
    }

    pub(super) fn is_progressive(&self) -> bool {
        matches!(self.process, 0xC2 | 0xCA)
    }

    /// Whether the data are Huffman-coded DCT coefficients.
    pub(super) fn is_huffman_dct(&self) -> bool {
        matches!(self.process, 0xC0..=0xC2)
    }

    /// True for lossless JPEGs of 2 to 7 bits. libjpeg-turbo decodes them but leaves the scaling of
    /// the values to 0 to 255 to its caller.
    pub(super) fn is_narrow(&self) -> bool {
        self.precision < 8
    }

    /// Why this kind of JPEG is not supported; `None` if the kind is supported.
    pub(super) fn unsupported(&self) -> Option<String> {
        let factors = || {
            let factors: Vec<_> = self
                .components
                .iter()
                .map(|part| format!("{}x{}", part.horizontal, part.vertical))
                .collect();
            factors.join(", ")
        };
        let largest =
            |of: fn(&FrameComponent) -> u8| self.components.iter().map(of).max().unwrap_or(1);
        let (widest, tallest) = (largest(|part| part.horizontal), largest(|part| part.vertical));
        let fractional = |part: &FrameComponent| {
            part.horizontal == 0
                || part.vertical == 0
                || widest % part.horizontal != 0
                || tallest % part.vertical != 0
        };
        let blocks: u32 = self
            .components
            .iter()
            .map(|part| u32::from(part.horizontal) * u32::from(part.vertical))
            .sum();
        match self.process {
            0xC5..=0xC7 | 0xCD..=0xCF => {
                return Some("hierarchical JPEGs are not supported".into());
            }
            _ => {}
        }
        if self.precision != 8 {
            Some(format!("JPEGs of {} bits a sample are not supported, only of 8", self.precision))
        } else if self.height == 0 {
            Some("JPEGs whose height follows the picture (DNL) are not supported".into())
        } else if !matches!(self.components.len(), 1 | 3 | 4) {
            Some(format!(
                "JPEGs of {} components are not supported, only of 1, 3 and 4",
                self.components.len()
            ))
        } else if self.components.iter().any(fractional) {
            Some(format!(
                "JPEGs whose sampling factors do not divide the largest factor are not supported \
                 (the factors are {})",
                factors()
            ))
        } else if self.components.len() > 1 && blocks > 10 {
            Some(format!(
                "JPEGs of more than 10 blocks a unit are not supported (this one has {blocks} \
                 blocks; the sampling factors are {})",
                factors()
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(process: u8, precision: u8, height: u16, factors: &[(u8, u8)]) -> Frame {
        let components = factors
            .iter()
            .zip(1..)
            .map(|(&(horizontal, vertical), id)| FrameComponent { id, horizontal, vertical });
        Frame { process, precision, height, width: 16, components: components.collect() }
    }

    #[test]
    fn the_reason_names_what_is_not_supported() {
        let usual = [(2, 2), (1, 1), (1, 1)];
        assert_eq!(frame(0xC0, 8, 16, &usual).unsupported(), None);
        for (frame, named) in [
            (frame(0xC1, 12, 16, &usual), "12 bits"),
            (frame(0xC5, 8, 16, &usual), "hierarchical"),
            (frame(0xC0, 8, 0, &usual), "DNL"),
            (frame(0xC0, 8, 16, &[(1, 1), (1, 1)]), "2 components"),
            (frame(0xC0, 8, 16, &[(3, 1), (2, 1), (1, 1)]), "3x1, 2x1, 1x1"),
            (frame(0xC0, 8, 16, &[(4, 2), (2, 1), (1, 1)]), "11 blocks"),
        ] {
            let reason = frame.unsupported().unwrap();
            assert!(reason.contains(named), "{reason}");
        }
    }
}
