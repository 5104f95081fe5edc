//! `facefleet calibrate`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::columns::{shown, table};
use super::labelled::{LabelledArgs, LabelledPhotos, headline, share};
use super::say;
use crate::app::App;
use crate::domain::{GalleryName, Mapping, Profile};
use crate::evaluate::calibrate::{self, CalibrationSet, Threshold, ThresholdGoal};
use crate::evaluate::collect::gallery_scores;
use crate::evaluate::dataset::Dataset;
use crate::quality::calibration::Calibration;
use crate::store::Store;

/// Find what a score means in your photos: a mapping from score to quality, and thresholds.
///
/// Writes the mapping to a file. Name the file in the setting `quality.calibration`: later scans
/// then give qualities of this meaning, under another profile.
///
/// With labels, quality is the chance in percent that a mated comparison (of two images of one
/// person) matches, if this image is the worse of the two. With --percentiles, which needs no
/// labels, quality is the share of the images, in percent, that are worse.
#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    labelled: LabelledArgs,
    /// The false match rate that fixes the similarity threshold.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = share)]
    fmr: f64,
    /// Find the lowest quality threshold that reaches this false non-match rate. Repeat the option
    /// for several rates.
    #[arg(long, value_name = "RATE", value_parser = share)]
    fnmr: Vec<f64>,
    /// Find the quality threshold that discards the share of the images nearest to this one. Repeat
    /// the option for several shares.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    discard: Vec<f64>,
    /// Make quality the share of the images that are worse, even if there are labels.
    #[arg(long)]
    percentiles: bool,
    /// File to write.
    #[arg(long, short, default_value = "calibration.toml", value_name = "FILE")]
    out: PathBuf,
}

impl CalibrateArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let dataset = self.labelled.dataset()?;
        let store = app.store().await?;
        let (profile, mapping, status) = match &dataset {
            Dataset::Gallery(gallery) if self.percentiles => {
                let (profile, mapping) = self.percentiles_of(store.as_ref(), gallery).await?;
                (profile, mapping, ExitCode::SUCCESS)
            }
            dataset => {
                let found = self.labelled.collect(app, store.as_ref(), dataset).await?;
                let mapping = self.fit(app, &found)?;
                let status = found.status();
                (found.collected.samples.profile, mapping, status)
            }
        };
        store.close().await;
        self.write(&profile, &mapping)?;
        Ok(status)
    }

    /// The profile and the percentile mapping of a gallery, whose images need no subjects.
    async fn percentiles_of(
        &self,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<(Profile, Mapping)> {
        let id = self.labelled.profile_of(store, gallery).await?;
        let unknown = || format!("unknown profile {id}: the store has no definition of it");
        let profile = store.profile(&id).await?.with_context(unknown)?;
        let (scores, data) = gallery_scores(store, gallery, &id).await?;
        say(format!("{} scored images of gallery {gallery}", scores.len()))?;
        if !(self.fnmr.is_empty() && self.discard.is_empty()) {
            bail!(
                "--fnmr and --discard need labels; with percentiles, the quality threshold that \
                 discards a share is that share in percent"
            );
        }
        Ok((profile, calibrate::percentiles(&scores, &data)?))
    }

    /// The mapping of labelled photos. Prints it, and the requested thresholds.
    fn fit(&self, app: &App, found: &LabelledPhotos) -> Result<Mapping> {
        let samples = &found.collected.samples;
        let comparisons = self.labelled.compare(app, &found.collected, &[self.fmr])?;
        say(headline(&found.collected, &comparisons))?;
        let scores = &samples.measures[0];
        let set = CalibrationSet { comparisons: &comparisons, subjects: &samples.subjects, scores };
        let bootstrap = self.labelled.bootstrap(app);
        let mapping = if self.percentiles {
            let scores: Vec<f64> = scores.values.iter().copied().flatten().collect();
            calibrate::percentiles(&scores, &samples.fingerprint)?
        } else {
            let chance = set.match_chance(self.fmr, bootstrap)?;
            say(format!(
                "a comparison matches at a similarity over {} (FMR {:e})",
                shown(chance.threshold, 4),
                chance.fmr
            ))?;
            say(format!("{} of {} mated comparisons do not match", chance.errors, chance.mated))?;
            say(format!("alpha {}, r {}", shown(chance.alpha, 1), shown(chance.r, 4)))?;
            chance.mapping(&samples.fingerprint)
        };
        let goals = self.fnmr.iter().map(|&rate| ThresholdGoal::Fnmr(rate));
        let goals = goals.chain(self.discard.iter().map(|&share| ThresholdGoal::Discard(share)));
        let header = ["goal", "quality", "lowest score kept", "discarded", "FNMR after discarding"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for goal in goals {
            rows.push(goal_row(goal, set.threshold(goal, &mapping, self.fmr, bootstrap)?));
        }
        if rows.len() > 1 {
            say(format!("\n{}", table(&rows)))?;
        }
        Ok(mapping)
    }

    fn write(&self, profile: &Profile, mapping: &Mapping) -> Result<()> {
        let text = Calibration::new(profile, mapping.clone())
            .to_toml()
            .context("Failed to write the mapping as TOML")?;
        std::fs::write(&self.out, text)
            .with_context(|| format!("Failed to write {}", self.out.display()))?;
        let calibrated = Profile { mapping: mapping.clone(), ..profile.clone() };
        say(format!(
            "\nwritten to {}: profile {} becomes {}",
            self.out.display(),
            profile.id(),
            calibrated.id()
        ))?;
        say("to use it: quality.calibration in the settings (FACEFLEET__QUALITY__CALIBRATION)")?;
        Ok(())
    }
}

fn goal_row(goal: ThresholdGoal, found: Option<Threshold>) -> Vec<String> {
    let name = match goal {
        ThresholdGoal::Fnmr(rate) => format!("FNMR {rate}"),
        ThresholdGoal::Discard(share) => format!("discard {share}"),
    };
    match found {
        None => vec![name, "no quality threshold reaches it and keeps half of the images".into()],
        Some(found) => vec![
            name,
            found.quality.to_string(),
            format!("{:.4}", found.score),
            shown(found.discard, 3),
            shown(found.fnmr, 5),
        ],
    }
}
