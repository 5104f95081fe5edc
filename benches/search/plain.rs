//! Plain exact search: the product of a matrix in 32 bits with the probe.

use std::cmp::Reverse;

use facefleet::domain::Template;
use ndarray::{Array1, Array2, Axis};

use super::{DIMENSION, K, embedding, one_by_one, tell};

/// The `K` greatest of `similarities`, whose keys begin at `first`.
fn best(first: usize, similarities: &Array1<f32>) -> Vec<(Reverse<u32>, u64)> {
    let mut best: Vec<(f32, u64)> = Vec::with_capacity(K + 1);
    for (key, &similarity) in (first as u64..).zip(similarities) {
        if best.len() < K || similarity > best[K - 1].0 {
            let place = best.partition_point(|(other, _)| *other >= similarity);
            best.insert(place, (similarity, key));
            best.truncate(K);
        }
    }
    // Similarities of the best are positive, so their bits are ordered as they are.
    best.into_iter().map(|(similarity, key)| (Reverse(similarity.to_bits()), key)).collect()
}

/// Prints how long it takes; returns the answers.
pub fn search(count: usize, probes: &[Template], threads: usize) -> Vec<Vec<u64>> {
    let mut rows = Array2::<f32>::zeros((count, DIMENSION));
    for (number, mut row) in rows.axis_iter_mut(Axis(0)).enumerate() {
        let template = Template::from_embedding(&embedding(number)).unwrap().0;
        let template = Template::from_halves(&template.to_halves()).unwrap();
        row.assign(&ndarray::aview1(template.as_slice()));
    }
    let share = count.div_ceil(threads);
    let (ms, answers) = one_by_one(probes, |probe| {
        let probe = ndarray::aview1(probe.as_slice());
        let mut found: Vec<_> = std::thread::scope(|scope| {
            let parts: Vec<_> = rows
                .axis_chunks_iter(Axis(0), share)
                .enumerate()
                .map(|(part, rows)| scope.spawn(move || best(part * share, &rows.dot(&probe))))
                .collect();
            parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
        });
        found.sort_unstable();
        found.iter().take(K).map(|(_, key)| *key).collect()
    });
    tell("float32, plain and exact", ms, 1.0);
    answers
}
