//! Fits on made photos, of which it is known what makes them fail.

use ndarray::Array2;

use super::*;
use crate::domain::Component;

const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 60, seed: 5, threads: 2 };

/// A random number of 0 to 1 for each pair of numbers.
fn random(a: usize, b: usize) -> f64 {
    let mut bytes = [0; 4];
    let seed = [a.to_le_bytes(), b.to_le_bytes()].concat();
    blake3::Hasher::new().update(&seed).finalize_xof().fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// 150 people with four photos each. Two causes, each of 0 to 1, make a photo unlike the others of
/// its person, the more so, the larger their sum.
struct Photos {
    subjects: Vec<u32>,
    templates: Array2<f32>,
    causes: Vec<[f64; 2]>,
}

const PEOPLE: usize = 150;
const COUNT: usize = 4 * PEOPLE;

fn photos() -> Photos {
    let causes: Vec<[f64; 2]> =
        (0..COUNT).map(|photo| [1, 2].map(|cause| random(photo, cause))).collect();
    let mut templates = Array2::from_shape_fn((COUNT, 24), |(photo, j)| {
        let (person, own) = (random(photo / 4, 100 + j) - 0.5, random(photo, 200 + j) - 0.5);
        let [a, b] = causes[photo];
        (person + (0.1 + 5.0 * ((a + b) / 2.0).powi(6)) * own) as f32
    });
    for mut row in templates.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    Photos { subjects: (0..COUNT).map(|photo| (photo / 4) as u32).collect(), templates, causes }
}

fn column(input: FusedInput, value: impl Fn(usize) -> f64) -> InputColumn {
    InputColumn { input, values: (0..COUNT).map(|photo| Some(value(photo))).collect() }
}

fn measure(name: &str, of: &InputColumn) -> Measure {
    Measure { name: name.into(), values: of.values.clone() }
}

fn fuse(photos: &Photos, inputs: &[InputColumn]) -> Result<FusedResult, FuseError> {
    let Photos { subjects, templates, .. } = photos;
    let comparisons = Comparisons::all(&templates.view(), subjects, 1e-2, 2).unwrap();
    let scores = measure("closed form", &inputs[0]);
    let measures = [scores.clone(), measure(NORM, &inputs[1])];
    let (scores, measures) = (&scores, &measures);
    let set = FuseSet { comparisons: &comparisons, subjects, inputs, scores, measures, data: "d" };
    set.fuse(1e-2, BOOTSTRAP)
}

#[test]
fn inputs_that_each_know_a_part_help_together() {
    let photos = photos();
    // Score and norm know one cause each. A component knows nothing, one is the same for all, and
    // one is unknown for most.
    let roll = FusedInput::Component(Component::Roll);
    let mut rare = column(FusedInput::Component(Component::Yaw), |photo| photos.causes[photo][0]);
    rare.values[..COUNT - 100].fill(None);
    let mut inputs = [
        column(FusedInput::Score, |photo| 1.0 - photos.causes[photo][0]),
        column(FusedInput::Norm, |photo| 20.0 - 5.0 * photos.causes[photo][1]),
        column(roll, |photo| random(photo, 4)),
        column(FusedInput::DetectorScore, |_| 0.9),
        rare,
    ];
    inputs[2].values[7] = None;
    let found = fuse(&photos, &inputs).unwrap();
    let names: Vec<FusedInput> = found.fused.inputs.iter().map(|term| term.name).collect();
    assert_eq!(names, [FusedInput::Score, FusedInput::Norm, roll]);
    assert_eq!(found.left_out.len(), 2, "{:?}", found.left_out);
    assert_eq!(found.imputed, [(roll, 1)]);
    let [score, norm, nothing] = [0, 1, 2].map(|term| found.fused.inputs[term].coefficient);
    assert!(score > 0.02 && norm > 0.02 && nothing.abs() < 0.2 * score, "{:?}", found.fused);
    let fit = &found.fit;
    assert_eq!((fit.photos, fit.subjects, fit.folds), (COUNT, PEOPLE, FOLDS));
    let names: Vec<&str> = fit.pauc.iter().map(|area| area.measure.as_str()).collect();
    assert_eq!(names, [FUSED, "closed form", NORM]);
    for area in &fit.pauc[1..] {
        assert!(area.interval.unwrap()[1] < 0.0 && area.fused_less_this < 0.0, "{area:?}");
        assert!((fit.pauc[0].value - area.value - area.fused_less_this).abs() < 1e-12);
    }
    assert!(found.predicted.values.iter().all(Option::is_some));
    assert_eq!(fuse(&photos, &inputs).unwrap(), found, "a fit repeats");
}

#[test]
fn no_prediction_comes_from_a_fit_that_saw_the_person() {
    // Alone, an input that is the same for all photos of a person, and different for each person,
    // says nothing of other people. A fit that saw the person would learn it.
    let photos = photos();
    let Photos { subjects, templates, .. } = &photos;
    let comparisons = Comparisons::all(&templates.view(), subjects, 1e-2, 2).unwrap();
    let input = column(FusedInput::Norm, |photo| random(photo / 4, 9));
    let (inputs, scores) = ([input.clone()], measure("closed form", &input));
    let set = |comparisons| FuseSet {
        comparisons,
        subjects,
        inputs: &inputs,
        scores: &scores,
        measures: &[],
        data: "d",
    };
    let predict = |comparisons| set(comparisons).cross_validated(1e-2, 1).unwrap().0;
    let before = predict(&comparisons);
    // Other templates for one person change her targets, and so the predictions of others, but not
    // her own.
    let mut changed = templates.clone();
    for photo in 0..4 {
        let turned = changed.row(photo).to_owned() * if photo % 2 == 0 { 1.0 } else { -1.0 };
        changed.row_mut(photo).assign(&turned);
    }
    let comparisons = Comparisons::all(&changed.view(), subjects, 1e-2, 2).unwrap();
    let after = predict(&comparisons);
    assert_eq!(before[..4], after[..4]);
    let same = (4..COUNT).filter(|&photo| before[photo] == after[photo]).count();
    assert_eq!(same, 4 * (PEOPLE / FOLDS - 1), "only others of the same fold stay");
}

#[test]
fn what_does_not_help_is_refused() {
    let photos = photos();
    let noise = |salt: usize| move |photo: usize| random(photo, salt);
    // Nothing but noise.
    let inputs = [column(FusedInput::Score, noise(7)), column(FusedInput::Norm, noise(8))];
    let error = fuse(&photos, &inputs).unwrap_err();
    assert!(matches!(error, FuseError::NoGain { .. }), "{error}");
    assert!(error.to_string().contains("no file was written"), "{error}");
    // One measure is all that there is to know.
    let sum = |photo: usize| -photos.causes[photo].iter().sum::<f64>();
    let inputs = [column(FusedInput::Score, sum), column(FusedInput::Norm, noise(8))];
    let error = fuse(&photos, &inputs).unwrap_err();
    assert!(error.to_string().contains("closed form"), "{error}");
}

#[test]
fn too_few_people_and_no_intervals_are_refused() {
    let all = photos();
    let Photos { subjects, templates, .. } = &all;
    let few = 4 * (LEAST_PEOPLE - 1);
    let part = templates.select(ndarray::Axis(0), &(0..few).collect::<Vec<_>>());
    let comparisons = Comparisons::all(&part.view(), &subjects[..few], 1e-2, 1).unwrap();
    let mut input = column(FusedInput::Score, |photo| all.causes[photo][0]);
    input.values.truncate(few);
    let scores = measure("closed form", &input);
    let inputs = [input];
    let set = FuseSet {
        comparisons: &comparisons,
        subjects: &subjects[..few],
        inputs: &inputs,
        scores: &scores,
        measures: std::slice::from_ref(&scores),
        data: "d",
    };
    let error = set.fuse(1e-2, BOOTSTRAP).unwrap_err();
    assert!(error.to_string().starts_with("39 people"), "{error}");
    let error = set.fuse(1e-2, Bootstrap { replicates: 0, ..BOOTSTRAP }).unwrap_err();
    assert!(matches!(error, FuseError::NoIntervals), "{error}");
}
