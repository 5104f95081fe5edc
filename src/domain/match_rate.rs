//! From a false match rate to a similarity threshold and back, and from one comparison to a search.
//!
//! Only measured rates are answered, and those between two of them. Between two, the logarithm of
//! the rate is taken as linear in the similarity. The tail of non-mated similarities falls faster
//! than that, so the true threshold of such a rate is a little higher.

use super::{MatchThresholds, SimilarityThreshold};

/// No similarity threshold is known at a false match rate.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum UnknownRate {
    /// No threshold is known at any rate.
    #[error("no similarity threshold is known, at any false match rate")]
    None,
    /// The rate is outside the measured ones.
    #[error(
        "no similarity threshold is known at FMR {}: the measured rates are {highest:e} to \
         {lowest:e}",
        rounded(*fmr)
    )]
    Outside {
        /// The false match rate (FMR) that was asked for.
        fmr: f64,
        /// The highest measured rate.
        highest: f64,
        /// The lowest measured rate.
        lowest: f64,
    },
}

/// A rate with three digits.
fn rounded(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.2e}").parse().unwrap_or(rate);
    format!("{rounded:e}")
}

/// The false match rate of a similarity: the share of non-mated comparisons that are at least as
/// similar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SimilarityFmr {
    /// Above the highest measured rate, which this holds.
    Above(f64),
    /// One of the measured rates, or interpolated between two of them.
    About(f64),
    /// Below the lowest measured rate, which this holds.
    Below(f64),
}

impl MatchThresholds {
    /// The similarity threshold at `fmr`, a false match rate. Between two measured rates it is
    /// interpolated, and has no interval.
    ///
    /// # Errors
    /// If the rate is outside the measured ones.
    pub fn threshold_at(&self, fmr: f64) -> Result<SimilarityThreshold, UnknownRate> {
        let known = &self.similarity;
        let (Some(first), Some(last)) = (known.first(), known.last()) else {
            return Err(UnknownRate::None);
        };
        // The rates fall: those that are higher come first.
        let next = known.partition_point(|each| each.fmr > fmr);
        match (next.checked_sub(1).map(|before| known[before]), known.get(next)) {
            (_, Some(measured)) if measured.fmr == fmr => Ok(*measured),
            (Some(higher), Some(lower)) => {
                let part = (higher.fmr / fmr).ln() / (higher.fmr / lower.fmr).ln();
                let threshold = higher.threshold + part * (lower.threshold - higher.threshold);
                Ok(SimilarityThreshold { fmr, threshold, interval: None })
            }
            _ => Err(UnknownRate::Outside { fmr, highest: first.fmr, lowest: last.fmr }),
        }
    }

    /// The similarity threshold at which a search of a gallery of `references` returns a candidate
    /// for the share `fpir` of the probes that are not in it.
    ///
    /// # Errors
    /// If the false match rate that this takes is outside the measured ones.
    pub fn threshold_at_fpir(
        &self,
        fpir: f64,
        references: u64,
    ) -> Result<SimilarityThreshold, UnknownRate> {
        self.threshold_at(fmr_of_search(fpir, references))
    }

    /// The false match rate of `similarity`, a cosine; none if no threshold is known.
    ///
    /// It is below a measured rate exactly if the similarity exceeds that rate's threshold, that
    /// is, if it is a match at that rate.
    pub fn fmr_of(&self, similarity: f64) -> Option<SimilarityFmr> {
        let known = &self.similarity;
        let (first, last) = (known.first()?, known.last()?);
        let exceeded = known.partition_point(|each| similarity > each.threshold);
        let rate = match (exceeded.checked_sub(1).map(|before| known[before]), known.get(exceeded))
        {
            (_, Some(next)) if next.threshold == similarity => SimilarityFmr::About(next.fmr),
            (Some(below), Some(above)) => {
                let part = (similarity - below.threshold) / (above.threshold - below.threshold);
                SimilarityFmr::About(below.fmr * (above.fmr / below.fmr).powf(part))
            }
            (None, _) => SimilarityFmr::Above(first.fmr),
            (Some(_), None) => SimilarityFmr::Below(last.fmr),
        };
        Some(rate)
    }
}

/// The false positive identification rate (FPIR) of a search among `references`, of which each is a
/// false match with the probability `fmr`: `1 - (1 - fmr)^references`, as if the comparisons were
/// independent (Daugman, "Biometric decision landscapes", 2000).
pub fn fpir_of(fmr: f64, references: u64) -> f64 {
    if references == 0 {
        return 0.0;
    }
    -(references as f64 * (-fmr).ln_1p()).exp_m1()
}

/// The false match rate at which a search among `references` has the false positive identification
/// rate `fpir`: the inverse of [`fpir_of`]. 1 if there is no reference.
pub fn fmr_of_search(fpir: f64, references: u64) -> f64 {
    if references == 0 {
        return 1.0;
    }
    -((-fpir).ln_1p() / references as f64).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thresholds 0.3, 0.4 and 0.6 at 1e-2, 1e-3 and 1e-4.
    fn known(of: &[(f64, f64)]) -> MatchThresholds {
        let similarity = of.iter().map(|&(fmr, threshold)| SimilarityThreshold {
            fmr,
            threshold,
            interval: Some([threshold - 0.01, threshold + 0.01]),
        });
        MatchThresholds { similarity: similarity.collect(), ..MatchThresholds::default() }
    }

    const KNOTS: [(f64, f64); 3] = [(1e-2, 0.3), (1e-3, 0.4), (1e-4, 0.6)];

    #[test]
    fn measured_rates_have_their_thresholds_and_others_lie_between() {
        let known = known(&KNOTS);
        for each in &known.similarity {
            assert_eq!(known.threshold_at(each.fmr).unwrap(), *each);
        }
        // Halfway in the logarithm: sqrt(1e-3 * 1e-4).
        let between = known.threshold_at(1e-3 / 10.0_f64.sqrt()).unwrap();
        assert!((between.threshold - 0.5).abs() < 1e-12, "{between:?}");
        assert_eq!(between.interval, None, "it was not measured");
        // Per decade 0.1 above 1e-3: log10(1e-2 / 2e-3) = 0.69897.
        let between = known.threshold_at(2e-3).unwrap();
        assert!((between.threshold - 0.369_897).abs() < 1e-6, "{between:?}");
    }

    #[test]
    fn rates_outside_the_measured_ones_have_no_threshold() {
        let known = known(&KNOTS);
        for fmr in [0.5, 1.1e-2, 0.99e-4, 1e-9, 0.0, f64::NAN] {
            let error = known.threshold_at(fmr).unwrap_err();
            assert!(matches!(error, UnknownRate::Outside { highest: 1e-2, lowest: 1e-4, .. }));
        }
        let text = known.threshold_at(1e-5).unwrap_err().to_string();
        assert!(text.contains("at FMR 1e-5: the measured rates are 1e-2 to 1e-4"), "{text}");
        let nothing = MatchThresholds::default();
        assert_eq!(nothing.threshold_at(1e-3), Err(UnknownRate::None));
        assert_eq!(nothing.fmr_of(0.5), None);
    }

    #[test]
    fn the_rate_of_a_similarity_is_bounded_at_both_ends() {
        let known = known(&KNOTS);
        assert_eq!(known.fmr_of(-1.0), Some(SimilarityFmr::Above(1e-2)));
        assert_eq!(known.fmr_of(0.299), Some(SimilarityFmr::Above(1e-2)));
        assert_eq!(known.fmr_of(0.3), Some(SimilarityFmr::About(1e-2)));
        assert_eq!(known.fmr_of(0.6), Some(SimilarityFmr::About(1e-4)));
        assert_eq!(known.fmr_of(0.601), Some(SimilarityFmr::Below(1e-4)));
        assert_eq!(known.fmr_of(1.0), Some(SimilarityFmr::Below(1e-4)));
        let Some(SimilarityFmr::About(rate)) = known.fmr_of(0.5) else { panic!() };
        assert!((rate / 1e-3 - 10.0_f64.powf(-0.5)).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn the_two_directions_agree_and_agree_with_the_decision() {
        // Two rates with one threshold: a similarity at it has the higher rate.
        for knots in [&KNOTS[..], &[(1e-2, 0.3), (1e-3, 0.3), (1e-4, 0.6)], &[(1e-3, 0.4)]] {
            let known = known(knots);
            for step in 0..=1000 {
                let similarity = 0.25 + 0.4 * f64::from(step) / 1000.0;
                let rate = known.fmr_of(similarity).unwrap();
                if let SimilarityFmr::About(fmr) = rate {
                    let threshold = known.threshold_at(fmr).unwrap().threshold;
                    assert!((threshold - similarity).abs() < 1e-9, "{similarity} {fmr}");
                }
                for each in &known.similarity {
                    let below = match rate {
                        SimilarityFmr::Above(_) => false,
                        SimilarityFmr::About(fmr) => fmr < each.fmr,
                        SimilarityFmr::Below(_) => true,
                    };
                    assert_eq!(below, similarity > each.threshold, "{similarity} {each:?}");
                }
            }
        }
    }

    #[test]
    fn a_search_among_many_returns_a_stranger_more_often() {
        assert_eq!(fpir_of(1e-3, 0), 0.0);
        assert!((fpir_of(1e-3, 1) - 1e-3).abs() < 1e-15);
        // 1 - 0.9^2 = 0.19, and 1 - 0.99^3.
        assert!((fpir_of(0.1, 2) - 0.19).abs() < 1e-12);
        assert!((fpir_of(0.01, 3) - 0.029_701).abs() < 1e-12);
        // Small rates are not lost to rounding: a million times 1e-12 is nearly 1e-6.
        assert!((fpir_of(1e-12, 1_000_000) / 1e-6 - 1.0).abs() < 1e-6);
        assert_eq!((fpir_of(1.0, 5), fpir_of(1.0, 0)), (1.0, 0.0));
        for (fpir, references) in [(0.01, 1), (0.01, 200), (1e-3, 1_000_000), (0.5, 7)] {
            let again = fpir_of(fmr_of_search(fpir, references), references);
            assert!((again / fpir - 1.0).abs() < 1e-9, "{fpir} {references}: {again}");
        }
        assert_eq!(fmr_of_search(0.01, 0), 1.0);

        let known = known(&KNOTS);
        // 0.01 among 10 is a rate of 1.0045e-3, whose threshold is a little below that of 1e-3.
        let threshold = known.threshold_at_fpir(0.01, 10).unwrap().threshold;
        assert!(threshold < 0.4 && threshold > 0.399, "{threshold}");
        assert!(known.threshold_at_fpir(0.01, 1_000_000).is_err());
        assert!(known.threshold_at_fpir(0.01, 0).is_err());
    }
}
