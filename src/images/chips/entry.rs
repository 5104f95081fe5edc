//! An entry of the chip cache, as bytes.
//!
//! All numbers are little-endian. A magic with the version, the BLAKE3 of the rest (32 bytes), then
//! the content hash of the image (32 bytes), its length in bytes (u64), width and height (u32
//! each), the smallest face that could be found in it (f32), the number of components of a face
//! (u8), the number of faces (u32), and each face: its box (x, y, width, height; f32 each), its
//! landmarks (a flag, and ten f32 if it is 1), the detector's score (a flag, and f32), each
//! component (a flag, and f32), and its chip (a flag, and 37,632 bytes: RGB, row by row).
//!
//! Another version of the program whose decoders, alignment or components give other numbers for
//! the same profile has another [`MAGIC`]: what this one wrote is then as if it were not there.

use crate::domain::{
    AlignedFace, BoundingBox, CHIP_SIDE, Chip, Component, Components, ContentHash, Face,
    ImageContent, Point,
};

const MAGIC: [u8; 8] = *b"ffchips1";
/// Magic and BLAKE3.
const HEADER: usize = MAGIC.len() + 32;
/// Images with more faces are not cached.
const MOST_FACES: usize = 256;
/// More than any entry has, bytes.
pub(super) const MOST_BYTES: u64 =
    (HEADER + 61 + MOST_FACES * (64 + 6 * 64 + CHIP_SIDE * CHIP_SIDE * 3)) as u64;

/// What detection and alignment found in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageChips {
    /// The image. Its size is known.
    pub content: ImageContent,
    /// The wanted faces, the primary one first.
    pub faces: Vec<AlignedFace>,
    /// The smallest face that could be found, the shorter side of its box, pixels.
    pub smallest_face_px: f32,
}

/// The bytes of an entry; none if the image cannot be cached: it has too many faces, or was not
/// decoded.
pub(super) fn encode(found: &ImageChips) -> Option<Vec<u8>> {
    let ImageChips { content, faces, smallest_face_px } = found;
    let (width, height) = content.size?;
    let count = u32::try_from(faces.len()).ok().filter(|_| faces.len() <= MOST_FACES)?;
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(&content.hash.0);
    bytes.extend_from_slice(&content.bytes.to_le_bytes());
    bytes.extend([width, height].into_iter().flat_map(u32::to_le_bytes));
    bytes.extend_from_slice(&smallest_face_px.to_le_bytes());
    bytes.push(u8::try_from(Component::all().len()).ok()?);
    bytes.extend_from_slice(&count.to_le_bytes());
    for AlignedFace { face, chip, components } in faces {
        let BoundingBox { x, y, width, height } = face.bbox;
        bytes.extend([x, y, width, height].into_iter().flat_map(f32::to_le_bytes));
        let landmarks = face.landmarks.as_ref();
        put(&mut bytes, landmarks.map(|all| all.iter().flat_map(|point| [point.x, point.y])));
        put(&mut bytes, face.detector_score.map(|score| [score]));
        for component in Component::all() {
            put(&mut bytes, components.get(component).map(|value| [value]));
        }
        bytes.push(u8::from(chip.is_some()));
        bytes.extend_from_slice(chip.as_ref().map_or(&[], Chip::pixels));
    }
    let hash = blake3::hash(&bytes[HEADER..]);
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..HEADER].copy_from_slice(hash.as_bytes());
    Some(bytes)
}

/// Numbers that may be unknown: a flag, and the numbers.
fn put(bytes: &mut Vec<u8>, numbers: Option<impl IntoIterator<Item = f32>>) {
    bytes.push(u8::from(numbers.is_some()));
    bytes.extend(numbers.into_iter().flatten().flat_map(f32::to_le_bytes));
}

/// Reads what [`encode`] wrote; none if it is damaged, or of another version.
pub(super) fn decode(bytes: &[u8]) -> Option<ImageChips> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (hash, payload) = rest.split_first_chunk()?;
    if *magic != MAGIC || blake3::hash(payload) != blake3::Hash::from_bytes(*hash) {
        return None;
    }
    let mut reader = Reader(payload);
    let content = ImageContent {
        hash: ContentHash(reader.array()?),
        bytes: u64::from_le_bytes(reader.array()?),
        size: Some((reader.u32()?, reader.u32()?)),
        picture: None,
    };
    let smallest_face_px = reader.f32()?;
    let [components] = reader.array()?;
    let count = reader.u32()? as usize;
    if usize::from(components) != Component::all().len() || count > MOST_FACES {
        return None;
    }
    let faces: Option<Vec<AlignedFace>> = (0..count).map(|_| reader.face()).collect();
    let faces = faces.filter(|_| reader.0.is_empty())?;
    Some(ImageChips { content, faces, smallest_face_px })
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        self.array().map(f32::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            [_] => None,
        }
    }

    /// What comes after a flag, if the flag is set.
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn point(&mut self) -> Option<Point> {
        Some(Point { x: self.f32()?, y: self.f32()? })
    }

    fn face(&mut self) -> Option<AlignedFace> {
        let (x, y) = (self.f32()?, self.f32()?);
        let bbox = BoundingBox { x, y, width: self.f32()?, height: self.f32()? };
        let landmarks = self.optional(|reader| {
            let points: Option<Vec<Point>> = (0..5).map(|_| reader.point()).collect();
            points?.try_into().ok()
        })?;
        let detector_score = self.optional(Self::f32)?;
        let mut components = Components::default();
        for component in Component::all() {
            components.set(component, self.optional(Self::f32)?);
        }
        let chip = self.optional(|reader| {
            let (pixels, rest) = reader.0.split_at_checked(Chip::BYTES)?;
            reader.0 = rest;
            Chip::new(pixels.to_vec())
        })?;
        Some(AlignedFace { face: Face { bbox, landmarks, detector_score }, chip, components })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An image with three faces: a whole one, one without a chip, and one that is a chip.
    pub(in crate::images::chips) fn sample() -> ImageChips {
        let bbox = BoundingBox { x: -3.25, y: 0.1 + 0.2, width: 100.5, height: 120.0 };
        let landmarks = std::array::from_fn(|at| Point { x: at as f32 / 3.0, y: -0.0 });
        let known = Component::all().zip(1_u8..);
        let components = known.map(|(component, value)| (component, Some(f32::from(value) / 7.0)));
        let whole = AlignedFace {
            face: Face { bbox, landmarks: Some(landmarks), detector_score: Some(0.93) },
            chip: Some(Chip::synthetic()),
            components: components.collect(),
        };
        let lost = AlignedFace { chip: None, components: Components::default(), ..whole.clone() };
        let face = Face { landmarks: None, detector_score: None, ..whole.face };
        let chip = Some(Chip::synthetic_shifted(5));
        let aligned = AlignedFace { face, chip, components: Components::default() };
        ImageChips {
            content: ImageContent {
                hash: ContentHash::of(b"a"),
                bytes: 1 << 40,
                size: Some((640, 480)),
                picture: None,
            },
            faces: vec![whole, lost, aligned],
            smallest_face_px: 19.7,
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let several = sample();
        let none = ImageChips { faces: Vec::new(), ..several.clone() };
        for image in [several, none] {
            let bytes = encode(&image).unwrap();
            assert!(bytes.len() as u64 <= MOST_BYTES);
            assert_eq!(decode(&bytes), Some(image));
        }
    }

    #[test]
    fn the_largest_entry_is_within_the_bound_and_a_larger_one_is_not_made() {
        let mut image = sample();
        image.faces = vec![image.faces[0].clone(); MOST_FACES];
        let bytes = encode(&image).unwrap();
        assert!(bytes.len() as u64 <= MOST_BYTES, "{} {MOST_BYTES}", bytes.len());
        assert_eq!(decode(&bytes).unwrap().faces.len(), MOST_FACES);
        image.faces.push(image.faces[0].clone());
        assert_eq!(encode(&image), None);
    }

    #[test]
    fn a_damaged_cut_or_unknown_entry_is_none() {
        let bytes = encode(&sample()).unwrap();
        for at in [0, 7, 8, 39, 40, 80, 110, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "cut at {at}");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(decode(&[]), None);
    }

    #[test]
    fn a_false_claim_with_a_right_hash_allocates_nothing() {
        // The number of faces.
        let mut bytes = encode(&sample()).unwrap();
        let at = HEADER + 32 + 8 + 8 + 4 + 1;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let hash = blake3::hash(&bytes[HEADER..]);
        bytes[MAGIC.len()..HEADER].copy_from_slice(hash.as_bytes());
        assert_eq!(decode(&bytes), None);
    }
}
