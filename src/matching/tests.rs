use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

/// A number between -1 and 1.
fn number(random: &mut ChaCha8Rng) -> f32 {
    random.next_u32() as f32 / (u32::MAX / 2) as f32 - 1.0
}

/// A template of even weights, as it is stored.
fn even(random: &mut ChaCha8Rng, dimension: usize) -> Template {
    let values: Vec<f32> = (0..dimension).map(|_| number(random)).collect();
    let (template, _) = Template::from_embedding(&values).unwrap();
    Template::from_halves(&template.to_halves()).unwrap()
}

/// A template as it is stored; of one kind in four, all weight is in a few components.
fn template(random: &mut ChaCha8Rng, dimension: usize) -> Template {
    let peaked = random.next_u32().is_multiple_of(4);
    let values: Vec<f32> = (0..dimension)
        .map(|_| {
            let value = number(random);
            if peaked { value.powi(15) + 1e-6 } else { value }
        })
        .collect();
    let (template, _) = Template::from_embedding(&values).unwrap();
    Template::from_halves(&template.to_halves()).unwrap()
}

fn templates(seed: u64, count: usize, dimension: usize) -> Vec<Template> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| template(&mut random, dimension)).collect()
}

/// Their keys are 1000, 1001, ….
fn index(templates: &[Template]) -> TemplateIndex<u64> {
    let dimension = templates[0].as_slice().len();
    let mut index = TemplateIndex::new(dimension, templates.len());
    for (key, template) in (1000..).zip(templates) {
        index.extend(&[key], &template.to_halves()).unwrap();
    }
    index
}

/// Every template compared with the probe.
fn compared(templates: &[Template], probe: &Template, k: usize, least: f64) -> Vec<Neighbour<u64>> {
    let mut all: Vec<Neighbour<u64>> = (1000..)
        .zip(templates)
        .map(|(key, template)| {
            let stored = Template::from_halves(&template.to_halves()).unwrap();
            Neighbour { key, similarity: stored.similarity(probe) }
        })
        .filter(|neighbour| neighbour.similarity >= least)
        .collect();
    all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.key.cmp(&b.key)));
    all.truncate(k);
    all
}

#[test]
fn the_answer_is_that_of_comparing_everything() {
    for (dimension, count) in [(2, 40), (31, 1000), (32, 513), (128, 3000), (130, 257), (512, 700)]
    {
        let all = templates(dimension as u64, count, dimension);
        let index = index(&all);
        let mut probes = templates(7, 4, dimension);
        probes.push(all[count / 2].clone());
        for (k, least) in [(1, -2.0), (10, -2.0), (10, 0.2), (count + 5, -2.0), (3, 0.999)] {
            let expected: Vec<_> =
                probes.iter().map(|probe| compared(&all, probe, k, least)).collect();
            for threads in [1, 3] {
                let together = index.nearest(&probes, k, least, threads).unwrap();
                assert_eq!(together, expected, "{dimension} {k} {least} {threads}");
                for (probe, expected) in probes.iter().zip(&expected) {
                    let probe = std::slice::from_ref(probe);
                    let alone = index.nearest(probe, k, least, threads).unwrap();
                    assert_eq!(&alone[0], expected, "{dimension} {k} {least} {threads}");
                }
            }
        }
    }
}

#[test]
fn equal_templates_come_in_the_order_of_their_keys() {
    let mut all = templates(1, 300, 16);
    let copy = all[100].clone();
    for place in [3, 250, 299] {
        all[place] = copy.clone();
    }
    let index = index(&all);
    for probes in [vec![copy.clone()], vec![copy; 5]] {
        for found in index.nearest(&probes, 4, -2.0, 2).unwrap() {
            let keys: Vec<u64> = found.iter().map(|neighbour| neighbour.key).collect();
            assert_eq!(keys, [1003, 1100, 1250, 1299]);
        }
    }
}

#[test]
fn many_equal_candidates_are_all_looked_at() {
    let all = vec![templates(1, 1, 64).remove(0); 20_000];
    let found = index(&all).nearest(&all[..1], 2, -2.0, 2).unwrap();
    assert_eq!(found[0].iter().map(|neighbour| neighbour.key).collect::<Vec<_>>(), [1000, 1001]);
}

#[test]
fn few_rows_are_looked_at_again() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let all: Vec<Template> = (0..20_000).map(|_| even(&mut random, 128)).collect();
    let index = index(&all);
    let probe = &even(&mut random, 128);
    let least = compared(&all, probe, 10, -2.0)[9].similarity as f32;
    let whole = index.rows.probe(probe);
    let again: usize = (0..20_000 / four_bit::ROWS)
        .filter_map(|block| index.rows.bounds(block, &whole, least))
        .map(|bounds| bounds.iter().filter(|&&bound| bound >= least).count())
        .sum();
    assert!((10..1000).contains(&again), "{again}");
}

#[test]
fn every_processor_computes_the_same_bounds() {
    for dimension in [3, 128, 512, 2048] {
        let all = templates(dimension as u64, 200, dimension);
        let mut index = index(&all);
        let whole = index.rows.probe(&templates(4, 1, dimension)[0]);
        let bounds = |index: &TemplateIndex<u64>| {
            [0, 1, 2, 3].map(|block| index.rows.bounds(block, &whole, -9.0).unwrap())
        };
        let own = bounds(&index);
        index.rows.arch = pulp::Arch::Scalar;
        for (own, plain) in own.iter().flatten().zip(bounds(&index).iter().flatten()) {
            assert!((own - plain).abs() < 1e-5, "{dimension}: {own} {plain}");
        }
    }
}

#[test]
fn no_similarity_is_above_its_bound() {
    for dimension in [1, 3, 128, 512, 2048, 9000] {
        let all = templates(dimension as u64, 100, dimension);
        let index = index(&all);
        for probe in templates(4, 3, dimension).iter().chain(&all[..3]) {
            let whole = index.rows.probe(probe);
            for (row, template) in all.iter().enumerate() {
                let bounds = index.rows.bounds(row / four_bit::ROWS, &whole, -9.0).unwrap();
                let bound = bounds[row % four_bit::ROWS];
                let similarity = template.similarity(probe) as f32;
                assert!(bound >= similarity, "{dimension} {row}: {bound} {similarity}");
                assert!(bound <= similarity + 0.6 || dimension > 4000, "{dimension}: {bound}");
            }
        }
    }
}

#[test]
fn wrong_dimensions_and_what_is_no_direction_are_refused() {
    let mut index = index(&templates(1, 3, 8));
    let error = index.nearest(&templates(1, 1, 9), 1, -1.0, 1).unwrap_err().to_string();
    assert_eq!(error, "a template of 9 components among templates of 8");
    assert!(index.extend(&[1], &[f16::ONE; 9]).is_err());
    assert!(index.extend(&[1], &[f16::ZERO; 8]).is_err());
    assert!(index.extend(&[1], &[f16::NAN; 8]).is_err());
    assert_eq!(index.len(), 3);
    assert_eq!(index.nearest(&templates(1, 2, 8), 0, -1.0, 1).unwrap(), [[], []]);
    assert_eq!(
        TemplateIndex::<u64>::new(0, 0).nearest(&templates(1, 1, 8), 9, -1.0, 4).unwrap(),
        [[]]
    );
}

#[test]
fn norms_that_are_not_one_do_not_matter() {
    let all = templates(9, 500, 24);
    let mut scaled = TemplateIndex::new(24, 0);
    for (key, template) in (1000..).zip(&all) {
        let factor = if key % 2 == 0 { 3.0 } else { 0.25 };
        let halves: Vec<f16> =
            template.to_halves().iter().map(|half| f16::from_f32(half.to_f32() * factor)).collect();
        scaled.extend(&[key], &halves).unwrap();
    }
    for probes in [templates(8, 1, 24), templates(8, 6, 24)] {
        let found = scaled.nearest(&probes, 5, -2.0, 2).unwrap();
        let plain = index(&all).nearest(&probes, 5, -2.0, 2).unwrap();
        for (found, plain) in found.iter().flatten().zip(plain.iter().flatten()) {
            assert!((found.similarity - plain.similarity).abs() < 1e-3);
        }
    }
}

#[test]
fn what_was_removed_is_not_found_and_the_rest_is() {
    let all = templates(3, 700, 40);
    let mut index = index(&all);
    let keep = |key: u64| !key.is_multiple_of(3);
    index.retain(keep);
    assert_eq!(index.len(), (1000..1700).filter(|&key| keep(key)).count());
    // What is added afterwards is next to what was kept.
    index.extend(&[1002], &all[2].to_halves()).unwrap();
    index.retain(|key| key != 1001);
    for (probe, expected) in [(0, Some(1000)), (1, None), (5, None), (697, Some(1697))] {
        let found = index.nearest(&all[probe..=probe], 1, 0.9999, 2).unwrap().remove(0);
        assert_eq!(found.first().map(|found| found.key), expected, "{probe}");
    }
    let found = index.nearest(&all[2..=2], 2, 0.9999, 2).unwrap().remove(0);
    assert!(found.iter().any(|found| found.key == 1002), "{found:?}");
    index.retain(|_| false);
    assert!(index.is_empty());
}
