"""The faults: what somebody could get wrong in the SQL functions, and the tests that say so.

Each is a small change that most tests would not notice, as a slip or a well-meant simplification
makes it. One more is welcome wherever a function is changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """A fault in the newest version of an SQL object.

    :param object: the function, procedure or view.
    :param fault: what is wrong, in words.
    :param changes: what is replaced, which the file has exactly once, and with what.
    :param tests: every one of them must fail, as pytest names them, from ``tests/`` on.
    """

    object: str
    fault: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def _all() -> Iterator[Mutation]:
    yield from _archive()
    yield from _tables()
    yield from _copies()
    yield from _restore()
    yield from _prune()
    yield from _purge()
    yield from _holds()
    yield from _resolve()
    yield from _reports()


def _fault(object: str, fault: str, *changes: tuple[str, str], test: str) -> Mutation:  # noqa: A002
    return Mutation(object, fault, changes, (f"tests/{test}",))


_HELD = """        IF FOUND THEN
            RAISE EXCEPTION 'session % is on hold"""

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
    "sql/test_concurrency.py::test_an_archive_waits_for_a_write_and_has_what_it_wrote[{}-tables]"
)


def _archive() -> Iterator[Mutation]:
    name = "archive_sessions"
    yield _fault(
        name,
        "the rows of the sessions are not locked",
        (_ORDERED, "            ORDER BY live.id"),
        test=_ARCHIVE_WAITS.format("insert a message"),
    )
    yield _fault(
        name,
        "the lock does not keep new messages out",
        (_ORDERED, _ORDERED.replace("FOR UPDATE", "FOR NO KEY UPDATE")),
        test=_ARCHIVE_WAITS.format("insert a message"),
    )
    yield _fault(
        name,
        "rows are locked in the caller's order",
        (_ORDERED, _ORDERED.replace("live.id", "array_position(session_ids, live.id)")),
        # the least number of clients and steps in which it shows
        test="isolation/test_orders.py::"
        "test_three_clients_in_every_order_lose_and_double_nothing"
        "[archive+archive_reversed+session_update-tables]",
    )
    yield _fault(
        name,
        "messages are copied, and deleted by the cascade",
        (
            _DELETED_MESSAGES,
            "SELECT live.* FROM engine_chat_messages AS live WHERE live.session_id = ANY(v_live)",
        ),
        test=_ARCHIVE_WAITS.format("update a message"),
    )
    yield _fault(
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
            "ON archived_sessions.id = message_counts.session_id;\n",
            "ON archived_sessions.id = message_counts.session_id;\n"
            "    DELETE FROM engine_chat_sessions AS live WHERE live.id = ANY(v_live);\n",
        ),
        test=_ARCHIVE_WAITS.format("delete a message"),
    )
    yield _fault(
        name,
        "ON CONFLICT DO NOTHING for sessions",
        (
            _ARCHIVED_SESSIONS,
            _ARCHIVED_SESSIONS.replace("RETURNING", "ON CONFLICT DO NOTHING RETURNING"),
        ),
        test="sql/test_concurrency.py::"
        "test_a_session_without_messages_does_not_vanish_behind_another_copy_made_at_the_same_time",
    )
    yield _fault(
        name,
        "ON CONFLICT DO NOTHING for messages",
        (
            _ARCHIVED_MESSAGES,
            _ARCHIVED_MESSAGES.replace("RETURNING", "ON CONFLICT DO NOTHING RETURNING"),
        ),
        test="sql/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[archive-views]",
    )
    yield _fault(
        name,
        "a column of the messages is left out",
        (
            _ARCHIVED_MESSAGES,
            _ARCHIVED_MESSAGES.replace(
                "moved_messages.*", _of("moved_messages", _MESSAGE_COLUMNS)
            ).replace("AS archived", f"AS archived (archived_at, {_MESSAGE_COLUMNS})"),
        ),
        test="sql/test_fidelity.py::"
        "test_every_column_keeps_every_value_of_its_type[engine_chat_messages-tables]",
    )
    yield _fault(
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
        test="sql/test_fidelity.py::"
        "test_every_column_keeps_every_value_of_its_type[engine_chat_sessions-tables]",
    )
    yield _fault(
        name,
        "the columns are listed once and for all",
        (
            _ARCHIVED_SESSIONS,
            _ARCHIVED_SESSIONS.replace("moved_sessions.*", _of("moved_sessions", _SESSION_COLUMNS)),
        ),
        test="sql/test_drift.py::test_a_column_added_to_both_is_moved_from_then_on_by_connections_"
        "that_were_there_before",
    )
    yield _fault(
        name,
        "message_count counts the live rows that the statement sees",
        (
            "        coalesce(message_counts.messages, 0),",
            "        (SELECT count(*) FROM engine_chat_messages AS live "
            "WHERE live.session_id = archived_sessions.id),",
        ),
        test=_ARCHIVE_WAITS.format("delete a message"),
    )
    yield _fault(
        name,
        "message_count is what the application counted",
        ("RETURNING archived.id\n", "RETURNING archived.id, archived.message_count::bigint\n"),
        (
            "        coalesce(message_counts.messages, 0),",
            "        archived_sessions.message_count,",
        ),
        test="sql/test_archive.py::test_a_session_moves_with_all_its_messages_and_no_other_does[3-tables]",
    )
    yield _fault(
        name,
        "archived_at is now()",
        ("v_archived_at := clock_timestamp();", "v_archived_at := now();"),
        test="sql/test_archive.py::"
        "test_archived_at_is_the_time_of_the_move_not_of_the_transactions_begin",
    )
    yield _fault(
        name,
        "each message has an archived_at of its own",
        (_ARCHIVED_MESSAGES, _ARCHIVED_MESSAGES.replace("v_archived_at", "clock_timestamp()")),
        test="sql/test_archive.py::"
        "test_the_session_and_its_messages_carry_the_archived_at_that_is_returned",
    )
    yield _fault(
        name,
        "a retry says that it moved the session",
        ("newly_archived := FALSE;", "newly_archived := TRUE;"),
        test="sql/test_archive.py::"
        "test_archiving_again_returns_the_first_archived_at_and_changes_nothing[tables]",
    )
    yield _fault(
        name,
        "holds are not looked for",
        (_HELD, _HELD.replace("FOUND", "FALSE")),
        test="retention/test_holds.py::"
        "test_an_explicit_archive_of_a_held_session_is_refused_with_its_reason[archive]",
    )
    yield _fault(
        name,
        "holds are looked for before the lock",
        (
            "        SELECT coalesce(array_agg(locked.id), '{}') INTO v_live",
            "        IF EXISTS (SELECT FROM engine_session_hold AS hold"
            " WHERE hold.session_id = ANY(session_ids))"
            " THEN RAISE EXCEPTION USING ERRCODE = 'AR003'; END IF;\n"
            "        SELECT coalesce(array_agg(locked.id), '{}') INTO v_live",
        ),
        (_HELD, _HELD.replace("FOUND", "FALSE")),
        test="retention/test_holds.py::"
        "test_an_archive_waits_for_a_hold_that_is_being_placed_and_is_refused_if_it_stays[COMMIT]",
    )
    yield _fault(
        name,
        "holds that the snapshot does not show are not looked for",
        ("        PERFORM check_unseen_holds(v_live);\n", ""),
        test="retention/test_holds.py::"
        "test_a_hold_that_a_snapshot_does_not_show_keeps_the_session[REPEATABLE READ-archive]",
    )
    yield _fault(
        name,
        "archived messages without their session are no conflict",
        (
            "            UNION\n            SELECT archived.session_id\n"
            "            FROM engine_chat_message_archive AS archived\n"
            "            WHERE archived.session_id = ANY(v_live)\n",
            "",
        ),
        test="sql/test_conflicts.py::test_a_session_of_which_only_messages_are_archived_is_refused",
    )
    yield _fault(
        name,
        "a session that came back while it waited is not looked for again",
        ("                CONTINUE find_sessions WHEN v_live = '{}';\n", ""),
        test="sql/test_concurrency.py::test_a_session_that_left_and_came_back_while_the_archive_"
        "waited_is_archived[archived and restored]",
    )
    yield _fault(
        name,
        "a row is locked out of order after a session came back",
        ("CONTINUE find_sessions WHEN v_live = '{}';", "CONTINUE find_sessions;"),
        test="sql/test_concurrency.py::"
        "test_one_of_many_that_left_and_came_back_while_the_archive_waited_moves_nothing",
    )
    yield _fault(
        name,
        "a taken id is not told as a conflict",
        ("    WHEN unique_violation THEN", "    WHEN sqlstate 'AR999' THEN"),
        test="sql/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[archive-views]",
    )
    yield _fault(
        name,
        "policies may hide rows",
        ("SET row_security = 'off'\n", ""),
        test="sql/test_privileges.py::test_a_move_that_does_not_see_every_row_is_refused["
        "archive-engine_chat_messages-USING (role = 'user')]",
    )
    yield _fault(
        name,
        "SECURITY INVOKER",
        ("SECURITY DEFINER\n", "SECURITY INVOKER\n"),
        test="sql/test_privileges.py::test_a_callers_settings_change_nothing_about_the_move",
    )
    yield _fault(
        "archive_session",
        "SECURITY INVOKER",
        ("SECURITY DEFINER\n", "SECURITY INVOKER\n"),
        test="sql/test_privileges.py::"
        "test_a_role_that_may_only_execute_moves_sessions_and_reaches_no_table[archive_session(uuid)-tables]",
    )
    yield _fault(
        name,
        "the caller's search path decides",
        ("SET search_path FROM CURRENT\n", ""),
        test="sql/test_privileges.py::"
        "test_a_callers_own_tables_functions_and_operators_fool_nobody[True]",
    )
    yield _fault(
        name,
        "PUBLIC may execute",
        (
            "REVOKE ALL ON FUNCTION archive_sessions(uuid[]) FROM public;",
            "GRANT EXECUTE ON FUNCTION archive_sessions(uuid[]) TO public;",
        ),
        test="sql/test_privileges.py::"
        "test_a_role_without_the_privilege_moves_nothing[archive_sessions(uuid[])]",
    )
    yield _fault(
        "archive_session",
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION archive_session(uuid) FROM public;\n", ""),
        test="sql/test_privileges.py::"
        "test_a_role_without_the_privilege_moves_nothing[archive_session(uuid)]",
    )
    yield _fault(
        "check_unseen_holds",
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION check_unseen_holds(uuid[]) FROM public;\n", ""),
        test="sql/test_privileges.py::test_no_function_is_everybodys_to_call",
    )
    yield _fault(
        "place_hold",
        "PUBLIC may execute, as PostgreSQL has it",
        ("REVOKE ALL ON FUNCTION place_hold(uuid, text) FROM public;\n", ""),
        test="verification/test_grant.py::"
        "test_a_grant_gives_exactly_what_the_matrix_says_of_every_object_there_is[reader]",
    )
    yield _fault(
        name,
        "a plan for empty tables scans full ones",
        ("SET enable_seqscan = 'off'\n", ""),
        test="sql/test_archive.py::"
        "test_a_plan_made_for_empty_tables_still_finds_by_index_when_they_are_full",
    )
    yield _fault(
        name,
        "NULL among the ids is passed over",
        (" OR array_position(session_ids, NULL) IS NOT NULL", ""),
        test="sql/test_archive.py::test_null_is_refused_as_a_bad_argument_with_a_hint[archive_sessions(ARRAY[NULL]::uuid[])]",
    )


_LOCK_TABLES = """    LOCK TABLE
        engine_chat_sessions,
        engine_chat_messages,
        engine_chat_session_archive,
        engine_chat_message_archive
    IN ROW EXCLUSIVE MODE;
"""

_DRIFT = "sql/test_drift.py::test_drift_is_refused_by_table_and_column_and_moves_nothing[{}]"


def _tables() -> Iterator[Mutation]:
    name = "lock_and_check_tables"
    waits = (
        "sql/test_drift.py::test_a_move_waits_for_an_alter_table_and_then_sees_the_column"
        "[archive-engine_chat_messages]"
    )
    ask = "        SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;\n"
    check = ask + "        IF FOUND THEN"
    yield _fault(
        name,
        "the drift check is skipped",
        (check, "        IF FALSE THEN"),
        test=_DRIFT.format("a column in the session archive only"),
    )
    yield _fault(
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
        yield _fault(
            name,
            f"{column} is not compared at first sight",
            *((f"{place}_column.{column}", always) for place in ("live", "archive")),
            test=_DRIFT.format(drift),
        )
    yield _fault(
        name,
        "the first column of an archive is not looked at",
        ("ARRAY[('archived_at'::name, 'timestamptz'::regtype::oid, -1)] || ARRAY(", "ARRAY("),
        ("archive_column.attnum > 0", "archive_column.attnum > 1"),
        test=_DRIFT.format("archived_at under another name"),
    )
    yield _fault(
        name,
        "views are not looked beneath",
        ("WHERE view_rule.ev_class IN (table_pairs.live, table_pairs.archive)", "WHERE FALSE"),
        test="sql/test_adopted_layout.py::"
        "test_a_column_that_only_the_table_beneath_a_view_has_is_refused[live-views]",
    )
    yield _fault(
        name,
        "the tables are not locked against ALTER TABLE",
        (_LOCK_TABLES, ""),
        test=waits,
    )
    yield _fault(
        name,
        "a snapshot's columns pass for those of now",
        ("current_setting('transaction_isolation') <> 'read committed'", "FALSE"),
        test="sql/test_drift.py::test_columns_that_change_places_behind_a_callers_snapshot_do_not_"
        "take_each_others_values[REPEATABLE READ]",
    )

    name = "archive_column_drift"
    yield _fault(
        name,
        "columns that a view hides are ignored",
        ("        FROM hidden_columns\n", "        FROM hidden_columns WHERE FALSE\n"),
        test="sql/test_adopted_layout.py::"
        "test_a_column_that_only_the_table_beneath_a_view_has_is_refused[live-views]",
    )
    yield _fault(
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
    yield _fault(
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
    yield _fault(
        name,
        "columns that the archive alone has are ignored",
        (
            "            expected.attname IS NULL\n            OR archived.attname IS NULL",
            "            archived.attname IS NULL",
        ),
        test=_DRIFT.format("a column in the session archive only"),
    )


def _copies() -> Iterator[Mutation]:
    name = "remove_archived_copies"
    same = "AND record_image_eq(ROW(archived.archived_at, removed.*), archived)"
    message = f"                AND archived.id = removed.id\n                {same}"
    yield _fault(
        name,
        "a message in both places is taken for the same",
        (message, "                AND archived.id = removed.id"),
        test="sql/test_conflicts.py::"
        "test_a_difference_in_any_one_column_is_refused[live-engine_chat_messages]",
    )
    yield _fault(
        name,
        "messages are compared by =",
        (
            message,
            "                AND archived.id = removed.id\n                "
            "AND ROW(archived.archived_at, removed.*) IS NOT DISTINCT FROM ROW(archived.*)",
        ),
        test="sql/test_conflicts.py::test_messages_that_only_look_alike_are_different"
        """[metadata = '{"a": 1.0}'-metadata = '{"a": 1.00}']""",
    )
    yield _fault(
        name,
        "the session's row is not compared",
        (
            f"                archived.id = removed.id\n                {same}",
            "                archived.id = removed.id",
        ),
        test="sql/test_conflicts.py::test_a_difference_in_any_one_column_is_refused[live-engine_chat_sessions]",
    )
    yield _fault(
        name,
        "the session's row is compared by =",
        (
            f"                archived.id = removed.id\n                {same}",
            "                archived.id = removed.id\n                "
            "AND ROW(archived.archived_at, removed.*) IS NOT DISTINCT FROM ROW(archived.*)",
        ),
        test="sql/test_conflicts.py::test_rows_that_only_look_alike_are_different",
    )
    yield _fault(
        name,
        "rows are compared that somebody can still change",
        (
            "        DELETE FROM engine_chat_messages AS live\n"
            "        WHERE live.session_id = ANY(session_ids)\n        RETURNING live.*",
            "        SELECT live.* FROM engine_chat_messages AS live\n"
            "        WHERE live.session_id = ANY(session_ids)",
        ),
        test="sql/test_concurrency.py::"
        "test_a_conflict_is_judged_by_rows_that_nobody_can_still_change[tables]",
    )


def _restore() -> Iterator[Mutation]:
    name = "restore_session"
    yield _fault(
        name,
        "the archived row is not locked",
        ("        FOR UPDATE;", "        ;"),
        test="sql/test_concurrency.py::test_twenty_connections_restore_one_session_once",
    )
    yield _fault(
        name,
        "the live row is not locked",
        ("        FOR NO KEY UPDATE;", "        ;"),
        test="sql/test_concurrency.py::"
        "test_a_restore_while_the_session_is_archived_is_true_before_or_after_it[archived-COMMIT]",
    )
    yield _fault(
        name,
        "a session on the move passes for an unknown one",
        (
            """            SELECT FROM engine_chat_sessions AS live
            WHERE live.id = restore_session.session_id
            UNION ALL
            SELECT FROM engine_chat_session_archive AS archived
            WHERE archived.id = restore_session.session_id
""",
            "            SELECT WHERE FALSE\n",
        ),
        test="sql/test_concurrency.py::"
        "test_a_session_that_came_back_and_left_while_the_restore_waited_is_restored[tables]",
    )
    yield _fault(
        name,
        "messages stay in the archive",
        (
            "                    DELETE FROM engine_chat_message_archive AS archived\n"
            "                    WHERE archived.session_id = $1\n"
            "                    RETURNING archived.*",
            "                    SELECT * FROM engine_chat_message_archive AS archived\n"
            "                    WHERE archived.session_id = $1",
        ),
        test="sql/test_restore.py::test_a_session_comes_back_with_all_its_messages_and_no_other_does[3-tables]",
    )
    yield _fault(
        name,
        "the old soft delete stays",
        ("    SET status = 'active'\n", "    SET status = 'archived'\n"),
        test="sql/test_restore.py::test_a_soft_deleted_session_comes_back_as_active_and_otherwise_"
        "as_it_was[True-tables]",
    )
    yield _fault(
        name,
        "every session comes back as active",
        (" AND live.status = 'archived';", " AND live.status <> 'active';"),
        test="sql/test_restore.py::test_every_other_status_comes_back_as_it_was",
    )
    yield _fault(
        name,
        "ON CONFLICT DO NOTHING for sessions",
        (
            "                    SELECT %1$s FROM moved_sessions\n",
            "                    SELECT %1$s FROM moved_sessions ON CONFLICT DO NOTHING\n",
        ),
        test="sql/test_conflicts.py::"
        "test_a_session_is_not_restored_over_a_live_one[0-title = 'another'-tables]",
    )
    yield _fault(
        name,
        "ON CONFLICT DO NOTHING for messages",
        (
            "                    SELECT %2$s FROM moved_messages\n",
            "                    SELECT %2$s FROM moved_messages ON CONFLICT DO NOTHING\n",
        ),
        test="sql/test_conflicts.py::"
        "test_a_message_whose_id_another_session_has_in_the_other_place_is_refused[restore-views]",
    )
    yield _fault(
        name,
        "the drift check is skipped",
        ("    PERFORM lock_and_check_tables();\n", ""),
        test="sql/test_drift.py::test_a_move_waits_for_an_alter_table_and_then_sees_the_column"
        "[restore-engine_chat_messages]",
    )
    yield _fault(
        name,
        "policies may hide rows",
        ("SET row_security = 'off'\n", ""),
        test="sql/test_privileges.py::test_a_move_that_does_not_see_every_row_is_refused["
        "restore-engine_chat_message_archive-FOR INSERT WITH CHECK (true)]",
    )
    yield _fault(
        "insertable_columns",
        "generated columns are inserted",
        ("                    table_column.attgenerated <> ''\n", "                    FALSE\n"),
        test="sql/test_drift.py::"
        "test_a_column_that_the_database_computes_is_archived_and_computed_again",
    )


def _prune() -> Iterator[Mutation]:
    name = "prune_sessions"
    of_age = """                LIMIT batch_size
                FOR UPDATE SKIP LOCKED"""
    hint = "\n                            CASE WHEN live.message_count > 0 THEN"
    yield _fault(
        name,
        "waits for a session in use",
        (of_age, of_age.replace(" SKIP LOCKED", "")),
        test="retention/test_prune.py::"
        "test_a_session_that_becomes_active_while_it_is_pruned_is_left_live",
    )
    yield _fault(
        name,
        "what it picks is not locked",
        (of_age, of_age.replace("FOR UPDATE SKIP LOCKED", "")),
        test="retention/test_prune.py::test_a_session_that_became_active_after_it_was_chosen_and_"
        "before_it_was_locked_is_not_archived",
    )
    yield _fault(
        name,
        "picks what is held",
        (
            """                    AND NOT candidate.is_held
                    AND NOT candidate.is_conflicting
                    AND candidate.id <> ALL(v_refused)
                ORDER BY""",
            """                    AND NOT candidate.is_conflicting
                    AND candidate.id <> ALL(v_refused)
                ORDER BY""",
        ),
        test="retention/test_prune.py::"
        "test_a_held_session_is_not_locked_while_others_are_pruned[active]",
    )
    yield _fault(
        name,
        "a batch may have any number of messages",
        ("v_enough_messages CONSTANT bigint := 5000", "v_enough_messages CONSTANT bigint := 1e9"),
        test="retention/test_prune.py::"
        "test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000",
    )
    yield _fault(
        name,
        "an application that counts no messages is believed",
        (hint, hint.replace("live.message_count > 0", "live.message_count >= 0")),
        test="retention/test_prune.py::"
        "test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000",
    )
    yield _fault(
        name,
        "what the application counts is not believed",
        (hint, hint.replace("live.message_count > 0", "FALSE")),
        test="retention/test_prune.py::"
        "test_a_batch_goes_by_the_messages_that_the_application_counts",
    )
    yield _fault(
        name,
        "a batch that its messages have filled takes soft-deleted ones as well",
        ("IF v_messages_picked < v_enough_messages THEN", "IF TRUE THEN"),
        test="retention/test_prune.py::"
        "test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000",
    )
    yield _fault(
        name,
        "soft-deleted ones come beside a full batch",
        ("LIMIT batch_size - cardinality(v_picked)", "LIMIT batch_size"),
        test="retention/test_prune.py::"
        "test_batches_take_the_oldest_first_and_then_the_soft_deleted",
    )
    yield _fault(
        name,
        "all that are due are looked at and locked before the first is taken",
        (
            """                LIMIT batch_size
                FOR UPDATE SKIP LOCKED""",
            """                OFFSET (SELECT count(*) * 0 FROM (
                    SELECT FROM engine_chat_sessions FOR UPDATE SKIP LOCKED
                ) AS locked)
                LIMIT batch_size
                FOR UPDATE SKIP LOCKED""",
        ),
        test="retention/test_prune.py::test_a_full_batch_locks_few_sessions_for_nothing",
    )
    yield _fault(
        name,
        "whole tables are read",
        (
            "SET enable_seqscan = 'off'\n",
            "SET enable_indexscan = 'off'\nSET enable_bitmapscan = 'off'\n",
        ),
        test="retention/test_prune.py::test_a_prune_reads_no_table_from_end_to_end",
    )
    yield _fault(
        name,
        "newest first",
        (
            "                ORDER BY candidate.updated_at\n                LIMIT",
            "                ORDER BY candidate.updated_at DESC\n                LIMIT",
        ),
        test="retention/test_prune.py::test_batches_take_the_oldest_first_and_then_the_soft_deleted",
    )
    yield _fault(
        name,
        "the age is compared the wrong way round",
        (
            "AND candidate.updated_at < now() - coalesce(older_than, candidate.archive_after)",
            "AND candidate.updated_at > now() - coalesce(older_than, candidate.archive_after)",
        ),
        test="retention/test_prune.py::"
        "test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield _fault(
        name,
        "the policies bound older_than",
        (
            "now() - coalesce(older_than, candidate.archive_after)",
            "now() - coalesce(candidate.archive_after, older_than)",
        ),
        test="retention/test_prune.py::test_older_than_replaces_every_policy[1 hour]",
    )
    yield _fault(
        name,
        "the strictest policy bounds all others",
        ("SELECT max(now() - policy.archive_after)", "SELECT min(now() - policy.archive_after)"),
        test="retention/test_prune.py::"
        "test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield _fault(
        name,
        "a message in use holds the batch up",
        ("SET lock_timeout = '100ms'\n", ""),
        test="retention/test_prune.py::"
        "test_a_prune_tells_which_session_it_left_because_a_message_was_in_use",
    )
    yield _fault(
        name,
        "one that a constraint forbids to move fails the batch",
        ("                    OR integrity_constraint_violation\n", ""),
        test="retention/test_prune.py::"
        "test_one_that_a_constraint_forbids_to_move_stops_nobody_else_and_is_told[1]",
    )
    yield _fault(
        name,
        "the locks of a batch that could not be moved are kept",
        ("            RAISE EXCEPTION USING ERRCODE = 'no_data_found';\n", ""),
        test="retention/test_prune.py::test_a_batch_that_leaves_sessions_in_use_keeps_no_lock_on_"
        "others_than_it_moves"
        "[UPDATE engine_chat_messages SET content = 'in use' WHERE session_id = %s]",
    )

    name = "engine_archive_candidate"
    yield _fault(
        name,
        "policies that are off count",
        ("CASE WHEN policy.enabled THEN policy.archive_after END", "policy.archive_after"),
        test="retention/test_prune.py::"
        "test_a_policy_that_is_off_or_without_an_age_archives_nothing_by_age[policy0-interactive]",
    )
    yield _fault(
        name,
        "the default goes before the type's own policy",
        ("ORDER BY policy.session_type = '*'", "ORDER BY policy.session_type <> '*'"),
        test="retention/test_prune.py::"
        "test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield _fault(
        name,
        "archived messages without their session are no conflict",
        (
            """        UNION ALL
        SELECT 1 FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = live.id
""",
            "",
        ),
        test="retention/test_prune.py::test_one_that_is_held_or_in_conflict_stops_nobody_else[1]",
    )
    yield _fault(
        "prune_old_sessions",
        "one transaction for all batches",
        ("        COMMIT;\n\n        -- After a failed batch", "\n        -- After a failed batch"),
        test="retention/test_procedure.py::"
        "test_a_run_whose_backend_is_terminated_keeps_what_it_committed_and_the_next_goes_on",
    )


_LEFT_OF_A_HOLD = (
    " AND NOT EXISTS (SELECT FROM engine_session_hold AS hold WHERE hold.session_id = archived.{})"
)


def _purge() -> Iterator[Mutation]:
    name = "purge_archive"
    picks = "            " + _LEFT_OF_A_HOLD.format("id").lstrip() + "\n            -- which of"
    messages = "            " + _LEFT_OF_A_HOLD.format("session_id").lstrip() + "\n"
    sessions = (
        "            archived.id = ANY(v_picked)\n            "
        + _LEFT_OF_A_HOLD.format("id").lstrip()
        + "\n"
    )
    chosen = (
        "retention/test_holds.py::"
        "test_a_hold_placed_after_a_session_was_chosen_and_before_it_was_locked_keeps_it[purge]"
    )
    held = "retention/test_purge.py::test_a_held_session_is_never_deleted_and_stops_nobody_else"
    yield _fault(name, "picks what is held", (picks, "            -- which of"), test=held)
    yield _fault(
        name,
        "holds are looked for before the lock alone",
        (messages, ""),
        (sessions, "            archived.id = ANY(v_picked)\n"),
        test=chosen,
    )
    yield _fault(name, "the messages of a held session are deleted", (messages, ""), test=chosen)
    yield _fault(
        name,
        "holds that the snapshot does not show are not looked for",
        ("    PERFORM check_unseen_holds(v_picked);\n", ""),
        test="retention/test_holds.py::"
        "test_a_hold_that_a_snapshot_does_not_show_keeps_the_session[REPEATABLE READ-purge]",
    )
    yield _fault(
        name,
        "live copies are ignored",
        (
            "            AND NOT EXISTS "
            "(SELECT FROM engine_chat_sessions AS live WHERE live.id = archived.id)\n",
            "",
        ),
        test="retention/test_purge.py::"
        "test_a_live_session_is_never_deleted_nor_is_an_archive_in_conflict_with_it",
    )
    yield _fault(
        name,
        "> instead of <",
        (
            "            AND archived.archived_at < now() - (",
            "            AND archived.archived_at > now() - (",
        ),
        test="retention/test_purge.py::"
        "test_a_session_is_deleted_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield _fault(
        name,
        "counts from the last use",
        (
            "            AND archived.archived_at < now() - (",
            "            AND archived.updated_at < now() - (",
        ),
        (
            "            archived.archived_at < v_before",
            "            archived.updated_at < v_before",
        ),
        test="retention/test_purge.py::"
        "test_what_counts_is_when_it_was_archived_not_when_it_was_used",
    )
    yield _fault(
        name,
        "policies that are off count",
        ("CASE WHEN policy.enabled THEN policy.purge_after END", "policy.purge_after"),
        test="retention/test_purge.py::"
        "test_a_session_is_deleted_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield _fault(
        name,
        "waits for a session that is being restored",
        ("    FOR UPDATE SKIP LOCKED", "    FOR UPDATE"),
        test="retention/test_purge.py::test_a_session_that_is_being_restored_is_skipped[COMMIT]",
    )
    yield _fault(
        name,
        "newest first",
        ("        ORDER BY archived.archived_at\n", "        ORDER BY archived.archived_at DESC\n"),
        test="retention/test_purge.py::"
        "test_a_batch_deletes_the_oldest_and_locks_no_more_than_it_deletes",
    )


def _holds() -> Iterator[Mutation]:
    name = "place_hold"
    live = "        WHERE live.id = place_hold.session_id\n        FOR KEY SHARE;"
    archived = "        WHERE archived.id = place_hold.session_id\n        FOR KEY SHARE;"
    yield _fault(
        name,
        "the live row is not locked",
        (live, live.replace("\n        FOR KEY SHARE", "")),
        test="retention/test_holds.py::test_a_hold_placed_while_the_session_is_archived_waits_and_"
        "holds_it_where_it_is_then[COMMIT]",
    )
    yield _fault(
        name,
        "the archived row is not locked",
        (archived, archived.replace("\n        FOR KEY SHARE", "")),
        test="retention/test_holds.py::test_a_hold_placed_while_the_session_is_purged_finds_none",
    )
    yield _fault(
        name,
        "what is nowhere can be held",
        ("    IF NOT v_locked THEN", "    IF FALSE THEN"),
        test="retention/test_holds.py::test_an_unknown_session_cannot_be_held",
    )
    yield _fault(
        name,
        "a second hold is passed over",
        ("DO UPDATE SET reason = excluded.reason", "DO NOTHING"),
        test="retention/test_holds.py::"
        "test_a_hold_tells_who_placed_it_and_a_second_one_changes_the_reason_alone",
    )
    yield _fault(
        "check_unseen_holds",
        "what it inserted stays",
        ("    WHERE hold.session_id = ANY(v_inserted);", "    WHERE FALSE;"),
        test="retention/test_holds.py::test_an_archive_with_a_snapshot_leaves_no_hold_behind",
    )


def _resolve() -> Iterator[Mutation]:
    name = "resolve_session_conflict"
    yield _fault(
        name,
        "a message that differs is not named",
        ("    IF v_different_message IS NOT NULL THEN", "    IF FALSE THEN"),
        test="conflicts/test_resolve.py::"
        "test_a_message_that_is_not_the_same_in_both_is_refused_and_named"
        "[content = 'another'-live-tables]",
    )
    yield _fault(
        name,
        "messages that only the archive has are dropped",
        (
            "WHERE live.session_id = removed.session_id AND live.id = removed.id\n",
            "WHERE live.session_id = removed.session_id\n",
        ),
        test="conflicts/test_resolve.py::"
        "test_both_transcripts_are_merged_and_every_message_is_kept_once_as_it_was[2-3-4-live-tables]",
    )
    yield _fault(
        name,
        "the live row is not locked",
        (
            "        WHERE live.id = resolve_session_conflict.session_id\n        FOR UPDATE;",
            "        WHERE live.id = resolve_session_conflict.session_id;",
        ),
        test="conflicts/test_concurrency.py::"
        "test_an_update_of_the_session_under_way_is_waited_for_and_then_compared[live]",
    )
    yield _fault(
        name,
        "the archived row is locked before the live one",
        (
            "    LOOP\n        -- An archive or a second",
            "    PERFORM FROM engine_chat_session_archive AS archived\n"
            "    WHERE archived.id = resolve_session_conflict.session_id FOR UPDATE;\n"
            "    LOOP\n        -- An archive or a second",
        ),
        test="conflicts/test_concurrency.py::"
        "test_a_restore_that_is_not_committed_does_not_hold_up_a_call_on_its_session[live]",
    )
    yield _fault(
        name,
        "the row that was kept is logged as dropped",
        (
            "WHEN 'live' THEN v_rows.archived WHEN 'archived' THEN v_rows.live END",
            "WHEN 'live' THEN v_rows.live WHEN 'archived' THEN v_rows.archived END",
        ),
        test="conflicts/test_resolve.py::test_rows_of_the_session_that_differ_need_a_choice_and_"
        "the_other_one_is_logged[live-live-tables]",
    )
    yield _fault(
        name,
        "the row that is dropped is not logged with every digit",
        ("SET extra_float_digits = '1'\n", ""),
        test="conflicts/test_resolve.py::test_a_dropped_row_can_be_brought_back_from_the_log",
    )
    yield _fault(
        name,
        "the archived row is never the one that is kept",
        ("    IF v_kept = 'archived' THEN", "    IF FALSE THEN"),
        test="conflicts/test_resolve.py::test_every_column_of_the_row_that_is_kept_is_kept",
    )
    yield _fault(
        name,
        "a trigger's other value is overlooked",
        (
            "                AND record_image_eq(ROW(archived.archived_at, live.*), archived)\n"
            "        ) THEN",
            "        ) THEN",
        ),
        test="conflicts/test_resolve.py::"
        "test_a_trigger_that_changes_the_kept_row_is_refused_and_not_overlooked",
    )
    yield _fault(
        "session_conflict_differences",
        "values are compared by =",
        (
            "record_image_eq(ROW(live.%2$I), ROW(archived.%2$I)))",
            "live.%2$I IS NOT DISTINCT FROM archived.%2$I)",
        ),
        test="conflicts/test_listing.py::"
        "test_rows_that_only_look_alike_are_different_and_the_column_is_named[temperature-0.0-'-0'--0-0]",
    )


_DAMAGE = "verification/test_verify.py::test_what_other_code_does_is_found_and_nothing_but_that[{}]"


def _reports() -> Iterator[Mutation]:
    yield _fault(
        "verify_archive",
        "archived messages without a session are not found",
        (
            "            places.archived > 0 AND NOT places.is_archived AND NOT places.is_live,",
            "FALSE,",
        ),
        test=_DAMAGE.format("an archived session is deleted without its messages-tables"),
    )
    yield _fault(
        "verify_archive",
        "a session in both places is not found where its messages are in one",
        (
            "places.is_live AND (places.is_archived OR places.archived > 0),",
            "places.is_live AND places.archived > 0 AND places.live > 0,",
        ),
        test=_DAMAGE.format("an archived session is created again-tables"),
    )
    yield _fault(
        "verify_archive",
        "rows that a policy hides are passed over",
        ("SET row_security = 'off'\n", ""),
        test="verification/test_verify.py::"
        "test_rows_that_a_policy_hides_are_an_error_and_not_nothing",
    )
    yield _fault(
        "archive_access",
        "an application may purge",
        (
            "('purge_archive', NULL, NULL, 'EXECUTE')",
            "('purge_archive', NULL, 'EXECUTE', 'EXECUTE')",
        ),
        test="verification/test_grant.py::"
        "test_a_grant_gives_exactly_what_the_matrix_says_of_every_object_there_is[app]",
    )
    yield _fault(
        "engine_chat_session_list",
        "soft-deleted sessions are listed",
        ("WHERE status <> 'archived'", "WHERE TRUE"),
        test="sql/test_views.py::test_each_view_has_its_sessions_and_no_others[tables]",
    )
    yield _fault(
        "count_prunable_sessions",
        "the dry run counts what waits",
        (
            "        count(*) FILTER (WHERE NOT candidate.is_held "
            "AND NOT candidate.is_conflicting) AS sessions,",
            "        count(*) AS sessions,",
        ),
        test="retention/test_prune.py::"
        "test_the_dry_run_counts_what_the_prune_then_does_and_what_waits[{}]",
    )


MUTATIONS = tuple(_all())
