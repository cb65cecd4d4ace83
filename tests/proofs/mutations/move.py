"""Faults in the moves, there and back, and in what they rest on; and in deleting for good."""

from tests.proofs.mutations.mutation import Mutations, fault


def mutations() -> Mutations:
    yield from _archive()
    yield from _tables()
    yield from _copies()
    yield from _restore()
    yield from _delete()


_REFUSE_IF_HELD = "        PERFORM _refuse_if_held(v_live, 'moved');\n"

_ORDERED = """            ORDER BY live.id
            FOR UPDATE"""

_DELETED_MESSAGES = """        DELETE FROM engine_chat_messages AS live
        WHERE live.session_id = ANY(v_live)
        RETURNING live.*"""

_ARCHIVED_MESSAGES = """        INSERT INTO engine_chat_message_archive AS archived
        SELECT
            v_archived_at,
            moved_messages.*
        FROM moved_messages
        RETURNING archived.session_id"""

_ARCHIVED_SESSIONS = """        INSERT INTO engine_chat_session_archive AS archived
        SELECT
            v_archived_at,
            moved_sessions.*
        FROM moved_sessions
        RETURNING archived.id"""

_MESSAGE_COLUMNS = (
    "id, session_id, agent_id, role, content, thinking, tool_calls, tool_results, model, "
    "tokens_input, tokens_output, cost, latency_ms, created_at"
)
_SESSION_COLUMNS = (
    "id, agent_id, session_type, title, system_prompt, model, temperature, max_tokens, "
    "context_window, status, message_count, total_tokens, total_cost, metadata, created_at, "
    "updated_at, ended_at"
)


def _of(relation: str, columns: str) -> str:
    return ", ".join(f"{relation}.{column}" for column in columns.split(", "))


_ARCHIVE_WAITS = (
    "sql/move/test_concurrency.py::"
    "test_an_archive_waits_for_a_write_and_has_what_it_wrote[{}-tables]"
)


def _archive() -> Mutations:
    name = "archive_sessions"
    yield fault(
        name,
        "the rows of the sessions are not locked",
        (_ORDERED, "            ORDER BY live.id"),
        test=_ARCHIVE_WAITS.format("insert a message"),
    )
    yield fault(
        name,
        "the lock does not keep new messages out",
        (_ORDERED, _ORDERED.replace("FOR UPDATE", "FOR NO KEY UPDATE")),
        test=_ARCHIVE_WAITS.format("insert a message"),
    )
    yield fault(
        name,
        "rows are locked in the caller's order",
        (_ORDERED, _ORDERED.replace("live.id", "array_position(session_ids, live.id)")),
        # the least number of clients and steps in which it shows
        test="proofs/isolation/test_orders.py::"
        "test_three_clients_in_every_order_lose_and_double_nothing"
        "[archive+archive_reversed+session_update-tables]",
    )
    yield fault(
        name,
        "messages are copied, and deleted by the cascade",
        (
            _DELETED_MESSAGES,
            "SELECT live.* FROM engine_chat_messages AS live WHERE live.session_id = ANY(v_live)",
        ),
        test=_ARCHIVE_WAITS.format("update a message"),
    )
    yield fault(
        name,
        "copies all in one statement and deletes in a second",
        (
            "        DELETE FROM engine_chat_sessions AS live",
            "SELECT live.* FROM engine_chat_sessions AS live",
        ),
        (
            "        WHERE live.id = ANY(v_live)\n        RETURNING live.*",
            "WHERE live.id = ANY(v_live)",
        ),
        (
            _DELETED_MESSAGES,
            "SELECT live.* FROM engine_chat_messages AS live WHERE live.session_id = ANY(v_live)",
        ),
        (
            "    IF v_were_left THEN\n",
            "    DELETE FROM engine_chat_sessions AS live WHERE live.id = ANY(v_live);\n"
            "    IF v_were_left THEN\n",
        ),
        test=_ARCHIVE_WAITS.format("delete a message"),
    )
    yield fault(
        name,
        "ON CONFLICT DO NOTHING for sessions",
        (
            _ARCHIVED_SESSIONS,
            _ARCHIVED_SESSIONS.replace("RETURNING", "ON CONFLICT DO NOTHING RETURNING"),
        ),
        test="sql/move/test_concurrency.py::"
        "test_a_session_without_messages_does_not_vanish_behind_another_copy_made_at_the_same_time",
    )
    yield fault(
        name,
        "ON CONFLICT DO NOTHING for messages",
        (
            _ARCHIVED_MESSAGES,
            _ARCHIVED_MESSAGES.replace("RETURNING", "ON CONFLICT DO NOTHING RETURNING"),
        ),
        test="sql/move/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[archive-views]",
    )
    yield fault(
        name,
        "a column of the messages is left out",
        (
            _ARCHIVED_MESSAGES,
            _ARCHIVED_MESSAGES.replace(
                "moved_messages.*", _of("moved_messages", _MESSAGE_COLUMNS)
            ).replace("AS archived", f"AS archived (archived_at, {_MESSAGE_COLUMNS})"),
        ),
        test="sql/move/test_fidelity.py::"
        "test_every_column_keeps_every_value_of_its_type[engine_chat_messages-tables]",
    )
    yield fault(
        name,
        "a column of the sessions gets its default",
        (
            _ARCHIVED_SESSIONS,
            _ARCHIVED_SESSIONS.replace(
                "moved_sessions.*",
                _of("moved_sessions", _SESSION_COLUMNS).replace(
                    "moved_sessions.metadata", "coalesce(moved_sessions.metadata, '{}')"
                ),
            ),
        ),
        test="sql/move/test_fidelity.py::"
        "test_every_column_keeps_every_value_of_its_type[engine_chat_sessions-tables]",
    )
    yield fault(
        name,
        "the columns are listed once and for all",
        (
            _ARCHIVED_SESSIONS,
            _ARCHIVED_SESSIONS.replace("moved_sessions.*", _of("moved_sessions", _SESSION_COLUMNS)),
        ),
        test="sql/move/test_drift.py::test_a_column_added_to_both_is_moved_from_then_on_by_connections_"
        "that_were_there_before",
    )
    yield fault(
        name,
        "message_count counts the live rows that the statement sees",
        (
            "coalesce(message_counts.messages, 0)",
            "(SELECT count(*) FROM engine_chat_messages AS live "
            "WHERE live.session_id = archived_sessions.id)",
        ),
        test=_ARCHIVE_WAITS.format("delete a message"),
    )
    yield fault(
        name,
        "message_count is what the application counted",
        ("RETURNING archived.id\n", "RETURNING archived.id, archived.message_count::bigint\n"),
        ("coalesce(message_counts.messages, 0)", "archived_sessions.message_count"),
        test="sql/move/test_archive.py::test_a_session_moves_with_all_its_messages_and_no_other_does[3-tables]",
    )
    yield fault(
        name,
        "archived_at is now()",
        ("v_archived_at := clock_timestamp();", "v_archived_at := now();"),
        test="sql/move/test_archive.py::"
        "test_archived_at_is_the_time_of_the_move_not_of_the_transactions_begin",
    )
    yield fault(
        name,
        "each message has an archived_at of its own",
        (_ARCHIVED_MESSAGES, _ARCHIVED_MESSAGES.replace("v_archived_at", "clock_timestamp()")),
        test="sql/move/test_archive.py::"
        "test_the_session_and_its_messages_carry_the_archived_at_that_is_returned",
    )
    yield fault(
        name,
        "a retry says that it moved the session",
        ("newly_archived := FALSE;", "newly_archived := TRUE;"),
        test="sql/move/test_archive.py::"
        "test_archiving_again_returns_the_first_archived_at_and_changes_nothing[tables]",
    )
    yield fault(
        name,
        "holds are not looked for",
        (_REFUSE_IF_HELD, ""),
        test="sql/retention/test_holds.py::"
        "test_an_explicit_archive_of_a_held_session_is_refused_with_its_reason[archive]",
    )
    yield fault(
        name,
        "holds are looked for before the lock",
        (
            "        SELECT coalesce(array_agg(locked.id), '{}') INTO v_live",
            "        PERFORM _refuse_if_held(session_ids, 'moved');\n"
            "        SELECT coalesce(array_agg(locked.id), '{}') INTO v_live",
        ),
        (_REFUSE_IF_HELD, ""),
        test="sql/retention/test_holds.py::"
        "test_an_archive_waits_for_a_hold_that_is_being_placed_and_is_refused_if_it_stays[COMMIT]",
    )
    yield fault(
        name,
        "holds on sessions that are archived already are looked for",
        (_REFUSE_IF_HELD, _REFUSE_IF_HELD.replace("v_live", "session_ids")),
        test="sql/retention/test_holds.py::"
        "test_a_hold_stays_while_the_session_is_restored_and_keeps_it_live",
    )
    yield fault(
        "_refuse_if_held",
        "a hold is no refusal",
        ("    IF FOUND THEN", "    IF FALSE THEN"),
        test="sql/retention/test_holds.py::"
        "test_an_explicit_archive_of_a_held_session_is_refused_with_its_reason[archive]",
    )
    yield fault(
        "_refuse_if_held",
        "holds that the snapshot does not show are not looked for",
        ("        PERFORM _check_unseen_holds(session_ids);\n", ""),
        test="sql/retention/test_holds.py::"
        "test_a_hold_that_a_snapshot_does_not_show_keeps_the_session[REPEATABLE READ-archive]",
    )
    yield fault(
        name,
        "archived messages without their session are no conflict",
        (
            "            UNION\n            SELECT archived.session_id\n"
            "            FROM engine_chat_message_archive AS archived\n"
            "            WHERE archived.session_id = ANY(v_live)\n",
            "",
        ),
        test="sql/move/test_conflicts.py::test_a_session_of_which_only_messages_are_archived_is_refused",
    )
    yield fault(
        name,
        "a session that came back while it waited is not looked for again",
        ("                CONTINUE find_sessions WHEN v_live = '{}' AND v_attempts < 100;\n", ""),
        test="sql/move/test_concurrency.py::test_a_session_that_left_and_came_back_while_the_archive_"
        "waited_is_archived[archived and restored]",
    )
    yield fault(
        name,
        "a row is locked out of order after a session came back",
        (
            "CONTINUE find_sessions WHEN v_live = '{}' AND v_attempts < 100;",
            "CONTINUE find_sessions;",
        ),
        test="sql/move/test_concurrency.py::"
        "test_one_of_many_that_left_and_came_back_while_the_archive_waited_moves_nothing",
    )
    yield fault(
        name,
        "a taken id is not told as a conflict",
        ("        IF v_sqlstate = '23505' THEN", "        IF FALSE THEN"),
        test="sql/move/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[archive-views]",
    )
    yield fault(
        name,
        "policies may hide rows",
        ("SET row_security = 'off'\n", ""),
        test="sql/operations/test_privileges.py::test_a_move_that_does_not_see_every_row_is_refused["
        "archive-engine_chat_messages-USING (role = 'user')]",
    )
    yield fault(
        name,
        "SECURITY INVOKER",
        ("SECURITY DEFINER\n", "SECURITY INVOKER\n"),
        test="sql/operations/test_privileges.py::test_a_callers_settings_change_nothing_about_the_move",
    )
    yield fault(
        "archive_session",
        "SECURITY INVOKER",
        ("SECURITY DEFINER\n", "SECURITY INVOKER\n"),
        test="sql/operations/test_privileges.py::"
        "test_a_role_that_may_only_execute_moves_sessions_and_reaches_no_table[archive_session(uuid,text)-tables]",
    )
    yield fault(
        name,
        "the caller's search path decides",
        ("SET search_path FROM CURRENT\n", ""),
        test="sql/operations/test_privileges.py::"
        "test_a_callers_own_tables_functions_and_operators_fool_nobody[True]",
    )
    yield fault(
        name,
        "PUBLIC may execute",
        (
            "REVOKE ALL ON FUNCTION archive_sessions(uuid[], bigint, text) FROM public;",
            "GRANT EXECUTE ON FUNCTION archive_sessions(uuid[], bigint, text) TO public;",
        ),
        test="sql/operations/test_privileges.py::"
        "test_a_role_without_the_privilege_moves_nothing[archive_sessions(uuid[],bigint,text)]",
    )
    yield fault(
        "archive_session",
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION archive_session(uuid, text) FROM public;\n", ""),
        test="sql/operations/test_privileges.py::"
        "test_a_role_without_the_privilege_moves_nothing[archive_session(uuid,text)]",
    )
    yield fault(
        "_check_unseen_holds",
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION _check_unseen_holds(uuid[]) FROM public;\n", ""),
        test="sql/operations/test_privileges.py::test_no_function_is_everybodys_to_call",
    )
    yield fault(
        "place_hold",
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION place_hold(uuid, text, text) FROM public;\n", ""),
        test="sql/operations/test_grant.py::"
        "test_a_grant_gives_exactly_what_the_matrix_says_of_every_object_there_is[reader]",
    )
    yield fault(
        name,
        "a plan for empty tables scans full ones",
        ("SET enable_seqscan = 'off'\n", ""),
        test="sql/move/test_archive.py::"
        "test_a_plan_made_for_empty_tables_still_finds_by_index_when_they_are_full",
    )
    yield fault(
        name,
        "NULL among the ids is passed over",
        (" OR array_position(session_ids, NULL) IS NOT NULL", ""),
        test="sql/move/test_archive.py::test_null_is_refused_as_a_bad_argument_with_a_hint[archive_sessions(ARRAY[NULL]::uuid[])]",
    )


_LOCK_TABLES = """    LOCK TABLE
        engine_chat_sessions,
        engine_chat_messages,
        engine_chat_session_archive,
        engine_chat_message_archive
    IN ROW EXCLUSIVE MODE;
"""

_DRIFT = "sql/move/test_drift.py::test_drift_is_refused_by_table_and_column_and_moves_nothing[{}]"


def _tables() -> Mutations:
    name = "_lock_and_check_tables"
    waits = (
        "sql/move/test_drift.py::test_a_move_waits_for_an_alter_table_and_then_sees_the_column"
        "[archive-engine_chat_messages]"
    )
    ask = "        SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;\n"
    check = ask + "        IF FOUND THEN"
    yield fault(
        name,
        "the drift check is skipped",
        (check, "        IF FALSE THEN"),
        test=_DRIFT.format("a column in the session archive only"),
    )
    yield fault(
        name,
        "the drift check comes before the lock",
        (check, "        IF v_drift.problem IS NOT NULL THEN"),
        (_LOCK_TABLES, ask + _LOCK_TABLES),
        test=waits,
    )
    for column, always, drift in (
        (
            "attname",
            "'archived_at'::name",
            "another order of columns that would take each other's values",
        ),
        ("atttypid", "'timestamptz'::regtype::oid", "another type"),
        ("atttypmod", "-1", "a longer varchar"),
    ):
        yield fault(
            name,
            f"{column} is not compared at first sight",
            *((f"{place}_column.{column}", always) for place in ("live", "archive")),
            test=_DRIFT.format(drift),
        )
    yield fault(
        name,
        "the first column of an archive is not looked at",
        ("ARRAY[('archived_at'::name, 'timestamptz'::regtype::oid, -1)] || ARRAY(", "ARRAY("),
        ("archive_column.attnum > 0", "archive_column.attnum > 1"),
        test=_DRIFT.format("archived_at under another name"),
    )
    yield fault(
        name,
        "views are not looked beneath",
        (
            "IF is_move AND (v_are_different OR NOT v_is_plain) THEN",
            "IF is_move AND v_are_different THEN",
        ),
        test="sql/move/test_adopted_layout.py::"
        "test_a_column_that_only_the_table_beneath_a_view_has_is_refused[live-views]",
    )
    beneath = "sql/move/test_table_beneath.py::{}".format
    yield fault(
        "_table_beneath",
        "a view passes for a table",
        ("coalesce(shown.table_id, named.oid)", "named.oid"),
        test=beneath(
            "test_the_rows_of_a_view_are_in_the_table_that_it_shows_and_those_of_a_table_in_itself"
            "[views]"
        ),
    )
    yield fault(
        "_table_beneath",
        "a table with a rule passes for a view",
        ("        AND view_rule.ev_type = '1'\n", ""),
        test=beneath("test_a_rule_that_writes_elsewhere_puts_no_other_table_beneath[tables]"),
    )
    yield fault(
        name,
        "the tables are not locked against ALTER TABLE",
        (_LOCK_TABLES, ""),
        test=waits,
    )
    yield fault(
        name,
        "a snapshot's columns pass for those of now",
        ("current_setting('transaction_isolation') <> 'read committed'", "FALSE"),
        test="sql/move/test_drift.py::test_columns_that_change_places_behind_a_callers_snapshot_do_not_"
        "take_each_others_values[REPEATABLE READ]",
    )

    name = "archive_column_drift"
    yield fault(
        name,
        "columns that a view hides are ignored",
        ("        FROM hidden_columns\n", "        FROM hidden_columns WHERE FALSE\n"),
        test="sql/move/test_adopted_layout.py::"
        "test_a_column_that_only_the_table_beneath_a_view_has_is_refused[live-views]",
    )
    yield fault(
        name,
        "lengths and scales are not compared",
        (
            "            OR (expected.atttypid, expected.atttypmod, expected.place)\n"
            "            <> (archived.atttypid, archived.atttypmod, archived.place)",
            "            OR (expected.atttypid, expected.place)"
            " <> (archived.atttypid, archived.place)",
        ),
        test=_DRIFT.format("a longer varchar"),
    )
    yield fault(
        name,
        "the order is not compared",
        (
            "            OR (expected.atttypid, expected.atttypmod, expected.place)\n"
            "            <> (archived.atttypid, archived.atttypmod, archived.place)",
            "            OR (expected.atttypid, expected.atttypmod)\n"
            "            <> (archived.atttypid, archived.atttypmod)",
        ),
        test=_DRIFT.format("another order of columns that would take each other's values"),
    )
    yield fault(
        name,
        "columns that the archive alone has are ignored",
        (
            "            expected.attname IS NULL\n            OR archived.attname IS NULL",
            "            archived.attname IS NULL",
        ),
        test=_DRIFT.format("a column in the session archive only"),
    )


def _copies() -> Mutations:
    name = "_remove_archived_copies"
    same = "AND record_image_eq(ROW(archived.archived_at, removed.*), archived)"
    message = f"                AND archived.id = removed.id\n                {same}"
    yield fault(
        name,
        "a message in both places is taken for the same",
        (message, "                AND archived.id = removed.id"),
        test="sql/move/test_conflicts.py::"
        "test_a_difference_in_any_one_column_is_refused[live-engine_chat_messages]",
    )
    yield fault(
        name,
        "messages are compared by =",
        (
            message,
            "                AND archived.id = removed.id\n                "
            "AND ROW(archived.archived_at, removed.*) IS NOT DISTINCT FROM ROW(archived.*)",
        ),
        test="sql/move/test_conflicts.py::test_messages_that_only_look_alike_are_different"
        """[metadata = '{"a": 1.0}'-metadata = '{"a": 1.00}']""",
    )
    yield fault(
        name,
        "the session's row is not compared",
        (
            f"                archived.id = removed.id\n                {same}",
            "                archived.id = removed.id",
        ),
        test="sql/move/test_conflicts.py::test_a_difference_in_any_one_column_is_refused[live-engine_chat_sessions]",
    )
    yield fault(
        name,
        "the session's row is compared by =",
        (
            f"                archived.id = removed.id\n                {same}",
            "                archived.id = removed.id\n                "
            "AND ROW(archived.archived_at, removed.*) IS NOT DISTINCT FROM ROW(archived.*)",
        ),
        test="sql/move/test_conflicts.py::test_rows_that_only_look_alike_are_different",
    )
    yield fault(
        name,
        "rows are compared that somebody can still change",
        (
            "        DELETE FROM engine_chat_messages AS live\n"
            "        WHERE live.session_id = ANY(session_ids)\n        RETURNING live.*",
            "        SELECT live.* FROM engine_chat_messages AS live\n"
            "        WHERE live.session_id = ANY(session_ids)",
        ),
        test="sql/move/test_concurrency.py::"
        "test_a_conflict_is_judged_by_rows_that_nobody_can_still_change[tables]",
    )


_CONCURRENCY = "sql/move/test_concurrency.py::{}".format
LIVE_IN_OTHER_ORDERS = _CONCURRENCY(
    "test_restores_of_the_same_sessions_in_other_orders_do_not_deadlock[live]"
)
LEFT_AND_CAME_BACK = _CONCURRENCY(
    "test_a_session_that_left_and_came_back_while_the_restore_waited_is_live"
)
ONE_OF_MANY_MOVED = _CONCURRENCY(
    "test_one_of_many_that_came_back_and_left_while_the_restore_waited_moves_nothing"
)
RESTORE_OF_NULL = (
    "sql/move/test_restore.py::test_null_is_refused_as_a_bad_argument_with_a_hint"
    "[restore_sessions(ARRAY[NULL]::uuid[])]"
)
DUE_FROM = (
    "sql/move/test_restore.py::"
    "test_due_from_is_the_time_of_the_restore_and_the_age_that_the_policy_says"
)
KEPT_ROW_WITH_A_NUMBER = (
    "sql/conflicts/test_resolve.py::test_a_column_that_the_database_numbers_is_no_hindrance"
)


_DELETE = "sql/move/test_delete.py::{}".format


def _deletes(place: str) -> dict[str, str]:
    waits = "test_a_deletion_waits_for_a_hold_that_is_being_placed_and_is_refused_if_it_stays"
    return {
        "waits": _DELETE(f"{waits}[COMMIT-{place}]"),
        "held": _DELETE(f"test_a_held_session_is_not_deleted_until_it_is_released[{place}-tables]"),
        "unknown": _DELETE(
            f"test_a_session_that_is_not_there_gives_no_row_and_changes_nothing[{place}]"
        ),
        "policy": _DELETE(
            "test_a_deletion_that_does_not_see_every_row_is_refused"
            f"[True-USING (role = 'user')-{place}]"
        ),
        "whole": _DELETE(
            f"test_a_session_is_deleted_with_all_its_messages_and_no_other_is[3-{place}-tables]"
        ),
    }


DELETED = {place: _deletes(place) for place in ("live", "archived")}
LIVE_AS_WELL = _DELETE(
    "test_an_archived_session_that_is_live_as_well_is_not_deleted[title = title-tables]"
)
ARCHIVED_AS_WELL = _DELETE(
    "test_the_live_one_of_a_session_in_both_places_is_deleted_and_its_archive_stays[tables]"
)

_RESTORE_RECHECK = """        FROM engine_chat_session_all AS found
        WHERE found.id = ANY(session_ids) AND found.id <> ALL(v_archived || v_live)
"""

_CAME_BACK_AND_LEFT = (
    "sql/move/test_concurrency.py::"
    "test_a_session_that_came_back_and_left_while_the_restore_waited_is_restored[tables]"
)


def _restore() -> Mutations:
    name = "restore_sessions"
    yield fault(
        name,
        "the archived rows are not locked",
        ("            ORDER BY archived.id\n            FOR UPDATE", "ORDER BY archived.id"),
        test="sql/move/test_concurrency.py::test_twenty_connections_restore_one_session_once",
    )
    yield fault(
        name,
        "the live rows are not locked",
        ("            ORDER BY live.id\n            FOR NO KEY UPDATE", "ORDER BY live.id"),
        test="sql/move/test_concurrency.py::"
        "test_a_restore_while_the_session_is_archived_is_true_before_or_after_it[archived-COMMIT]",
    )
    yield fault(
        name,
        "archived rows are locked in the caller's order",
        ("ORDER BY archived.id", "ORDER BY array_position(session_ids, archived.id)"),
        test="proofs/isolation/test_orders.py::"
        "test_three_clients_in_every_order_lose_and_double_nothing"
        "[hold+restore_both+restore_reversed-tables]",
    )
    yield fault(
        name,
        "live rows are locked in the caller's order",
        ("ORDER BY live.id", "ORDER BY array_position(session_ids, live.id)"),
        test=LIVE_IN_OTHER_ORDERS,
    )
    yield fault(
        name,
        "a session on the move passes for an unknown one",
        (_RESTORE_RECHECK, _RESTORE_RECHECK + "            AND FALSE\n"),
        test=_CAME_BACK_AND_LEFT,
    )
    yield fault(
        name,
        "a session on the move is looked for among the live ones alone",
        (_RESTORE_RECHECK, _RESTORE_RECHECK.replace("session_all", "sessions")),
        test=_CAME_BACK_AND_LEFT,
    )
    yield fault(
        name,
        "a session on the move is looked for in the archive alone",
        (_RESTORE_RECHECK, _RESTORE_RECHECK.replace("session_all", "session_archive")),
        test=LEFT_AND_CAME_BACK,
    )
    yield fault(
        name,
        "a row is locked out of order after a session moved",
        (
            "        IF v_archived || v_live <> '{}' OR v_attempts = 100 THEN",
            "        IF FALSE THEN",
        ),
        test=ONE_OF_MANY_MOVED,
    )
    yield fault(
        name,
        "a single session that moved is refused and not looked for again",
        (
            "        IF v_archived || v_live <> '{}' OR v_attempts = 100 THEN",
            "        IF TRUE THEN",
        ),
        test=_CAME_BACK_AND_LEFT,
    )
    yield fault(
        "_move_back",
        "messages stay in the archive",
        (
            "                DELETE FROM engine_chat_message_archive AS archived\n"
            "                WHERE archived.session_id = ANY($1)\n"
            "                RETURNING archived.*",
            "                SELECT * FROM engine_chat_message_archive AS archived\n"
            "                WHERE archived.session_id = ANY($1)",
        ),
        test="sql/move/test_restore.py::test_a_session_comes_back_with_all_its_messages_and_no_other_does[3-tables]",
    )
    yield fault(
        "_restored_columns",
        "the old soft delete stays",
        ("THEN ''active''", "THEN ''archived''"),
        test="sql/move/test_restore.py::test_a_soft_deleted_session_comes_back_as_active_and_otherwise_"
        "as_it_was[True-tables]",
    )
    yield fault(
        "_restored_columns",
        "every session comes back as active",
        ("CASE status WHEN ''archived'' THEN", "CASE WHEN TRUE THEN"),
        test="sql/move/test_restore.py::test_every_other_status_comes_back_as_it_was",
    )
    yield fault(
        name,
        "a soft delete of a session that was never moved stays",
        ("ANY(v_live) AND live.status", "ANY(v_archived) AND live.status"),
        test="sql/move/test_restore.py::test_a_soft_deleted_session_comes_back_as_active_and_otherwise_"
        "as_it_was[False-tables]",
    )
    yield fault(
        "_move_back",
        "ON CONFLICT DO NOTHING for sessions",
        (
            "                SELECT %2$s FROM moved_sessions\n",
            "                SELECT %2$s FROM moved_sessions ON CONFLICT DO NOTHING\n",
        ),
        test="sql/move/test_conflicts.py::"
        "test_a_session_is_not_restored_over_a_live_one[0-title = 'another'-tables]",
    )
    yield fault(
        "_move_back",
        "ON CONFLICT DO NOTHING for messages",
        (
            "            SELECT %3$s FROM moved_messages\n",
            "            SELECT %3$s FROM moved_messages ON CONFLICT DO NOTHING\n",
        ),
        test="sql/move/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[restore-views]",
    )
    yield fault(
        name,
        "a taken id is not told as a conflict",
        ("                    IF v_sqlstate = '23505' THEN", "                    IF FALSE THEN"),
        test="sql/move/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[restore-views]",
    )
    yield fault(
        name,
        "the drift check is skipped",
        ("    v_is_plain := _lock_and_check_tables();\n", "    v_is_plain := TRUE;\n"),
        test="sql/move/test_drift.py::test_a_move_waits_for_an_alter_table_and_then_sees_the_column"
        "[restore-engine_chat_messages]",
    )
    yield fault(
        name,
        "policies may hide rows",
        ("SET row_security = 'off'\n", ""),
        test="sql/operations/test_privileges.py::test_a_move_that_does_not_see_every_row_is_refused["
        "restore-engine_chat_message_archive-FOR INSERT WITH CHECK (true)]",
    )
    yield fault(
        name,
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION restore_sessions(uuid[], bigint, text) FROM public;\n", ""),
        test="sql/operations/test_privileges.py::test_no_function_is_everybodys_to_call",
    )
    yield fault(
        name,
        "a retry says that it moved the session",
        (
            "            known.id = ANY(v_restored) AS is_restored",
            "            TRUE AS is_restored",
        ),
        test="sql/move/test_restore.py::"
        "test_restoring_again_says_that_it_is_live_and_changes_nothing[tables]",
    )
    yield fault(
        name,
        "NULL among the ids is passed over",
        (" OR array_position(session_ids, NULL) IS NOT NULL", ""),
        test=RESTORE_OF_NULL,
    )
    yield fault(
        name,
        "due_from is the time of the restore",
        (
            "        (SELECT candidate.due_from FROM engine_archive_candidate AS candidate"
            " WHERE candidate.id = found.id)\n",
            "        v_restored_at\n",
        ),
        test=DUE_FROM,
    )
    yield fault(
        "_insertable_columns",
        "generated columns are inserted",
        ("                    table_column.attgenerated <> ''\n", "                    FALSE\n"),
        test="sql/move/test_drift.py::"
        "test_a_column_that_the_database_computes_is_archived_and_computed_again",
    )
    yield fault(
        "_insertable_columns",
        "a restored row gets a number of its own",
        (" AND NOT is_new)", ")"),
        test="sql/move/test_drift.py::test_a_column_that_the_database_numbers_keeps_its_numbers",
    )
    yield fault(
        "_insertable_columns",
        "the number of a row that is there is set",
        ("(table_column.attidentity = 'a' AND NOT is_new)", "FALSE"),
        test=KEPT_ROW_WITH_A_NUMBER,
    )


_MESSAGE = "sql/move/test_delete.py::test_a_message_{}".format


def _delete() -> Mutations:
    archived_lock = (
        "    PERFORM 1\n"
        "    FROM engine_chat_session_archive AS archived\n"
        "    WHERE archived.id = delete_archived_session.session_id\n"
        "    FOR UPDATE;"
    )
    live_lock = (
        "    v_locked := ARRAY(\n"
        "        SELECT live.id\n"
        "        FROM engine_chat_sessions AS live\n"
        "        WHERE live.id = ANY(session_ids)\n"
        "        ORDER BY live.id\n"
        "        FOR UPDATE\n"
        "    );"
    )
    for name, place, lock, ids in (
        ("_delete_chat_sessions", "live", live_lock, "v_locked"),
        ("delete_archived_session", "archived", archived_lock, "ARRAY[session_id]"),
    ):
        of_place = DELETED[place]
        held = f"    PERFORM _refuse_if_held({ids}, 'deleted');\n"
        unlocked = lock.replace("\n        FOR UPDATE", "").replace("\n    FOR UPDATE", "")
        yield fault(name, "the row is not locked", (lock, unlocked), test=of_place["waits"])
        yield fault(
            name,
            "the lock lets a hold be placed",
            (lock, lock.replace("FOR UPDATE", "FOR NO KEY UPDATE")),
            test=of_place["waits"],
        )
        yield fault(name, "holds are not looked for", (held, ""), test=of_place["held"])
        yield fault(
            name,
            "holds are looked for before the lock",
            (held, ""),
            (lock, held.replace("v_locked", "session_ids") + lock),
            test=of_place["waits"],
        )
    yield fault(
        "delete_archived_session",
        "what is nowhere is told as deleted",
        ("    IF NOT FOUND THEN", "    IF FALSE THEN"),
        test=DELETED["archived"]["unknown"],
    )
    name = "delete_chat_message"
    yield fault(
        name,
        "holds are not looked for",
        ("    PERFORM _refuse_if_held(ARRAY[session_id], 'deleted');\n", ""),
        test=_MESSAGE("of_a_session_on_hold_or_in_the_archive_stays[tables]"),
    )
    yield fault(
        name,
        "what a trigger keeps is told as deleted",
        ("    IF v_deleted = 0 THEN", "    IF FALSE THEN"),
        test=_MESSAGE("that_a_trigger_keeps_is_an_error"),
    )
    yield fault(
        name,
        "the session counts as many as before",
        ("greatest(live.message_count - 1, 0)", "live.message_count"),
        test=_MESSAGE("is_deleted_counted_and_on_record_and_no_other_goes[tables]"),
    )
    yield fault(
        name,
        "the event has another actor",
        ("_actor(delete_chat_message.actor)", "session_user"),
        test=_MESSAGE("is_deleted_counted_and_on_record_and_no_other_goes[tables]"),
    )
    for name, place in (("delete_chat_session", "live"), ("delete_archived_session", "archived")):
        yield fault(
            name,
            "policies may hide rows",
            ("SET row_security = 'off'\n", ""),
            test=DELETED[place]["policy"],
        )
        yield fault(
            name,
            "PUBLIC may execute, as PostgreSQL has it",
            (f"REVOKE ALL ON FUNCTION {name}(uuid, text) FROM public;\n", ""),
            test="sql/operations/test_privileges.py::test_no_function_is_everybodys_to_call",
        )
    name = "delete_archived_session"
    lives = """    IF EXISTS (
        SELECT 1 FROM engine_chat_sessions AS live
        WHERE live.id = delete_archived_session.session_id
    ) THEN"""
    yield fault(
        name,
        "one that is live as well is deleted",
        (lives, "    IF FALSE THEN"),
        test=LIVE_AS_WELL,
    )
    yield fault(
        name,
        "the messages stay",
        (
            """        DELETE FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = delete_archived_session.session_id
        RETURNING archived.id""",
            """        SELECT archived.id FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = delete_archived_session.session_id""",
        ),
        test=DELETED["archived"]["whole"],
    )
    yield fault(
        "_delete_chat_sessions",
        "the archive's copy is deleted as well",
        (
            "    RETURN QUERY\n",
            "    DELETE FROM engine_chat_session_archive AS archived\n"
            "    WHERE archived.id = ANY(v_locked);\n"
            "    RETURN QUERY\n",
        ),
        test=ARCHIVED_AS_WELL,
    )
