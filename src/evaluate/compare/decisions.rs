//! Decisions that change: of the gate of enrolments, and of a quality cutoff.

use std::collections::BTreeMap;

use super::pairing::{PairedImage, ReasonSet};
use super::statistics::Units;
use crate::domain::ReasonCode;
use crate::evaluate::evaluation::Bootstrap;
use crate::view::profile_comparison::{CutoffBasis, CutoffChangesView, GateChangesView};

/// The share that the second cutoff discards.
const LOWEST: f64 = 0.05;

/// What the gate says of each image under both profiles.
pub(super) fn gate_changes(images: &[PairedImage], bootstrap: Bootstrap) -> GateChangesView {
    let accepts =
        |image: &PairedImage| image.rejected.map(|reasons| f64::from(u8::from(reasons.is_empty())));
    let net: Vec<f64> = images.iter().map(accepts).map(|[old, new]| old - new).collect();
    let units = Units::new(images.iter().map(|image| image.unit));
    let mut found = GateChangesView {
        accepted: 0,
        rejected: 0,
        newly_rejected: 0,
        newly_accepted: 0,
        newly_rejected_by: BTreeMap::new(),
        newly_accepted_by: BTreeMap::new(),
        net_rejected: units.mean(&net, bootstrap).into(),
    };
    let count = |by: &mut BTreeMap<ReasonCode, u64>, reasons: ReasonSet| {
        reasons.codes().for_each(|code| *by.entry(code).or_default() += 1);
    };
    for image in images {
        let [old, new] = image.rejected;
        match (old.is_empty(), new.is_empty()) {
            (true, true) => found.accepted += 1,
            (false, false) => found.rejected += 1,
            (true, false) => {
                found.newly_rejected += 1;
                count(&mut found.newly_rejected_by, new);
            }
            (false, true) => {
                found.newly_accepted += 1;
                count(&mut found.newly_accepted_by, old);
            }
        }
    }
    found
}

/// Which images the setting `min_quality` discards, if it is not 0, and which the lowest 5 percent
/// are. Nothing without an image whose primary face is scored under both profiles.
pub(super) fn cutoff_changes(images: &[PairedImage], min_quality: f64) -> Vec<CutoffChangesView> {
    let scored: Vec<[u8; 2]> = images
        .iter()
        .filter_map(|image| Some([image.qualities[0]?, image.qualities[1]?]))
        .collect();
    if scored.is_empty() {
        return Vec::new();
    }
    // Qualities are whole numbers: one below 39.5 is one below 40.
    let setting = min_quality.ceil() as u8;
    let lowest = [0, 1].map(|side| {
        let mut qualities: Vec<u8> = scored.iter().map(|both| both[side]).collect();
        qualities.sort_unstable();
        qualities[(LOWEST * qualities.len() as f64) as usize]
    });
    let setting = (setting > 0).then_some((CutoffBasis::Setting, [setting; 2]));
    let all = setting.into_iter().chain([(CutoffBasis::LowestFivePercent, lowest)]);
    all.map(|(basis, cutoffs)| cutoff(&scored, basis, cutoffs)).collect()
}

fn cutoff(scored: &[[u8; 2]], basis: CutoffBasis, [old, new]: [u8; 2]) -> CutoffChangesView {
    let count = |kept: [bool; 2]| {
        scored.iter().filter(|both| [both[0] >= old, both[1] >= new] == kept).count() as u64
    };
    CutoffChangesView {
        basis,
        old,
        new,
        kept: count([true, true]),
        discarded: count([false, false]),
        newly_discarded: count([true, false]),
        newly_kept: count([false, true]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ImageId;

    fn image(qualities: [Option<u8>; 2], rejected: [&[ReasonCode]; 2]) -> PairedImage {
        PairedImage {
            id: ImageId(1),
            cursors: [1, 2],
            unit: 0,
            label: None,
            has_subject: false,
            qualities,
            has_faces: [true; 2],
            rejected: rejected.map(|codes| ReasonSet::new(codes.iter().copied())),
        }
    }

    #[test]
    fn decisions_that_change_are_counted_by_their_reasons() {
        use ReasonCode::{Blurred, LowQuality, NoFace};
        let cases: [[&[ReasonCode]; 2]; 6] = [
            [&[], &[]],
            [&[], &[]],
            [&[NoFace], &[LowQuality]],
            [&[], &[LowQuality]],
            [&[], &[LowQuality, Blurred]],
            [&[NoFace], &[]],
        ];
        let images: Vec<PairedImage> = (0..)
            .zip(cases)
            .map(|(unit, rejected)| PairedImage { unit, ..image([None; 2], rejected) })
            .collect();
        let bootstrap = Bootstrap { replicates: 100, seed: 1, threads: 1 };
        let found = gate_changes(&images, bootstrap);
        let net = found.net_rejected;
        assert!(
            (net.value - 1.0 / 6.0).abs() < 1e-12 && net.low < 0.0 && net.high > 0.2,
            "{net:?}"
        );
        assert_eq!(
            (found.accepted, found.rejected, found.newly_rejected, found.newly_accepted),
            (2, 1, 2, 1)
        );
        assert_eq!(found.newly_rejected_by, [(LowQuality, 2), (Blurred, 1)].into());
        assert_eq!(found.newly_accepted_by, [(NoFace, 1)].into());
    }

    #[test]
    fn images_move_across_a_cutoff() {
        let with = |old, new| image([Some(old), Some(new)], [&[], &[]]);
        let mut images: Vec<PairedImage> = (0..18).map(|n| with(60 + n, 60 + n)).collect();
        images.extend([with(30, 50), with(50, 30), image([None, Some(50)], [&[], &[]])]);
        let [setting, lowest] = &cutoff_changes(&images, 39.5)[..] else { panic!("two cutoffs") };
        assert_eq!((setting.basis, setting.old, setting.new), (CutoffBasis::Setting, 40, 40));
        let counts =
            |of: &CutoffChangesView| [of.kept, of.discarded, of.newly_discarded, of.newly_kept];
        assert_eq!(counts(setting), [18, 0, 1, 1]);
        // One of twenty is below: under each profile the one of quality 30.
        assert_eq!((lowest.old, lowest.new, counts(lowest)), (50, 50, [18, 0, 1, 1]));
        assert_eq!(cutoff_changes(&images, 0.0).len(), 1);
        assert_eq!(cutoff_changes(&[], 40.0), []);
    }
}
