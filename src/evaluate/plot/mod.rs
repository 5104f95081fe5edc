//! Charts for papers and reports, as SVG and as PNG. Lines differ in dashes and in colours (those
//! of Okabe and Ito, which colour-blind people can distinguish). The font is built in, because a
//! machine may have no fonts.
//!
//! A chart does not depend on what its numbers mean, except that the area around a line is its
//! interval.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use askama::Template;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Tree, fontdb};

const WIDTH: f64 = 780.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 580.0;
const TOP: f64 = 16.0;
const BASE: f64 = 362.0;
const LEGEND_STEP: f64 = 24.0;
/// Name of the area around a line.
const BAND: &str = "its 95 % interval";
const AREA_OPACITY: f64 = 0.15;
/// Pixels of the PNG for each unit of the drawing: sharp in print at the width of a column.
const PNG_SCALE: f32 = 2.0;

/// Latin letters, digits and some signs of `DejaVu` Sans. Its licence is in the same folder.
const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// Colour and dash of the first line, the second and so on.
const STYLES: [(&str, &str); 8] = [
    ("#000000", "none"),
    ("#D55E00", "9 4"),
    ("#0072B2", "2 3"),
    ("#009E73", "11 3 2 3"),
    ("#CC79A7", "5 3"),
    ("#E69F00", "14 4"),
    ("#56B4E9", "8 3 2 3 2 3"),
    ("#777777", "1 4"),
];

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

/// The values of the template.
#[derive(Template)]
#[template(path = "evaluate/plot/chart.svg", escape = "html")]
struct Drawing<'a> {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    base: f64,
    x_label: &'a str,
    y_label: &'a str,
    x_ticks: Vec<AxisTick<'a>>,
    y_ticks: Vec<AxisTick<'a>>,
    areas: Vec<Stroke>,
    area_opacity: f64,
    lines: Vec<Stroke>,
    clouds: Vec<Stroke>,
    legend: Vec<LegendEntry<'a>>,
}

struct AxisTick<'a> {
    at: f64,
    label: &'a str,
}

struct Stroke {
    path: String,
    colour: &'static str,
    dash: &'static str,
    width: f64,
}

struct LegendEntry<'a> {
    at: f64,
    name: &'a str,
    colour: &'static str,
    dash: &'static str,
    width: f64,
    opacity: f64,
    dots: bool,
}

impl<'a> Drawing<'a> {
    /// The axes of `chart`, without its series.
    fn axes(chart: &'a Chart) -> Self {
        let x_tick = |(at, label): &'a (f64, String)| AxisTick { at: chart.x_at(*at), label };
        let y_tick = |(at, label): &'a (f64, String)| AxisTick { at: chart.y_at(*at), label };
        Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: RIGHT,
            top: TOP,
            base: BASE,
            x_label: &chart.x.label,
            y_label: &chart.y.label,
            x_ticks: chart.x.ticks.iter().map(x_tick).collect(),
            y_ticks: chart.y.ticks.iter().map(y_tick).collect(),
            areas: Vec::new(),
            area_opacity: AREA_OPACITY,
            lines: Vec::new(),
            clouds: Vec::new(),
            legend: Vec::new(),
        }
    }

    /// Adds the series `number` of `chart`.
    fn add(&mut self, chart: &Chart, number: usize, series: &'a Series) {
        let (colour, dash) = STYLES[number % STYLES.len()];
        // The first series is the chart's subject: its line is wider.
        let width = if number == 0 { 2.4 } else { 1.8 };
        let stroke = |path| Stroke { path, colour, dash, width };
        let at = |&(x, y): &(f64, f64)| (chart.x_at(x), chart.y_at(y));
        let mut entry = LegendEntry {
            at: 0.0,
            name: &series.name,
            colour,
            dash,
            width,
            opacity: 1.0,
            dots: false,
        };
        match &series.shape {
            Shape::Line(points) => self.lines.push(stroke(line(points.iter().map(at)))),
            Shape::Banded(points) => {
                let above = points.iter().map(|&(x, _, _, high)| at(&(x, high)));
                let below = points.iter().rev().map(|&(x, _, low, _)| at(&(x, low)));
                self.areas.push(stroke(line(above.chain(below)) + "Z"));
                let middle = points.iter().map(|&(x, value, _, _)| at(&(x, value)));
                self.lines.push(stroke(line(middle)));
            }
            Shape::Dots(points) => {
                self.clouds.push(stroke(dots(points.iter().map(at))));
                entry = LegendEntry { dash: "0 9", width: 4.0, dots: true, ..entry };
            }
        }
        self.add_to_legend(entry);
        if matches!(series.shape, Shape::Banded(_)) {
            self.add_to_legend(LegendEntry {
                at: 0.0,
                name: BAND,
                colour,
                dash: "none",
                width: 14.0,
                opacity: AREA_OPACITY,
                dots: false,
            });
        }
    }

    fn add_to_legend(&mut self, mut entry: LegendEntry<'a>) {
        entry.at = TOP + 12.0 + LEGEND_STEP * self.legend.len() as f64;
        self.legend.push(entry);
    }
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
        let mut drawing = Drawing::axes(self);
        for (number, series) in self.series.iter().enumerate() {
            drawing.add(self, number, series);
        }
        // The first line is drawn last, above the others.
        drawing.lines.reverse();
        Ok(drawing.render()?)
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

fn line(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (number, (x, y)) in points.enumerate() {
        // Writing to a string does not fail.
        write!(path, "{}{x} {y}", if number == 0 { "M" } else { "L" }).ok();
    }
    path
}

/// Strokes without length: with round ends, they are dots.
fn dots(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        write!(path, "M{x} {y}h0").ok();
    }
    path
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
