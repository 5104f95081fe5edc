//! What is known here of the models of a profile: their licences, and similarity thresholds.

use super::App;
use crate::domain::{AlignmentProfile, Profile, SourcedThresholds, ThresholdSource};
use crate::view::profile::ProfileModelView;

impl App {
    /// The networks of a profile, with the licences of the manifests of the same files.
    pub fn models_of(&self, profile: &Profile) -> Vec<ProfileModelView> {
        let models = self.models();
        let manifests: Vec<_> =
            models.names().iter().filter_map(|name| models.manifest(name).ok()).collect();
        let view = |role, model: &str, sha256: &str| ProfileModelView {
            role,
            model: model.to_owned(),
            sha256: sha256.to_owned(),
            licence: manifests
                .iter()
                .find(|manifest| manifest.sha256 == sha256)
                .map(|manifest| manifest.licence.clone()),
        };
        let detector = match &profile.alignment {
            AlignmentProfile::Similarity { detector } => {
                Some(view("detector", &detector.name, &detector.sha256))
            }
            AlignmentProfile::None => None,
        };
        let recogniser = view("recogniser", &profile.recogniser.name, &profile.recogniser.sha256);
        detector.into_iter().chain([recogniser]).collect()
    }

    /// The similarity thresholds for templates of `profile`, whatever the models of the settings
    /// are: those of the calibration in the settings if it is for this profile, or else those of
    /// its recogniser's manifest.
    pub fn thresholds_of(&self, profile: &Profile) -> Option<SourcedThresholds> {
        // A calibration for another profile is no error here.
        if let Ok(Some(calibrated)) = self.calibrated_thresholds(profile) {
            return Some(calibrated);
        }
        let (models, name) = (self.models(), &profile.recogniser.name);
        let manifest = models.manifest(name).ok()?;
        let recogniser =
            manifest.recogniser().filter(|_| manifest.sha256 == profile.recogniser.sha256);
        let thresholds = recogniser?.thresholds_for(profile)?.clone();
        let source = ThresholdSource::Manifest(models.manifest_path(name));
        Some(SourcedThresholds { source, thresholds })
    }
}
