"""Faults in the moves that compare, and in what becomes of rows of other tables."""

from tests.proofs.mutations.mutation import Mutations, fault

_DEPENDENTS = "sql/dependents/test_dependents.py::{}".format
_TRIGGERS = "sql/move/test_triggers.py::{}".format
_CONSTRAINTS = "sql/move/test_constraints.py::{}".format
_COMPARED = (
    "proofs/isolation/test_orders.py::test_moves_that_compare_lose_and_double_nothing_not_even_rows_"
    "that_hang_on_the_sessions[{}]"
).format


def mutations() -> Mutations:
    """Yield the faults."""
    yield from _locks()
    yield from _checks()
    yield from _rows()
    yield from _prune()


def _locks() -> Mutations:
    yield fault(
        "_begin_checked_move",
        "the messages are not locked",
        ("    FOR UPDATE;", "    ;"),
        test=_COMPARED("archive+feedback_insert"),
    )
    yield fault(
        "_find_dependents",
        "the rows that hang on the sessions are not locked",
        ("FROM (%s FOR UPDATE OF child) AS locked", "FROM (%s) AS locked"),
        test=_COMPARED("archive+vote_insert"),
    )


def _checks() -> Mutations:
    yield fault(
        "_end_checked_move",
        "what is in the archive is not compared",
        ("    PERFORM _compare_images(images, _chat_images('archive', session_ids, FALSE));\n", ""),
        test=_TRIGGERS(
            "test_a_trigger_that_would_lose_or_change_a_row_on_either_way_makes_the_archive_refuse"
            "[message_archive-BEFORE INSERT-RETURN NULL;-tables]"
        ),
    )
    yield fault(
        "_end_checked_move",
        "what stays live is not looked for",
        ("    PERFORM _check_gone('live', session_ids);\n", ""),
        ("    PERFORM _compare_images(images, _chat_images('archive', session_ids, FALSE));\n", ""),
        test=_TRIGGERS(
            "test_a_trigger_that_keeps_live_rows_makes_the_archive_refuse_and_end[messages-tables]"
        ),
    )
    yield fault(
        "_end_checked_move",
        "the way back is not tried",
        ("            PERFORM restore_sessions(session_ids);\n", ""),
        test=_TRIGGERS(
            "test_a_trigger_that_would_lose_or_change_a_row_on_either_way_makes_the_archive_refuse"
            "[messages-BEFORE INSERT-RETURN NULL;-tables]"
        ),
    )
    yield fault(
        "_end_checked_move",
        "deferred constraints stay immediate",
        ("    PERFORM _set_constraints(FALSE);\n", ""),
        test=_TRIGGERS("test_deferred_constraints_are_deferred_again_after_a_move[tables]"),
    )
    yield fault(
        "_lock_and_check_tables",
        "deferred constraints stay deferred",
        ("    PERFORM _set_constraints(TRUE);\n", ""),
        test="sql/move/test_constraints.py::"
        "test_a_deferred_constraint_refuses_the_move_and_not_the_commit[tables]",
    )
    yield fault(
        "_lock_and_check_tables",
        "what cannot be compared is not refused",
        ("    PERFORM _refuse_unsafe_tables();\n", ""),
        test=_TRIGGERS("test_a_message_key_that_is_missing_or_switched_off_is_refused[tables]"),
    )
    yield fault(
        "_move_back",
        "what triggers counted is not put back",
        (
            "    IF v_images <> _chat_images('live', session_ids, TRUE) THEN",
            "    PERFORM _compare_images(v_images, _chat_images('live', session_ids, TRUE));\n"
            "    IF FALSE THEN",
        ),
        test=_TRIGGERS(
            "test_a_trigger_that_counts_messages_changes_no_column_of_what_comes_back[tables]"
        ),
    )
    yield fault(
        "_move_back",
        "what stays in the archive is not looked for",
        ("    PERFORM _check_gone('archive', session_ids);\n", ""),
        test=_TRIGGERS(
            "test_a_trigger_that_keeps_archived_rows_makes_restore_purge_and_delete_refuse"
            "[message_archive-tables]"
        ),
    )
    yield fault(
        "_raise_move_error",
        "errors that say to try again are translated",
        ("'^(AR|40|42501|53|55P03|57|22023|0A000)'", "'^(AR|42501|22023|0A000)'"),
        test=_TRIGGERS(
            "test_an_error_that_says_to_try_again_or_to_stop_stays_what_it_is[40001-tables]"
        ),
    )
    yield fault(
        "_fill_missing_values",
        "a column that came later gets no default",
        ("    RETURN v_is_filled;", "    RETURN FALSE;"),
        test=_CONSTRAINTS(
            "test_a_session_archived_before_a_not_null_column_came_gets_its_default[tables]"
        ),
    )


def _rows() -> Mutations:
    yield fault(
        "_find_dependents",
        "rows without handling go with the cascade",
        ("coalesce(v_key.handling, 'refuse') = 'refuse'", "v_key.handling = 'refuse'"),
        test=_DEPENDENTS(
            "test_a_session_to_which_rows_refer_is_not_archived_unless_somebody_said_what_becomes_of_"
            "them[sessions-CASCADE-tables]"
        ),
    )
    yield fault(
        "_find_dependents",
        "a child session goes with its parent",
        ("                IF v_found.session_id IS NOT NULL THEN", "                IF FALSE THEN"),
        test="sql/dependents/test_parents.py::test_a_parent_moves_with_its_children_or_not_at_all"
        "[CASCADE]",
    )
    yield fault(
        "_find_dependents",
        "a row that hangs on two sessions moves with one",
        (
            "        IF v_session_id IS NOT NULL THEN\n            RAISE",
            "        IF FALSE THEN\n            RAISE",
        ),
        test=_DEPENDENTS("test_a_row_that_hangs_on_two_sessions_moves_only_with_both[tables]"),
    )
    yield fault(
        "_archive_dependents",
        "a column that the archive has not is not looked for",
        ("    WHERE drifted.table_id = ANY(v_children)\n", "    WHERE FALSE\n"),
        test=_DEPENDENTS(
            "test_a_column_that_the_table_gets_later_is_refused_until_the_archive_has_it[tables]"
        ),
    )
    yield fault(
        "_dependent_archives",
        "what was archived before the handling changed is forgotten",
        ("    ORDER BY 1, 2;", "    WHERE dependent.handling = 'move'\n    ORDER BY 1, 2;"),
        test=_DEPENDENTS("test_changing_the_handling_strands_no_archived_row[tables]"),
    )
    yield fault(
        "delete_archived_session",
        "what was archived with a session outlives it",
        ("    PERFORM _delete_dependents(ARRAY[session_id]);\n", ""),
        test=_DEPENDENTS(
            "test_purge_and_delete_delete_the_archived_rows_with_their_session[tables]"
        ),
    )
    yield fault(
        "purge_archive",
        "what was archived with a session outlives it",
        ("    PERFORM _delete_dependents(v_picked);\n", ""),
        test=_DEPENDENTS(
            "test_purge_and_delete_delete_the_archived_rows_with_their_session[tables]"
        ),
    )
    yield fault(
        "_delete_chat_sessions",
        "a cascade deletes other sessions",
        (
            "        PERFORM _find_dependents('live', v_locked, is_deletion => TRUE);\n",
            "NULL;",
        ),
        test="sql/dependents/test_parents.py::test_deleting_a_parent_does_not_delete_its_children",
    )


def _prune() -> Mutations:
    yield fault(
        "prune_sessions",
        "sessions that are left out as a set are not written down",
        ("    IF sessions = 0 AND v_is_referred <> 'FALSE' THEN", "    IF FALSE THEN"),
        test=_DEPENDENTS(
            "test_a_prune_leaves_out_sessions_to_which_rows_refer_and_writes_them_down_at_the_end"
            "[tables]"
        ),
    )
    yield fault(
        "finish_archive_run",
        "what an earlier prune left is never forgotten",
        (
            "            left_behind.at < v_run.started_at\n            AND NOT EXISTS",
            "            FALSE\n            AND NOT EXISTS",
        ),
        test="session_manager/test_dependents.py::"
        "test_a_later_prune_of_everything_forgets_what_earlier_ones_left",
    )
