//! Whether the most similar images of an image are the same under both profiles.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::CompareError;
use super::pairing::PairedImage;
use super::sample::{Chosen, LoadedTemplates};
use super::statistics::{Bins, Units, paired_values};
use crate::evaluate::bootstrap::below;
use crate::evaluate::evaluation::Bootstrap;
use crate::matching::TemplateIndex;
use crate::view::profile_comparison::NeighboursView;

/// Neighbours of each probe.
const K: usize = 10;
/// Images that are searched with.
const PROBES: usize = 500;
/// Pairs of images drawn at random.
const PAIRS: usize = 20_000;

/// Searches the sample `chosen` under each profile with some of it. None with fewer than two
/// images.
///
/// # Errors
/// If a template cannot be compared.
pub(super) fn neighbours(
    images: &[PairedImage],
    chosen: &Chosen,
    templates: [&LoadedTemplates; 2],
    bootstrap: Bootstrap,
) -> Result<Option<NeighboursView>, CompareError> {
    let searched = &chosen.images;
    if searched.len() < 2 {
        return Ok(None);
    }
    let probes = probes(searched, bootstrap.seed);
    let k = K.min(searched.len() - 1);
    let [old, new] = [
        most_similar(templates[0], searched, &probes, k, bootstrap.threads)?,
        most_similar(templates[1], searched, &probes, k, bootstrap.threads)?,
    ];
    let units = Units::new(probes.iter().map(|&probe| images[probe].unit));
    let both = || old.iter().zip(&new);
    let overlap: Vec<f64> = both().map(|(old, new)| shared(old, new) as f64 / k as f64).collect();
    let first: Vec<f64> =
        both().map(|(old, new)| f64::from(u8::from(old.first() == new.first()))).collect();
    let pairs = pairs(searched, bootstrap.seed);
    let similarities = [similarities(templates[0], &pairs)?, similarities(templates[1], &pairs)?];
    let of_pairs = Units::new(pairs.iter().map(|pair| images[pair.0].unit));
    let values = [&similarities[0][..], &similarities[1][..]];
    let any_pairs = paired_values(values, &of_pairs, Bins::SIMILARITY, bootstrap);
    Ok(any_pairs.map(|any_pairs| NeighboursView {
        images: searched.len() as u64,
        of_images: chosen.of as u64,
        probes: probes.len() as u64,
        k: k as u64,
        overlap: units.mean(&overlap, bootstrap).into(),
        same_first: units.mean(&first, bootstrap).into(),
        any_pairs,
    }))
}

/// Some of the images, drawn without replacement: the first of a shuffle (Fisher and Yates).
fn probes(searched: &[usize], seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shuffled = searched.to_vec();
    for place in 0..PROBES.min(shuffled.len()) {
        let other = place + below(&mut random, shuffled.len() - place);
        shuffled.swap(place, other);
    }
    shuffled.truncate(PROBES);
    shuffled
}

/// The `k` images that are most similar to each probe, without the probe itself.
fn most_similar(
    templates: &LoadedTemplates,
    searched: &[usize],
    probes: &[usize],
    k: usize,
    threads: usize,
) -> Result<Vec<Vec<usize>>, CompareError> {
    let mut index = TemplateIndex::new(templates.dimension(), searched.len());
    for &image in searched {
        index.extend(&[image], templates.halves(image).unwrap_or_default())?;
    }
    let wanted: Vec<_> =
        probes.iter().map(|&probe| templates.template(probe)).collect::<Result<_, _>>()?;
    let found = index.nearest(&wanted, k + 1, -1.1, threads)?;
    let others = |(probe, found): (&usize, Vec<crate::matching::Neighbour<usize>>)| {
        found.into_iter().map(|each| each.key).filter(|key| key != probe).take(k).collect()
    };
    Ok(probes.iter().zip(found).map(others).collect())
}

fn shared(old: &[usize], new: &[usize]) -> usize {
    old.iter().filter(|image| new.contains(image)).count()
}

/// Pairs of different images, drawn with replacement.
fn pairs(searched: &[usize], seed: u64) -> Vec<(usize, usize)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(1);
    let all = searched.len() * (searched.len() - 1) / 2;
    let mut draw = |_| {
        let first = below(&mut random, searched.len());
        let second = below(&mut random, searched.len() - 1);
        (searched[first], searched[second + usize::from(second >= first)])
    };
    (0..PAIRS.min(all)).map(&mut draw).collect()
}

fn similarities(
    templates: &LoadedTemplates,
    pairs: &[(usize, usize)],
) -> Result<Vec<f64>, CompareError> {
    let similarity = |&(a, b): &(usize, usize)| -> Result<f64, CompareError> {
        Ok(templates.template(a)?.similarity(&templates.template(b)?))
    };
    pairs.iter().map(similarity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::compare::fixture::{images, loaded, planar};

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 100, seed: 1, threads: 2 };

    fn compared(degrees: [&[f32]; 2]) -> NeighboursView {
        let count = degrees[0].len();
        let images = images(count);
        let chosen = Chosen { images: (0..count).collect(), of: count };
        let [old, new] = degrees.map(|degrees| loaded(&planar(degrees)));
        neighbours(&images, &chosen, [&old, &new], BOOTSTRAP).unwrap().unwrap()
    }

    #[test]
    fn the_same_directions_have_the_same_neighbours() {
        let old: Vec<f32> = (0..30).map(|number| 2.9 * number as f32).collect();
        // Turned by a right angle: other templates, the same similarities.
        let new: Vec<f32> = old.iter().map(|degrees| degrees + 90.0).collect();
        let found = compared([&old, &new]);
        assert_eq!((found.images, found.probes, found.k), (30, 30, 10));
        assert!(found.overlap.value > 0.97, "{:?}", found.overlap);
        assert!(found.any_pairs.change.value.abs() < 1e-2);
        assert!(found.any_pairs.rank_correlation.unwrap().value > 0.999);
    }

    #[test]
    fn an_overlap_worked_by_hand() {
        // Three images: each has the other two as neighbours. First are 1 0 1, then 2 2 0 (of 0, 1
        // and 2): none is the same.
        let found = compared([&[0.0, 10.0, 30.0], &[0.0, -40.0, -15.0]]);
        assert_eq!((found.k, found.overlap.value), (2, 1.0));
        assert_eq!(found.same_first.value, 0.0);
        // One of twelve moves from one end to the other. Of 11 others 10 are neighbours: the one
        // that is left out is another one for all but the image at 5.
        let many: Vec<f32> = (0..12).map(|number| 7.0 * number as f32).collect();
        let mut moved = many.clone();
        moved[11] = -7.0;
        let found = compared([&many, &moved]);
        assert_eq!(found.k, 10);
        assert!((found.overlap.value - (1.0 + 11.0 * 0.9) / 12.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_pair_is_of_two_images() {
        let pairs = pairs(&[3, 5, 8], 1);
        assert_eq!(pairs.len(), 3);
        assert!(pairs.iter().all(|(a, b)| a != b));
        assert_eq!(probes(&[3, 5, 8], 1).len(), 3);
    }
}
