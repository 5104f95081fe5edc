//! Both profiles by groups of people.

use std::collections::HashSet;

use super::pairing::PairedImage;
use super::similarity::BothComparisons;
use super::statistics::{Units, paired};
use super::subjects::ComparedLabels;
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::pairs::Weights;
use crate::evaluate::samples::GroupColumn;
use crate::view::profile_comparison::{GroupChangeView, GroupChangesView, PairedEstimateView};

/// The comparisons of a sample of the images.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampledComparisons<'a> {
    /// The sample, by index among the images.
    pub chosen: &'a [usize],
    /// The subject of each image of the sample.
    pub subjects: &'a [u32],
    /// Their comparisons.
    pub comparisons: &'a BothComparisons,
    /// The false match rate that fixes the thresholds.
    pub fmr: f64,
}

/// The groups of each wanted column of `labels`.
pub(super) fn group_changes(
    images: &[PairedImage],
    labels: &ComparedLabels,
    sample: Option<SampledComparisons<'_>>,
    bootstrap: Bootstrap,
) -> Vec<GroupChangesView> {
    let of_column = |&column: &usize| {
        let value = |image: &PairedImage| -> &str {
            let row = image.label.map(|row| &labels.labels.photos[row as usize]);
            row.map_or("", |label| &label.groups[column])
        };
        let values: Vec<&str> = images.iter().map(value).collect();
        let groups = GroupColumn::new(&labels.labels.group_columns[column], &values);
        let change = |number| group_change(images, &groups, number, sample, bootstrap);
        GroupChangesView {
            column: groups.name.clone(),
            fmr: sample.map(|sample| sample.fmr),
            groups: (0..groups.groups.len() as u32).filter_map(change).collect(),
        }
    };
    labels.columns.iter().map(of_column).collect()
}

/// None for a group without an image that is scored under both profiles.
fn group_change(
    images: &[PairedImage],
    groups: &GroupColumn,
    group: u32,
    sample: Option<SampledComparisons<'_>>,
    bootstrap: Bootstrap,
) -> Option<GroupChangeView> {
    let members = (0..images.len()).filter(|&index| groups.of[index] == Some(group));
    let (mut units, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for image in members.map(|index| &images[index]) {
        if let [Some(a), Some(b)] = image.qualities {
            units.push(image.unit);
            old.push(f64::from(a));
            new.push(f64::from(b));
        }
    }
    if units.is_empty() {
        return None;
    }
    let in_group = |sampled: u32, sample: &SampledComparisons<'_>| {
        groups.of[sample.chosen[sampled as usize]] == Some(group)
    };
    let mated = sample.map_or_else(Vec::new, |sample| {
        let pairs = sample.comparisons.each()[0].mated().iter().enumerate();
        let both = pairs.filter(|(_, pair)| in_group(pair.a, &sample) && in_group(pair.b, &sample));
        both.map(|(index, _)| index).collect()
    });
    Some(GroupChangeView {
        group: groups.groups[group as usize].clone(),
        images: units.len() as u64,
        subjects: units.iter().collect::<HashSet<_>>().len() as u64,
        quality: Units::new(units).means([&old, &new], bootstrap),
        mated: mated.len() as u64,
        fnmr: sample.and_then(|sample| fnmr(sample, &mated, bootstrap)),
    })
}

/// The false non-match rate of some mated comparisons, by index. None without one.
fn fnmr(
    sample: SampledComparisons<'_>,
    mated: &[usize],
    bootstrap: Bootstrap,
) -> Option<PairedEstimateView> {
    let rate = |weights: &Weights| {
        sample.comparisons.each().each_ref().map(|all| {
            let Some(threshold) = all.threshold(sample.fmr, weights) else { return f64::NAN };
            let (mut pairs, mut errors) = (0.0, 0.0);
            for pair in mated.iter().map(|&index| &all.mated()[index]) {
                let weight = weights.mated(pair);
                pairs += weight;
                errors += if pair.similarity > threshold { 0.0 } else { weight };
            }
            errors / pairs
        })
    };
    (!mated.is_empty()).then(|| paired(sample.subjects, bootstrap, rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::compare::fixture;
    use crate::evaluate::compare::similarity::LabelledFaces;
    use ndarray::array;

    #[test]
    fn two_groups_worked_by_hand() {
        // Three people of two photos each. Group x: people 0 and 1; group y: person 2.
        let table = "file,subject,hair,age\n1,0,x,\n2,0,x,\n3,1,x,\n4,1,x,\n5,2,y,\n6,2,y,\n";
        let labels = ComparedLabels::of_table(table, &[0]);
        let mut images = fixture::images(6);
        for (index, image) in (0..).zip(&mut images) {
            (image.unit, image.label) = (index / 2, Some(index));
            image.qualities = [Some(50), Some(if index < 4 { 60 } else { 50 })];
        }
        // Of twelve non-mated pairs two may match: the threshold is .6 under both. Mated pairs:
        // .8, 1, 0 under OLD, 0, 1, 1 under NEW.
        let old = array![
            [1.0_f32, 0.0, 0.0],
            [0.8, 0.6, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [1.0, 0.0, 0.0]
        ];
        let new = array![
            [1.0_f32, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.0, 0.0, 1.0],
            [0.6, 0.8, 0.0],
            [0.6, 0.8, 0.0]
        ];
        let faces = LabelledFaces {
            subjects: vec![0, 0, 1, 1, 2, 2],
            templates: [old, new],
            qualities: [Vec::new(), Vec::new()],
            of_images: 6,
        };
        let comparisons = BothComparisons::new(&faces, 1).unwrap();
        let sample = SampledComparisons {
            chosen: &[0, 1, 2, 3, 4, 5],
            subjects: &faces.subjects,
            comparisons: &comparisons,
            fmr: 2.0 / 12.0,
        };
        let bootstrap = Bootstrap { replicates: 50, seed: 1, threads: 1 };
        let found = group_changes(&images, &labels, Some(sample), bootstrap);
        let [hair] = &found[..] else { panic!("{found:?}") };
        let [x, y] = &hair.groups[..] else { panic!("{hair:?}") };
        assert_eq!((hair.column.as_str(), x.group.as_str(), y.group.as_str()), ("hair", "x", "y"));
        assert_eq!((x.images, x.subjects, x.mated), (4, 2, 2));
        assert_eq!((y.images, y.subjects, y.mated), (2, 1, 1));
        assert_eq!((x.quality.change.value, y.quality.change.value), (10.0, 0.0));
        let rates = |group: &GroupChangeView| {
            let fnmr = group.fnmr.unwrap();
            [fnmr.old.value, fnmr.new.value, fnmr.change.value]
        };
        assert_eq!((rates(x), rates(y)), ([0.0, 0.5, 0.5], [1.0, 0.0, -1.0]));
        let without = group_changes(&images, &labels, None, bootstrap);
        assert_eq!((without[0].fmr, without[0].groups[0].fnmr), (None, None));
    }
}
