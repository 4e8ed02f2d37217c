"""Which test shows which case of hostile input (H) and of faults (F): none may be lost by a rename.

The numbers are those of the project's list of cases. `pytest tests/test_cases.py --collect-only -q`
tells all of them; `make chaos` shows F21 to F31 all at once, on a whole region, `make fuzz` what
nobody has thought of. Of H37 and H57 stands here what there are pages for.
"""

import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES: dict[str, tuple[str, ...]] = {
    "H1 a path in the place of a UID": (
        "web/test_bad_input.py::test_a_uid_that_is_none_is_400_and_named",
        "web/test_bad_input.py::test_a_uid_in_a_query_is_judged_too",
        "web/test_bad_input.py::test_a_bulk_data_path_cannot_leave_its_instance",
        "dicom/test_uids.py::test_what_is_no_uid_is_refused_and_never_shown",
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_path_that_leads_out_of_the_service_stays_inside",
        "faults/test_front_proxy.py::"
        "test_a_path_that_is_not_what_it_seems_is_judged_as_it_was_sent",
    ),
    "H2 UIDs too long, or with leading zeros": (
        "web/test_bad_input.py::test_a_uid_that_is_none_is_400_and_named",
        "web/test_bad_input.py::test_leading_zeros_are_found_but_not_stored",
        "dicom/test_uids.py::test_leading_zeros_may_be_asked_for_but_not_stored",
    ),
    "H3 lists of UIDs": (
        "web/test_bad_input.py::test_a_parameter_that_is_wrong_is_400_and_named",
        "dicom/test_query.py::test_uids_are_a_list_in_every_form",
    ),
    "H4 lists of frames": (
        "web/test_bad_input.py::test_a_frame_list_that_is_wrong_is_400_and_named",
        "journeys/test_forms_journey.py::test_frames_of_which_one_does_not_exist_are_not_begun",
    ),
    "H5 a long request line": (
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_request_that_is_no_http_is_refused_as_a_problem",
    ),
    "H6 many or long headers": (
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_request_that_is_no_http_is_refused_as_a_problem",
    ),
    "H7 a body that can be framed in two ways": (
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_request_that_is_no_http_is_refused_as_a_problem",
        "faults/test_front_proxy.py::test_a_body_that_can_be_framed_in_two_ways_is_refused",
        "fuzz/test_wire.py::test_any_bytes_get_an_answer_or_a_closed_connection",
    ),
    "H8 broken chunks": ("faults/test_faults_of_store.py::test_broken_chunks_are_400",),
    "H9 slow heads and bodies": (
        "test_server.py::test_a_caller_that_never_ends_its_head_is_let_go",
        "test_server.py::test_a_caller_that_stops_sending_is_let_go",
        "test_server.py::test_others_are_served_while_many_drip",
        "web/test_storing.py::test_a_body_that_does_not_come_is_refused",
        "faults/test_many_streams.py::test_stalled_bodies_keep_nobody_waiting",
        "faults/test_on_a_network.py::test_a_slow_caller_is_let_go_by_nginx_too",
    ),
    "H10 a body of ten terabytes": (
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_body_of_ten_terabytes_is_refused_before_it_is_sent",
        "web/test_bad_input.py::test_a_body_beyond_the_limit_is_413_before_it_is_read",
        "faults/test_large_stores.py::test_a_body_that_promises_too_much_is_refused_unread",
    ),
    "H11 chunks without end": (
        "faults/test_large_stores.py::test_a_body_without_an_end_is_cut_at_the_limit",
    ),
    "H12 leave to send": (
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_request_that_is_no_http_is_refused_as_a_problem",
        "faults/test_faults_of_store.py::"
        "test_leave_to_send_is_given_by_the_gateway_and_no_site_hears_of_it",
        "faults/test_faults_of_store.py::"
        "test_who_asks_for_leave_to_send_what_is_not_taken_is_told_before_he_sends",
    ),
    "H13 boundaries that are none": (
        "web/test_bad_input.py::test_a_store_of_a_wrong_kind_is_refused_before_its_body",
        "dicom/test_multipart.py::test_a_bad_boundary_is_refused",
    ),
    "H14 no closing boundary": (
        "journeys/test_store_journey.py::test_a_body_without_its_closing_boundary_reports_nothing",
        "faults/test_faults_of_store.py::"
        "test_a_body_without_its_closing_boundary_reports_nothing_as_stored",
    ),
    "H15 multipart in multipart": (
        "web/test_bad_input.py::test_a_multipart_body_that_is_broken_is_refused",
    ),
    "H16 parts and heads without number": (
        "web/test_bad_input.py::test_too_many_parts_end_the_request",
        "web/test_bad_input.py::test_a_multipart_body_that_is_broken_is_refused",
        "faults/test_large_stores.py::test_more_parts_than_anybody_has_are_refused",
        "faults/test_large_stores.py::test_a_part_with_a_hostile_head_is_refused",
    ),
    "H17 boundaries that are dear to find": (
        "web/test_bad_input.py::test_a_multipart_body_that_is_broken_is_refused",
        "web/test_bad_input.py::test_a_strange_but_allowed_boundary_is_read",
    ),
    "H18 parts that are no images": (
        "web/test_bad_input.py::test_a_store_of_a_wrong_kind_is_refused_before_its_body",
        "faults/test_large_stores.py::test_a_part_of_another_kind_refuses_the_request",
    ),
    "H19 parts of another study": (
        "journeys/test_store_journey.py::test_a_part_of_another_study_fails_alone",
        "journeys/test_store_journey.py::test_nothing_but_parts_of_another_study_is_a_conflict",
    ),
    "H20 packed bodies": (
        "web/test_bad_input.py::test_a_coded_body_is_415",
        "journeys/test_store_truth.py::test_a_compressed_body_is_refused_and_no_site_sees_it",
    ),
    "H21 packed answers of sites": (
        "faults/test_faults_of_retrieve.py::test_a_packed_answer_is_never_unpacked",
        "faults/test_faults_of_search.py::test_a_fault_of_one_site_never_hides_the_others",
    ),
    "H22 a thousand ranges": (
        "journeys/test_forms_journey.py::test_a_range_of_a_single_part_is_cut_out",
        "web/test_hostile_search.py::test_ranges_of_bytes_are_not_for_lists",
        "dicom/test_byte_range.py::test_any_words_give_a_range_inside_or_none",
    ),
    "H23 Accept made to hurt": (
        "web/test_bad_input.py::test_an_accept_that_cannot_be_met_is_refused_and_named",
        "web/test_hostile_search.py::test_an_accept_made_to_hurt_is_refused",
        "dicom/test_media_types.py::test_a_long_accept_is_read_in_one_pass",
    ),
    "H24 a million fields": (
        "web/test_hostile_search.py::"
        "test_a_million_fields_are_read_once_and_the_same_one_counts_once",
        "web/test_hostile_search.py::test_all_fields_may_be_asked_everywhere",
    ),
    "H25 limits and offsets": (
        "web/test_bad_input.py::test_a_parameter_that_is_wrong_is_400_and_named",
        "web/test_hostile_search.py::"
        "test_a_broad_question_gets_the_newest_and_the_number_of_the_rest",
    ),
    "H26 unknown and wrong parameters": (
        "web/test_bad_input.py::test_a_parameter_that_is_wrong_is_400_and_named",
        "web/test_hostile_search.py::test_a_question_of_which_nothing_is_left_is_refused",
    ),
    "H27 broad questions": (
        "web/test_hostile_search.py::"
        "test_a_broad_question_gets_the_newest_and_the_number_of_the_rest",
        "index/test_query.py::test_a_search_that_reads_too_many_records_is_refused",
        "web/test_limits.py::test_searches_are_counted_for_each_person",
    ),
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
    "H36 documents that run": (
        "journeys/test_forms_journey.py::"
        "test_a_document_that_could_run_is_given_in_no_form_that_does",
        "journeys/test_forms_journey.py::test_answers_say_where_they_lie_and_run_nowhere",
        "faults/test_front_proxy.py::test_active_content_from_a_site_does_not_run",
    ),
    "H37 formulas in tables": (
        "model/test_audit_messages.py::test_a_table_holds_no_formula",
        "rollout/test_reading.py::test_a_formula_is_refused_at_its_row_and_column",
        "rollout/test_files.py::test_a_reason_that_begins_like_a_formula_is_neutralised",
        "web/rollout/test_export.py::test_no_text_is_taken_for_a_formula",
    ),
    "H38 letters that turn the line around": (
        "model/routing/test_documents.py::test_a_name_with_invisible_direction_marks_is_refused",
        "web/test_console.py::test_words_of_people_are_shown_as_words",
        "commands/test_rules.py::test_a_value_cannot_move_the_terminals_cursor",
    ),
    "H39 SQL in parameters": (
        "web/test_hostile_search.py::test_sql_in_a_parameter_is_a_value_like_any_other",
        "web/test_hostile_search.py::test_wildcards_of_sql_are_letters",
    ),
    "H40 hostile JSON": (
        "federation/test_assemble.py::test_what_is_no_store_request_is_refused",
        "model/test_events.py::test_body_that_is_no_object_is_refused",
        "model/test_events.py::test_body_above_the_limit_is_refused_before_it_is_read",
        "orthanc/test_hostile_answers.py::test_any_json_is_an_answer_or_a_site_error",
    ),
    "H41 hostile XML": (
        "dicom/test_native_model.py::test_other_xml_is_refused",
        "fuzz/test_datasets.py::test_xml_is_a_dataset_or_is_refused",
    ),
    "H42 hostile YAML": (
        "model/routing/test_documents.py::test_hostile_yaml_is_refused_in_words",
        "web/test_console_rules.py::test_hostile_files_are_refused_with_the_field",
    ),
    "H43 tokens without a signature": (
        "model/test_tokens.py::test_heads_that_we_do_not_make_are_refused_though_signed",
        "model/test_tokens.py::test_the_public_key_is_no_secret_to_sign_with",
        "model/test_outside.py::"
        "test_the_public_key_is_no_shared_secret_and_nothing_unsigned_counts",
    ),
    "H44 tokens that name their own key": (
        "model/test_tokens.py::test_another_key_with_our_kid_is_refused",
        "model/test_outside.py::test_a_head_that_points_elsewhere_is_refused",
    ),
    "H45 crit, b64, zip, five parts": (
        "model/test_tokens.py::test_heads_that_we_do_not_make_are_refused_though_signed",
        "model/test_tokens.py::test_what_is_no_token_is_refused",
    ),
    "H46 times of a token": (
        "model/test_tokens.py::test_an_exp_of_400_digits_is_refused",
        "model/test_tokens.py::test_no_token_lives_longer_than_an_hour",
        "model/test_tokens.py::test_claims_that_we_do_not_make_are_refused_though_signed",
        "model/test_outside.py::test_what_is_not_for_us_or_not_now_is_refused",
    ),
    "H47 a token of another kind": (
        "model/test_outside.py::test_no_kind_of_token_passes_for_another",
        "model/test_tokens.py::test_claims_that_we_do_not_make_are_refused_though_signed",
    ),
    "H48 long tokens, many, two credentials": (
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_request_that_is_no_http_is_refused_as_a_problem",
        "model/test_outside.py::test_a_long_token_is_not_looked_at",
        "web/test_oauth.py::test_a_token_is_the_only_credential_of_its_request",
        "web/test_entrance.py::"
        "test_who_is_refused_before_it_is_known_who_asks_is_told_so_at_every_door",
    ),
    "H49 a token after its end": (
        "web/test_oauth.py::test_a_token_that_was_taken_back_is_out_and_another_programs_cannot_be",
        "web/test_oauth.py::test_a_token_ends_with_the_session_that_it_comes_from",
        "web/test_sign_in.py::test_the_session_ends_with_sign_out_and_with_the_account",
        "web/test_sharing.py::test_a_link_that_is_over_says_so_to_its_patient_alone",
    ),
    "H50 links that are guessed": (
        "routing/test_house.py::test_links_that_are_guessed_are_told_until_an_hour_of_silence",
        "web/test_sharing.py::test_a_wrong_link_and_a_wrong_date_are_told_in_the_same_words",
        "web/test_sharing.py::test_neither_the_secret_nor_the_date_is_kept",
        "web/test_limits.py::test_tries_to_sign_in_are_counted_for_each_address",
    ),
    "H51 links that are over": (
        "web/test_sharing.py::test_a_link_that_is_over_says_so_to_its_patient_alone",
    ),
    "H52 programs that look at a link": (
        "web/test_sharing.py::test_looking_at_a_link_opens_nothing",
    ),
    "H53 dates of birth that are guessed": (
        "web/test_sharing.py::test_five_wrong_dates_freeze_a_link",
    ),
    "H54 objects of others": (
        "web/test_permissions.py::"
        "test_every_role_comes_through_the_doors_that_the_table_names_and_no_other",
        "web/test_permissions.py::test_what_lies_outside_is_answered_like_what_does_not_exist",
        "web/test_permissions.py::test_a_route_that_names_no_permission_stops_the_application",
        "web/test_console.py::test_what_another_hospital_has_does_not_exist",
    ),
    "H55 an image under another study": (
        "journeys/test_patient_download.py::test_another_study_is_not_reached_through_the_own_one",
        "journeys/test_patient_download.py::"
        "test_another_series_is_not_reached_through_the_own_study",
        "journeys/test_patient_download.py::test_wado_uri_reaches_nothing_through_the_own_study",
    ),
    "H56 side doors": (
        "web/test_permissions.py::test_nobody_comes_through_a_door_that_is_not_open",
        "web/test_permissions.py::test_a_search_shows_the_own_hospital_and_counts_no_other",
        "web/test_permissions.py::test_a_link_shows_its_study_whatever_is_asked",
        "web/test_permissions.py::test_nginx_fetches_nothing_that_the_caller_may_not",
    ),
    "H57 the ministry and images": (
        "web/test_sign_in.py::test_the_ministry_signs_in_and_sees_no_image",
        "web/test_oauth.py::test_the_ministry_gets_no_image_by_a_token_either",
        "model/test_access.py::test_the_ministry_never_comes_to_images_whatever_else_it_is",
        "model/rollout/test_suppression.py::"
        "test_two_answers_never_differ_by_a_certain_number_of_one_to_four",
    ),
    "H58 a grant beyond its study and its end": (
        "web/test_sharing.py::test_a_colleague_sees_what_was_granted_until_it_is_revoked",
        "web/test_withdrawal.py::test_a_right_that_became_smaller_ends_what_lies_outside_of_it",
        "faults/test_withdrawn_downloads.py::"
        "test_a_revoked_program_loses_its_download_and_another_keeps_its_own",
    ),
    "H59 other origins": (
        "web/test_cors.py::test_a_listed_origin_may_ask_with_a_token_and_never_with_a_cookie",
        "web/test_cors.py::test_any_other_origin_is_told_nothing",
        "web/test_cors.py::test_a_list_that_names_no_exact_origins_is_refused_at_the_start",
    ),
    "H60 forms of other pages": (
        "web/test_console.py::test_every_form_of_the_console_is_judged_by_its_origin",
        "web/test_console.py::test_every_form_of_the_console_must_bring_its_pages_token_back",
        "web/test_sign_in.py::test_another_sites_page_does_not_come_to_the_store_by_a_session",
        "web/test_sharing.py::test_what_another_page_sends_shares_nothing",
    ),
    "H61 pages in frames": (
        "web/test_entrance.py::test_every_answer_of_every_route_has_the_headers_of_a_page",
    ),
    "H62 being led elsewhere": (
        "web/test_sign_in.py::test_a_sign_in_leads_to_no_foreign_address",
        "web/test_authorize.py::test_nothing_is_sent_to_an_address_that_is_not_registered",
        "model/test_authorization.py::test_a_code_goes_to_the_registered_address_letter_by_letter",
    ),
    "H63 codes and states of others": (
        "web/test_outside.py::test_only_the_browser_that_left_comes_back_and_only_once",
        "web/test_outside.py::test_a_code_of_somebody_elses_try_is_refused",
        "web/test_authorize.py::"
        "test_a_code_is_changed_only_by_who_asked_for_it_and_a_wrong_try_spends_it",
        "model/test_authorization.py::test_anything_else_is_refused_in_the_words_of_oauth",
        "model/test_authorization.py::test_the_answer_says_who_it_comes_from",
    ),
    "H64 planted sessions, plain cookies": (
        "web/test_sign_in.py::test_a_session_that_was_planted_before_the_sign_in_is_nobodys",
        "web/test_sign_in.py::test_with_tls_the_cookie_is_of_this_host_alone",
        "web/test_entrance.py::test_cookies_go_over_tls_alone",
    ),
    "H65 names of others in Host": (
        "web/test_entrance.py::test_only_names_of_ours_are_answered",
        "web/test_entrance.py::test_a_callers_address_is_the_last_word_of_the_declared_proxy",
    ),
    "H66 addresses of others in X-Forwarded-For": (
        "web/test_entrance.py::test_a_callers_address_is_the_last_word_of_the_declared_proxy",
        "web/test_entrance.py::test_an_address_that_is_none_is_not_believed",
    ),
    "H67 line ends in headers": (
        "web/test_bad_input.py::test_a_parameter_that_is_wrong_is_400_and_named",
        "orthanc/test_wire.py::test_a_head_with_a_line_too_many_is_never_sent",
    ),
    "H68 line ends and colours in the log": (
        "test_log.py::test_what_others_write_is_one_line_of_visible_letters",
        "test_log.py::test_a_long_value_is_cut",
    ),
    "H69 secrets in logs and answers": (
        "journeys/test_canary.py::test_a_patient_and_a_secret_turn_up_nowhere",
        "model/test_sites.py::test_a_password_never_shows_itself",
    ),
    "H70 patients in logs, queues, metrics": (
        "journeys/test_canary.py::test_a_patient_and_a_secret_turn_up_nowhere",
        "faults/test_bad_requests_on_the_wire.py::test_a_search_is_not_written_to_the_log",
        "journeys/test_store_metadata.py::test_what_cannot_be_written_stands_in_no_log",
        "test_log.py::test_a_uid_stands_under_another_name_wherever_it_stands",
    ),
    "H71 foreign jobs in Redis": (
        "worker/test_processes.py::"
        "test_job_of_an_unknown_function_fails_unexecuted_and_ends_the_worker",
    ),
    "H72 rights in Redis": (
        "worker/test_redis.py::test_a_worker_needs_no_right_that_could_harm_anybody",
    ),
    "H73 files that begin as programs": (
        "journeys/test_patient_download.py::test_no_program_comes_in_a_patients_download",
        "journeys/test_store_truth.py::test_a_preamble_of_another_kind_of_file_is_kept_as_it_is",
        "dicom/test_preambles.py::test_each_file_has_an_empty_preamble_and_nothing_else_changes",
    ),
    "H74 deflated bombs": (
        "journeys/test_store_truth.py::test_a_deflated_file_is_refused_and_never_inflated",
        "dicom/test_part10.py::test_a_deflated_file_is_refused_without_being_inflated",
    ),
    "H75 sequences within each other": (
        "journeys/test_store_truth.py::test_a_nesting_that_a_site_could_die_of_never_reaches_it",
        "dicom/test_part10.py::test_deep_nesting_is_refused",
    ),
    "H76 lengths beyond the end": (
        "journeys/test_store_truth.py::test_a_file_that_was_cut_is_refused",
        "dicom/test_part10.py::test_a_length_beyond_the_end_does_not_add_up",
    ),
    "H77 untidy files": (
        "journeys/test_store_truth.py::test_an_untidy_file_is_stored_if_the_site_takes_it",
        "journeys/test_store_truth.py::"
        "test_what_no_site_can_read_is_told_as_such_and_never_as_want_of_room",
    ),
    "H78 images that claim to be huge": (
        "journeys/test_forms_journey.py::test_an_image_that_claims_to_be_huge_is_drawn_by_nobody",
        "dicom/test_transcode.py::test_an_image_that_claims_to_be_huge_is_refused",
    ),
    "H79 unknown and wrong alphabets": (
        "journeys/test_odd_files.py::test_what_cannot_be_read_hides_nothing_and_is_listed_itself",
        "journeys/test_odd_files.py::test_an_unknown_character_set_costs_letters_and_no_more",
        "journeys/test_index_journey.py::test_a_name_is_found_whatever_its_bytes_and_these_stay",
    ),
    "H80 values that are none": (
        "web/test_hostile_search.py::test_dirt_is_left_out_and_named_and_costs_no_other_row",
        "web/test_hostile_search.py::test_dirt_is_matched_without_a_word",
        "dicom/test_soundness.py::"
        "test_whatever_a_site_sends_what_is_kept_can_be_written_and_is_sound",
    ),
    "H81 names that are paths": (
        "web/test_zipped.py::test_a_hostile_description_is_no_path",
        "web/test_bad_input.py::test_a_store_of_a_wrong_kind_is_refused_before_its_body",
    ),
    "H82 other content under a known UID": (
        "journeys/test_store_truth.py::"
        "test_other_content_under_a_held_uid_is_a_conflict_and_the_original_stays",
        "journeys/test_store_truth.py::"
        "test_a_uid_that_the_site_holds_in_another_study_is_a_conflict",
        "web/test_storing.py::test_refusals_of_a_study_are_one_alarm_of_each_kind",
    ),
    "H83 a store where one may not": (
        "web/test_permissions.py::"
        "test_every_role_comes_through_the_doors_that_the_table_names_and_no_other",
        "journeys/test_store_truth.py::"
        "test_a_named_site_takes_a_copy_but_not_other_content_of_what_another_holds",
        "journeys/test_store_truth.py::"
        "test_a_file_that_says_twice_whose_it_is_comes_into_nobodys_study",
        "journeys/test_store_truth.py::"
        "test_a_study_that_is_hidden_behind_a_sequence_is_not_reached",
    ),
    "H84 a site that lies": (
        "faults/test_faults_of_retrieve.py::"
        "test_another_patients_images_are_never_given_for_those_that_were_asked_for",
        "faults/test_faults_of_retrieve.py::"
        "test_metadata_and_pictures_of_another_patient_are_not_given",
        "faults/test_faults_of_search.py::test_cookies_of_a_site_stay_there",
        "faults/test_front_proxy.py::test_a_site_cannot_send_nginx_elsewhere",
        "orthanc/test_heads.py::test_what_is_no_head_is_refused",
        "orthanc/test_hostile_answers.py::test_any_json_is_an_answer_or_a_site_error",
    ),
    "H85 an archive that lies": (
        "routing/test_prove.py::"
        "test_an_archive_that_gives_other_bytes_than_it_lists_is_found_by_reading_back",
    ),
    "H86 too many of everything": (
        "web/test_limits.py::test_tries_to_sign_in_are_counted_for_each_address",
        "web/test_limits.py::test_so_many_downloads_run_at_once_for_one_person_and_no_more",
        "web/test_limits.py::test_whole_studies_are_counted",
    ),
    "H87 caches that keep patients": (
        "web/test_entrance.py::test_every_answer_of_every_route_has_the_headers_of_a_page",
        "web/test_search_answers.py::test_a_page_that_stayed_the_same_is_304",
        "journeys/test_forms_journey.py::test_an_answer_is_304_until_the_study_changes",
    ),
    "H88 telling what is there by the answer": (
        "web/test_permissions.py::test_what_lies_outside_is_answered_like_what_does_not_exist",
    ),
    "H89 other methods": (
        "web/test_bad_input.py::test_other_methods_are_405_and_name_the_allowed",
        "web/test_bad_input.py::test_a_method_cannot_be_overridden",
        "web/test_permissions.py::test_other_verbs_are_refused_whoever_asks",
    ),
    "H90 HTTP/2": (
        "faults/test_bad_requests_on_the_wire.py::test_nobody_is_led_to_http_2",
        "faults/test_bad_requests_on_the_wire.py::"
        "test_a_request_that_is_no_http_is_refused_as_a_problem",
        "test_server.py::test_tls_leads_to_no_http_2",
        "faults/test_front_proxy_tls.py::test_a_viewer_opens_a_study_over_one_connection",
    ),
    "F1 a hospital that is off": (
        "faults/test_faults_of_search.py::test_a_fault_of_one_site_never_hides_the_others",
        "faults/test_faults_of_search.py::test_a_broken_site_is_left_alone_and_taken_back",
        "faults/test_faults_of_retrieve.py::"
        "test_what_only_a_silent_site_holds_is_503_and_never_404",
        "routing/test_invariants.py::"
        "test_a_site_whose_feed_is_not_read_but_not_when_the_keeper_was_away",
    ),
    "F2 a hospital that is frozen": (
        "faults/test_faults_of_search.py::test_a_hung_site_costs_the_others_nothing_under_load",
        "faults/test_faults_of_search.py::test_a_fault_of_one_site_never_hides_the_others",
    ),
    "F3 a hospital that is slow": (
        "faults/test_near_before_far.py::"
        "test_a_holder_that_becomes_slow_is_left_and_what_only_it_has_still_comes",
        "federation/test_search.py::test_a_hanging_site_does_not_hold_the_others",
        "orthanc/test_wire.py::test_all_slots_taken_is_busy_and_no_failure_of_the_site",
    ),
    "F4 an answer that drips": (
        "orthanc/test_wire.py::test_the_deadline_is_for_the_whole_exchange_and_not_for_each_read",
        "orthanc/test_wire.py::test_a_stream_slower_than_the_lowest_rate_ends",
        "faults/test_faults_of_search.py::test_a_fault_of_one_site_never_hides_the_others",
    ),
    "F5 a hospital that answers 500": (
        "faults/test_faults_of_retrieve.py::test_a_site_that_stumbles_once_is_asked_once_more",
        "orthanc/test_dicomweb.py::test_a_server_that_stumbles_is_asked_once_more",
        "faults/test_faults_of_search.py::test_a_fault_of_one_site_never_hides_the_others",
    ),
    "F6 garbage instead of an answer": (
        "faults/test_faults_of_search.py::test_a_broken_site_is_left_alone_and_taken_back",
        "orthanc/test_wire.py::test_five_answers_of_garbage_open_the_breaker_though_each_was_http",
    ),
    "F7 broken and endless JSON": (
        "faults/test_faults_of_search.py::test_a_fault_of_one_site_never_hides_the_others",
        "dicom/test_json_rows.py::test_a_row_without_end_is_not_kept",
    ),
    "F8 an answer that is cut": (
        "faults/test_faults_of_retrieve.py::test_a_study_that_breaks_off_never_ends_politely",
        "faults/test_faults_of_retrieve.py::test_an_instance_that_breaks_off_never_ends_politely",
        "faults/test_faults_of_retrieve.py::"
        "test_the_second_holder_serves_when_the_first_fails_before_the_first_byte",
        "journeys/test_audit_journey.py::test_a_download_that_the_site_breaks_off_is_cut",
    ),
    "F9 an answer that is cut and has no length": (
        "faults/test_faults_of_retrieve.py::test_a_study_that_breaks_off_never_ends_politely",
        "faults/test_faults_of_retrieve.py::"
        "test_an_answer_that_lacks_instances_never_ends_politely",
    ),
    "F10 a pulled cable": (
        "orthanc/test_wire.py::test_a_peer_that_has_vanished_is_noticed_by_the_kernel",
        "orthanc/test_wire.py::test_a_stream_has_no_deadline_but_an_idle_limit",
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
    "F13 the database is away": (
        "web/test_oauth.py::test_while_the_database_is_away_nobody_is_let_in_by_guess",
        "web/test_entrance.py::"
        "test_who_is_refused_before_it_is_known_who_asks_is_told_so_at_every_door",
        "web/test_console.py::test_a_database_that_is_away_is_told_with_what_to_do",
        "web/test_withdrawal.py::test_an_outage_of_the_database_ends_nothing",
    ),
    "F14 names that cannot be looked up": (
        "orthanc/test_addresses.py::"
        "test_while_the_resolver_hangs_the_last_address_serves_and_one_thread_waits",
        "orthanc/test_addresses.py::test_the_last_address_serves_for_ten_minutes",
        "orthanc/test_trust.py::test_a_name_leads_only_to_where_it_may",
        "faults/test_names_that_hang.py::"
        "test_a_hospital_whose_name_resolves_is_searched_and_read_as_ever",
        "worker/test_unresolved.py::test_a_name_that_is_not_known_is_an_alarm_until_it_is",
    ),
    "F15 certificates that are not right": (
        "orthanc/test_rest.py::test_certificate_is_accepted_only_with_its_own_authority",
        "orthanc/test_mutual_tls.py::test_a_site_of_another_authority_or_name_is_not_trusted",
        "routing/test_upkeep.py::test_a_certificate_is_told_of_in_time",
    ),
    "F16 our password is refused": (
        "faults/test_faults_of_search.py::test_a_refused_password_is_not_tried_again",
        "faults/test_front_proxy.py::test_a_refused_password_is_not_tried_again_for_each_frame",
    ),
    "F17 one study at two hospitals": (
        "faults/test_faults_of_retrieve.py::"
        "test_the_second_holder_serves_when_the_first_fails_before_the_first_byte",
        "web/test_search_answers.py::test_one_row_stands_for_all_copies_and_names_their_holders",
    ),
    "F18 parts of a study at two hospitals": (
        "journeys/test_split_studies.py::"
        "test_a_study_of_two_sites_comes_whole_and_each_instance_once",
        "journeys/test_retrieve_journey.py::"
        "test_the_complete_copy_is_served_where_another_site_has_a_part",
    ),
    "F19 other content under one UID": (
        "journeys/test_split_studies.py::"
        "test_other_content_under_one_uid_is_never_mixed_in_without_a_word",
        "journeys/test_split_studies.py::"
        "test_attributes_and_pixels_of_copies_that_differ_are_of_one_site",
    ),
    "F20 other patients under one UID": (
        "journeys/test_persons_journey.py::"
        "test_a_study_of_two_patients_is_given_by_each_hospital_alone",
        "journeys/test_persons_journey.py::test_the_alarm_names_study_and_sites_and_no_patient",
        "journeys/test_store_truth.py::"
        "test_images_of_another_patient_do_not_come_into_a_held_study",
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
    "F32 a web process killed in a download": (
        "faults/test_faults_of_callers.py::test_a_killed_worker_cuts_its_downloads_and_is_replaced",
    ),
    "F33 a web process killed in a store": (
        "faults/test_large_stores.py::"
        "test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing",
        "journeys/test_store_metadata.py::test_nothing_stays_on_our_disk",
    ),
    "F34 a restart under load": (
        "faults/test_rolling_restart.py::test_a_rolling_restart_fails_no_short_request",
        "faults/test_faults_of_callers.py::test_sigterm_lets_running_requests_end_well",
    ),
    "F35 a full disk": (
        "journeys/test_store_metadata.py::"
        "test_without_room_of_our_own_the_caller_is_told_and_what_needs_none_is_stored",
        "web/test_storing.py::test_nothing_is_spooled_on_a_disk_that_is_nearly_full",
        "routing/test_house.py::test_a_disk_that_fills_is_told_at_80_90_and_95_percent",
        "faults/test_disk_cache.py::test_with_a_full_disk_the_gateway_serves_as_before",
    ),
    "F36 no room for the audit": (
        "web/test_auditing.py::test_without_its_line_nothing_is_given_out",
        "web/test_auditing.py::test_an_end_that_cannot_be_written_breaks_nothing",
        "records/test_audit.py::test_a_full_disk_is_told_and_spoils_no_other_line",
    ),
    "F37 a disk that cannot be written": (
        "web/test_auditing.py::test_without_its_line_nothing_is_given_out",
        "records/test_audit.py::test_lines_wait_while_the_disk_takes_no_file",
        "web/test_storing.py::test_a_full_disk_is_told_by_the_write_that_meets_it",
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
    "F52 the issuer is away": (
        "web/test_outside.py::test_while_the_issuer_is_away_who_is_in_goes_on_and_nobody_new_comes",
        "test_openid.py::test_known_keys_last_for_a_day_of_silence",
    ),
    "F53 new keys of the issuer": (
        "web/test_outside.py::test_a_new_key_of_the_issuer_is_found_and_the_old_one_forgotten",
        "test_openid.py::test_an_unknown_key_is_asked_for_once_a_minute",
        "test_openid.py::test_many_that_bring_a_new_key_at_once_ask_once",
    ),
    "F54 callers that vanish": (
        "faults/test_faults_of_callers.py::test_vanished_callers_leave_nothing_behind",
        "faults/test_faults_of_callers.py::test_a_caller_that_vanishes_frees_the_site_at_once",
    ),
    "F55 slow callers": (
        "faults/test_faults_of_callers.py::test_a_slow_caller_slows_the_site_and_costs_no_memory",
        "faults/test_faults_of_callers.py::test_slow_callers_keep_nobody_from_searching",
        "test_server.py::test_a_caller_that_stops_reading_is_reset",
    ),
    "F56 no descriptors left": (
        "faults/test_many_streams.py::"
        "test_more_callers_than_descriptors_are_told_at_once_and_the_gateway_recovers",
        "orthanc/test_wire.py::test_no_descriptor_left_is_busy_and_no_failure_of_the_site",
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
    "F59 the audit's collector is away": (
        "worker/test_forwarder.py::test_a_collector_away_for_a_day_costs_nothing_and_is_told_once",
        "worker/test_forwarder.py::test_what_broke_off_is_sent_again_and_nothing_is_left_out",
        "worker/test_rsyslog.py::test_all_lines_stand_in_rsyslogs_file_in_their_order",
    ),
    "F60 another RQ": (
        "worker/test_rq_before.py::test_the_queues_work_with_the_rq_before",
        "worker/test_rq_before.py::test_an_upgrade_loses_no_job_that_waits_or_runs",
    ),
}


@cache
def found_in(file: str) -> tuple[str, ...]:
    """What pytest collects of a file; a name that stands there twice is of the second one alone."""
    assert Path(file).name.startswith("test_")
    return tuple(re.findall(r"^def (test_\w+)\(", (HERE / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize("case", CASES)
def test_the_case_is_shown(case: str) -> None:
    named = [place.split("::") for place in CASES[case]]
    assert [f"{file}::{test}" for file, test in named if found_in(file).count(test) != 1] == []


def test_no_case_is_left_out() -> None:
    numbers = [case.split()[0] for case in CASES]
    assert numbers == [f"H{n}" for n in range(1, 91)] + [f"F{n}" for n in range(1, 61)]
