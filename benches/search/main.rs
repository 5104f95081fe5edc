//! Searches: `cargo bench --bench search -- [TEMPLATES]`, of made templates of 128 components, four
//! of each subject. Prints the search of facefleet, plain exact search in 32 bits, and, in the
//! database of `FACEFLEET__STORE__URL` if it is set, pgvector's HNSW, in a new schema that is
//! dropped at the end; and the time of the command `facefleet search` with a `SQLite` store.
//!
//! A probe is one more image of a subject. Recall is the share of the 10 most similar templates
//! that is found; an exact search has 1.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../made/mod.rs"]
mod made;
mod plain;
mod stores;

use std::time::Instant;

use facefleet::domain::Template;
use facefleet::matching::TemplateIndex;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const DIMENSION: usize = 128;
const SUBJECT_IMAGES: usize = 4;
/// Candidates of a search.
const K: usize = 10;
const PROBES: usize = 300;
const TOGETHER: usize = 32;

fn direction(seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The sum of a few uniform numbers is close enough to Gaussian.
    let mut number = || (0..4).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).sum();
    (0..DIMENSION).map(|_| number()).collect()
}

/// The embedding of one image of a subject: two images of one have a similarity of about 0.6.
fn embedding(number: usize) -> Vec<f32> {
    let subject = direction((number / SUBJECT_IMAGES) as u64);
    let image = direction(1 << 40 | number as u64);
    subject.iter().zip(&image).map(|(subject, image)| 0.775 * subject + 0.632 * image).collect()
}

/// Embeddings of further images of subjects.
fn probes(templates: usize, count: usize) -> Vec<Template> {
    let probe = |number: usize| {
        let subject = direction((number * templates / count / SUBJECT_IMAGES) as u64);
        let image = direction(1 << 41 | number as u64);
        let values: Vec<f32> =
            subject.iter().zip(&image).map(|(a, b)| 0.775 * a + 0.632 * b).collect();
        Template::from_embedding(&values).unwrap().0
    };
    (0..count).map(probe).collect()
}

/// Bytes of memory that this process holds.
fn held() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The value that this share of `times` does not exceed.
fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// The share of the keys in `exact` that are in `found`.
fn recall(found: &[Vec<u64>], exact: &[Vec<u64>]) -> f64 {
    let hits: usize = found
        .iter()
        .zip(exact)
        .map(|(found, exact)| exact.iter().filter(|key| found.contains(key)).count())
        .sum();
    hits as f64 / exact.iter().map(Vec::len).sum::<usize>() as f64
}

/// Prints a line of the table.
fn tell(what: &str, mut ms: Vec<f64>, recall: f64) {
    let (median, p95) = (quantile(&mut ms, 0.5), quantile(&mut ms, 0.95));
    println!("{what:34} {median:9.2} {p95:9.2} {recall:10.4}");
}

/// Searches one probe after the other; the times in milliseconds and the keys that were found.
fn one_by_one(
    probes: &[Template],
    mut search: impl FnMut(&Template) -> Vec<u64>,
) -> (Vec<f64>, Vec<Vec<u64>>) {
    // The first ones are not counted.
    probes.iter().take(5).for_each(|probe| drop(search(probe)));
    probes
        .iter()
        .map(|probe| {
            let start = Instant::now();
            let found = search(probe);
            (start.elapsed().as_secs_f64() * 1e3, found)
        })
        .unzip()
}

fn index(count: usize) -> TemplateIndex<u64> {
    let mut index = TemplateIndex::new(DIMENSION, count);
    for number in 0..count {
        let template = Template::from_embedding(&embedding(number)).unwrap().0;
        index.extend(&[number as u64], &template.to_halves()).unwrap();
    }
    index
}

/// facefleet's search from memory. Returns the exact answers.
fn facefleet(index: &TemplateIndex<u64>, probes: &[Template], threads: usize) -> Vec<Vec<u64>> {
    let keys = |found: Vec<facefleet::matching::Neighbour<u64>>| -> Vec<u64> {
        found.iter().map(|neighbour| neighbour.key).collect()
    };
    let (ms, answers) = one_by_one(probes, |probe| {
        let found = index.nearest(std::slice::from_ref(probe), K, -2.0, threads).unwrap();
        found.into_iter().flat_map(keys).collect()
    });
    let exact = plain::search(index.len(), probes, threads);
    tell("facefleet, one probe", ms, recall(&answers, &exact));
    let (ms, together): (Vec<f64>, Vec<_>) = probes
        .chunks_exact(TOGETHER)
        .map(|probes| {
            let start = Instant::now();
            let found = index.nearest(probes, K, -2.0, threads).unwrap();
            (start.elapsed().as_secs_f64() * 1e3 / TOGETHER as f64, found)
        })
        .unzip();
    let together: Vec<Vec<u64>> = together.into_iter().flatten().map(keys).collect();
    let found = recall(&together, &exact[..together.len()]);
    tell(&format!("facefleet, {TOGETHER} together, each"), ms, found);
    exact
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next_back()
        .unwrap_or(1_000_000);
    let threads = std::thread::available_parallelism().unwrap().get();
    let probes = probes(count, PROBES);
    let before = held();
    let index = index(count);
    let memory = (held() - before) as f64 / (count * DIMENSION * 2) as f64;
    println!("{count} templates of {DIMENSION} components, {threads} threads, k = {K}");
    println!("memory: {memory:.2} of the 16-bit templates");
    println!("{:34} {:>9} {:>9} {:>10}", "", "median ms", "p95 ms", "recall@10");
    let exact = facefleet(&index, &probes, threads);
    drop(index);
    stores::command(count).await;
    if let Ok(url) = std::env::var("FACEFLEET__STORE__URL") {
        stores::hnsw(&url, count, &probes, &exact).await;
    }
}
