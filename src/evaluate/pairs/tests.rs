//! Comparisons worked by hand, and against a plain loop.

use ndarray::{Array2, array};

use super::*;

#[test]
fn a_threshold_worked_by_hand() {
    // Four photos, three people; similarities with photo 2: 0.8 and 0.6; with photo 3: 0.6 and
    // 0.8; 2 with 3: 0.96.
    let templates = array![[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [0.6, 0.8]];
    let subjects = [0, 0, 1, 2];
    let all = Comparisons::all(&templates.view(), &subjects, 1.0, 2).unwrap();
    assert_eq!(all.mated(), [Pair { a: 0, b: 1, similarity: 0.0 }]);
    assert_eq!(all.non_mated_total(), 5);
    let once = Weights::once(&subjects);
    // One of five may match: the threshold is the second highest similarity. Three of five may
    // match: the threshold is 0.6, at which three do.
    assert_eq!(all.threshold(0.2, &once), Some(0.8));
    assert_eq!(all.false_matches(0.8).len(), 1);
    assert_eq!(all.threshold(0.6, &once), Some(0.6));
    assert_eq!(all.false_matches(0.6).len(), 3);
    assert_eq!(all.threshold(0.19, &once), None);
    // Subject 1 drawn twice, subject 2 not at all: four non_mated pairs, of similarities 0.8 and
    // 0.6, twice each.
    let drawn = Weights::new(vec![1.0, 2.0, 0.0], &subjects);
    assert_eq!(all.threshold(0.5, &drawn), Some(0.6));
}

#[test]
fn blocks_and_threads_give_the_result_of_one_loop() {
    let (photos, people) = (1500, 300);
    let random =
        |i: usize, j: usize| ((i * 7919 + j * 104_729 + i * j * 31) % 1013) as f32 / 1013.0 - 0.5;
    let mut templates = Array2::from_shape_fn((photos, 16), |(i, j)| random(i, j));
    for mut row in templates.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    let subjects: Vec<u32> = (0..photos as u32).map(|photo| photo % people).collect();
    let all = Comparisons::all(&templates.view(), &subjects, 1e-2, 3).unwrap();
    let (mut mated, mut non_mated) = (0, Vec::new());
    for a in 0..photos {
        for b in a + 1..photos {
            if subjects[a] == subjects[b] {
                mated += 1;
            } else {
                non_mated.push(templates.row(a).dot(&templates.row(b)));
            }
        }
    }
    non_mated.sort_unstable_by(|a, b| b.total_cmp(a));
    assert_eq!((all.mated().len(), all.non_mated_total()), (mated, non_mated.len() as u64));
    let once = Weights::once(&subjects);
    for fmr in [1e-2, 1e-3, 1e-4] {
        let expected = non_mated[(fmr * non_mated.len() as f64) as usize];
        assert!((all.threshold(fmr, &once).unwrap() - expected).abs() < 1e-5, "{fmr}");
    }
}

#[test]
fn a_threshold_below_all_kept_similarities_is_none() {
    // Photos of 200 people with a similarity of 0, except persons 0 and 1: their 60 photos each
    // are all the same.
    let subjects: Vec<u32> = (0..120).map(|photo| photo / 60).chain(2..200).chain([2]).collect();
    let templates = Array2::from_shape_fn((subjects.len(), 200), |(photo, axis)| {
        f32::from(u8::from(axis as u32 == subjects[photo].max(1)))
    });
    let fmr = 0.1;
    let all = Comparisons::all(&templates.view(), &subjects, fmr, 2).unwrap();
    assert!((all.non_mated.len() as u64) < all.non_mated_total());
    assert_eq!(all.threshold(fmr, &Weights::once(&subjects)), Some(0.0));
    // If the two are drawn fifty times each, nearly all comparisons are theirs, and these match.
    let times = (0..200).map(|person| if person < 2 { 50.0 } else { 1.0 }).collect();
    assert_eq!(all.threshold(fmr, &Weights::new(times, &subjects)), Some(1.0));
    // If they are never drawn, more comparisons of the others are needed than are kept.
    let times = (0..200).map(|person| if person < 2 { 0.0 } else { 3.0 }).collect();
    assert_eq!(all.threshold(fmr, &Weights::new(times, &subjects)), None);
}

#[test]
fn only_listed_pairs_are_compared() {
    let templates = array![[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]];
    let listed =
        Comparisons::listed(&templates.view(), &[(0, 1, true), (1, 2, false), (0, 2, false)])
            .unwrap();
    assert_eq!(listed.mated(), [Pair { a: 0, b: 1, similarity: 0.6 }]);
    assert_eq!(listed.threshold(0.5, &Weights::once(&[0, 0, 2])), Some(0.0));
    assert!(matches!(
        Comparisons::listed(&templates.view(), &[(0, 1, true)]),
        Err(PairError::NoNonMated)
    ));
}
