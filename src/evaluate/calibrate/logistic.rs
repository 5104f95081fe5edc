//! Logistic regression by Newton's method.

/// Most steps of Newton's method. From the published mapping, it needs about ten.
const MOST_STEPS: usize = 100;

/// A mated comparison: the lower score of its two images, and whether it matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    pub score: f64,
    pub matches: bool,
    pub weight: f64,
}

/// Alpha and r of maximum likelihood in `1 / (1 + exp(-alpha * (score - r)))`. None if there is no
/// maximum: the scores of matches and of errors do not overlap, or there are only matches or only
/// errors.
pub(super) fn fit_logistic(observations: &[Observation]) -> Option<(f64, f64)> {
    let total: f64 = observations.iter().map(|each| each.weight).sum();
    let mean = observations.iter().map(|each| each.weight * each.score).sum::<f64>() / total;
    let variance =
        observations.iter().map(|each| each.weight * (each.score - mean).powi(2)).sum::<f64>()
            / total;
    let matching =
        observations.iter().filter(|each| each.matches).map(|each| each.weight).sum::<f64>()
            / total;
    let scale = variance.sqrt();
    if !(scale > 0.0 && matching > 0.0 && matching < 1.0) {
        return None;
    }
    // In standardised scores, both unknowns have a magnitude of about one.
    let (mut constant, mut slope) = ((matching / (1.0 - matching)).ln(), 0.0);
    for _ in 0..MOST_STEPS {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for each in observations {
            let x = (each.score - mean) / scale;
            let chance = 1.0 / (1.0 + (-(constant + slope * x)).exp());
            let residual = each.weight * (f64::from(u8::from(each.matches)) - chance);
            let curvature = each.weight * chance * (1.0 - chance);
            (g0, g1) = (g0 + residual, g1 + residual * x);
            (h00, h01, h11) = (h00 + curvature, h01 + curvature * x, h11 + curvature * x * x);
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.is_nan() || determinant <= 1e-12 * h00 * h11 {
            return None;
        }
        // Newton's step. It is shortened where the likelihood is flat, so that it does not
        // overshoot.
        let (step0, step1) =
            ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        let shorten = (2.0 / step0.abs().max(step1.abs())).min(1.0);
        (constant, slope) = (constant + shorten * step0, slope + shorten * step1);
        if step0.abs().max(step1.abs()) < 1e-9 {
            return (slope != 0.0).then(|| (slope / scale, mean - constant * scale / slope));
        }
    }
    // It has not converged: the maximum is at infinity.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logistic_fit_worked_by_hand() {
        // At score 1 one of four matches, at score 2 three of four: the logits are -ln 3 and ln 3,
        // so alpha = 2 ln 3 and r = 1.5.
        let at = |score, matches, weight| Observation { score, matches, weight };
        let observations =
            [at(1.0, true, 1.0), at(1.0, false, 3.0), at(2.0, true, 3.0), at(2.0, false, 1.0)];
        let (alpha, r) = fit_logistic(&observations).unwrap();
        assert!((alpha - 2.0 * 3.0_f64.ln()).abs() < 1e-6 && (r - 1.5).abs() < 1e-6, "{alpha} {r}");
    }

    #[test]
    fn kinds_that_do_not_overlap_have_no_fit() {
        let at = |score, matches| Observation { score, matches, weight: 1.0 };
        assert_eq!(
            fit_logistic(&[at(1.0, false), at(2.0, false), at(3.0, true), at(4.0, true)]),
            None
        );
        assert_eq!(fit_logistic(&[at(1.0, true), at(2.0, true)]), None);
        assert_eq!(fit_logistic(&[]), None);
    }
}
