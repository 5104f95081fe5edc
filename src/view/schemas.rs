//! The schemas in `docs/schemas/` are those of the code: one for each kind of line that `--json`
//! prints.

use schemars::JsonSchema;

use super::audit::AuditView;
use super::campaign::CampaignView;
use super::check::CheckView;
use super::curation::{CurationResultView, PreviewLine, SuggestionView, VerdictView};
use super::device::DeviceRowView;
use super::enrol::{EnrolSummaryLine, EnrolledImageView, EnrolmentView};
use super::erasure::{ErasureReceipt, ReappliedErasures, VerifiedErasureView};
use super::evaluation::{BiasView, CalibrationView, EvaluationView};
use super::face::MatchView;
use super::image::{ImageView, KnownImageView};
use super::model::{ImportView, ModelView, PreparedView};
use super::not_listed::NotListedView;
use super::profile::{ActivatedView, ProfileDetailView, ProfileView, RetiredView};
use super::profile_comparison::ProfileComparisonView;
use super::queue::{DeadLetterView, QueueView, ResolvedView};
use super::remap::RemapView;
use super::rescore::RescoreSummaryLine;
use super::retention::RetentionView;
use super::scan::ScanSummaryLine;
use super::schedule::{ScheduleRunView, ScheduleView};
use super::search::SearchView;
use super::subject::{SubjectChangeView, SubjectDetailView, SubjectView};
use super::verify::VerifyView;
use super::worker::WorkerView;
use crate::queue::schemas::{assert_documented, written};

fn check<T: JsonSchema>(name: &str) {
    let mut schema = written::<T>();
    schema["$id"] = format!("urn:facefleet:{name}:1").into();
    schema["title"] = format!("facefleet {name}").into();
    assert_documented(&format!("schemas/{name}.schema.json"), &schema);
}

#[test]
fn every_line_of_json_has_a_schema_in_the_documentation() {
    check::<ImageView>("image");
    check::<KnownImageView>("known-image");
    check::<MatchView>("match");
    check::<SearchView>("search");
    check::<NotListedView>("not-listed");
    check::<ScanSummaryLine>("scan-summary");
    check::<EnrolledImageView>("enrolled-image");
    check::<EnrolSummaryLine>("enrol-summary");
    check::<EnrolmentView>("enrolment");
    check::<SubjectView>("subject");
    check::<SubjectDetailView>("subject-detail");
    check::<SubjectChangeView>("subject-change");
    check::<VerdictView>("verdict");
    check::<CurationResultView>("curation-result");
    check::<SuggestionView>("suggestion");
    check::<PreviewLine>("curation-preview");
    check::<VerifyView>("verify");
    check::<CampaignView>("campaign");
    check::<QueueView>("queue");
    check::<DeadLetterView>("dead-letter");
    check::<ResolvedView>("resolved");
    check::<CheckView>("check");
    check::<DeviceRowView>("device-row");
    check::<WorkerView>("worker");
    check::<RemapView>("remap");
    check::<ErasureReceipt>("erasure");
    check::<ReappliedErasures>("reapplied-erasures");
    check::<VerifiedErasureView>("verified-erasure");
    check::<RetentionView>("retention");
    check::<AuditView>("audit");
    check::<RescoreSummaryLine>("rescore-summary");
    check::<ProfileView>("profile");
    check::<ProfileDetailView>("profile-detail");
    check::<ActivatedView>("activated-profile");
    check::<RetiredView>("retired-profile");
    check::<ScheduleView>("schedule");
    check::<ScheduleRunView>("schedule-run");
    check::<EvaluationView>("evaluation");
    check::<CalibrationView>("calibration");
    check::<BiasView>("bias");
    check::<ProfileComparisonView>("profile-comparison");
    check::<ModelView>("model");
    check::<PreparedView>("prepared-model");
    check::<ImportView>("imported-model");
}
