//! Searches counted by hand, and against plain loops over the same galleries.

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

    let galleries = Enrollable::new(&subjects).unwrap().galleries(100, BOOTSTRAP.seed);
    let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
    let cosine = |a: usize, b: usize| -> f64 {
        (0..6).map(|j| f64::from(templates[[a, j]]) * f64::from(templates[[b, j]])).sum()
    };
    for gallery in &galleries {
        let references = gallery.photos();
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
    // Every photo is non-mated in one of the galleries.
    assert_eq!(found.non_mated_photos, 370);

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
    let galleries = |seed| Enrollable::new(&subjects).unwrap().galleries(3, seed);
    assert_eq!(galleries(1), galleries(1));
    assert_ne!(galleries(1), galleries(2));
    assert_ne!(galleries(1)[0].photos(), galleries(1)[1].photos());
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
    let searches = |similarities: &[f32]| -> Vec<Search> {
        let search = |(probe, &similarity)| Search { probe, gallery: probe % 2, similarity };
        (0..).zip(similarities).map(search).collect()
    };
    // Ten strangers, of which two look like somebody, and four who are in the gallery.
    let non_mated = searches(&[0.9, 0.6, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.0, 0.0]);
    let mated = searches(&[0.95, 0.7, 0.6, 0.2]);
    let weights = |people: Vec<f64>, galleries: [f64; 2]| SearchWeights {
        people: Weights::new(people, &(0..10).collect::<Vec<_>>()),
        galleries: galleries.to_vec(),
    };
    let once = weights(vec![1.0; 10], [1.0; 2]);
    let near = |(threshold, fnir): (f64, f64), (a, b): (f64, f64)| {
        assert!((threshold - a).abs() < 1e-6 && (fnir - b).abs() < 1e-12, "{threshold} {fnir}");
    };
    // None may return a candidate, one may, two may: at its threshold a similarity is no candidate.
    near(rates(&mated, &non_mated, 0.05, &once), (0.9, 0.75));
    near(rates(&mated, &non_mated, 0.1, &once), (0.6, 0.5));
    near(rates(&mated, &non_mated, 0.2, &once), (0.3, 0.25));
    // Without the first two people, and with the third three times: one of 10 may.
    let mut times = vec![1.0; 10];
    (times[0], times[1], times[2]) = (0.0, 0.0, 3.0);
    near(rates(&mated, &non_mated, 0.1, &weights(times, [1.0; 2])), (0.3, 0.25));
    // The second gallery alone, drawn twice: of its strangers' 0.6, 0.3, 0.2, 0.1 and 0, one may.
    near(rates(&mated, &non_mated, 0.2, &weights(vec![1.0; 10], [0.0, 2.0])), (0.3, 0.5));
    assert!(rates(&mated, &non_mated, 0.1, &weights(vec![0.0; 10], [1.0; 2])).1.is_nan());
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
