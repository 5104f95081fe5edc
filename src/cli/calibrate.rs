//! `facefleet calibrate`

mod fused;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::fused::print_fused;
use super::columns::{shown, table};
use super::labelled::{LabelledArgs, LabelledPhotos, headline, share};
use super::{say, say_json};
use crate::app::App;
use crate::domain::{GalleryName, Mapping, Profile, SimilarityThreshold};
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::calibrate::{
    self, CalibrationSet, MATCH_FMRS, MatchChance, MeasuredThresholds, Threshold, ThresholdGoal,
};
use crate::evaluate::collect::gallery_scores;
use crate::evaluate::dataset::Dataset;
use crate::evaluate::fuse::{FuseSet, FusedResult};
use crate::evaluate::pairs::Comparisons;
use crate::evaluate::samples::SampleSet;
use crate::evaluate::views;
use crate::quality::calibration::Calibration;
use crate::store::Store;
use crate::view::evaluation::{CalibrationView, DatasetView, FusedView, MatchChanceView};

/// Find what a score means in your photos: a mapping from score to quality, and thresholds.
///
/// Writes the mapping to a file. Name the file in the setting `quality.calibration`: later scans
/// then give qualities of this meaning, under another profile. `facefleet remap` gives them to
/// results that are there already.
///
/// With labels, quality is the chance in percent that a mated comparison (of two images of one
/// person) matches, if this image is the worse of the two. With --percentiles, which needs no
/// labels, quality is the share of the images, in percent, that are worse.
///
/// With labels, the file also has the similarity thresholds at false match rates (FMR) of 1e-2 to
/// 1e-6, as far as the photos can show them: 30 false matches or more, of ten pairs of people or
/// more. `facefleet match` uses them.
///
/// With --fuse, quality is no longer that of SER-FIQ's score alone. A fused quality is fitted: the
/// expected similarity with other photos of the same person, from the score, the norm of the
/// embedding, the detector's score and the components. It is cross-validated by person, and its
/// gain over each of them is printed. If it is not shown to be better than both score and norm, no
/// file is written.
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
    /// Fit a fused quality on the labelled photos, and map that instead of SER-FIQ's score.
    #[arg(long)]
    fuse: bool,
    /// File to write. It is written before anything is printed.
    #[arg(long, short, default_value = "calibration.toml", value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to do if qualities cannot be chances of a match.
const NO_CHANCE: &str = "quality cannot be fitted as the chance of a match (--percentiles makes it \
    the share of photos that are worse, and still measures which similarity is a match)";

/// What a calibration found.
struct Calibrated {
    profile: Profile,
    mapping: Mapping,
    /// Scored photos.
    photos: usize,
    /// None for a gallery without labels.
    labelled: Option<LabelledResults>,
}

/// What labelled photos show.
struct LabelledResults {
    headline: String,
    dataset: DatasetView,
    chance: Option<MatchChance>,
    fused: Option<FusedResult>,
    goals: Vec<(ThresholdGoal, Option<Threshold>)>,
    measured: MeasuredThresholds,
}

impl CalibrateArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let dataset = self.labelled.dataset()?;
        let store = self.labelled.store(app, &dataset).await?;
        let (found, status) = match &dataset {
            Dataset::Gallery(gallery) if self.percentiles && !self.fuse => {
                (self.percentiles_of(app, store.as_ref(), gallery).await?, ExitCode::SUCCESS)
            }
            dataset => {
                let photos = self.labelled.collect(app, store.as_ref(), dataset).await?;
                let fmrs = [self.fmr.max(MATCH_FMRS[0])];
                let comparisons = self.labelled.compare(app, &photos.collected, &fmrs)?;
                let found = self.fit(app, &photos, &comparisons);
                if found.is_err() && !self.json {
                    say(headline(&photos.collected, &comparisons))?;
                }
                (found?, photos.status())
            }
        };
        store.close().await;
        self.write(&found)?;
        if self.json {
            say_json(&self.view(&found))?
        } else {
            self.print(&found, &dataset)?
        }
        Ok(status)
    }

    /// The percentile mapping of a gallery, whose images need no subjects.
    async fn percentiles_of(
        &self,
        app: &App,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<Calibrated> {
        if !(self.fnmr.is_empty() && self.discard.is_empty()) {
            bail!(
                "--fnmr and --discard need labels; with percentiles, the quality threshold that \
                 discards a share is that share in percent"
            );
        }
        let id = self.labelled.profile_of(app, store, gallery).await?;
        let unknown = || format!("unknown profile {id}: the store has no definition of it");
        let profile = store.profile(&id).await?.with_context(unknown)?;
        let (scores, data) = gallery_scores(store, gallery, &id).await?;
        let mapping = calibrate::percentiles(&scores, &data)?;
        Ok(Calibrated { profile, mapping, photos: scores.len(), labelled: None })
    }

    /// The mapping of labelled photos, and the thresholds.
    fn fit(
        &self,
        app: &App,
        found: &LabelledPhotos,
        comparisons: &Comparisons,
    ) -> Result<Calibrated> {
        let samples = &found.collected.samples;
        let bootstrap = self.labelled.bootstrap(app);
        let fused = match self.fuse {
            true => Some(fuse_set(samples, comparisons).fuse(self.fmr, bootstrap)?),
            false => None,
        };
        let scores = fused.as_ref().map_or(&samples.scores, |fused| &fused.predicted);
        let set = CalibrationSet { comparisons, subjects: &samples.subjects, scores };
        let chance = match self.percentiles {
            true => None,
            false => Some(set.match_chance(self.fmr, bootstrap).context(NO_CHANCE)?),
        };
        let mapping = match &chance {
            Some(chance) => chance.mapping(&samples.fingerprint),
            None => {
                let scores: Vec<f64> = scores.values.iter().copied().flatten().collect();
                calibrate::percentiles(&scores, &samples.fingerprint)?
            }
        };
        let mapping = match &fused {
            None => mapping,
            Some(FusedResult { fused, .. }) => {
                Mapping::Fused { fused: fused.clone(), quality: Box::new(mapping) }
            }
        };
        let goals = self.fnmr.iter().map(|&rate| ThresholdGoal::Fnmr(rate));
        let goals = goals.chain(self.discard.iter().map(|&share| ThresholdGoal::Discard(share)));
        let reach = |goal| Ok((goal, set.threshold(goal, &mapping, self.fmr, bootstrap)?));
        let goals = goals.map(reach).collect::<Result<_>>()?;
        let fmrs: Vec<f64> = MATCH_FMRS.into_iter().chain([self.fmr]).collect();
        let data = &samples.fingerprint;
        let measured = set.match_thresholds(&fmrs, &samples.profile, data, bootstrap);
        Ok(Calibrated {
            profile: samples.profile.clone(),
            photos: samples.names.len(),
            labelled: Some(LabelledResults {
                headline: headline(&found.collected, comparisons),
                dataset: views::dataset(&found.collected, comparisons),
                chance,
                fused,
                goals,
                measured,
            }),
            mapping,
        })
    }

    fn write(&self, found: &Calibrated) -> Result<()> {
        let thresholds = found.labelled.as_ref().map(|labelled| &labelled.measured.thresholds);
        // Without a threshold, the numbers of photos and comparisons say nothing.
        let thresholds = thresholds.filter(|thresholds| !thresholds.similarity.is_empty());
        let mut calibration =
            Calibration::new(&found.profile, found.mapping.clone(), thresholds.cloned());
        if let Some(fused) = found.fused() {
            calibration = calibration.with_fit(fused.fit.clone());
        }
        let text = calibration.to_toml().context("Failed to write the mapping as TOML")?;
        std::fs::write(&self.out, text)
            .with_context(|| format!("Failed to write {}", self.out.display()))
    }

    fn view(&self, found: &Calibrated) -> CalibrationView {
        let labelled = found.labelled.as_ref();
        let chance = labelled.and_then(|labelled| labelled.chance.as_ref());
        let goals = labelled.map(|labelled| labelled.goals.as_slice()).unwrap_or_default();
        CalibrationView {
            profile: found.profile.id(),
            calibrated_profile: found.calibrated().id(),
            file: self.out.display().to_string(),
            photos: found.photos,
            mapping: found.mapping.clone(),
            dataset: labelled.map(|labelled| labelled.dataset.clone()),
            fused: found.fused().map(FusedView::from),
            match_chance: chance.map(MatchChanceView::from),
            quality_thresholds: goals
                .iter()
                .map(|(goal, found)| views::quality_threshold(*goal, found.as_ref()))
                .collect(),
            thresholds: labelled.map(|labelled| labelled.measured.thresholds.clone()),
            thresholds_left_out: labelled
                .map(|labelled| views::left_out(&labelled.measured))
                .unwrap_or_default(),
        }
    }

    fn print(&self, found: &Calibrated, dataset: &Dataset) -> Result<()> {
        match (&found.labelled, dataset) {
            (Some(labelled), _) => print_labelled(labelled)?,
            (None, Dataset::Gallery(gallery)) => {
                say(format!("{} scored images of gallery {gallery}", found.photos))?;
            }
            (None, Dataset::File(_)) => {}
        }
        let (from, to) = (found.profile.id(), found.calibrated().id());
        say(format!("\nwritten to {}: profile {from} becomes {to}", self.out.display()))?;
        say("to use it: quality.calibration in the settings (FACEFLEET__QUALITY__CALIBRATION)")?;
        if found.mapping.fused().is_some() {
            say("for images that are scored already: scan them again with this setting")?;
            return Ok(());
        }
        say(format!(
            "for results that are there: facefleet remap --gallery NAME --calibration {}",
            self.out.display()
        ))?;
        Ok(())
    }
}

impl Calibrated {
    /// The profile with the new mapping.
    fn calibrated(&self) -> Profile {
        Profile { mapping: self.mapping.clone(), ..self.profile.clone() }
    }

    fn fused(&self) -> Option<&FusedResult> {
        self.labelled.as_ref()?.fused.as_ref()
    }
}

fn fuse_set<'a>(samples: &'a SampleSet, comparisons: &'a Comparisons) -> FuseSet<'a> {
    FuseSet {
        comparisons,
        subjects: &samples.subjects,
        inputs: &samples.inputs,
        scores: &samples.scores,
        measures: &samples.measures,
        data: &samples.fingerprint,
    }
}

fn print_labelled(labelled: &LabelledResults) -> Result<()> {
    say(&labelled.headline)?;
    if let Some(fused) = &labelled.fused {
        print_fused(fused)?;
    }
    if let Some(chance) = &labelled.chance {
        say(format!(
            "a comparison matches at a similarity over {} (FMR {:e})",
            shown(chance.threshold, 4),
            chance.fmr
        ))?;
        say(format!("{} of {} mated comparisons do not match", chance.errors, chance.mated))?;
        say(format!("alpha {}, r {}", shown(chance.alpha, 1), shown(chance.r, 4)))?;
    }
    if !labelled.goals.is_empty() {
        let header = ["goal", "quality", "lowest score kept", "discarded", "FNMR after discarding"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(labelled.goals.iter().map(|(goal, found)| goal_row(*goal, found.as_ref())));
        say(format!("\n{}", table(&rows)))?;
    }
    let MeasuredThresholds { thresholds, left_out } = &labelled.measured;
    if !thresholds.similarity.is_empty() {
        let mut rows = vec![vec!["a match at FMR".to_owned(), "similarity over".to_owned()]];
        rows.extend(thresholds.similarity.iter().map(threshold_row));
        say(format!("\n{}", table(&rows)))?;
    }
    for (fmr, why) in left_out {
        say(format!("no threshold at FMR {fmr:e}: {why}"))?;
    }
    Ok(())
}

fn threshold_row(threshold: &SimilarityThreshold) -> Vec<String> {
    let SimilarityThreshold { fmr, threshold: value, interval } = *threshold;
    let [low, high] = interval.unwrap_or([value; 2]);
    vec![format!("{fmr:e}"), shown(Estimate { value, low, high }, 4)]
}

fn goal_row(goal: ThresholdGoal, found: Option<&Threshold>) -> Vec<String> {
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
