//! The page of a comparison: one HTML file.

use askama::Template;

use super::sections::{Cells, sections};
use crate::evaluate::plot::ChartError;
use crate::view::profile_comparison::{ProfileComparisonView, SwitchVerdict};

/// The page. It contains no image of a face, no template and, of people, only the names of groups
/// that the labels have; of images that are missing or lose their face, the first few names.
#[derive(Template)]
#[template(path = "evaluate/compare/page.html")]
pub struct ComparisonPage {
    gallery: String,
    old: String,
    new: String,
    date: String,
    datetime: String,
    version: &'static str,
    advice: String,
    verdict: &'static str,
    sections: Vec<PageSection>,
}

struct PageSection {
    title: String,
    sentences: Vec<String>,
    tables: Vec<PageTable>,
    /// SVG, drawn by this program: its texts are escaped.
    charts: Vec<String>,
}

struct PageTable {
    header: Vec<String>,
    rows: Cells,
}

impl ComparisonPage {
    /// The page of `view`.
    ///
    /// # Errors
    /// If a figure cannot be drawn.
    pub fn new(view: &ProfileComparisonView) -> Result<Self, ChartError> {
        let now = jiff::Timestamp::now();
        let mut shown = Vec::new();
        for section in sections(view) {
            let charts = section.charts.iter().map(|chart| chart.svg());
            let tables = section.tables.into_iter().filter(|cells| cells.len() > 1);
            let tables = tables.map(|mut cells| {
                let header = cells.remove(0);
                PageTable { header, rows: cells }
            });
            shown.push(PageSection {
                title: section.title,
                sentences: section.sentences,
                charts: charts.collect::<Result<_, _>>()?,
                tables: tables.collect(),
            });
        }
        Ok(Self {
            gallery: view.gallery.to_string(),
            old: view.old.to_string(),
            new: view.new.to_string(),
            date: now.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            datetime: now.strftime("%Y-%m-%dT%H:%MZ").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            advice: view.advice.sentence.clone(),
            verdict: match view.advice.verdict {
                SwitchVerdict::Advised => "good",
                SwitchVerdict::NotAdvised => "low",
                SwitchVerdict::Neutral | SwitchVerdict::NotEnoughData => "fair",
            },
            sections: shown,
        })
    }

    /// One HTML file that loads nothing from the network and runs no script.
    ///
    /// # Errors
    /// If a value cannot be formatted.
    pub fn html(&self) -> Result<String, askama::Error> {
        self.render()
    }
}
