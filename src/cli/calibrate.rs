//! `facefleet calibrate`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::labelled::{Found, Labelled, headline, share, shown, table};
use super::say;
use crate::app::App;
use crate::domain::{Mapping, Profile};
use crate::evaluate::calibrate::{self, Labelled as Fit, Wanted};
use crate::evaluate::collect::gallery_scores;
use crate::quality::calibration::Calibration;

/// Find what a score means in your photos: a mapping to quality, and thresholds.
///
/// Writes a mapping from score to quality. Name the file in the setting `quality.calibration`, and
/// scans from then on give qualities of that meaning, under a profile of their own.
///
/// With labels: quality is the chance in percent that a comparison of two images of one person
/// matches, if this is the worse of the two. With --percentiles, which needs no labels: quality is
/// the share of the images, in percent, that are worse.
#[derive(Debug, Args)]
pub(super) struct Calibrate {
    #[command(flatten)]
    labelled: Labelled,
    /// The false match rate at which pairs match.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = share)]
    fmr: f64,
    /// Find the lowest quality that leaves this false non-match rate when images below it are
    /// discarded; may be given several times.
    #[arg(long, value_name = "RATE", value_parser = share)]
    fnmr: Vec<f64>,
    /// Find the quality that discards nearest to this share of the images; may be given several
    /// times.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    discard: Vec<f64>,
    /// Quality is the share of the images that are worse, labels or not.
    #[arg(long)]
    percentiles: bool,
    /// File to write.
    #[arg(long, short, default_value = "calibration.toml", value_name = "FILE")]
    out: PathBuf,
}

impl Calibrate {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.store().await?;
        let (profile, mapping, status) = if self.percentiles && !self.labelled.is_file() {
            let gallery = self.labelled.gallery_named()?;
            let id = self.labelled.profile_of(store.as_ref(), &gallery).await?;
            let profile = store
                .profile(&id)
                .await?
                .with_context(|| format!("the store does not know profile {id}"))?;
            let (scores, data) = gallery_scores(store.as_ref(), &gallery, &id).await?;
            say(format!("{} scored images of gallery {gallery}", scores.len()))?;
            if !(self.fnmr.is_empty() && self.discard.is_empty()) {
                bail!(
                    "--fnmr and --discard need labels; with percentiles, the quality that discards \
                        a share is the share itself"
                );
            }
            (profile, calibrate::percentiles(&scores, &data)?, ExitCode::SUCCESS)
        } else {
            let found = self.labelled.collect(app, store.as_ref(), &self.labelled.known()?).await?;
            let mapping = self.fit(app, &found)?;
            let status = found.status();
            (found.collected.samples.profile, mapping, status)
        };
        store.close().await;
        self.write(&profile, &mapping)?;
        Ok(status)
    }

    /// The mapping of labelled photos; says what it and the wanted thresholds are.
    fn fit(&self, app: &App, found: &Found) -> Result<Mapping> {
        let samples = &found.collected.samples;
        let comparisons = self.labelled.compare(app, &found.collected, &[self.fmr])?;
        say(headline(&found.collected, &comparisons))?;
        let scores = &samples.measures[0];
        let fit = Fit { comparisons: &comparisons, subjects: &samples.subjects, scores };
        let bootstrap = self.labelled.bootstrap(app);
        let mapping = if self.percentiles {
            let scores: Vec<f64> = scores.values.iter().copied().flatten().collect();
            calibrate::percentiles(&scores, &samples.fingerprint)?
        } else {
            let chance = fit.match_chance(self.fmr, bootstrap)?;
            say(format!(
                "pairs match at a similarity over {} (FMR {:e})",
                shown(chance.threshold, 4),
                chance.fmr
            ))?;
            say(format!("{} of {} pairs of one person do not", chance.errors, chance.pairs))?;
            say(format!("alpha {}, r {}", shown(chance.alpha, 1), shown(chance.r, 4)))?;
            chance.mapping(&samples.fingerprint)
        };
        let wanted = self
            .fnmr
            .iter()
            .map(|&rate| Wanted::Fnmr(rate))
            .chain(self.discard.iter().map(|&share| Wanted::Discard(share)));
        let mut rows = vec![
            ["wanted", "quality", "lowest score kept", "discarded", "FNMR left"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for wanted in wanted {
            let name = match wanted {
                Wanted::Fnmr(rate) => format!("FNMR {rate}"),
                Wanted::Discard(share) => format!("discard {share}"),
            };
            rows.push(match fit.threshold(wanted, &mapping, self.fmr, bootstrap)? {
                None => vec![name, "no quality reaches it with half of the images left".to_owned()],
                Some(found) => vec![
                    name,
                    found.quality.to_string(),
                    format!("{:.4}", found.score),
                    shown(found.discard, 3),
                    shown(found.fnmr, 5),
                ],
            });
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
