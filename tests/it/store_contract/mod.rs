//! What every store promises. A backend joins with a [`Home`] and a `store_contract!` line.

mod campaigns;
mod comparing;
mod curation;
mod decisions;
pub mod enrolments;
mod erasing;
mod filters;
mod held;
mod history;
mod homes;
mod ids;
mod live;
mod missing;
mod notes;
mod places;
mod profiles;
mod reading;
mod reapplying;
mod recording;
mod remapping;
mod rescoring;
mod restored;
mod retention;
mod runs;
pub mod schedules;
mod subjects;
mod templates;
mod upgrade;
mod verdicts;
mod views;
mod workers;

use std::sync::Arc;

use facefleet::domain::{JobRecord, LabelledImage, OutcomeKind, ProfileId};
use facefleet::store::{PageFilter, PageQuery, Store, StoredImage};
use held::{assert_held, assert_holds, recorded_at};
pub use homes::{PostgresHome, SqliteHome};
use serde_json::Value;

use crate::support::{gallery, profile, selection, stamp, uri};

/// Where a test's store is. It can be opened more than once, and is deleted with this value.
pub trait Home {
    /// A new, empty store.
    async fn new() -> Self;

    /// Another handle on the same store.
    async fn open(&self) -> Arc<dyn Store>;

    /// The rows of a view, as another program reads them.
    async fn view(&self, name: &str) -> Vec<Value>;

    /// Runs a statement, the one of the backend's dialect.
    async fn change(&self, sqlite: &str, postgres: &str);
}

/// A store where the profiles `a` and `b` are registered.
async fn opened(home: &impl Home) -> Arc<dyn Store> {
    let store = home.open().await;
    store.register_profile(&profile("a")).await.unwrap();
    store.register_profile(&profile("b")).await.unwrap();
    store
}

fn a() -> ProfileId {
    profile("a").id()
}

fn b() -> ProfileId {
    profile("b").id()
}

fn under_b(record: JobRecord) -> JobRecord {
    JobRecord { profile: b(), ..record }
}

fn whole_page(profile: ProfileId) -> PageQuery {
    PageQuery {
        gallery: gallery(),
        profile,
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: 10_000,
        templates: true,
    }
}

async fn images(store: &Arc<dyn Store>, profile: ProfileId) -> Vec<StoredImage> {
    store.page(&whole_page(profile)).await.unwrap()
}

async fn outcomes(store: &Arc<dyn Store>, profile: ProfileId) -> Vec<(OutcomeKind, u64)> {
    store.summary(&gallery(), &profile).await.unwrap().outcomes
}

async fn settled(store: &Arc<dyn Store>, profile: ProfileId, name: &str, version: &str) -> bool {
    let images = [LabelledImage::new(uri(name), Some(stamp(version)))];
    store.up_to_date(&gallery(), &profile, &selection(), &images).await.unwrap()[0]
}

/// Runs every contract test against a backend.
macro_rules! store_contract {
    ($backend:ident, $home:ty) => {
        store_contract! { @tests $backend, $home;
            recording {
                a_batch_of_nothing_and_a_batch_of_many_are_both_fine
                writing_twice_is_writing_once
                one_batch_may_hold_an_image_more_than_once
                a_batch_with_one_record_that_cannot_be_kept_writes_nothing
                a_result_that_is_not_final_is_replaced_in_its_place
                a_final_result_is_replaced_under_another_selection_only
                new_bytes_supersede_the_old_results_of_every_profile_in_the_gallery
                bytes_that_come_back_bring_their_result_back
                bytes_supersede_a_fetch_that_failed
                a_redelivered_job_that_could_not_fetch_changes_nothing
                a_job_ends_as_it_first_ended
                a_repeat_remembers_the_new_listed_version
                what_an_image_shows_is_kept_and_added_later
                an_enrolment_of_bytes_that_were_scanned_names_their_subject
                two_tasks_that_record_the_same_leave_one_set_of_rows
                two_handles_that_record_the_same_leave_one_set_of_rows
                two_handles_see_what_the_other_wrote
            }
            notes {
                a_record_without_bytes_is_a_note_next_to_the_result_of_its_profile
                the_latest_attempt_without_bytes_is_the_one_that_is_noted
                any_result_with_bytes_may_have_a_note
                bytes_that_come_end_the_note
                pages_have_notes_if_they_are_asked_for
                the_hash_that_a_job_expected_is_kept_with_its_result
            }
            ids {
                an_image_has_one_id_under_every_profile
                a_record_without_bytes_has_the_id_of_an_image
                ids_agree_in_records_pages_and_lists
            }
            reading {
                everything_of_a_record_comes_back
                up_to_date_is_the_same_version_with_a_final_outcome
                an_image_is_up_to_date_only_with_the_bytes_that_are_expected
                current_images_are_given_subjects
                profiles_are_registered_once_and_come_back_as_they_were
                two_profiles_live_side_by_side
                galleries_come_by_name_and_their_profiles_the_active_one_first
                the_summary_adds_up
                a_summary_of_nothing_is_empty
                a_summary_names_the_twenty_most_frequent_reasons
                extremes_come_in_order_and_without_unscored_faces
                pages_cover_every_image_exactly_once
                a_snapshot_has_nothing_that_is_recorded_later
                templates_come_back_as_they_were
                a_reopened_store_holds_everything
            }
            templates {
                the_templates_of_a_gallery_are_those_of_its_current_scored_faces
                templates_come_in_batches_and_end_when_nobody_wants_more
                stamps_name_the_active_references_or_all_current_faces
                a_replaced_result_keeps_its_key_and_gets_another_stamp
            }
            filters {
                pages_of_a_range_of_quality_have_images_with_such_a_face
                pages_of_named_images_have_their_current_results
                an_image_is_found_by_the_uri_that_is_shown
                pages_since_a_time_have_what_was_recorded_then
            }
            history {
                the_history_of_an_image_has_every_gallery_profile_and_version
                an_unknown_image_has_no_history
            }
            remapping {
                a_remap_changes_only_the_qualities
                a_remap_that_runs_twice_has_one_effect
                a_remap_that_was_interrupted_goes_on
                the_parts_of_a_remap_copy_each_image_once
                a_remap_replaces_older_results_and_no_later_ones
                a_remap_follows_the_bytes_of_an_image
                a_copy_with_bytes_supersedes_an_attempt_without
                a_remap_of_nothing_leaves_nothing_behind
                an_excluded_image_has_a_result_when_it_is_restored_after_a_remap
                remaps_and_records_at_once_leave_one_result_of_each_image
            }
            rescoring {
                a_rescore_reads_every_current_image_with_bytes_once
                what_is_done_has_a_final_outcome_of_the_same_selection
                references_of_superseded_bytes_are_read_too
                an_image_that_is_gone_keeps_the_result_that_it_has
                an_image_that_a_verdict_marks_as_gone_is_told
                what_comes_from_the_chip_cache_says_nothing_about_the_source
                chips_of_bytes_that_are_past_change_no_current_result
            }
            comparing {
                a_profile_with_worse_templates_is_not_advised
                what_one_of_two_profiles_lacks_is_counted_and_named
                another_mapping_leaves_templates_and_scores_out
            }
            campaigns {
                a_campaign_adds_up
                a_job_counts_once_however_often_it_ends
                a_job_that_is_tried_again_counts_as_it_ends_then
                a_campaign_may_have_no_selection
                the_failures_of_a_campaign_are_its_own
                a_listing_that_fails_is_told_until_it_is_continued
                two_handles_count_the_same_jobs_once
                a_chunk_that_is_listed_again_gives_the_jobs_that_are_left
                operators_pause_resume_and_cancel
                campaigns_come_latest_first
                an_unknown_campaign_is_an_error
            }
            schedules {
                a_schedule_keeps_its_next_slot_until_its_timing_changes
                a_slot_is_claimed_once_by_five_processes_at_once
                missed_slots_are_run_or_skipped_as_the_schedule_says
                a_clock_that_jumps_back_runs_no_slot_twice
                a_claim_of_another_definition_fails
                a_run_is_taken_over_by_one_process_once_its_own_is_silent
                a_listing_that_begins_anew_counts_every_image_once
            }
            runs {
                a_run_whose_beat_is_in_the_future_is_silent
                processes_that_die_at_a_run_are_counted
                only_the_claim_that_a_run_has_says_how_far_its_listing_is
                old_runs_are_deleted
                rows_that_cannot_be_read_are_left_out
            }
            enrolments {
                the_best_images_become_the_references_of_their_subject
                a_rejected_image_is_no_reference_and_says_why
                a_face_that_is_not_the_subjects_is_rejected
                what_was_decided_stays_for_its_job_and_what_was_accepted_for_all
                the_same_bytes_and_nearly_the_same_picture_are_kept_aside
                an_image_to_review_is_kept_aside_until_somebody_restores_it
                scans_that_name_subjects_do_not_enrol
                enrolments_of_one_subject_at_once_wait_for_each_other
                look_alikes_are_the_most_similar_references_of_others
                references_are_found_also_when_their_bytes_were_superseded
                accepted_images_are_known_by_subject_and_counted_by_campaign
            }
            decisions {
                an_image_is_read_with_its_latest_enrolment
                only_an_accepted_image_gets_the_label_of_its_subject
                a_decision_about_bytes_stays_when_none_come
                an_accepted_image_without_a_face_is_decided_about_again
                faces_of_a_batch_are_compared_with_those_that_became_references
                what_an_operator_set_aside_stays_aside
                a_job_that_is_delivered_again_is_decided_once
                a_review_ends_with_what_the_operator_decides
                campaigns_count_the_decisions_of_their_own_jobs
            }
            subjects {
                subjects_come_by_name_in_pages
                references_without_a_template_under_the_active_profile_are_told
                a_renamed_subject_keeps_everything
                a_merge_chooses_the_references_anew
                an_acceptance_survives_a_merge
                a_removed_subject_is_gone_and_its_images_stay
                subjects_may_be_renamed_while_they_are_enrolled
            }
            erasing {
                an_erased_image_is_gone_and_stays_gone
                an_erasure_knows_its_contents_until_it_ends
                an_erasure_that_finds_nothing_left_keeps_its_time
                an_erased_subject_is_gone_with_its_images
                an_erased_gallery_is_gone_and_its_campaigns_are_cancelled
                jobs_of_erased_images_count_in_their_campaign
                nothing_that_is_recorded_meanwhile_survives_an_erasure
                an_erased_name_comes_back_by_no_verdict_and_no_other_name
                an_image_that_a_verdict_gave_to_the_erased_is_erased
                what_is_left_of_verdicts_holds_after_an_erasure
                a_reason_with_a_longer_word_stays
                reasons_of_verdicts_do_not_name_the_erased
            }
            restored {
                two_images_are_told_apart_once
                references_that_are_back_are_no_more_than_a_subject_keeps
                references_that_another_name_brings_back_are_no_more_either
                an_excluded_image_is_known_as_such
            }
            reapplying {
                a_person_that_came_back_is_erased_again
                a_person_that_has_another_name_in_the_backup_is_erased_by_their_images
                an_image_and_a_gallery_that_came_back_are_erased_again
                a_receipt_that_says_nothing_here_erases_nothing
                nothing_that_is_recorded_meanwhile_survives_an_erasure_that_is_done_again
                an_erased_image_is_known_by_its_number
                whether_something_is_known_is_told_without_a_trial
                contents_that_another_gallery_has_are_no_remains
            }
            places {
                what_others_have_at_an_erased_place_stays_when_it_is_erased_again
                an_image_that_is_erased_again_takes_nobody_elses_with_it
                a_campaigns_place_that_is_named_after_an_erased_person_is_forgotten
                an_erased_person_takes_nobody_elses_bytes_from_their_places
                an_image_that_is_named_by_its_number_leaves_what_others_have_at_its_place
            }
            retention {
                images_that_nobody_has_are_removed_and_no_scan_brings_them_back
                a_removed_version_beside_a_kept_one_is_not_read_again
                whether_a_job_would_end_as_erased_is_told_before_its_image_is_analysed
                an_enrolment_brings_back_what_retention_removed_and_not_what_was_erased
                the_latest_result_says_how_old_an_image_is
                rejected_enrolments_go_with_images_that_nobody_has
                contents_of_removed_images_are_known_until_they_are_forgotten
                a_run_goes_page_by_page_and_leaves_a_line
                what_holds_for_an_image_stays_when_old_verdicts_go
                events_come_in_the_order_of_time_and_in_pages
                the_audit_does_not_name_the_erased
                who_changed_subjects_is_noted
            }
            verdicts {
                an_excluded_image_is_left_out_and_still_there
                an_excluded_image_has_no_active_reference
                a_reassigned_image_has_its_new_subject_whatever_jobs_say
                verdicts_are_kept_with_who_when_and_why
                what_cannot_be_decided_changes_nothing
                of_verdicts_at_once_each_counts_once
                verdicts_follow_the_names_of_subjects_to_their_end
                a_reassignment_counts_whatever_was_decided_before
                references_follow_the_names_of_subjects
                an_excluded_image_pushes_no_reference_out
            }
            missing {
                what_a_complete_listing_does_not_find_is_missing
                a_gone_image_is_left_out_until_a_listing_finds_it
                a_moved_image_keeps_what_is_known_of_it
                only_an_image_of_the_same_bytes_without_a_past_is_a_new_place
                a_copy_that_was_there_with_the_missing_image_is_no_new_place
                what_is_read_or_up_to_date_is_not_gone
                a_listing_that_failed_marks_nothing_and_finds_what_is_back
                what_a_view_of_many_missing_images_suggests_can_be_applied
                an_erased_image_is_not_missing
            }
            curation {
                a_preview_is_applied_exactly_and_undone_as_a_whole
                a_preview_of_a_gallery_that_changed_does_nothing
                the_same_picture_twice_is_suggested_until_it_is_decided
                an_image_unlike_its_subject_is_suggested_until_it_is_decided
                two_subjects_of_one_person_are_suggested_until_they_are_told_apart
                each_subject_has_a_best_image
                an_image_of_several_pairs_gets_one_verdict
                what_was_decided_is_in_no_pair_of_subjects
                a_reference_is_excluded_by_nobody_but_a_person
                of_two_equal_copies_the_better_known_one_stays
                what_has_to_be_reviewed_is_not_excluded_for_its_quality
                the_name_of_another_preview_is_refused_as_such
                a_name_that_nobody_has_is_new
            }
            live {
                what_others_record_is_searched_soon
                what_this_process_changes_is_searched_at_once
                new_references_are_added_without_a_look_at_everything
                what_others_removed_is_not_found_even_before_the_index_knows
                faces_are_followed_too
                an_activation_switches_the_index_as_a_whole
            }
            profiles {
                the_first_profile_of_a_gallery_is_active_until_another_is_activated
                of_activations_at_once_one_wins
                coverage_counts_final_results_of_the_same_bytes
                coverage_leaves_out_what_is_gone
                references_that_a_profile_lacks_are_counted
                the_active_profile_is_compared_with_all_profiles_together
                what_one_profile_alone_has_is_counted
                a_retired_profile_is_gone_and_everything_else_stays
                a_retirement_that_was_interrupted_goes_on
                a_view_names_the_active_profiles
            }
            workers {
                a_worker_is_live_while_it_reports_itself
                a_worker_whose_report_is_in_the_future_is_gone
                a_worker_that_is_silent_is_gone_and_back_with_its_next_report
            }
            views {
                views_agree_with_exports
                views_show_current_results_alone
            }
        }
    };
    (@tests $backend:ident, $home:ty; $($file:ident { $($test:ident)* })*) => {
        mod $backend {
            use super::*;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    $file::$test(<$home>::new().await).await;
                }
            )*)*
        }
    };
}

store_contract!(sqlite, SqliteHome);
store_contract!(postgres, PostgresHome);
