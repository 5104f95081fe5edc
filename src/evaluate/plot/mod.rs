//! Charts for papers and reports, as SVG and as PNG: light, told apart by dashes as well as by
//! colours (Okabe and Ito's, which colour-blind people can tell apart), and drawn with a font of
//! their own, so that a machine without fonts draws them too.
//!
//! Knows nothing of what the numbers mean, but that an area around a line is its interval.

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
/// What the area around a line is called.
const BAND: &str = "its 95 % interval";
const AREA_OPACITY: f64 = 0.15;
/// Pixels of the PNG for a unit of the drawing: sharp in print at a column's width.
const PNG_SCALE: f32 = 2.0;

/// Latin letters, digits and some signs of `DejaVu` Sans; its licence lies beside it.
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

/// A chart that cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The drawing itself.
    #[error("the chart cannot be drawn: {0}")]
    Draw(#[from] askama::Error),
    /// Its pixels.
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
    /// What is drawn, in the order of the legend.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Labelled places.
    pub ticks: Vec<(f64, String)>,
    /// Equal steps are equal ratios; both ends are positive then.
    pub logarithmic: bool,
}

/// One thing drawn.
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
    /// A line through them.
    Line(Vec<(f64, f64)>),
    /// A line through them, and around it the area between two others: x, value, low, high.
    Banded(Vec<(f64, f64, f64, f64)>),
    /// Dots.
    Dots(Vec<(f64, f64)>),
}

impl Axis {
    /// A linear axis with a tick at each multiple of `step`, its label in the number of decimals
    /// that `step` needs, times `unit`.
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

    /// A linear axis over some values, with five ticks or so at round places and a little room
    /// above.
    pub fn around(label: &str, (low, high): (f64, f64), unit: f64) -> Self {
        let step = round_step((high - low).max(f64::MIN_POSITIVE) / 5.0);
        let ends = ((low / step).floor() * step, (high / step).ceil() * step);
        Self::linear(label, ends, step, unit)
    }

    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let part = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // A hundredth of a unit is finer than any print.
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

/// The drawing.
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
    x_ticks: Vec<Tick<'a>>,
    y_ticks: Vec<Tick<'a>>,
    areas: Vec<Stroke>,
    area_opacity: f64,
    lines: Vec<Stroke>,
    clouds: Vec<Stroke>,
    legend: Vec<Entry<'a>>,
}

struct Tick<'a> {
    at: f64,
    label: &'a str,
}

struct Stroke {
    path: String,
    colour: &'static str,
    dash: &'static str,
    width: f64,
}

struct Entry<'a> {
    at: f64,
    name: &'a str,
    colour: &'static str,
    dash: &'static str,
    width: f64,
    opacity: f64,
    dots: bool,
}

impl Chart {
    /// The chart as SVG.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn svg(&self) -> Result<String, ChartError> {
        let x = |value: f64| self.x.place(value, LEFT, RIGHT);
        let y = |value: f64| self.y.place(value, BASE, TOP);
        let (mut areas, mut lines, mut clouds, mut legend) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let place = |entry: usize| TOP + 12.0 + LEGEND_STEP * entry as f64;
        for (number, series) in self.series.iter().enumerate() {
            let (colour, dash) = STYLES[number % STYLES.len()];
            // The first line is what the chart is about.
            let width = if number == 0 { 2.4 } else { 1.8 };
            let stroke = |path| Stroke { path, colour, dash, width };
            match &series.shape {
                Shape::Line(points) => {
                    lines.push(stroke(line(points.iter().map(|&(at, value)| (x(at), y(value))))))
                }
                Shape::Banded(points) => {
                    let above = points.iter().map(|&(at, _, _, high)| (x(at), y(high)));
                    let below = points.iter().rev().map(|&(at, _, low, _)| (x(at), y(low)));
                    areas.push(stroke(line(above.chain(below)) + "Z"));
                    lines.push(stroke(line(
                        points.iter().map(|&(at, value, _, _)| (x(at), y(value))),
                    )));
                }
                Shape::Dots(points) => {
                    clouds.push(stroke(dots(points.iter().map(|&(at, value)| (x(at), y(value))))))
                }
            }
            let is_dots = matches!(series.shape, Shape::Dots(_));
            legend.push(Entry {
                at: place(legend.len()),
                name: &series.name,
                colour,
                dash: if is_dots { "0 9" } else { dash },
                width: if is_dots { 4.0 } else { width },
                opacity: 1.0,
                dots: is_dots,
            });
            if matches!(series.shape, Shape::Banded(_)) {
                let at = place(legend.len());
                legend.push(Entry {
                    at,
                    name: BAND,
                    colour,
                    dash: "none",
                    width: 14.0,
                    opacity: AREA_OPACITY,
                    dots: false,
                });
            }
        }
        // The first line lies above the others.
        lines.reverse();
        let x_ticks = self.x.ticks.iter().map(|(at, label)| Tick { at: x(*at), label }).collect();
        let y_ticks = self.y.ticks.iter().map(|(at, label)| Tick { at: y(*at), label }).collect();
        let drawing = Drawing {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: RIGHT,
            top: TOP,
            base: BASE,
            x_label: &self.x.label,
            y_label: &self.y.label,
            x_ticks,
            y_ticks,
            areas,
            area_opacity: AREA_OPACITY,
            lines,
            clouds,
            legend,
        };
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
    for (place, (x, y)) in points.enumerate() {
        // Writing to a string does not fail.
        write!(path, "{}{x} {y}", if place == 0 { "M" } else { "L" }).ok();
    }
    path
}

/// Strokes of no length: with round ends, dots.
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
    fn a_name_from_outside_is_text_and_no_markup() {
        let svg = chart("<script>&").svg().unwrap();
        assert!(!svg.contains("<script>"));
        assert!(Tree::from_str(&svg, &usvg::Options::default()).is_ok());
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        let dark = |name: &str| {
            let picture =
                image::load_from_memory(&chart(name).png().unwrap()).unwrap().into_luma8();
            assert_eq!(picture.dimensions(), (1560, 840));
            // Right of the legend's line.
            let left = ((RIGHT + 58.0) * f64::from(PNG_SCALE)) as u32;
            picture.enumerate_pixels().filter(|(x, _, pixel)| *x > left && pixel.0[0] < 100).count()
        };
        assert_eq!(dark(""), 0);
        assert!(dark("closed form") > 200);
    }
}
