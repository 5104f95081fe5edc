//! The geometry of the histogram: bars, ticks and the mark of the median, in units of the drawing.

use super::figures::{faces, grouped, percent, percentile};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 310.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 46.0;
const BIN: usize = 5;
const BINS: usize = 20;
/// The least height of a bar: one face among a million is still visible.
const LEAST_BAR: f64 = 2.0;

/// Qualities 0 to 100 in twenty bars. The last bar includes 100.
pub(super) struct Histogram {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub base: f64,
    pub bars: Vec<Bar>,
    pub y_ticks: Vec<Tick>,
    pub x_ticks: Vec<Tick>,
    pub median: u8,
    pub median_x: f64,
    /// The label is next to the mark, on the side with more space.
    pub median_anchor: &'static str,
    pub median_label_x: f64,
    pub top: f64,
    /// The drawing in words.
    pub description: String,
}

/// One bar.
pub(super) struct Bar {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub band: &'static str,
    pub title: String,
}

/// A labelled position on an axis.
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

impl Histogram {
    /// None without a scored face.
    pub(super) fn new(histogram: &[u64]) -> Option<Self> {
        let median = percentile(histogram, 50)?;
        let total: u64 = histogram.iter().sum();
        let counts: Vec<u64> =
            (0..BINS).map(|bin| histogram.iter().skip(bin * BIN).take(span(bin)).sum()).collect();
        let highest = counts.iter().copied().max().unwrap_or(0);
        let step = tick_step(highest);
        let ceiling = highest.div_ceil(step).saturating_mul(step);
        let y = |count: u64| round(TOP + plot_height() * (1.0 - count as f64 / ceiling as f64));
        let base = round(TOP + plot_height());
        let bars = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bin, &count)| {
                let (from, to) = (bin * BIN, bin * BIN + span(bin) - 1);
                let top = y(count).min(base - LEAST_BAR);
                Bar {
                    x: round(x(from as f64) + 1.5),
                    y: round(top),
                    width: round(plot_width() / BINS as f64 - 3.0),
                    height: round(base - top),
                    band: band(from as u8),
                    title: format!(
                        "quality {from} to {to}: {}, {}",
                        faces(count),
                        percent(count, total)
                    ),
                }
            })
            .collect();
        // The middle of the median's unit, so that the mark is inside the bar that counts it.
        let median_x = round(x((f64::from(median) + 0.5).min(100.0)));
        let to_the_left = median > 50;
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            base,
            bars,
            y_ticks: (0..=ceiling / step)
                .map(|i| Tick { at: y(i * step), label: compact(i * step, ceiling) })
                .collect(),
            x_ticks: (0..=10)
                .map(|i| Tick { at: round(x(f64::from(i) * 10.0)), label: (i * 10).to_string() })
                .collect(),
            median,
            median_x,
            median_anchor: if to_the_left { "end" } else { "start" },
            median_label_x: round(median_x + if to_the_left { -6.0 } else { 6.0 }),
            top: TOP,
            description: format!("Histogram of quality over {}, median {median}", faces(total)),
        })
    }
}

/// The class that gives a quality its colour. The limits are those of the headline figures.
pub(super) fn band(quality: u8) -> &'static str {
    match quality {
        0..25 => "low",
        25..50 => "fair",
        _ => "good",
    }
}

fn span(bin: usize) -> usize {
    if bin + 1 == BINS { BIN + 1 } else { BIN }
}

fn plot_width() -> f64 {
    WIDTH - LEFT - RIGHT
}

fn plot_height() -> f64 {
    HEIGHT - TOP - BOTTOM
}

fn x(quality: f64) -> f64 {
    LEFT + plot_width() * quality / 100.0
}

/// Rounds to tenths of a unit, which are finer than a pixel and keep the page small.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The smallest of 1, 2, 5, 10, 20, … with which at most five ticks reach `highest`.
fn tick_step(highest: u64) -> u64 {
    let mut decade = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let step = decade.saturating_mul(factor);
            if highest.div_ceil(step) <= 5 {
                return step;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// A short label. All labels of an axis that ends at `ceiling` have the same unit.
fn compact(number: u64, ceiling: u64) -> String {
    match ceiling {
        _ if number == 0 => "0".to_owned(),
        1_000_000.. => format!("{}M", number as f64 / 1e6),
        10_000.. => format!("{}k", number as f64 / 1e3),
        _ => grouped(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_face_is_in_one_bar() {
        let histogram = Histogram::new(&[1; 101]).unwrap();
        assert_eq!(histogram.bars.len(), 20);
        assert_eq!(histogram.bars[0].title, "quality 0 to 4: 5 faces, 5.0%");
        assert_eq!(histogram.bars[19].title, "quality 95 to 100: 6 faces, 5.9%");
        assert!(
            histogram
                .bars
                .iter()
                .all(|bar| bar.y >= TOP && bar.y + bar.height <= histogram.base + 0.11)
        );
    }

    #[test]
    fn the_bands_have_the_limits_of_the_headline_figures() {
        let histogram = Histogram::new(&[1; 101]).unwrap();
        let bands: Vec<_> = histogram.bars.iter().map(|bar| bar.band).collect();
        assert_eq!(bands[4..=10], ["low", "fair", "fair", "fair", "fair", "fair", "good"]);
    }

    #[test]
    fn a_single_face_among_many_is_visible() {
        let mut counts = vec![0; 101];
        (counts[3], counts[90]) = (1, 1_000_000);
        let histogram = Histogram::new(&counts).unwrap();
        assert!(histogram.bars[0].height >= LEAST_BAR);
        assert_eq!(histogram.median, 90);
        assert_eq!(histogram.y_ticks.last().unwrap().label, "1M");
    }

    #[test]
    fn ticks_are_round_and_few() {
        let steps: Vec<_> =
            [1, 4, 6, 11, 26, 51, 1234, 60_000].into_iter().map(tick_step).collect();
        assert_eq!(steps, [1, 1, 2, 5, 10, 20, 500, 20_000]);
        assert!(u64::MAX.div_ceil(tick_step(u64::MAX)) <= 5);
    }

    #[test]
    fn without_a_face_there_is_no_histogram() {
        assert!(Histogram::new(&[0; 101]).is_none());
    }
}
