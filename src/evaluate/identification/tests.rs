//! Searches counted by hand, and against plain loops over the same galleries.

use std::collections::HashSet;

use ndarray::Array2;

use super::*;

const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 60, seed: 3, threads: 2 };

/// Templates of `people` with `photos` each. The photos of every fourth person scatter so much that
/// they hardly resemble each other.
fn made(people: u32, photos: u32) -> (Array2<f32>, Vec<u32>) {
    let subjects: Vec<u32> = (0..people * photos).map(|photo| photo % people).collect();
    let random = |number: u32| -> Vec<f32> {
        let mut bytes = [0; 6];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes.iter().map(|&byte| f32::from(byte) - 127.5).collect()
    };
    let mut templates = Array2::zeros((subjects.len(), 6));
    for (photo, mut row) in (0_u32..).zip(templates.rows_mut()) {
        let subject = subjects[photo as usize];
        let scatter = if subject.is_multiple_of(4) { 3.0 } else { 0.05 };
        let (person, noise) = (random(1_000_000 + subject), random(photo));
        row.iter_mut().zip(person.iter().zip(&noise)).for_each(|(v, (p, n))| *v = p + scatter * n);
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    (templates, subjects)
}

#[test]
fn the_rates_are_those_of_plain_loops_over_the_galleries() {
    // 110 people with three photos each, and 40 with one each.
    let (mut templates, mut subjects) = made(110, 3);
    let (others, _) = made(500, 1);
    let others = others.select(ndarray::Axis(0), &(460..500).collect::<Vec<_>>());
    templates.append(ndarray::Axis(0), others.view()).unwrap();
    subjects.extend(110..150);
    let found = Identification::measure(&templates.view(), &subjects, BOOTSTRAP).unwrap();

    let view = templates.view();
    let population = Population::new(&view, &subjects, 1).unwrap();
    let all = population.everybody();
    let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
    let cosine = |a: usize, b: usize| -> f64 {
        (0..6).map(|j| f64::from(templates[[a, j]]) * f64::from(templates[[b, j]])).sum()
    };
    for number in 0..100 {
        let references: Vec<usize> = all.gallery(0, number, BOOTSTRAP.seed).photos().collect();
        assert_eq!(references.len(), 55, "half of those with several photos");
        let of: Vec<u32> = references.iter().map(|&photo| subjects[photo]).collect();
        assert!(of.iter().all(|&subject| subject < 110));
        assert_eq!(of.iter().collect::<HashSet<_>>().len(), 55, "one reference each");
        for (probe, subject) in subjects.iter().enumerate() {
            let similarities = references.iter().map(|&reference| cosine(probe, reference));
            match of.iter().position(|of| of == subject) {
                Some(own) if references[own] == probe => {}
                Some(own) => mated.push(cosine(probe, references[own])),
                None => non_mated.push(similarities.fold(-1.0, f64::max)),
            }
        }
    }
    assert_eq!((found.references, found.galleries), (55, 100));
    assert_eq!(found.mated_searches, mated.len());
    assert_eq!(mated.len(), 100 * 55 * 2);
    assert_eq!(found.non_mated_searches, non_mated.len());
    assert_eq!(non_mated.len(), 100 * (55 * 3 + 40));
    assert_eq!(found.non_mated_photos, 370, "each photo is one in some gallery");

    let [point] = found.points[..] else { panic!("{:?}", found.points) };
    assert_eq!(point.fpir, 1e-2);
    // 205 of the 20,500 non-mated searches may return a candidate: the threshold is the similarity
    // after these.
    non_mated.sort_unstable_by(|a, b| b.total_cmp(a));
    let threshold = non_mated[205];
    assert!((point.threshold.value - threshold).abs() < 1e-6, "{point:?} {threshold}");
    let missed = mated.iter().filter(|each| **each <= threshold + 1e-6).count();
    let fnir = missed as f64 / mated.len() as f64;
    assert!((point.fnir.value - fnir).abs() < 1e-12, "{point:?} {fnir}");
    // About a quarter of the people are hard to find.
    assert!((0.1..0.35).contains(&fnir), "{fnir}");
    assert!(point.fnir.low < fnir && fnir < point.fnir.high, "{point:?}");
    assert!(point.fnir.high - point.fnir.low < 0.25, "{point:?}");
    assert!(point.threshold.low < point.threshold.high);
    let [left_out] = found.not_shown().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(left_out.fpir, 1e-3);
    assert_eq!(
        left_out.to_string(),
        "370 different photos of people who are not enrolled; 3000 are needed"
    );
}

#[test]
fn galleries_differ_and_repeat_on_any_number_of_threads() {
    let (templates, subjects) = made(120, 3);
    let view = templates.view();
    let population = Population::new(&view, &subjects, 2).unwrap();
    let everybody = population.everybody();
    assert_eq!(everybody.gallery(0, 0, 1), everybody.gallery(0, 0, 1));
    for (sample, number, seed) in [(0, 0, 2), (0, 1, 1), (1, 0, 1)] {
        assert_ne!(everybody.gallery(0, 0, 1), everybody.gallery(sample, number, seed));
    }
    let run = |threads| {
        let bootstrap = Bootstrap { threads, ..BOOTSTRAP };
        Identification::measure(&templates.view(), &subjects, bootstrap).unwrap()
    };
    assert_eq!(run(1), run(3));
    let once = Bootstrap { replicates: 0, ..BOOTSTRAP };
    let whole = Identification::measure(&templates.view(), &subjects, once).unwrap().points[0];
    assert_eq!(whole.fnir.value, run(2).points[0].fnir.value);
    assert_eq!(whole.fnir.low, whole.fnir.high, "no interval without a bootstrap");
}

#[test]
fn a_threshold_worked_by_hand() {
    // Ten strangers, of which two look like somebody, and four who are in the gallery.
    let mut searches = Searches {
        mated: vec![0.6, 0.95, 0.2, 0.7],
        non_mated: vec![0.3, 0.2, 0.0, 0.1, 0.9, 0.3, 0.1, 0.6, 0.2, 0.0],
    };
    let mut near = |fpir, (a, b): (f64, f64)| {
        let (threshold, fnir) = rates(&mut searches, fpir);
        assert!((threshold - a).abs() < 1e-6 && (fnir - b).abs() < 1e-12, "{threshold} {fnir}");
    };
    // None may return a candidate, one may, two may: at its threshold a similarity is no candidate.
    near(0.05, (0.9, 0.75));
    near(0.1, (0.6, 0.5));
    near(0.2, (0.3, 0.25));
    assert!(rates(&mut Searches::default(), 0.1).1.is_nan());
}

#[test]
fn somebody_drawn_twice_is_two_people_who_are_not_compared() {
    // Two people with two photos each; one of them drawn twice, the other not at all.
    let (templates, subjects) = made(2, 2);
    let view = templates.view();
    let population = Population::new(&view, &subjects, 1).unwrap();
    let drawn = population.drawn(&[2.0, 0.0]);
    assert_eq!(drawn.references(), 1);
    let searches = drawn.searches(1, 4, 7);
    // In each gallery, the other photo of the copy that is enrolled, and both of the copy that is
    // not: these meet no reference but their own person's.
    assert_eq!(searches.mated.len(), 4);
    assert_eq!(searches.non_mated, [f32::NEG_INFINITY; 8]);
}

#[test]
fn a_set_that_is_too_small_gives_no_rate() {
    assert!(shows(1e-2, 300) && !shows(1e-2, 299));
    assert!(shows(1e-3, 3000) && !shows(1e-3, 2999));
    // 3,565 photos; 50,000, of 10,000 people.
    assert_eq!((gallery_count(196, 3565), gallery_count(5000, 50_000)), (100, 10));
    let (templates, _) = made(4, 1);
    let measure =
        |subjects: &[u32]| Identification::measure(&templates.view(), subjects, BOOTSTRAP);
    assert_eq!(measure(&[0, 1, 2, 3]), None, "nobody has two photos");
    assert_eq!(measure(&[0, 0, 0, 0]), None, "there is nobody else");
    let small = measure(&[0, 0, 1, 2]).unwrap();
    assert_eq!((small.references, small.mated_searches), (1, 100));
    assert_eq!((small.non_mated_searches, small.non_mated_photos), (200, 2));
    assert_eq!(small.points, []);
    assert_eq!(small.not_shown().map(|each| each.fpir).collect::<Vec<_>>(), FPIRS);
}

/// By hand: `cargo test --release --lib -- --ignored --nocapture intervals_contain`.
#[test]
#[ignore = "takes minutes"]
#[allow(clippy::print_stdout, reason = "it prints its result for people")]
fn intervals_contain_the_expected_rates_about_as_often_as_they_say() {
    const WORLDS: u32 = 200;
    // Worlds of 160 people, who differ in how alike their photos are and in how many they have.
    let world = |number: u32| {
        let mut bytes = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
        let mut uniform = || {
            let mut two = [0; 2];
            bytes.fill(&mut two);
            f32::from(u16::from_le_bytes(two)) / 65_536.0
        };
        let mut normal = || (0..6).map(|_| uniform()).sum::<f32>() - 3.0;
        let (mut values, mut subjects) = (Vec::new(), Vec::new());
        for subject in 0..160 {
            let person: Vec<f32> = (0..12).map(|_| normal()).collect();
            let (photos, scatter) = (1 + (normal().abs() * 5.0) as usize, normal().abs());
            for _ in 0..photos {
                let photo: Vec<f32> = person.iter().map(|p| p + scatter * normal()).collect();
                let norm = photo.iter().map(|v| v * v).sum::<f32>().sqrt();
                values.extend(photo.iter().map(|v| v / norm));
                subjects.push(subject);
            }
        }
        let templates = Array2::from_shape_vec((subjects.len(), 12), values).unwrap();
        let bootstrap = Bootstrap { replicates: 100, seed: u64::from(number), threads: 2 };
        let found = Identification::measure(&templates.view(), &subjects, bootstrap).unwrap();
        found.points[0]
    };
    let points: Vec<IdentificationPoint> = (0..WORLDS).map(world).collect();
    let covered = |of: fn(&IdentificationPoint) -> Estimate| {
        let mean = points.iter().map(|point| of(point).value).sum::<f64>() / f64::from(WORLDS);
        let within = points.iter().filter(|point| (of(point).low..=of(point).high).contains(&mean));
        let share = within.count() as f64 / f64::from(WORLDS);
        println!("expected {mean:.4}: within {:.1} % of the intervals", 100.0 * share);
        share
    };
    assert!(covered(|point| point.threshold) > 0.88);
    assert!(covered(|point| point.fnir) > 0.88);
}
