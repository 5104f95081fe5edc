//! A chart as PDF 1.4, for papers: one page of lines, areas, dots and text. No stream is
//! compressed, and nothing depends on the time or the machine.
//!
//! Text is in Helvetica, one of the fonts that every viewer has. Letters outside of Windows-1252
//! are written as question marks.

use std::fmt::Write;

use encoding_rs::WINDOWS_1252;

use super::drawing::{
    AREA_OPACITY, DOT_OPACITY, DOT_WIDTH, Drawing, HEIGHT, LegendEntry, Outline, Stroke, WIDTH,
};

/// Points of paper for each unit of the drawing: the size at which browsers print the SVG.
const SCALE: f64 = 0.75;
const FONT_SIZE: f64 = 13.0;
/// Helvetica's baseline below the middle of its digits.
const BASELINE: f64 = 4.5;
const OPACITIES: [f64; 3] = [1.0, AREA_OPACITY, DOT_OPACITY];
/// Widths of Helvetica's characters from the space to the tilde, in thousandths of the font size.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
/// The width of most other letters.
const WIDTH_OF_OTHERS: u16 = 556;

/// The file of a drawing.
pub(super) fn document(drawing: &Drawing<'_>) -> Vec<u8> {
    let content = content(drawing);
    let states: String = OPACITIES
        .iter()
        .map(|opacity| format!("/{} << /ca {opacity} /CA {opacity} >> ", state(*opacity)))
        .collect();
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {} {}] /Contents 4 0 R /Resources << \
             /Font << /F 5 0 R >> /ExtGState << {states}>> >> >>",
            WIDTH * SCALE,
            HEIGHT * SCALE
        ),
        format!("<< /Length {} >>\nstream\n{content}endstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_owned(),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut table = String::new();
    for (number, object) in (1..).zip(&objects) {
        append(&mut table, format_args!("{:010} 00000 n \n", file.len()));
        append(&mut file, format_args!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let (start, size) = (file.len(), objects.len() + 1);
    append(
        &mut file,
        format_args!(
            "xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R \
             >>\nstartxref\n{start}\n%%EOF\n"
        ),
    );
    file.into_bytes()
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    text.write_fmt(more).ok();
}

/// The name of the graphics state with an opacity.
fn state(opacity: f64) -> String {
    format!("G{:.0}", 100.0 * opacity)
}

/// The operators that draw the page. The first one makes coordinates those of the drawing, from the
/// top down.
fn content(drawing: &Drawing<'_>) -> String {
    let Drawing { left, right, top, base, .. } = *drawing;
    let mut page = Operators(format!("{SCALE} 0 0 -{SCALE} 0 {} cm\n", HEIGHT * SCALE));
    page.pen("#dddddd", 1.0, "none", 1.0, false);
    for tick in &drawing.y_ticks {
        page.line(&[(left, tick.at), (right, tick.at)]);
    }
    for tick in &drawing.x_ticks {
        page.line(&[(tick.at, top), (tick.at, base)]);
    }
    page.fill("#222222", 1.0);
    for tick in &drawing.y_ticks {
        page.text(tick.label, (left - 8.0, tick.at + BASELINE), TextPlace::EndsAt);
    }
    for tick in &drawing.x_ticks {
        page.text(tick.label, (tick.at, base + 20.0), TextPlace::Centred);
    }
    page.text(drawing.x_label, ((left + right) / 2.0, base + 44.0), TextPlace::Centred);
    page.text(drawing.y_label, (18.0, (top + base) / 2.0), TextPlace::Upwards);
    for stroke in drawing.areas.iter().chain(&drawing.lines).chain(&drawing.clouds) {
        page.stroke(stroke);
    }
    page.pen("#444444", 1.2, "none", 1.0, false);
    page.line(&[(left, top), (left, base), (right, base)]);
    for entry in &drawing.legend {
        page.legend(entry, right);
    }
    page.0
}

/// Where a text is, relative to its point.
#[derive(Clone, Copy, PartialEq)]
enum TextPlace {
    StartsAt,
    EndsAt,
    Centred,
    /// Centred, and read from below.
    Upwards,
}

/// The operators of the page so far.
struct Operators(String);

impl Operators {
    fn add(&mut self, operators: std::fmt::Arguments<'_>) {
        append(&mut self.0, operators);
        self.0.push('\n');
    }

    /// Sets colour, width, dash, opacity and ends of lines.
    fn pen(&mut self, colour: &str, width: f64, dash: &str, opacity: f64, round: bool) {
        let dash = if dash == "none" { "" } else { dash };
        let (colour, state, cap) = (rgb(colour), state(opacity), u8::from(round));
        self.add(format_args!("{colour} RG {width} w [{dash}] 0 d /{state} gs {cap} J 1 j"));
    }

    /// Sets colour and opacity of areas and texts.
    fn fill(&mut self, colour: &str, opacity: f64) {
        self.add(format_args!("{} rg /{} gs", rgb(colour), state(opacity)));
    }

    fn path(&mut self, points: &[(f64, f64)], paint: &str) {
        for (number, (x, y)) in points.iter().enumerate() {
            self.add(format_args!("{x} {y} {}", if number == 0 { "m" } else { "l" }));
        }
        self.add(format_args!("{paint}"));
    }

    fn line(&mut self, points: &[(f64, f64)]) {
        self.path(points, "S");
    }

    fn stroke(&mut self, stroke: &Stroke) {
        let Stroke { outline, points, colour, dash, width } = stroke;
        if points.is_empty() {
            return;
        }
        match outline {
            Outline::Line => {
                self.pen(colour, *width, dash, 1.0, false);
                self.line(points);
            }
            Outline::Area => {
                self.fill(colour, AREA_OPACITY);
                self.path(points, "f");
                self.fill("#222222", 1.0);
            }
            // Lines without length have round ends, which are dots.
            Outline::Dots => {
                self.pen(colour, DOT_WIDTH, "none", DOT_OPACITY, true);
                for &point in points {
                    self.line(&[point, point]);
                }
            }
        }
    }

    fn legend(&mut self, entry: &LegendEntry<'_>, right: f64) {
        let from = right + 18.0;
        self.pen(entry.colour, entry.width, entry.dash, entry.opacity, entry.dots);
        self.line(&[(from, entry.at), (from + 34.0, entry.at)]);
        self.fill("#222222", 1.0);
        self.text(entry.name, (right + 60.0, entry.at + BASELINE), TextPlace::StartsAt);
    }

    fn text(&mut self, text: &str, (x, y): (f64, f64), place: TextPlace) {
        let letters = letters(text);
        let width = width(&letters);
        // The matrix turns letters upright: the page has its y axis downwards.
        let (matrix, x, y) = match place {
            TextPlace::StartsAt => ("1 0 0 -1", x, y),
            TextPlace::EndsAt => ("1 0 0 -1", x - width, y),
            TextPlace::Centred => ("1 0 0 -1", x - width / 2.0, y),
            TextPlace::Upwards => ("0 -1 -1 0", x, y + width / 2.0),
        };
        let string = literal(&letters);
        self.add(format_args!("BT /F {FONT_SIZE} Tf {matrix} {x:.2} {y:.2} Tm {string} Tj ET"));
    }
}

/// The shares of red, green and blue of `#rrggbb`.
fn rgb(colour: &str) -> String {
    let share = |from: usize| {
        let digits = colour.get(from..from + 2).unwrap_or("00");
        f64::from(u8::from_str_radix(digits, 16).unwrap_or(0)) / 255.0
    };
    format!("{:.3} {:.3} {:.3}", share(1), share(3), share(5))
}

/// The text in Windows-1252.
fn letters(text: &str) -> Vec<u8> {
    let letter = |c: char| {
        let mut buffer = [0; 4];
        let (bytes, _, unmappable) = WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
        match bytes[..] {
            [byte] if !unmappable && byte >= b' ' => byte,
            _ => b'?',
        }
    };
    text.chars().map(letter).collect()
}

/// The width of a text in units of the drawing.
fn width(letters: &[u8]) -> f64 {
    let of = |&letter: &u8| {
        let known = usize::from(letter).checked_sub(usize::from(b' '));
        f64::from(*known.and_then(|index| WIDTHS.get(index)).unwrap_or(&WIDTH_OF_OTHERS))
    };
    letters.iter().map(of).sum::<f64>() * FONT_SIZE / 1000.0
}

/// The text as a string of PDF, in ASCII.
fn literal(letters: &[u8]) -> String {
    let mut string = "(".to_owned();
    for &letter in letters {
        match letter {
            b'(' | b')' | b'\\' => string.extend(['\\', char::from(letter)]),
            b' '..=b'~' => string.push(char::from(letter)),
            other => append(&mut string, format_args!("\\{other:03o}")),
        }
    }
    string.push(')');
    string
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::plot::{Axis, Chart, Series, Shape};

    fn file(name: &str) -> String {
        let chart = Chart {
            x: Axis::linear("discarded, %", (0.0, 0.3), 0.05, 100.0),
            y: Axis::around("FNMR", (0.0, 0.004), 1.0),
            series: vec![
                Series {
                    name: name.to_owned(),
                    shape: Shape::Banded(vec![
                        (0.0, 0.003, 0.002, 0.004),
                        (0.3, 0.001, 0.0, 0.002),
                    ]),
                },
                Series { name: "dots".into(), shape: Shape::Dots(vec![(0.1, 0.002)]) },
            ],
        };
        String::from_utf8(chart.pdf()).unwrap()
    }

    /// The object with this number, found through the table at the end, as viewers do.
    fn object(file: &str, number: usize) -> &str {
        let start: usize = file.lines().rev().nth(1).unwrap().parse().unwrap();
        let entry = file[start..].lines().nth(2 + number).unwrap();
        let offset: usize = entry.split(' ').next().unwrap().parse().unwrap();
        let object = file[offset..].strip_prefix(&format!("{number} 0 obj\n")).unwrap();
        object.split_once("\nendobj\n").unwrap().0
    }

    #[test]
    fn every_object_is_where_the_table_says_and_the_stream_has_its_length() {
        let file = file("closed form");
        assert!(file.starts_with("%PDF-1.4\n") && file.ends_with("%%EOF\n"));
        assert!(object(&file, 1).contains("/Catalog") && object(&file, 5).contains("/Helvetica"));
        let page = object(&file, 3);
        assert!(page.contains("[0 0 585 315]"), "{page}");
        let (head, stream) = object(&file, 4).split_once("\nstream\n").unwrap();
        let stream = stream.strip_suffix("endstream").unwrap();
        assert_eq!(head, format!("<< /Length {} >>", stream.len()));
        for state in stream.split_whitespace().filter(|word| word.starts_with("/G")) {
            assert!(page.contains(&format!("{state} <<")), "{state}");
        }
    }

    #[test]
    fn text_stays_text_in_ascii() {
        let file = file("M\u{fc}ller (\u{9762}) \\");
        assert!(file.is_ascii());
        assert!(file.contains("(M\\374ller \\(?\\) \\\\) Tj"), "{file}");
        for text in ["(discarded, %) Tj", "(FNMR) Tj", "(0.004) Tj", "(30) Tj"] {
            assert!(file.contains(text), "{text}");
        }
    }

    #[test]
    fn texts_are_as_wide_as_in_helvetica() {
        assert!((width(b"0.0") - 13.0 * (556.0 + 278.0 + 556.0) / 1000.0).abs() < 1e-9);
        assert!((width(b"~W") - 13.0 * (584.0 + 944.0) / 1000.0).abs() < 1e-9);
        assert!((width(&letters("\u{fc}")) - 13.0 * 0.556).abs() < 1e-9);
    }
}
