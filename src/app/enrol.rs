//! The rules of enrolment by the settings and by the profile's similarity thresholds.

use anyhow::Result;

use super::App;
use crate::domain::{EnrolRules, MatchThresholds, Profile, UnknownRate};

impl App {
    /// The rules of enrolments under `profile`. If faces cannot be compared with each other as the
    /// settings want, the log says so.
    ///
    /// # Errors
    /// If a file of thresholds cannot be read.
    pub fn enrol_rules(&self, profile: &Profile) -> Result<EnrolRules> {
        let enrol = &self.settings.enrol;
        let rules = EnrolRules {
            gate: self.settings.gate(),
            references: self.settings.references(),
            match_threshold: None,
            look_alike_threshold: None,
        };
        if enrol.fmr == 0.0 && enrol.look_alike_fmr == 0.0 {
            return Ok(rules);
        }
        let Some(known) = self.match_thresholds(profile)? else {
            tracing::warn!(
                "no similarity threshold is known for profile {}: enrolments are not compared with \
                    the references of their subjects and of others (NOT_THE_SUBJECT, \
                    LOOKS_LIKE_ANOTHER). `facefleet calibrate` measures thresholds; enrol.fmr = 0 \
                    and enrol.look_alike_fmr = 0 silence this warning",
                profile.id()
            );
            return Ok(rules);
        };
        let threshold = |key, fmr| threshold(&known.thresholds, key, fmr);
        Ok(EnrolRules {
            match_threshold: threshold("enrol.fmr", enrol.fmr),
            look_alike_threshold: threshold("enrol.look_alike_fmr", enrol.look_alike_fmr),
            ..rules
        })
    }
}

/// The similarity threshold at `fmr`, or at the nearest rate that was measured; none for 0.
fn threshold(known: &MatchThresholds, key: &str, fmr: f64) -> Option<f64> {
    if fmr == 0.0 {
        return None;
    }
    match known.threshold_at(fmr) {
        Ok(found) => Some(found.threshold),
        Err(UnknownRate::None) => None,
        Err(UnknownRate::Outside { highest, lowest, .. }) => {
            let nearest = if fmr < lowest { lowest } else { highest };
            tracing::warn!(
                "{key} = {fmr:e}: the rates that were measured are {highest:e} to {lowest:e}; \
                    {nearest:e} counts"
            );
            known.threshold_at(nearest).ok().map(|found| found.threshold)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SimilarityThreshold;

    #[test]
    fn a_rate_that_was_not_measured_counts_as_the_nearest() {
        let similarity = [(1e-2, 0.3), (1e-3, 0.4)].map(|(fmr, threshold)| SimilarityThreshold {
            fmr,
            threshold,
            interval: None,
        });
        let known =
            MatchThresholds { similarity: similarity.to_vec(), ..MatchThresholds::default() };
        let of = |fmr| threshold(&known, "enrol.fmr", fmr);
        assert_eq!([of(1e-2), of(1e-5), of(0.1), of(0.0)], [Some(0.3), Some(0.4), Some(0.3), None]);
        assert_eq!(threshold(&MatchThresholds::default(), "enrol.fmr", 1e-4), None);
    }
}
