//! Whether to switch from OLD to NEW, by fixed rules.
//!
//! - not advised: there is a reason against.
//! - not enough data: else, if fewer than [`LEAST_IMAGES`] images are under both; or if error rates
//!   are unknown and the neighbours overlap by less than [`LEAST_OVERLAP`].
//! - advised: else, if there is a reason for.
//! - neutral: else.
//!
//! Reasons against: coverage below [`LEAST_COVERAGE`]; subjects with fewer references under NEW;
//! more faces lost than gained; a higher FNMR at the same FMR; a worse error-versus-discard curve
//! without a lower FNMR; a gate that rejects more images, by [`MOST_REJECTED`] or more; no
//! similarity thresholds for NEW, and some for OLD. Reasons for: fewer faces lost than gained, a
//! lower FNMR, a better curve. An estimate is a reason only if its 95 % interval excludes 0.
//!
//! Error rates are known from [`LEAST_MATED`] mated comparisons of [`LEAST_SUBJECTS`] subjects on,
//! or if they cannot differ. Of the false match rates, 1e-3 counts if it is shown, else 1e-2.

use crate::view::evaluation::EstimateView;
use crate::view::profile_comparison::{
    AdviceView, PairedEstimateView, PairedSimilaritiesView, SwitchVerdict,
};

/// Share of OLD's images that must be under NEW.
pub const LEAST_COVERAGE: f64 = 0.999;
/// Images under both profiles that show something.
pub const LEAST_IMAGES: u64 = 100;
/// Mated comparisons that show an error rate.
pub const LEAST_MATED: u64 = 100;
/// Subjects with two images or more that show an error rate.
pub const LEAST_SUBJECTS: u64 = 10;
/// Overlap of neighbours from which templates count as alike.
pub const LEAST_OVERLAP: f64 = 0.95;
/// Share of the images by which the gate may reject more.
pub const MOST_REJECTED: f64 = 0.01;
/// The false match rate that counts, if it is shown.
const FMR: f64 = 1e-3;

/// What the advice depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Findings {
    /// Images with a final outcome under OLD, and of these under NEW.
    pub images: [u64; 2],
    /// Active references without a template under NEW.
    pub references_lost: u64,
    /// Images that lost their face, and that gained one.
    pub lost_and_gained: [u64; 2],
    /// Lost less gained, as a share of the images.
    pub net_lost: EstimateView,
    /// Images that the gate newly rejects less those that it newly accepts, as a share.
    pub net_rejected: EstimateView,
    /// Whether both profiles have the same templates.
    pub same_templates: bool,
    /// Whether OLD has similarity thresholds, and NEW.
    pub thresholds: [bool; 2],
    /// The error rates that count, if they are known.
    pub errors: Option<ErrorRates>,
    /// The overlap of the neighbours.
    pub overlap: Option<f64>,
}

/// Error rates at one false match rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ErrorRates {
    /// The false match rate.
    pub fmr: f64,
    /// The false non-match rate.
    pub fnmr: PairedEstimateView,
    /// The area under the error-versus-discard characteristic.
    pub pauc: Option<PairedEstimateView>,
}

impl ErrorRates {
    /// Those of the false match rate that counts. None if there are too few comparisons.
    pub(super) fn of(found: &PairedSimilaritiesView) -> Option<Self> {
        if found.mated < LEAST_MATED || found.subjects_with_two < LEAST_SUBJECTS {
            return None;
        }
        let point = found.points.iter().rfind(|point| point.fmr >= FMR)?;
        Some(Self { fmr: point.fmr, fnmr: point.fnmr, pauc: point.pauc })
    }
}

impl Findings {
    /// The advice.
    pub(super) fn advice(&self) -> AdviceView {
        let (mut against, mut in_favour) = (Vec::new(), Vec::new());
        self.complete(&mut against);
        self.faces(&mut against, &mut in_favour);
        self.errors(&mut against, &mut in_favour);
        let rejected = self.net_rejected;
        if rejected.value >= MOST_REJECTED && rejected.low > 0.0 {
            against.push(format!(
                "the gate of enrolments rejects {:.1} % more of the images: set the thresholds of \
                 [enrol] for NEW first",
                100.0 * rejected.value
            ));
        }
        if self.thresholds == [true, false] {
            against.push(
                "no similarity thresholds are known for NEW: `facefleet calibrate` measures some, \
                 and the setting quality.calibration names them"
                    .to_owned(),
            );
        }
        let (verdict, reasons) = if !against.is_empty() {
            (SwitchVerdict::NotAdvised, against.join("; "))
        } else if let Some(missing) = self.missing() {
            (SwitchVerdict::NotEnoughData, missing)
        } else if !in_favour.is_empty() {
            (SwitchVerdict::Advised, in_favour.join("; "))
        } else {
            (SwitchVerdict::Neutral, self.alike())
        };
        let verdict_text = match verdict {
            SwitchVerdict::Advised => "Switching is advised",
            SwitchVerdict::NotAdvised => "Switching is not advised",
            SwitchVerdict::Neutral => "Nothing here speaks for or against switching",
            SwitchVerdict::NotEnoughData => "Not enough data",
        };
        let sentence = format!("{verdict_text}: {reasons}.");
        AdviceView { verdict, sentence, against, in_favour }
    }

    /// Whether all that OLD has is under NEW, too.
    fn complete(&self, against: &mut Vec<String>) {
        let [old, both] = self.images;
        if (both as f64) < LEAST_COVERAGE * old as f64 {
            let share = 100.0 * both as f64 / old as f64;
            against.push(format!(
                "only {share:.2} % of the images under OLD have a final outcome under NEW, {} are \
                 missing",
                old - both
            ));
        }
        match self.references_lost {
            0 => {}
            1 => against.push("an active reference loses its template".to_owned()),
            count => {
                against.push(format!("{count} active references lose their templates"));
            }
        }
    }

    fn faces(&self, against: &mut Vec<String>, in_favour: &mut Vec<String>) {
        let [lost, gained] = self.lost_and_gained;
        if self.net_lost.low > 0.0 {
            against.push(format!("more images lose their face ({lost}) than gain one ({gained})"));
        } else if self.net_lost.high < 0.0 {
            in_favour.push(format!("more images gain a face ({gained}) than lose it ({lost})"));
        }
    }

    fn errors(&self, against: &mut Vec<String>, in_favour: &mut Vec<String>) {
        let Some(ErrorRates { fmr, fnmr, pauc }) = self.errors else { return };
        let from_to = format!(
            "from {:.2} % to {:.2} % (the interval of the change, {:+.2} to {:+.2} points, \
             excludes 0)",
            100.0 * fnmr.old.value,
            100.0 * fnmr.new.value,
            100.0 * fnmr.change.low,
            100.0 * fnmr.change.high
        );
        let falls = fnmr.change.high < 0.0;
        if fnmr.change.low > 0.0 {
            against.push(format!("FNMR at FMR {fmr:e} rises {from_to}"));
        } else if falls {
            in_favour.push(format!("FNMR at FMR {fmr:e} falls {from_to}"));
        }
        let Some(pauc) = pauc else { return };
        let from_to = format!(
            "(pAUC(0.3) at FMR {fmr:e} from {:.3} to {:.3})",
            pauc.old.value, pauc.new.value
        );
        if pauc.change.low > 0.0 && !falls {
            against.push(format!("quality predicts failures worse {from_to}"));
        } else if pauc.change.high < 0.0 {
            in_favour.push(format!("quality predicts failures better {from_to}"));
        }
    }

    /// What is missing for an advice.
    fn missing(&self) -> Option<String> {
        let [_, both] = self.images;
        if both < LEAST_IMAGES {
            return Some(format!(
                "{both} images have a final outcome under both profiles, {LEAST_IMAGES} are needed"
            ));
        }
        let known = self.errors.is_some() || self.same_templates;
        let alike = self.overlap.is_some_and(|overlap| overlap >= LEAST_OVERLAP);
        (!known && !alike).then(|| {
            let overlap = self.overlap.map_or_else(String::new, |overlap| {
                format!(
                    "only {:.1} % of the most similar images are the same, and ",
                    100.0 * overlap
                )
            });
            format!(
                "{overlap}error rates are unknown: they need subjects, {LEAST_MATED} mated \
                 comparisons of {LEAST_SUBJECTS} people or more (--labels)"
            )
        })
    }

    /// Why nothing speaks for or against switching.
    fn alike(&self) -> String {
        match (self.same_templates, self.errors, self.overlap) {
            (true, ..) => "the templates are the same, so error rates are, too".to_owned(),
            (false, None, Some(overlap)) => format!(
                "{:.1} % of the most similar images are the same; error rates are unknown",
                100.0 * overlap
            ),
            (false, Some(ErrorRates { fmr, fnmr, .. }), _) => format!(
                "FNMR at FMR {fmr:e} is {:.2} % and {:.2} %, and the interval of the change \
                 contains 0",
                100.0 * fnmr.old.value,
                100.0 * fnmr.new.value
            ),
            (false, None, None) => "error rates are unknown".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, reach: f64) -> EstimateView {
        EstimateView { value, low: value - reach, high: value + reach }
    }

    fn rates(old: f64, new: f64, reach: f64) -> PairedEstimateView {
        let change = estimate(new - old, reach);
        PairedEstimateView { old: estimate(old, 0.01), new: estimate(new, 0.01), change }
    }

    /// Nothing differs.
    fn findings() -> Findings {
        Findings {
            images: [1000, 1000],
            references_lost: 0,
            lost_and_gained: [0, 0],
            net_lost: estimate(0.0, 0.0),
            net_rejected: estimate(0.0, 0.0),
            same_templates: false,
            thresholds: [true, true],
            errors: Some(ErrorRates { fmr: 1e-3, fnmr: rates(0.012, 0.012, 0.001), pauc: None }),
            overlap: Some(0.9),
        }
    }

    fn with_errors(fnmr: PairedEstimateView, pauc: Option<PairedEstimateView>) -> Findings {
        Findings { errors: Some(ErrorRates { fmr: 1e-3, fnmr, pauc }), ..findings() }
    }

    #[track_caller]
    fn assert_says(findings: &Findings, sentence: &str) {
        assert_eq!(findings.advice().sentence, sentence);
    }

    #[test]
    fn an_error_rate_is_a_reason_if_its_interval_excludes_zero() {
        assert_says(
            &with_errors(rates(0.012, 0.02, 0.005), None),
            "Switching is not advised: FNMR at FMR 1e-3 rises from 1.20 % to 2.00 % (the interval \
             of the change, +0.30 to +1.30 points, excludes 0).",
        );
        let better = with_errors(rates(0.02, 0.012, 0.005), None).advice();
        assert_eq!(better.verdict, SwitchVerdict::Advised);
        assert!(better.sentence.starts_with("Switching is advised: FNMR at FMR 1e-3 falls"));
        assert_says(
            &with_errors(rates(0.012, 0.02, 0.009), None),
            "Nothing here speaks for or against switching: FNMR at FMR 1e-3 is 1.20 % and 2.00 %, \
             and the interval of the change contains 0.",
        );
    }

    #[test]
    fn what_is_missing_under_the_new_profile_speaks_against_it() {
        let whole = Findings { images: [1000, 999], ..findings() };
        assert_eq!(whole.advice().verdict, SwitchVerdict::Neutral);
        assert_says(
            &Findings { images: [1000, 998], references_lost: 3, ..findings() },
            "Switching is not advised: only 99.80 % of the images under OLD have a final outcome \
             under NEW, 2 are missing; 3 active references lose their templates.",
        );
    }

    #[test]
    fn faces_that_are_lost_beyond_noise_speak_against_it() {
        let faces = |net_lost| Findings { lost_and_gained: [9, 2], net_lost, ..findings() };
        assert_eq!(faces(estimate(0.007, 0.008)).advice().verdict, SwitchVerdict::Neutral);
        assert_says(
            &faces(estimate(0.007, 0.005)),
            "Switching is not advised: more images lose their face (9) than gain one (2).",
        );
        let gained =
            Findings { lost_and_gained: [2, 9], ..faces(estimate(-0.007, 0.005)) }.advice();
        assert_eq!(gained.verdict, SwitchVerdict::Advised);
    }

    #[test]
    fn a_gate_that_rejects_many_more_images_speaks_against_it() {
        let gate = |net_rejected| Findings { net_rejected, ..findings() };
        for few in [estimate(0.009, 0.001), estimate(0.02, 0.03), estimate(-0.3, 0.1)] {
            assert_eq!(gate(few).advice().verdict, SwitchVerdict::Neutral);
        }
        assert_says(
            &gate(estimate(0.342, 0.02)),
            "Switching is not advised: the gate of enrolments rejects 34.2 % more of the images: \
             set the thresholds of [enrol] for NEW first.",
        );
    }

    #[test]
    fn a_profile_without_thresholds_is_not_advised_instead_of_one_with() {
        let without = |thresholds| Findings { thresholds, ..findings() };
        assert_says(
            &without([true, false]),
            "Switching is not advised: no similarity thresholds are known for NEW: `facefleet \
             calibrate` measures some, and the setting quality.calibration names them.",
        );
        for same in [[false, false], [false, true]] {
            assert_eq!(without(same).advice().verdict, SwitchVerdict::Neutral, "no step back");
        }
    }

    #[test]
    fn a_worse_quality_speaks_against_templates_that_are_not_better() {
        let worse = Some(rates(0.3, 0.4, 0.05));
        let same = with_errors(rates(0.02, 0.02, 0.001), worse).advice();
        assert_eq!(same.verdict, SwitchVerdict::NotAdvised);
        assert!(same.against[0].starts_with("quality predicts failures worse (pAUC(0.3)"));
        let better = with_errors(rates(0.02, 0.012, 0.005), worse).advice();
        assert_eq!((better.verdict, better.against.len()), (SwitchVerdict::Advised, 0));
        let quality = with_errors(rates(0.02, 0.02, 0.001), Some(rates(0.4, 0.3, 0.05))).advice();
        assert_eq!(quality.verdict, SwitchVerdict::Advised);
    }

    #[test]
    fn without_error_rates_templates_must_be_alike() {
        let unknown = |overlap| Findings { errors: None, overlap, ..findings() };
        assert_eq!(unknown(Some(0.95)).advice().verdict, SwitchVerdict::Neutral);
        for overlap in [Some(0.949), None] {
            let advice = unknown(overlap).advice();
            assert_eq!(advice.verdict, SwitchVerdict::NotEnoughData);
            assert!(advice.sentence.contains("--labels"), "{}", advice.sentence);
        }
        let same = Findings { same_templates: true, ..unknown(None) };
        assert_says(
            &same,
            "Nothing here speaks for or against switching: the templates are the same, so error \
             rates are, too.",
        );
        assert_says(
            &Findings { images: [99, 99], ..same },
            "Not enough data: 99 images have a final outcome under both profiles, 100 are needed.",
        );
    }
}
