"""Faults in the merge of a session that is in both places."""

from tests.proofs.mutations.mutation import Mutations, fault


def mutations() -> Mutations:
    name = "resolve_session_conflict"
    yield fault(
        name,
        "a message that differs is not named",
        ("    IF v_different_message IS NOT NULL THEN", "    IF FALSE THEN"),
        test="sql/conflicts/test_resolve.py::"
        "test_a_message_that_is_not_the_same_in_both_is_refused_and_named"
        "[content = 'another'-live-tables]",
    )
    yield fault(
        name,
        "messages that only the archive has are dropped",
        (
            "WHERE live.session_id = removed.session_id AND live.id = removed.id\n",
            "WHERE live.session_id = removed.session_id\n",
        ),
        test="sql/conflicts/test_resolve.py::"
        "test_both_transcripts_are_merged_and_every_message_is_kept_once_as_it_was[2-3-4-live-tables]",
    )
    yield fault(
        name,
        "the live row is not locked",
        (
            "        WHERE live.id = resolve_session_conflict.session_id\n        FOR UPDATE;",
            "        WHERE live.id = resolve_session_conflict.session_id;",
        ),
        test="sql/conflicts/test_concurrency.py::"
        "test_an_update_of_the_session_under_way_is_waited_for_and_then_compared[live]",
    )
    yield fault(
        name,
        "the archived row is locked before the live one",
        (
            "    LOOP\n        -- An archive or a second",
            "    PERFORM FROM engine_chat_session_archive AS archived\n"
            "    WHERE archived.id = resolve_session_conflict.session_id FOR UPDATE;\n"
            "    LOOP\n        -- An archive or a second",
        ),
        test="sql/conflicts/test_concurrency.py::"
        "test_a_restore_that_is_not_committed_does_not_hold_up_a_call_on_its_session[live]",
    )
    yield fault(
        name,
        "the row that was kept is logged as dropped",
        (
            "WHEN 'live' THEN v_rows.archived WHEN 'archive' THEN v_rows.live END",
            "WHEN 'live' THEN v_rows.live WHEN 'archive' THEN v_rows.archived END",
        ),
        test="sql/conflicts/test_resolve.py::test_rows_of_the_session_that_differ_need_a_choice_and_"
        "the_other_one_is_logged[live-live-tables]",
    )
    yield fault(
        name,
        "the row that is dropped is not logged with every digit",
        ("SET extra_float_digits = '1'\n", ""),
        test="sql/conflicts/test_resolve.py::test_a_dropped_row_can_be_brought_back_from_the_log",
    )
    yield fault(
        name,
        "the archived row is never the one that is kept",
        ("    IF v_kept = 'archive' THEN", "    IF FALSE THEN"),
        test="sql/conflicts/test_resolve.py::test_every_column_of_the_row_that_is_kept_is_kept",
    )
    yield fault(
        name,
        "a trigger's other value is overlooked",
        (
            "                AND record_image_eq(ROW(archived.archived_at, live.*), archived)\n"
            "        ) THEN",
            "        ) THEN",
        ),
        test="sql/conflicts/test_resolve.py::"
        "test_a_trigger_that_changes_the_kept_row_is_refused_and_not_overlooked",
    )
    yield fault(
        "session_conflict_differences",
        "values are compared by =",
        (
            "record_image_eq(ROW(live.%2$I), ROW(archived.%2$I)))",
            "live.%2$I IS NOT DISTINCT FROM archived.%2$I)",
        ),
        test="sql/conflicts/test_listing.py::"
        "test_rows_that_only_look_alike_are_different_and_the_column_is_named[temperature-0.0-'-0'--0-0]",
    )
