"""Which test shows which case of bad input and faults of deliveries: none may be lost by a rename.

Letters and numbers are those of the project's list: H hostile input, F faults. "make chaos" shows
F21 to F31 all at once, on a whole region.
"""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES: dict[str, tuple[str, ...]] = {
    "H28 wildcards without end": (
        "web/test_hostile_search.py::test_a_pattern_that_would_be_dear_is_refused",
    ),
    "H29 a regular expression as a bomb": (
        "model/routing/test_conditions.py::test_a_regular_expression_needs_linear_time",
    ),
    "H30 rules with code": (
        "commands/test_rules.py::test_what_looks_like_code_or_a_template_is_a_text",
        "model/routing/test_conditions.py::test_groups_are_five_deep_at_most",
        "model/routing/test_conditions.py::test_conditions_are_two_hundred_at_most",
    ),
    "H31 templates in words": (
        "commands/test_rules.py::test_what_looks_like_code_or_a_template_is_a_text",
        "web/test_stored_scripts.py::test_no_word_of_others_runs_on_any_page",
    ),
    "H32 addresses that lead inside": (
        "model/test_destinations.py::test_only_what_the_operator_names_is_allowed",
        "model/test_destinations.py::test_no_address_can_break_the_check",
        "orthanc/test_guarded.py::test_a_name_that_leads_to_this_host_is_not_taken",
        "routing/test_tell.py::test_a_webhook_gets_a_signed_message_once",
    ),
    "H33 the test of a connection as a scanner": (
        "web/test_console.py::test_a_connection_is_tested_five_times_a_minute_and_no_more",
        "web/test_console.py::test_nobody_tests_a_connection_to_what_the_operator_did_not_name",
    ),
    "H34 callbacks and webhooks of RQ": (
        "worker/test_processes.py::test_callback_of_a_job_is_not_executed",
    ),
    "H35 stored scripts": (
        "web/test_stored_scripts.py::test_no_word_of_others_runs_on_any_page",
        "web/test_console.py::test_a_page_loads_nothing_from_elsewhere_and_runs_no_inline_script",
        "web/test_console_rules.py::test_words_of_people_are_told_as_words",
    ),
    "H38 letters that turn the line around": (
        "model/routing/test_documents.py::test_a_name_with_invisible_direction_marks_is_refused",
        "web/test_console.py::test_words_of_people_are_shown_as_words",
        "commands/test_rules.py::test_a_value_cannot_move_the_terminals_cursor",
    ),
    "H40 hostile JSON": (
        "model/test_events.py::test_body_that_is_no_object_is_refused",
        "model/test_events.py::test_body_above_the_limit_is_refused_before_it_is_read",
        "orthanc/test_hostile_answers.py::test_any_json_is_an_answer_or_a_site_error",
    ),
    "H42 hostile YAML": (
        "model/routing/test_documents.py::test_hostile_yaml_is_refused_in_words",
        "web/test_console_rules.py::test_hostile_files_are_refused_with_the_field",
    ),
    "H71 foreign jobs in Redis": (
        "worker/test_processes.py::"
        "test_job_of_an_unknown_function_fails_unexecuted_and_ends_the_worker",
    ),
    "H72 rights in Redis": (
        "worker/test_redis.py::test_a_worker_needs_no_right_that_could_harm_anybody",
    ),
    "H73 files that begin as programs": (
        "journeys/test_store_truth.py::test_a_preamble_of_another_kind_of_file_is_kept_as_it_is",
    ),
    "H85 an archive that lies": (
        "routing/test_prove.py::"
        "test_an_archive_that_gives_other_bytes_than_it_lists_is_found_by_reading_back",
    ),
    "F11 a line that is down for an hour": (
        "routing/test_lost_memory.py::"
        "test_what_came_during_an_hour_without_a_line_is_caught_up_without_a_gap",
    ),
    "F12 Redis out of reach": (
        "worker/test_dispatcher.py::"
        "test_with_redis_away_emergencies_are_done_here_and_the_others_wait",
        "journeys/test_delivery_journey.py::test_an_emergency_arrives_while_redis_is_away",
        "worker/test_processes.py::test_keeper_probes_without_redis_and_without_workers",
        "worker/test_processes.py::test_frozen_redis_holds_up_a_bell_only_once",
        "routing/test_house.py::test_a_redis_that_is_away_or_throws_jobs_away",
    ),
    "F21 an archive away for eight hours": (
        "records/test_long_outage.py::"
        "test_an_archive_that_is_away_for_eight_hours_gets_all_of_it_afterwards",
        "records/test_long_outage.py::"
        "test_after_an_outage_the_archive_gets_its_full_rate_again_within_some_studies",
        "model/test_deliveries.py::test_waits_double_up_to_the_cap_of_the_lane",
        "routing/test_invariants.py::test_a_hospital_that_will_soon_delete_what_is_not_delivered",
    ),
    "F22 a full archive": (
        "routing/test_full_disk.py::test_a_full_archive_is_told_and_never_taken_for_delivered",
        "model/test_pace.py::test_a_full_one_rests_at_once_and_no_proof_of_old_studies_wakes_it",
    ),
    "F23 an archive that takes some": (
        "routing/test_deliver.py::test_what_an_archive_says_decides_whether_it_is_tried_again",
        "routing/test_deliver.py::test_only_what_is_missing_is_sent",
        "records/test_deliveries.py::"
        "test_a_refusal_is_parked_at_the_third_time_with_every_instance",
    ),
    "F24 an archive that loses what it took": (
        "routing/test_reconcile.py::"
        "test_every_night_what_an_archive_lost_is_sent_again_with_an_alarm_until_it_is_there",
        "routing/test_reconcile.py::"
        "test_what_was_proven_in_the_last_week_is_compared_with_hashes_and_a_sample_of_the_rest",
        "routing/test_prove.py::test_what_the_archive_has_lost_is_sent_again",
    ),
    "F25 Redis restarted": (
        "worker/test_processes.py::test_worker_waits_for_redis_and_survives_its_restart",
    ),
    "F26 Redis wiped": (
        "worker/test_dispatcher.py::test_a_wiped_redis_costs_no_lease",
        "worker/test_dispatcher.py::test_a_wiped_redis_takes_nothing_from_a_worker",
        "journeys/test_delivery_journey.py::test_a_redis_that_forgets_everything_costs_no_study",
    ),
    "F27 a Redis that evicts": (
        "worker/test_processes.py::test_worker_refuses",
        "routing/test_house.py::test_a_redis_that_is_away_or_throws_jobs_away",
    ),
    "F28 an old copy of Redis": (
        "worker/test_redis.py::test_an_old_copy_of_redis_doubles_nothing",
    ),
    "F29 killed workers": (
        "journeys/test_delivery_journey.py::"
        "test_a_killed_worker_takes_its_child_along_and_another_goes_on",
        "worker/test_processes.py::test_child_of_a_worker_dies_with_it",
        "chaos/test_chaos.py::test_no_study_is_lost_and_no_row_is_false_whatever_falls",
    ),
    "F30 a frozen worker": (
        "worker/test_deliveries.py::test_a_late_word_of_a_frozen_worker_does_not_count",
        "worker/test_deliveries.py::test_who_lost_the_lease_writes_nothing",
        "worker/test_deliveries.py::test_without_a_heartbeat_the_work_ends_with_the_lease",
    ),
    "F31 all hospitals at once": (
        "records/test_long_outage.py::"
        "test_a_herd_of_thirty_hospitals_passes_by_the_limits_and_emergencies_pass_it",
        "records/test_deliveries.py::test_limits_of_destination_source_and_workers_are_kept",
    ),
    "F38 a locked database": (
        "web/test_locked_database.py::test_a_locked_database_is_503_with_retry_after_and_never_500",
        "web/test_locked_database.py::test_a_transaction_that_another_one_undid_may_be_tried_again",
        "records/test_engine.py::test_writers_wait_for_each_other_and_lose_nothing",
    ),
    "F39 a database killed, or of yesterday": (
        "routing/test_lost_memory.py::"
        "test_a_database_of_yesterday_sends_nothing_twice_and_forgets_nothing",
        "index/test_killed_keeper.py::test_database_that_is_away_for_a_while_costs_no_row",
        "worker/test_deliveries.py::test_a_database_that_is_away_for_a_moment_costs_no_second_try",
    ),
    "F40 wrong clocks": (
        "records/test_clocks.py::test_hosts_of_one_database_go_by_its_clock",
        "records/test_clocks.py::test_a_lease_of_before_the_clock_was_put_back_holds_nobody_up",
        "records/test_clocks.py::"
        "test_a_clock_that_jumps_ahead_costs_a_second_try_and_no_wrong_word",
        "records/test_clocks.py::test_a_lead_of_before_the_clock_was_put_back_is_taken_over",
        "routing/test_house.py::test_a_host_whose_clock_is_wrong_is_told_until_it_is_right",
        "routing/test_invariants.py::test_a_site_whose_clock_is_wrong",
        "orthanc/test_probe.py::test_a_clock_that_is_wrong_is_seen_by_its_date",
        "index/test_faults_orthanc.py::test_site_whose_clock_is_wrong_is_followed_all_the_same",
        "model/test_destinations.py::test_windows_hold_in_the_zone_of_the_destination",
    ),
    "F41 a poison study": (
        "worker/test_memory.py::test_a_study_that_eats_memory_is_parked_and_the_others_go",
        "worker/test_deliveries.py::"
        "test_a_study_over_which_the_code_fails_is_parked_after_three_times",
    ),
    "F42 a poison rule": (
        "worker/test_arrivals.py::test_a_rule_that_fails_over_a_study_puts_it_aside_with_an_alarm",
        "model/routing/test_conditions.py::test_a_regular_expression_needs_linear_time",
    ),
    "F43 rules changed on the way": (
        "worker/test_arrivals.py::test_new_rules_change_no_delivery_that_is_on_its_way",
        "web/test_console_rules.py::test_two_authors_do_not_overwrite_each_other",
        "web/test_console_rules.py::test_if_match_guards_a_save",
    ),
    "F44 a destination removed": (
        "records/test_deliveries.py::test_the_oldest_goes_first_and_an_unknown_destination_waits",
        "routing/test_invariants.py::test_deliveries_that_nobody_takes",
    ),
    "F45 events twice, shuffled, missing": (
        "index/test_faults_orthanc.py::test_feed_that_lies_leads_to_the_index_of_the_site",
        "index/test_feed_faults.py::test_entries_repeated_and_shuffled_lead_to_the_same_index",
        "index/test_feed_faults.py::"
        "test_studies_whose_entries_are_missing_are_found_by_their_count",
        "records/test_arrivals.py::test_a_new_manifest_is_a_new_epoch_and_the_same_one_is_none",
    ),
    "F46 an Orthanc that died before its study was stable": (
        "routing/test_lost_memory.py::"
        "test_a_study_of_an_orthanc_that_died_before_it_was_stable_is_delivered",
    ),
    "F47 another database at a site": (
        "index/test_follow_orthanc.py::test_replaced_database_is_read_from_its_beginning",
        "index/test_follow_orthanc.py::test_restored_backup_is_followed_from_where_it_is",
    ),
    "F48 late images": (
        "journeys/test_delivery_journey.py::test_late_images_follow_as_another_epoch",
        "records/test_deliveries.py::test_delivered_stays_in_history_when_images_follow",
    ),
    "F49 deleted before it was delivered": (
        "routing/test_deliver.py::"
        "test_what_the_hospital_has_deleted_is_said_after_the_rest_was_sent",
        "routing/test_invariants.py::test_what_waits_for_a_person",
    ),
    "F50 withdrawn on purpose": (
        "records/test_deliveries.py::"
        "test_an_exclusion_holds_for_late_images_until_somebody_retries",
        "commands/test_deliveries.py::test_a_person_retries_and_excludes_with_name_and_reason",
        "web/test_console.py::test_an_act_is_recorded_with_the_account_that_did_it",
    ),
    "F51 two keepers": (
        "worker/test_processes.py::"
        "test_a_keeper_tells_by_mail_and_the_next_one_does_not_say_it_again",
        "records/test_deliveries.py::test_who_leads_no_longer_claims_nothing",
        "records/test_deliveries.py::test_two_who_claim_at_once_never_get_the_same",
        "records/test_frozen_writer.py::"
        "test_spare_leads_and_writes_while_the_leader_is_frozen_in_a_batch",
    ),
    "F57 out of memory": (
        "worker/test_memory.py::test_a_study_that_eats_memory_is_parked_and_the_others_go",
    ),
    "F58 nobody can be told": (
        "routing/test_tell.py::test_a_mail_server_that_is_away_loses_nothing_and_is_not_flooded",
        "routing/test_mail_tls.py::"
        "test_a_wrong_password_is_an_alarm_until_it_is_right_and_never_told",
        "routing/test_invariants.py::test_people_who_cannot_be_told",
    ),
    "F60 another RQ": (
        "worker/test_rq_before.py::test_the_queues_work_with_the_rq_before",
        "worker/test_rq_before.py::test_an_upgrade_loses_no_job_that_waits_or_runs",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_case_is_shown(case: str) -> None:
    named = [place.split("::") for place in CASES[case]]
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^def {test}\(", (HERE / file).read_text(), re.MULTILINE)
    ]
    assert missing == []
