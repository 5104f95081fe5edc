//! Charts for papers and reports, as SVG, PDF and PNG. Lines differ in dashes and in colours (those
//! of Okabe and Ito, which colour-blind people can distinguish). The font of the PNG is built in,
//! because a machine may have no fonts.
//!
//! A chart does not depend on what its numbers mean, except that the area around a line is its
//! interval.

mod drawing;
mod pdf;

use std::sync::{Arc, LazyLock};

use askama::Template;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Tree, fontdb};

use self::drawing::{BASE, Drawing, HEIGHT, LEFT, RIGHT, TOP, WIDTH};

/// Pixels of the PNG for each unit of the drawing: sharp in print at the width of a column.
const PNG_SCALE: f32 = 2.0;

/// Latin letters, digits and some signs of `DejaVu` Sans. Its licence is in the same folder.
const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// Why a chart cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The SVG cannot be rendered.
    #[error("the chart cannot be drawn: {0}")]
    Draw(#[from] askama::Error),
    /// The PNG cannot be made from the SVG.
    #[error("the chart cannot be turned into pixels: {0}")]
    Pixels(String),
}

/// One chart: curves over two axes, with a legend.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The series, in the order of the legend.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Its quantity and unit.
    pub label: String,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Labelled values.
    pub ticks: Vec<(f64, String)>,
    /// Whether it is logarithmic. Both ends must be positive then.
    pub logarithmic: bool,
}

/// One series of points.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points.
    pub shape: Shape,
}

/// How points are drawn.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A line through the points.
    Line(Vec<(f64, f64)>),
    /// A line through the points, and around it the area between low and high: x, value, low, high.
    Banded(Vec<(f64, f64, f64, f64)>),
    /// A dot for each point.
    Dots(Vec<(f64, f64)>),
}

impl Axis {
    /// A linear axis with a tick at each multiple of `step`. Labels show the value times `unit`,
    /// with the number of decimals that `step` needs.
    pub fn linear(label: &str, (low, high): (f64, f64), step: f64, unit: f64) -> Self {
        let decimals = (0..6)
            .find(|&decimals| is_whole(step * unit * 10_f64.powi(decimals)))
            .unwrap_or(6) as usize;
        let (first, last) =
            ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let tick = |i: i64| (i as f64 * step, format!("{:.decimals$}", i as f64 * step * unit));
        Self {
            label: label.to_owned(),
            low,
            high,
            ticks: (first..=last).map(tick).collect(),
            logarithmic: false,
        }
    }

    /// A linear axis that covers `low` to `high`, with about five ticks at round values.
    pub fn around(label: &str, (low, high): (f64, f64), unit: f64) -> Self {
        let step = round_step((high - low).max(f64::MIN_POSITIVE) / 5.0);
        let ends = ((low / step).floor() * step, (high / step).ceil() * step);
        Self::linear(label, ends, step, unit)
    }

    fn position(&self, value: f64, from: f64, to: f64) -> f64 {
        let part = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // Rounded to a hundredth of a unit, which is finer than print.
        ((from + part.clamp(0.0, 1.0) * (to - from)) * 100.0).round() / 100.0
    }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= least * 0.999);
    step.unwrap_or(10.0) * decade
}

impl Chart {
    fn x_at(&self, value: f64) -> f64 {
        self.x.position(value, LEFT, RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        self.y.position(value, BASE, TOP)
    }

    /// The chart as SVG.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn svg(&self) -> Result<String, ChartError> {
        Ok(Drawing::new(self).render()?)
    }

    /// The chart as PDF: lines stay lines, and text stays text, in Helvetica.
    pub fn pdf(&self) -> Vec<u8> {
        pdf::document(&Drawing::new(self))
    }

    /// The chart as PNG.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
            let mut fonts = fontdb::Database::new();
            fonts.load_font_data(FONT.to_vec());
            Arc::new(fonts)
        });
        let pixels = |error: &dyn std::fmt::Display| ChartError::Pixels(error.to_string());
        let options = usvg::Options { fontdb: FONTS.clone(), ..usvg::Options::default() };
        let tree = Tree::from_str(&self.svg()?, &options).map_err(|error| pixels(&error))?;
        let side = |length: f64| (length as f32 * PNG_SCALE) as u32;
        let mut pixmap =
            Pixmap::new(side(WIDTH), side(HEIGHT)).ok_or_else(|| pixels(&"no memory"))?;
        resvg::render(&tree, Transform::from_scale(PNG_SCALE, PNG_SCALE), &mut pixmap.as_mut());
        pixmap.encode_png().map_err(|error| pixels(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(name: &str) -> Chart {
        Chart {
            x: Axis::linear("discarded, %", (0.0, 0.3), 0.05, 100.0),
            y: Axis::around("FNMR", (0.0, 0.0035), 1.0),
            series: vec![Series {
                name: name.to_owned(),
                shape: Shape::Line(vec![(0.0, 0.0035), (0.3, 0.001)]),
            }],
        }
    }

    #[test]
    fn ticks_are_round_and_reach_both_ends() {
        let labels =
            |axis: &Axis| axis.ticks.iter().map(|(_, label)| label.clone()).collect::<Vec<_>>();
        let chart = chart("a");
        assert_eq!(labels(&chart.x), ["0", "5", "10", "15", "20", "25", "30"]);
        assert_eq!(labels(&chart.y), ["0.000", "0.001", "0.002", "0.003", "0.004"]);
        assert_eq!(
            labels(&Axis::around("", (0.84, 0.93), 1.0)),
            ["0.84", "0.86", "0.88", "0.90", "0.92", "0.94"]
        );
    }

    #[test]
    fn a_name_is_text_and_never_markup() {
        let svg = chart("<script>&").svg().unwrap();
        assert!(!svg.contains("<script>"));
        assert!(Tree::from_str(&svg, &usvg::Options::default()).is_ok());
    }

    #[test]
    fn text_is_drawn_without_fonts_of_the_machine() {
        let dark = |name: &str| {
            let picture =
                image::load_from_memory(&chart(name).png().unwrap()).unwrap().into_luma8();
            assert_eq!(picture.dimensions(), (1560, 840));
            // Only the text of the legend, right of its line.
            let left = ((RIGHT + 58.0) * f64::from(PNG_SCALE)) as u32;
            picture.enumerate_pixels().filter(|(x, _, pixel)| *x > left && pixel.0[0] < 100).count()
        };
        assert_eq!(dark(""), 0);
        assert!(dark("closed form") > 200);
    }
}
