//! The folder that results are written to: tables as CSV, figures as SVG, PDF and
//! PNG.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::agreement::Agreement;
use super::bias::GroupResult;
use super::evaluation::OperatingPoint;
use super::identification::Identification;
use super::plot::{Chart, ChartError};
use super::samples::Measure;
use super::unscored::UnscoredPhoto;
use super::{figures, tables};

/// Why results cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutFolderError {
    /// The folder cannot be created.
    #[error("Failed to create {path}: {source}")]
    Create {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("Failed to write {path}: {source}")]
    Write {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A figure cannot be drawn.
    #[error(transparent)]
    Chart(#[from] ChartError),
}

/// The folder that results are written to.
#[derive(Debug)]
pub struct OutFolder(PathBuf);

impl OutFolder {
    /// Creates the folder if it is missing.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: &Path) -> Result<Self, OutFolderError> {
        let failed = |source| OutFolderError::Create { path: path.display().to_string(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        Ok(Self(path.to_owned()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes an evaluation: areas and curves of all measures, a figure for each false match rate,
    /// and the rates of identification.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_evaluation(
        &self,
        points: &[OperatingPoint],
        identification: Option<&Identification>,
    ) -> Result<(), OutFolderError> {
        self.write("measures.csv", |file| tables::measures(points, file))?;
        self.write("edc.csv", |file| tables::curves(points, file))?;
        for point in points {
            self.chart(&format!("edc-fmr{:e}", point.fmr), &figures::edc(point))?;
        }
        let Some(found) = identification else { return Ok(()) };
        self.write("identification.csv", |file| tables::identification(found, file))
    }

    /// Writes how SER-FIQ sampled with T passes agrees with the closed form, if it was sampled.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_agreements(
        &self,
        agreements: &[(String, Agreement)],
        sampled: &[(u32, Measure)],
        closed: &Measure,
    ) -> Result<(), OutFolderError> {
        if agreements.is_empty() {
            return Ok(());
        }
        self.write("agreement.csv", |file| tables::agreements(agreements, file))?;
        self.chart("convergence", &figures::convergence(sampled, closed))
    }

    /// Writes the results of groups. Returns whether a group has enough scores for the figure of
    /// scores.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_bias(&self, groups: &[GroupResult]) -> Result<bool, OutFolderError> {
        self.write("bias.csv", |file| tables::groups(groups, file))?;
        self.write("bias-left.csv", |file| tables::shares_left(groups, file))?;
        let scores = figures::distributions(groups);
        if let Some(chart) = &scores {
            self.chart("bias-scores", chart)?;
        }
        self.chart("bias-left", &figures::shares_left(groups))?;
        Ok(scores.is_some())
    }

    /// Writes which photos have no score and why, if there are such photos.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_unscored(&self, photos: &[UnscoredPhoto]) -> Result<(), OutFolderError> {
        if photos.is_empty() {
            return Ok(());
        }
        self.write("left-out.csv", |file| tables::unscored(photos, file))
    }

    fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<(), OutFolderError> {
        let path = self.0.join(name);
        let written = File::create(&path).and_then(|mut file| write(&mut file));
        let failed = |source| OutFolderError::Write { path: path.display().to_string(), source };
        written.map_err(failed)
    }

    /// Writes a chart as `name.svg`, `name.pdf` and `name.png`.
    fn chart(&self, name: &str, chart: &Chart) -> Result<(), OutFolderError> {
        let (svg, png) = (chart.svg()?, chart.png()?);
        self.write(&format!("{name}.svg"), |file| file.write_all(svg.as_bytes()))?;
        self.write(&format!("{name}.pdf"), |file| file.write_all(&chart.pdf()))?;
        self.write(&format!("{name}.png"), |file| file.write_all(&png))
    }
}
