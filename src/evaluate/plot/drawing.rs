//! The parts of a chart, placed: what the SVG and the PDF draw.

use std::fmt::Write;

use askama::Template;

use super::{Chart, Series, Shape};

pub(super) const WIDTH: f64 = 780.0;
pub(super) const HEIGHT: f64 = 420.0;
pub(super) const LEFT: f64 = 78.0;
pub(super) const RIGHT: f64 = 580.0;
pub(super) const TOP: f64 = 16.0;
pub(super) const BASE: f64 = 362.0;
const LEGEND_STEP: f64 = 24.0;
/// Name of the area around a line.
const BAND: &str = "its 95 % interval";
pub(super) const AREA_OPACITY: f64 = 0.15;
pub(super) const DOT_OPACITY: f64 = 0.35;
pub(super) const DOT_WIDTH: f64 = 3.0;

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

/// The values of the template.
#[derive(Template)]
#[template(path = "evaluate/plot/chart.svg", escape = "html")]
pub(super) struct Drawing<'a> {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) base: f64,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) x_ticks: Vec<AxisTick<'a>>,
    pub(super) y_ticks: Vec<AxisTick<'a>>,
    pub(super) areas: Vec<Stroke>,
    pub(super) area_opacity: f64,
    pub(super) lines: Vec<Stroke>,
    pub(super) clouds: Vec<Stroke>,
    pub(super) dot_opacity: f64,
    pub(super) dot_width: f64,
    pub(super) legend: Vec<LegendEntry<'a>>,
}

pub(super) struct AxisTick<'a> {
    pub(super) at: f64,
    pub(super) label: &'a str,
}

/// Points with the colour and width of their line.
pub(super) struct Stroke {
    pub(super) outline: Outline,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) colour: &'static str,
    pub(super) dash: &'static str,
    pub(super) width: f64,
}

pub(super) struct LegendEntry<'a> {
    pub(super) at: f64,
    pub(super) name: &'a str,
    pub(super) colour: &'static str,
    pub(super) dash: &'static str,
    pub(super) width: f64,
    pub(super) opacity: f64,
    pub(super) dots: bool,
}

/// What the points of a stroke are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outline {
    /// A line through them.
    Line,
    /// The area inside the line.
    Area,
    /// A dot each.
    Dots,
}

impl Stroke {
    /// The path in SVG.
    fn path(&self) -> String {
        let mut path = String::new();
        for (number, (x, y)) in self.points.iter().enumerate() {
            // Writing to a string does not fail.
            match self.outline {
                // Strokes without length: with round ends, they are dots.
                Outline::Dots => write!(path, "M{x} {y}h0").ok(),
                _ => write!(path, "{}{x} {y}", if number == 0 { "M" } else { "L" }).ok(),
            };
        }
        if self.outline == Outline::Area {
            path.push('Z');
        }
        path
    }
}

impl<'a> Drawing<'a> {
    /// The whole of `chart`.
    pub(super) fn new(chart: &'a Chart) -> Self {
        let mut drawing = Self::axes(chart);
        for (number, series) in chart.series.iter().enumerate() {
            drawing.add(chart, number, series);
        }
        // The first line is drawn last, above the others.
        drawing.lines.reverse();
        drawing
    }

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
            dot_opacity: DOT_OPACITY,
            dot_width: DOT_WIDTH,
            legend: Vec::new(),
        }
    }

    /// Adds the series `number` of `chart`.
    fn add(&mut self, chart: &Chart, number: usize, series: &'a Series) {
        let (colour, dash) = STYLES[number % STYLES.len()];
        // The first series is the chart's subject: its line is wider.
        let width = if number == 0 { 2.4 } else { 1.8 };
        let stroke = |outline, points| Stroke { outline, points, colour, dash, width };
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
            Shape::Line(points) => {
                self.lines.push(stroke(Outline::Line, points.iter().map(at).collect()));
            }
            Shape::Banded(points) => {
                let above = points.iter().map(|&(x, _, _, high)| at(&(x, high)));
                let below = points.iter().rev().map(|&(x, _, low, _)| at(&(x, low)));
                self.areas.push(stroke(Outline::Area, above.chain(below).collect()));
                let middle = points.iter().map(|&(x, value, _, _)| at(&(x, value)));
                self.lines.push(stroke(Outline::Line, middle.collect()));
            }
            Shape::Dots(points) => {
                self.clouds.push(stroke(Outline::Dots, points.iter().map(at).collect()));
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
