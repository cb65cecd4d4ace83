"""Faults in the retention: prune, purge, holds, ages, runs, and what a prune had to leave."""

from tests.proofs.mutations.mutation import Mutations, fault, within


def mutations() -> Mutations:
    yield from _prune()
    yield from _ages()
    yield from _left()
    yield from _purge()
    yield from _holds()
    yield from _runs()
    yield from _undo_and_grace()
    yield from _empty()
    yield from _zombies()


_PRUNE = "sql/retention/test_prune.py::{}".format
_HEALTH = "sql/operations/test_health.py::{}".format
_PROCEDURE = "sql/retention/test_procedure.py::{}".format
_RUN_LOG = "sql/retention/test_run_log.py::{}".format
_DRY_RUN = _PRUNE("test_the_dry_run_counts_what_the_prune_then_does_and_what_waits[{}]")

AGES = {
    "restored": _PRUNE("test_the_age_of_a_restored_session_counts_from_its_last_restore"),
    "updated": _PRUNE("test_an_update_after_the_last_restore_counts"),
    "never updated": _PRUNE("test_a_session_that_was_never_updated_is_as_old_as_its_creation"),
    "other events": _PRUNE("test_nothing_else_that_the_journal_has_makes_a_session_younger"),
    "others": _PRUNE("test_the_restore_of_one_session_makes_no_other_younger"),
    "dry run": _DRY_RUN,
    "health": _HEALTH("test_a_restored_session_is_no_backlog_until_it_is_due_again"),
}
DUE_FROM = (
    "sql/move/test_restore.py::"
    "test_due_from_is_the_time_of_the_restore_and_the_age_that_the_policy_says"
)

_LEFT = "sql/retention/test_left.py::{}".format
_FORGOTTEN = _LEFT("test_what_was_left_is_forgotten_when_{}").format
_DELETED = _LEFT(
    "test_what_an_undo_left_is_forgotten_when_the_session_is_deleted_from_the_archive[{}]"
).format
LEFT = {
    "written": _LEFT(
        "test_a_session_that_cannot_be_moved_is_counted_and_written_down_with_the_reason"
        "[constraint-1]"
    ),
    "in use": _LEFT(
        "test_a_session_that_is_merely_in_use_is_neither_counted_nor_written_down[message]"
    ),
    "again": _LEFT("test_what_is_left_again_has_the_reason_the_run_and_the_time_of_the_last_prune"),
    "moving": _LEFT(
        "test_a_session_that_another_connection_is_moving_is_not_waited_for_and_not_written_down"
        "[archive-place0-COMMIT]"
    ),
    "moved": _LEFT(
        "test_a_session_that_another_connection_has_moved_meanwhile_is_not_written_down"
        "[archive-place0]"
    ),
    "order": _LEFT("test_two_prunes_that_leave_the_same_session_do_not_hinder_each_other"),
    "archived": _FORGOTTEN("the_session_moves[archive]"),
    "deleted": _FORGOTTEN("the_session_moves[delete]"),
    "copy removed": _FORGOTTEN("the_live_copy_is_removed"),
    "resolved": _FORGOTTEN("its_conflict_is_resolved[live]"),
    "purged": _DELETED("purge"),
    "deleted from the archive": _DELETED("delete"),
}

_TOLD = "test_a_run_tells_what_it_was_asked_for_who_asked_and_what_its_batches_moved[{}]"
_OTHER_KIND = "test_a_run_of_another_kind_is_refused_and_nothing_moves[{}]"
RUNS = {
    "unknown": _RUN_LOG(
        "test_a_run_that_nobody_began_is_refused_and_nothing_moves[archive_sessions]"
    ),
    "kind": _RUN_LOG(_OTHER_KIND.format("archive_sessions")),
    "checked": _RUN_LOG(_OTHER_KIND),
    # of a prune's run nobody else would notice
    "finished": _RUN_LOG(
        "test_a_run_that_has_finished_is_refused_and_nothing_moves[archive_sessions]"
    ),
    "finished meanwhile": _RUN_LOG(
        "test_a_run_that_finishes_while_its_batch_works_takes_the_batch_back[archive_sessions]"
    ),
    "figures": _RUN_LOG(_TOLD),
    "twice": _RUN_LOG("test_a_session_that_one_run_moves_twice_counts_twice[{}]"),
    "no kind": _RUN_LOG("test_a_kind_of_run_that_there_is_not_is_refused_with_a_hint[vacuum]"),
    "begun by": _RUN_LOG("test_a_run_tells_which_actor_began_it_and_which_role_connected"),
    "procedure": _PROCEDURE(
        "test_its_run_and_the_journal_name_the_actor_and_every_event_names_the_run"
    ),
}


def _prune() -> Mutations:
    name = "prune_sessions"
    of_age = """                    LIMIT $7
                    FOR UPDATE SKIP LOCKED"""
    hint = "CASE WHEN candidate.message_count > 0 THEN"
    yield fault(
        name,
        "waits for a session in use",
        (of_age, of_age.replace(" SKIP LOCKED", "")),
        test="sql/retention/test_prune.py::"
        "test_a_session_that_becomes_active_while_it_is_pruned_is_left_live",
    )
    yield fault(
        name,
        "what it picks is not locked",
        (of_age, of_age.replace("FOR UPDATE SKIP LOCKED", "")),
        test="sql/retention/test_prune.py::test_a_session_that_became_active_after_it_was_chosen_and_"
        "before_it_was_locked_is_not_archived",
    )
    yield fault(
        name,
        "picks what is held",
        (
            "                        AND NOT candidate.is_held\n",
            "",
        ),
        test="sql/retention/test_prune.py::"
        "test_a_held_session_is_not_locked_while_others_are_pruned[active]",
    )
    yield fault(
        name,
        "a batch may have any number of messages",
        ("c_enough_messages CONSTANT bigint := 5000", "c_enough_messages CONSTANT bigint := 1e9"),
        test="sql/retention/test_prune.py::"
        "test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000",
    )
    yield fault(
        name,
        "an application that counts no messages is believed",
        (hint, hint.replace("> 0", ">= 0")),
        test="sql/retention/test_prune.py::"
        "test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000",
    )
    yield fault(
        name,
        "what the application counts is not believed",
        (hint, hint.replace("candidate.message_count > 0", "FALSE")),
        test="sql/retention/test_prune.py::"
        "test_a_batch_goes_by_the_messages_that_the_application_counts",
    )
    yield fault(
        name,
        "a batch that its messages have filled takes soft-deleted ones as well",
        ("EXIT WHEN v_messages_picked >= c_enough_messages OR ", "EXIT WHEN "),
        test="sql/retention/test_prune.py::"
        "test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000",
    )
    yield fault(
        name,
        "one that was never updated is not picked",
        ("        'candidate.updated_at IS NULL AND ' || c_is_due,\n", ""),
        test=AGES["never updated"],
    )
    yield fault(
        name,
        "soft-deleted ones come beside a full batch",
        (" OR cardinality(v_picked) = batch_size;", ";"),
        (
            "                    batch_size - cardinality(v_picked)\n",
            "                    batch_size\n",
        ),
        test="sql/retention/test_prune.py::"
        "test_batches_take_the_oldest_first_and_then_the_soft_deleted",
    )
    yield fault(
        name,
        "all that are due are looked at and locked before the first is taken",
        (
            """                    LIMIT $7
                    FOR UPDATE SKIP LOCKED""",
            """                    OFFSET (SELECT count(*) * 0 FROM (
                        SELECT FROM engine_chat_sessions FOR UPDATE SKIP LOCKED
                    ) AS locked)
                    LIMIT $7
                    FOR UPDATE SKIP LOCKED""",
        ),
        test="sql/retention/test_prune.py::test_a_full_batch_locks_few_sessions_for_nothing",
    )
    yield fault(
        name,
        "whole tables are read",
        (
            "SET enable_seqscan = 'off'\n",
            "SET enable_indexscan = 'off'\nSET enable_bitmapscan = 'off'\n",
        ),
        test="sql/retention/test_prune.py::test_a_prune_reads_no_table_from_end_to_end",
    )
    yield fault(
        name,
        "newest first",
        (
            "                    ORDER BY candidate.updated_at\n",
            "                    ORDER BY candidate.updated_at DESC\n",
        ),
        test="sql/retention/test_prune.py::test_batches_take_the_oldest_first_and_then_the_soft_deleted",
    )
    yield fault(
        name,
        "the age is compared the wrong way round",
        (
            "candidate.age_from < now() - coalesce($2, candidate.archive_after)",
            "candidate.age_from > now() - coalesce($2, candidate.archive_after)",
        ),
        test="sql/retention/test_prune.py::"
        "test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield fault(
        name,
        "the policies bound older_than",
        (
            "now() - coalesce($2, candidate.archive_after)",
            "now() - coalesce(candidate.archive_after, $2)",
        ),
        test="sql/retention/test_prune.py::test_older_than_replaces_every_policy[1 hour]",
    )
    yield fault(
        name,
        "the strictest policy bounds all others",
        ("SELECT max(now() - policy.archive_after)", "SELECT min(now() - policy.archive_after)"),
        test="sql/retention/test_prune.py::"
        "test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield fault(
        name,
        "a message in use holds the batch up",
        ("SET lock_timeout = '100ms'\n", ""),
        test="sql/retention/test_prune.py::"
        "test_a_prune_tells_which_session_it_left_because_a_message_was_in_use",
    )
    yield fault(
        name,
        "one that a constraint forbids to move fails the batch",
        (
            "                    OR SQLSTATE 'AR007'\n                    THEN\n",
            "                    THEN\n",
        ),
        test="sql/retention/test_prune.py::"
        "test_one_that_a_constraint_forbids_to_move_stops_nobody_else_and_is_told[1]",
    )
    yield fault(
        name,
        "the locks of a batch that could not be moved are kept",
        (
            "            -- Nothing of this batch can be moved: unlock its rows before others are "
            "locked.\n"
            "            RAISE EXCEPTION USING ERRCODE = 'no_data_found';\n",
            "",
        ),
        test="sql/retention/test_prune.py::test_a_batch_that_leaves_sessions_in_use_keeps_no_lock_on_"
        "others_than_it_moves"
        "[UPDATE engine_chat_messages SET content = 'in use' WHERE session_id = %s]",
    )

    name = "engine_archive_candidate"
    yield fault(
        name,
        "policies that are off count",
        ("CASE WHEN policy.enabled THEN policy.archive_after END", "policy.archive_after"),
        test="sql/retention/test_prune.py::"
        "test_a_policy_that_is_off_or_without_an_age_archives_nothing_by_age[policy0-interactive]",
    )
    yield fault(
        name,
        "the default goes before the type's own policy",
        ("ORDER BY policy.session_type = '*'", "ORDER BY policy.session_type <> '*'"),
        test="sql/retention/test_prune.py::"
        "test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield fault(
        name,
        "archived messages without their session are no conflict",
        (
            """            UNION ALL
            SELECT 1 FROM engine_chat_message_archive AS archived
            WHERE archived.session_id = live.id
""",
            "",
        ),
        test="sql/retention/test_prune.py::test_one_that_is_held_or_in_conflict_stops_nobody_else[1]",
    )
    yield fault(
        "prune_old_sessions",
        "one transaction for all batches",
        ("        COMMIT;\n\n        -- After a failed batch", "\n        -- After a failed batch"),
        test="sql/retention/test_procedure.py::"
        "test_a_run_whose_backend_is_terminated_keeps_what_it_committed_and_the_next_goes_on",
    )


def _purge() -> Mutations:
    name = "purge_archive"
    held_meanwhile = (
        "        WHERE NOT EXISTS (SELECT 1 FROM engine_session_hold AS hold"
        " WHERE hold.session_id = picked.id)\n"
    )
    chosen = (
        "sql/retention/test_holds.py::"
        "test_a_hold_placed_after_a_session_was_chosen_and_before_it_was_locked_keeps_it[purge]"
    )
    held = "sql/retention/test_purge.py::test_a_held_session_is_never_deleted_and_stops_nobody_else"
    yield fault(
        name, "picks what is held", ("            AND NOT candidate.is_held\n", ""), test=held
    )
    yield fault(
        name,
        "holds are looked for before the lock alone",
        (held_meanwhile, ""),
        test=chosen,
    )
    yield fault(
        name,
        "holds that the snapshot does not show are not looked for",
        ("    PERFORM _check_unseen_holds(v_picked);\n", ""),
        test="sql/retention/test_holds.py::"
        "test_a_hold_that_a_snapshot_does_not_show_keeps_the_session[REPEATABLE READ-purge]",
    )
    yield fault(
        name,
        "a run fails when it has deleted the last session of its type",
        ("    IF NOT EXISTS (\n", "    IF TRUE OR EXISTS (\n"),
        test="sql/retention/test_purge.py::"
        "test_a_run_goes_on_when_it_has_deleted_the_last_session_of_its_type",
    )
    yield fault(
        name,
        "what an undo had to leave and is deleted stays on the list",
        ("        WHERE left_behind.session_id = ANY(v_picked)\n", "        WHERE FALSE\n"),
        test=LEFT["purged"],
    )
    yield from _purge_candidate()
    yield fault(
        name,
        "waits for a session that is being restored",
        ("    FOR UPDATE SKIP LOCKED", "    FOR UPDATE"),
        test="sql/retention/test_purge.py::test_a_session_that_is_being_restored_is_skipped[COMMIT]",
    )
    yield fault(
        name,
        "newest first",
        (
            "        ORDER BY candidate.archived_at\n",
            "        ORDER BY candidate.archived_at DESC\n",
        ),
        test="sql/retention/test_purge.py::"
        "test_a_batch_deletes_the_oldest_and_locks_no_more_than_it_deletes",
    )


def _purge_candidate() -> Mutations:
    """What the purge and its dry run pick."""
    name = "_purge_candidate"
    of_its_policy = "    AND archived.archived_at < now() - ("
    yield fault(
        name,
        "live copies are ignored",
        (
            """
    AND NOT EXISTS (
        SELECT 1 FROM engine_chat_sessions AS live
        WHERE live.id = archived.id
    );""",
            ";",
        ),
        test="sql/retention/test_purge.py::"
        "test_a_live_session_is_never_deleted_nor_is_an_archive_in_conflict_with_it",
    )
    yield fault(
        name,
        "> instead of <",
        (of_its_policy, of_its_policy.replace("<", ">")),
        test="sql/retention/test_purge.py::"
        "test_a_session_is_deleted_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    yield fault(
        name,
        "counts from the last use",
        (of_its_policy, of_its_policy.replace("archived_at", "updated_at")),
        ("    archived.archived_at < (\n", "    archived.updated_at < (\n"),
        test="sql/retention/test_purge.py::"
        "test_what_counts_is_when_it_was_archived_not_when_it_was_used",
    )
    yield fault(
        name,
        "policies that are off count",
        ("CASE WHEN policy.enabled THEN policy.purge_after END", "policy.purge_after"),
        test="sql/retention/test_purge.py::"
        "test_a_session_is_deleted_at_the_age_of_its_types_policy_or_else_of_the_default",
    )
    dry_run = "sql/retention/test_purge.py::{}".format
    counted = dry_run(
        "test_the_dry_run_counts_what_the_purge_then_deletes_and_what_is_held[{}-tables]"
    )
    name = "count_purgeable_sessions"
    yield fault(
        name,
        "what is held counts as deleted",
        (
            "        count(*) FILTER (WHERE NOT due.is_held),\n",
            "        count(*),\n",
        ),
        test=counted,
    )
    yield fault(
        name,
        "the messages of what is held count",
        ("sum(due.messages) FILTER (WHERE NOT due.is_held)", "sum(due.messages)"),
        test=counted,
    )
    for which in ("min", "max"):
        yield fault(
            name,
            f"the {which} of the ages is that of what is held, too",
            (
                f"{which}(due.archived_at) FILTER (WHERE NOT due.is_held)",
                f"{which}(due.archived_at)",
            ),
            test=dry_run("test_the_dry_run_says_when_the_first_and_the_last_were_archived"),
        )


def _holds() -> Mutations:
    name = "place_hold"
    live = "        WHERE live.id = place_hold.session_id\n        FOR KEY SHARE;"
    archived = "        WHERE archived.id = place_hold.session_id\n        FOR KEY SHARE;"
    yield fault(
        name,
        "the live row is not locked",
        (live, live.replace("\n        FOR KEY SHARE", "")),
        test="sql/retention/test_holds.py::test_a_hold_placed_while_the_session_is_archived_waits_and_"
        "holds_it_where_it_is_then[COMMIT]",
    )
    yield fault(
        name,
        "the archived row is not locked",
        (archived, archived.replace("\n        FOR KEY SHARE", "")),
        test="sql/retention/test_holds.py::test_a_hold_placed_while_the_session_is_purged_finds_none",
    )
    yield fault(
        name,
        "what is nowhere can be held",
        ("    IF NOT v_locked THEN", "    IF FALSE THEN"),
        test="sql/retention/test_holds.py::test_an_unknown_session_cannot_be_held",
    )
    yield fault(
        name,
        "a second hold is passed over",
        (
            "DO UPDATE\n    SET reason = excluded.reason\n    WHERE hold.reason <> excluded.reason",
            "DO NOTHING",
        ),
        test="sql/retention/test_holds.py::"
        "test_a_hold_tells_who_placed_it_and_a_second_one_changes_the_reason_alone",
    )
    yield fault(
        "_check_unseen_holds",
        "what it inserted stays",
        ("    WHERE hold.session_id = ANY(v_inserted);", "    WHERE FALSE;"),
        test="sql/retention/test_holds.py::test_an_archive_with_a_snapshot_leaves_no_hold_behind",
    )


_RESTORED_AT = """            (
                SELECT max(journal.at) FROM engine_archive_event AS journal
                WHERE journal.session_id = live.id AND journal.event = 'restored'
            )
"""
_UPDATED_AT = "            coalesce(live.updated_at, live.created_at),\n"


def _ages() -> Mutations:
    """From when on the age of a session counts."""
    name = "engine_archive_candidate"
    yield fault(
        name,
        "the age counts from the last update alone",
        (_UPDATED_AT, _UPDATED_AT.replace(",\n", "\n").replace("created_at),", "created_at)")),
        (_RESTORED_AT, ""),
        test=AGES["restored"],
    )
    yield fault(
        name,
        "the age counts from the last restore alone, where there is one",
        ("        greatest(\n", "        coalesce(\n"),
        (_UPDATED_AT, ""),
        (_RESTORED_AT, _RESTORED_AT.rstrip() + ",\n" + _UPDATED_AT.replace("),", ")")),
        test=AGES["updated"],
    )
    yield fault(
        name,
        "a session that was never updated has no age",
        (_UPDATED_AT, "            live.updated_at,\n"),
        test=AGES["never updated"],
    )
    yield fault(
        name,
        "the age counts from the first of several restores",
        ("SELECT max(journal.at)", "SELECT min(journal.at)"),
        test=AGES["restored"],
    )
    yield fault(
        name,
        "the age counts from whatever the journal has last",
        (" AND journal.event = 'restored'", ""),
        test=AGES["other events"],
    )
    yield fault(
        name,
        "the restore of any session makes all others young",
        (
            "WHERE journal.session_id = live.id AND journal.event = 'restored'",
            "WHERE journal.event = 'restored'",
        ),
        test=AGES["others"],
    )
    yield fault(
        name,
        "due_from counts from the last update alone",
        (
            "THEN seen.age_from + seen.archive_after",
            "THEN seen.updated_at + seen.archive_after",
        ),
        test=DUE_FROM,
    )
    yield fault(
        "prune_sessions",
        "the last update alone decides",
        (
            "candidate.age_from < now() - coalesce($2, candidate.archive_after)",
            "candidate.updated_at < now() - coalesce($2, candidate.archive_after)",
        ),
        test=AGES["restored"],
    )
    yield fault(
        "count_prunable_sessions",
        "the last update alone decides",
        ("candidate.age_from < now()", "candidate.updated_at < now()"),
        test=AGES["dry run"],
    )
    yield fault(
        "engine_archive_health",
        "one that was restored is due by its last update",
        (
            "candidate.is_soft_deleted OR candidate.due_from < now()",
            "candidate.is_soft_deleted OR candidate.updated_at + candidate.archive_after < now()",
        ),
        test=AGES["health"],
    )


_UPSERT = """DO UPDATE
    SET
        run_id = excluded.run_id,
        sqlstate = excluded.sqlstate,
        message = excluded.message,
        remedy = excluded.remedy,
        at = excluded.at;"""

_LOCKED_IF_LEFT = "    FOR NO KEY UPDATE OF live SKIP LOCKED\n"


def _left() -> Mutations:
    """What a prune had to leave, and tells."""
    name = "prune_sessions"
    yield fault(
        name,
        "what it had to leave is not written down",
        (
            "    PERFORM _record_left_sessions("
            "run_id, v_left_ids, v_left_states, v_left_errors, v_left_remedies);\n",
            "",
        ),
        test=LEFT["written"],
    )
    yield fault(
        name,
        "what it had to leave is not counted",
        ("left_behind := cardinality(v_left_ids);", "left_behind := 0;"),
        test=LEFT["written"],
    )
    yield fault(
        name,
        "sessions in use count as left behind",
        ("left_behind := cardinality(v_left_ids);", "left_behind := cardinality(v_refused);"),
        test=LEFT["in use"],
    )
    name = "_record_left_sessions"
    yield fault(
        name,
        "a session that is left a second time fails the batch",
        (
            "\n    ON CONFLICT ON CONSTRAINT engine_archive_left_pkey " + _UPSERT,
            ";",
        ),
        test=LEFT["again"],
    )
    yield fault(name, "the first reason stays", (_UPSERT, "DO NOTHING;"), test=LEFT["again"])
    for column in ("run_id", "sqlstate", "message", "at"):
        yield fault(
            name,
            f"the {column} of the first time stays",
            within(_UPSERT, f"{column} = excluded.{column}", f"{column} = left_before.{column}"),
            test=LEFT["again"],
        )
    yield fault(
        name,
        "what it had to leave has no run",
        (
            "        _record_left_sessions.run_id,\n        refused.state,",
            "        NULL,\n        refused.state,",
        ),
        test=LEFT["written"],
    )
    yield fault(
        name,
        "a session that is moving meanwhile is left on the list",
        (_LOCKED_IF_LEFT, ""),
        test=LEFT["moving"],
    )
    yield fault(
        name,
        "a session that is moving meanwhile is waited for",
        (_LOCKED_IF_LEFT, _LOCKED_IF_LEFT.replace(" SKIP LOCKED", "")),
        test=LEFT["moving"],
    )
    yield fault(
        name,
        "two prunes that leave the same session wait for each other",
        (_LOCKED_IF_LEFT, _LOCKED_IF_LEFT.replace("NO KEY UPDATE", "KEY SHARE")),
        test=LEFT["order"],
    )
    yield fault(
        name,
        "a session that is gone meanwhile is left on the list",
        ("    INNER JOIN engine_chat_sessions AS live ON refused.id = live.id\n", ""),
        (_LOCKED_IF_LEFT, ""),
        (
            "        live.id,\n        _record_left_sessions.run_id,",
            "refused.id, _record_left_sessions.run_id,",
        ),
        test=LEFT["moved"],
    )
    deletes = "        WHERE left_behind.session_id = {};".format
    in_the_move = "        WHERE left_behind.session_id = {}\n".format
    yield fault(
        "archive_sessions",
        "a session that moved is left on the list",
        ("    IF v_were_left THEN\n", "    IF FALSE THEN\n"),
        test=LEFT["archived"],
    )
    yield fault(
        "_remove_archived_copies",
        "a session whose copy is removed is left on the list",
        ("    WHERE left_behind.session_id = ANY(session_ids);", "    WHERE FALSE;"),
        test=LEFT["copy removed"],
    )
    yield fault(
        "_delete_chat_sessions",
        "a session that is deleted is left on the list",
        ("        WHERE left_behind.session_id = ANY(v_locked)\n", "        WHERE FALSE\n"),
        test=LEFT["deleted"],
    )
    yield fault(
        "delete_archived_session",
        "what an undo had to leave and is deleted stays on the list",
        (in_the_move("delete_archived_session.session_id"), "        WHERE FALSE\n"),
        test=LEFT["deleted from the archive"],
    )
    yield fault(
        "resolve_session_conflict",
        "a session that is merged is left on the list",
        (deletes("resolve_session_conflict.session_id"), "        WHERE FALSE;"),
        test=LEFT["resolved"],
    )


def _runs() -> Mutations:
    """The run that bulk work names, and its figures."""
    name = "_check_archive_run"
    yield fault(
        name,
        "an unknown run is taken",
        ("    IF NOT FOUND THEN", "    IF FALSE THEN"),
        test=RUNS["unknown"],
    )
    yield fault(
        name,
        "a run of any kind is taken",
        ("v_run.kind <> ALL(kinds)", "FALSE"),
        test=RUNS["kind"],
    )
    yield fault(
        name,
        "a run that has finished is taken",
        ("    ELSIF v_run.finished_at IS NOT NULL THEN", "    ELSIF FALSE THEN"),
        test=RUNS["finished"],
    )
    for name, check, loose in (
        (
            "archive_sessions",
            "v_run_kind := _check_archive_run(run_id, '{archive, prune}');",
            "v_run_kind := (SELECT run.kind FROM engine_archive_run AS run"
            " WHERE run.id = archive_sessions.run_id);",
        ),
        ("restore_sessions", "v_run_kind := _check_archive_run(run_id, '{restore, undo}');", ""),
        ("prune_sessions", "PERFORM _check_archive_run(run_id, '{prune}');", ""),
        ("purge_archive", "PERFORM _check_archive_run(run_id, '{purge}');", ""),
    ):
        yield fault(
            name,
            "the run is not looked at",
            (f"        {check}\n", f"        {loose}\n" if loose else ""),
            test=RUNS["checked"].format(name),
        )
    yield fault(
        "restore_sessions",
        "a run of the kind undo is refused",
        ("'{restore, undo}'", "'{restore}'"),
        test=RUNS["figures"].format("restore_sessions"),
    )
    name = "_record_archive_batch"
    yield fault(
        name,
        "a run that finished meanwhile is passed over",
        ("    IF NOT FOUND THEN", "    IF FALSE THEN"),
        test=RUNS["finished meanwhile"],
    )
    yield fault(
        name,
        "the figures of a run that finished meanwhile change",
        (" AND run.finished_at IS NULL;", ";"),
        test=RUNS["finished meanwhile"],
    )
    yield fault(
        name,
        "the connection of the first batch alone counts",
        (",\n        backend_pid = pg_backend_pid()", ""),
        test="sql/retention/test_run_log.py::"
        "test_a_run_is_running_while_its_connection_is_there_and_killed_when_it_is_gone",
    )
    yield fault(
        name,
        "when the last batch was is not told",
        ("        last_batch_at = clock_timestamp(),\n", ""),
        test=RUNS["figures"].format("prune_sessions"),
    )
    for name, reached in (
        ("prune_sessions", ", coalesce(v_reached, v_from)"),
        ("purge_archive", ""),
    ):
        yield fault(
            name,
            "a batch is not in the figures of its run",
            (f"        PERFORM _record_archive_batch(run_id, sessions, messages{reached});\n", ""),
            test=RUNS["figures"].format(name),
        )
    yield fault(
        "archive_sessions",
        "a batch is not in the figures of its run",
        ("IF v_run_kind = 'archive' AND", "IF FALSE AND"),
        test=RUNS["figures"].format("archive_sessions"),
    )
    yield fault(
        "archive_sessions",
        "a batch of a prune counts twice",
        ("IF v_run_kind = 'archive' AND", "IF run_id IS NOT NULL AND"),
        test=RUNS["figures"].format("prune_sessions"),
    )
    yield fault(
        "restore_sessions",
        "a batch is not in the figures of its run",
        (
            "IF v_run_kind = 'restore' AND v_restored <> '{}' THEN",
            "IF FALSE THEN",
        ),
        test=RUNS["figures"].format("restore_sessions"),
    )
    again = "a batch counts again what the run did before"
    yield fault(
        "archive_sessions",
        again,
        (" AND journal.at = v_archived_at;", ";"),
        test=RUNS["twice"].format("archive_sessions-restore_sessions"),
    )
    yield fault(
        "restore_sessions",
        again,
        ("            AND journal.at = v_restored_at;", "            ;"),
        test=RUNS["twice"].format("restore_sessions-archive_sessions"),
    )
    name = "finish_archive_run"
    yield fault(
        name,
        "a run ends again",
        (" AND run.finished_at IS NULL\n", "\n"),
        test="sql/retention/test_run_log.py::test_a_run_that_ended_has_a_state_and_stays_as_it_ended"
        "[nothing left-None-finished]",
    )
    name = "begin_archive_run"
    yield fault(
        name,
        "a kind that is none is told as a broken constraint",
        ("    WHEN check_violation OR not_null_violation THEN", "    WHEN sqlstate 'AR999' THEN"),
        test=RUNS["no kind"],
    )
    yield fault(
        name,
        "the actor is the role",
        (
            "        _actor(begin_archive_run.actor),\n        session_user,",
            "session_user, session_user,",
        ),
        test=RUNS["begun by"],
    )
    yield fault(
        name,
        "the role is the owner of the functions",
        (
            "        session_user,\n        pg_backend_pid()",
            "        current_user, pg_backend_pid()",
        ),
        test=RUNS["begun by"],
    )
    yield fault(
        "prune_old_sessions",
        "the run does not have the actor",
        ("        )\n    ), actor;", "        )\n    ), NULL::text;"),
        test=RUNS["procedure"],
    )
    yield fault(
        "prune_old_sessions",
        "the batches do not have the actor",
        ("batch_size, v_run_id, actor;", "batch_size, v_run_id, NULL::text;"),
        test=RUNS["procedure"],
    )
    yield fault(
        "prune_old_sessions",
        "the batches do not have the run",
        ("batch_size, v_run_id, actor;", "batch_size, NULL::bigint, actor;"),
        test=RUNS["procedure"],
    )


_UNDO = "sql/retention/test_undo.py::{}".format


def _undo_and_grace() -> Mutations:
    yield fault(
        "prune_sessions",
        "each batch of a run reads all that stays",
        ("AND candidate.updated_at >= $4 AND", "AND $4 IS NOT NULL AND"),
        test=_PRUNE("test_a_run_reads_sessions_in_grace_once_and_not_for_each_batch"),
    )
    yield fault(
        "prune_sessions",
        "a batch that asks for another type begins where the last has ended",
        (
            "                    AND run.arguments ->> 'session_type' IS NOT DISTINCT FROM"
            " prune_sessions.session_type\n",
            "",
        ),
        test=_PRUNE(
            "test_a_batch_of_a_run_that_asks_for_something_else_begins_at_the_beginning"
            "[{'session_type': 'chat'}]"
        ),
    )
    yield fault(
        "restore_run",
        "a session that another run archived last is restored",
        (
            "                    ON journal.session_id = archived.id "
            "AND journal.at = archived.archived_at\n",
            "                    ON journal.session_id = archived.id\n",
        ),
        test=_UNDO(
            "test_a_session_is_brought_back_by_the_undo_of_the_run_that_archived_it_last"
            "_and_no_other[right]"
        ),
    )
    yield fault(
        "restore_run",
        "a session in use is waited for",
        ("FOR UPDATE OF archived SKIP LOCKED", "FOR UPDATE OF archived"),
        test=_UNDO("test_a_session_in_use_is_left_for_a_later_batch"),
    )
    yield fault(
        "restore_run",
        "a session that is live as well is picked",
        (
            "                    AND NOT EXISTS (SELECT 1 FROM engine_chat_sessions AS live "
            "WHERE live.id = archived.id)\n",
            "",
        ),
        test=_UNDO("test_a_session_that_is_live_as_well_is_counted_and_left"),
    )
    yield fault(
        "restore_run",
        "a session comes back without those it refers to",
        ("WHILE NOT v_is_plain LOOP", "WHILE FALSE LOOP"),
        test=_UNDO("test_a_session_comes_back_together_with_those_it_refers_to"),
    )
    yield fault(
        "restore_run",
        "what was left is not written down",
        ("FOR NO KEY UPDATE OF archived SKIP LOCKED", "WHERE FALSE"),
        test=_UNDO(
            "test_a_session_that_a_constraint_refuses_is_left_once_and_the_others_come_back"
        ),
    )
    yield fault(
        "restore_run",
        "the batch is not in the figures of its run",
        ("IF undo_run_id IS NOT NULL AND sessions > 0 THEN", "IF FALSE THEN"),
        test=_UNDO("test_an_undo_brings_back_every_row_of_a_run_in_batches_and_says_so[tables]"),
    )
    yield fault(
        "_check_undoable_run",
        "a running run is undone",
        ("v_run.state = 'running'", "FALSE"),
        test=_UNDO("test_a_running_run_is_not_undone_and_a_killed_one_is[the undo]"),
    )
    yield fault(
        "finish_archive_run",
        "what an earlier undo left is never forgotten",
        (
            "            left_behind.at < v_run.started_at\n"
            "            AND left_behind.run_id = undo.id",
            "            FALSE\n            AND left_behind.run_id = undo.id",
        ),
        test=_UNDO("test_an_undo_that_meets_no_trouble_any_more_forgets_what_it_had_to_leave"),
    )
    yield fault(
        "archive_history",
        "the newest comes first",
        ("ORDER BY journal.at, journal.id", "ORDER BY journal.at DESC, journal.id DESC"),
        test="cli/test_undo.py::test_history_shows_what_happened_to_a_session_even_after_it_is_gone",
    )


_EMPTY = "sql/retention/test_empty.py::{}".format
_ARRIVAL = _EMPTY(
    "test_what_arrives_after_a_session_was_chosen_and_before_it_was_locked_keeps_it[{}-tables]"
).format
_STAYS = _EMPTY("test_what_is_held_soft_deleted_or_archived_as_well_stays[tables]")
_REFERRED = _EMPTY(
    "test_a_session_that_rows_of_another_table_refer_to_is_empty_only_if_they_go_or_let_go[{}-tables]"
).format
_UNDELETABLE = _EMPTY(
    "test_one_that_cannot_be_deleted_is_written_down_and_stops_no_other[{}-tables]"
).format


def _empty() -> Mutations:
    """The deletion of sessions without a message."""
    name = "_empty_candidate"
    yield fault(
        name,
        "the session says how many messages it has",
        (
            """    NOT EXISTS (
        SELECT 1 FROM engine_chat_messages AS message
        WHERE message.session_id = candidate.id
    )
""",
            "    coalesce(candidate.message_count, 0) = 0\n",
        ),
        test=_EMPTY("test_it_asks_for_the_messages_and_not_for_their_number_in_the_session"),
    )
    for what in ("is_soft_deleted", "is_held", "is_conflicting"):
        yield fault(
            name, f"{what} does not matter", (f"    AND NOT candidate.{what}", ""), test=_STAYS
        )
    name = "delete_empty_sessions"
    picked = """                    ORDER BY candidate.updated_at
                    LIMIT $4
                    FOR UPDATE SKIP LOCKED
"""
    yield fault(
        name,
        "those in use are waited for",
        (picked, picked.replace(" SKIP LOCKED", "")),
        test=_EMPTY("test_a_session_in_use_is_not_waited_for"),
    )
    yield fault(
        name,
        "in any order",
        (picked, picked.replace("candidate.updated_at", "candidate.id")),
        test=_EMPTY("test_a_batch_takes_those_that_were_updated_first"),
    )
    yield fault(
        name,
        "the last update alone makes the age",
        ("candidate.age_from < now() - $1", "candidate.updated_at < now() - $1"),
        test=_EMPTY(
            "test_the_age_counts_from_the_last_restore_too_and_without_an_update_from_the_creation"
        ),
    )
    again = """                    WHERE
                        candidate.id = ANY($1)
                        AND NOT EXISTS (
                            SELECT 1 FROM engine_chat_messages AS message
                            WHERE message.session_id = candidate.id
                        )
                        AND NOT EXISTS (
                            SELECT 1 FROM engine_session_hold AS hold
                            WHERE hold.session_id = candidate.id
                        )
                        AND NOT (%s)
"""
    for arrival, right, wrong in (
        (
            "message",
            "WHERE message.session_id = candidate.id",
            "WHERE message.session_id = candidate.id AND FALSE",
        ),
        ("bookmark", "AND NOT (%s)", "AND NOT (FALSE AND %s)"),
    ):
        yield fault(
            name,
            f"it does not ask again for a {arrival}",
            within(again, right, wrong),
            test=_ARRIVAL(arrival),
        )
    yield fault(
        name,
        "rows that would move with the session go with it",
        ("_referring_keys('{refuse, move}')", "_referring_keys('{refuse}')"),
        test=_REFERRED("CASCADE-move-False"),
    )
    yield fault(
        "count_empty_sessions",
        "rows that would move with the session do not keep it",
        ("_referring_keys('{refuse, move}')", "_referring_keys('{refuse}')"),
        test=_REFERRED("CASCADE-move-False"),
    )
    yield fault(
        name,
        "one that cannot be deleted stops all",
        (
            "                    OR SQLSTATE 'AR006'\n"
            "                    OR SQLSTATE 'AR007'\n"
            "                    THEN\n",
            "                    THEN\n",
        ),
        test=_UNDELETABLE("500"),
    )
    yield fault(
        name,
        "one that cannot be deleted is not written down",
        (
            "    PERFORM _record_left_sessions("
            "run_id, v_left_ids, v_left_states, v_left_errors, v_left_remedies);\n",
            "",
        ),
        test=_UNDELETABLE("500"),
    )
    yield fault(
        name,
        "the run gets no figures",
        ("        PERFORM _record_archive_batch(run_id, sessions, 0);\n", "        NULL;\n"),
        test=_EMPTY("test_it_is_on_record_as_a_run_and_as_a_deletion_of_each_session[tables]"),
    )
    yield fault(
        "_delete_chat_sessions",
        "the event has no run",
        ("        _delete_chat_sessions.run_id,\n", "        NULL,\n"),
        test=_EMPTY("test_it_is_on_record_as_a_run_and_as_a_deletion_of_each_session[tables]"),
    )


_ZOMBIES = "sql/retention/test_zombies.py::{}".format


def _zombies() -> Mutations:
    """The end of sessions whose job is gone."""
    ended = _ZOMBIES(
        "test_an_active_session_whose_job_is_gone_is_ended_and_nothing_else_of_it_changes"
        "[cron-tables]"
    )
    name = "end_zombie_sessions"
    yield fault(
        name,
        "they count as updated now",
        ("        status = 'ended',\n", "        status = 'ended',\n        updated_at = v_now,\n"),
        test=ended,
    )
    yield fault(
        name,
        "the metadata do not say so",
        ("""|| '{"ended": true}'""", "|| '{}'"),
        test=ended,
    )
    yield fault(
        name,
        "metadata that is no object becomes an array",
        ("<> 'object' THEN live.metadata", "= 'scalar' THEN live.metadata"),
        test=_ZOMBIES(
            "test_metadata_that_is_no_object_stays_and_no_metadata_becomes_one[[1]-ended1]"
        ),
    )
    yield fault(
        name,
        "the first end is forgotten",
        ("coalesce(live.ended_at, v_now)", "v_now"),
        test=_ZOMBIES("test_the_first_end_of_a_session_stays"),
    )
    yield fault(
        name,
        "those in use are waited for",
        (" SKIP LOCKED", ""),
        test=_ZOMBIES("test_sessions_in_use_are_left_and_a_batch_has_its_size"),
    )
    others = _ZOMBIES("test_no_other_session_is_ended[{}]").format
    yield fault(
        "_zombie_session",
        "every type has zombies",
        ("    AND live.session_type IN ('scoped', 'cron')\n", ""),
        test=others("3 hours-columns1"),
    )
    yield fault(
        "_zombie_session",
        "one that has ended is a zombie",
        ("    live.status = 'active'\n    AND ", "    "),
        test=others("3 hours-columns2"),
    )
    yield fault(
        "prune_old_sessions",
        "the prune of one type ends zombies",
        ("v_ends_zombies boolean := session_type IS NULL;", "v_ends_zombies boolean := TRUE;"),
        test=_ZOMBIES("test_the_procedure_ends_the_zombies_before_it_prunes_and_not_for_one_type"),
    )
    yield fault(
        "prune_old_sessions",
        "one batch of zombies is enough",
        ("            v_ends_zombies := v_zombies > 0;", "            v_ends_zombies := FALSE;"),
        test=_ZOMBIES("test_the_procedure_ends_the_zombies_before_it_prunes_and_not_for_one_type"),
    )
