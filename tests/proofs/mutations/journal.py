"""Faults in the journal: an event that is missing, or says something else than what was done."""

from tests.proofs.mutations.mutation import Mutations, fault, within

_JOURNAL = "sql/journal/test_journal.py::{}".format
_DEED = _JOURNAL("test_a_deed_writes_one_event_of_its_kind_with_what_it_did[{}-tables]").format
_ROLE_OF = _JOURNAL(
    "test_every_deed_names_its_actor_and_the_role_that_connected_not_the_functions_owner[{}]"
).format
_RUN_OF = _JOURNAL("test_the_event_of_a_batch_names_its_run[{}]").format
_REPEATED = _JOURNAL("test_a_repeated_call_that_changes_nothing_writes_nothing[{}-tables]").format
_ACTOR_IS = _JOURNAL(
    "test_the_actor_is_the_argument_or_else_the_setting_or_else_the_role_that_connected[{}]"
).format
ONE_BY_ONE = _JOURNAL("test_sessions_that_a_prune_moves_one_by_one_have_its_run_and_actor_too")

# where the archive has other sessions, too
REMOVED_BESIDE_OTHERS = _JOURNAL("test_the_removal_of_a_copy_in_a_batch_names_its_run")
PLACED_BY = "sql/retention/test_holds.py::test_a_hold_and_its_refusals_name_the_actor_who_placed_it"
_MERGES = "sql/conflicts/test_journal.py::{}".format
RESOLVED = _MERGES("test_resolving_is_recorded_with_destination_kept_row_and_actor")
RESOLVED_INTO_ARCHIVE = _MERGES(
    "test_resolving_into_the_archive_is_recorded_as_an_archive_too[tables]"
)
COPY_REMOVED = _MERGES(
    "test_archiving_a_session_whose_archived_copy_is_identical_is_recorded_as_resolved[tables]"
)
COPY_REMOVED_IN_A_RUN = _MERGES(
    "test_a_run_that_meets_an_identical_copy_is_named_beside_what_it_archived"
)


def mutations() -> Mutations:
    yield from _archived()
    yield from _restored()
    yield from _purged()
    yield from _deleted()
    yield from _held_and_released()
    yield from _resolved()
    yield from _copies_removed()
    yield from _actors()


def _fields(name: str, block: str, test: str, **wrong: tuple[str, str]) -> Mutations:
    """Give a fault for each field of the event that a function writes.

    :param block: where the function gives the event its values.
    :param wrong: by the name of the field: what is once in the block, and with what it is replaced.
    """
    for field, (right, instead) in wrong.items():
        yield fault(
            name,
            f"the event has another {field}",
            within(block, right, instead),
            test=test,
        )


_ROLE = ("session_user", "current_user")


def _archived() -> Mutations:
    name = "archive_sessions"
    block = """        archived_sessions.id,
        'archived',
        v_archived_at,
        v_actor,
        session_user,
        archive_sessions.run_id,
        coalesce(message_counts.messages, 0)
"""
    yield fault(
        name,
        "no event is written",
        (
            "    INSERT INTO engine_archive_event AS journal\n"
            "    (session_id, event, at, actor, role, run_id, message_count)\n",
            "",
        ),
        (
            block,
            "archived_sessions.id, v_archived_at, coalesce(message_counts.messages, 0), TRUE\n",
        ),
        (
            "\n    RETURNING\n"
            "        journal.session_id,\n"
            "        journal.at,\n"
            "        journal.message_count,\n"
            "        TRUE;",
            ";",
        ),
        test=_DEED("archive several"),
    )
    yield from _fields(
        name,
        block,
        _DEED("archive several"),
        event=("'archived'", "'restored'"),
        actor=("v_actor", "session_user"),
    )
    yield from _fields(name, block, _DEED("archive several"), at=("v_archived_at", "now()"))
    yield from _fields(name, block, _ROLE_OF("archive several"), role=_ROLE)
    yield fault(
        name,
        "the event of a session without messages has no message_count",
        ("coalesce(message_counts.messages, 0)", "message_counts.messages"),
        test="sql/move/test_archive.py::"
        "test_a_session_moves_with_all_its_messages_and_no_other_does[0-tables]",
    )
    yield fault(
        name,
        "a retry is an event",
        (
            "            newly_archived := FALSE;\n",
            "            newly_archived := FALSE;\n"
            "            INSERT INTO engine_archive_event AS journal"
            " (session_id, event, at, actor, role)\n"
            "            VALUES (v_elsewhere.id, 'archived', clock_timestamp(),"
            " v_actor, session_user);\n",
        ),
        test=_REPEATED("archive several"),
    )
    yield from _fields(
        name, block, _RUN_OF("archive several-archive"), run_id=("archive_sessions.run_id", "NULL")
    )


def _restored() -> Mutations:
    name = "restore_sessions"
    block = """        restored.id,
        'restored',
        v_restored_at,
        _actor(restore_sessions.actor),
        session_user,
        restore_sessions.run_id,
        (SELECT count(*) FROM engine_chat_messages AS live WHERE live.session_id = restored.id)
    FROM unnest(v_restored) AS restored (id);"""
    yield fault(
        name,
        "no event is written",
        (
            "    FROM unnest(v_restored) AS restored (id);",
            "    FROM unnest('{}'::uuid[]) AS restored (id);",
        ),
        test=_DEED("restore several"),
    )
    yield fault(
        name,
        "a soft delete that ends is no event",
        (
            "    FROM unnest(v_restored) AS restored (id);",
            "    FROM unnest(v_archived) AS restored (id);",
        ),
        test=_DEED("end a soft delete"),
    )
    yield fault(
        name,
        "a session that was live already is an event",
        (
            "    FROM unnest(v_restored) AS restored (id);",
            "    FROM unnest(v_archived || v_live) AS restored (id);",
        ),
        test=_REPEATED("restore several"),
    )
    yield from _fields(
        name,
        block,
        _DEED("restore several"),
        event=("'restored'", "'archived'"),
        actor=("_actor(restore_sessions.actor)", "session_user"),
        message_count=("WHERE live.session_id = restored.id", ""),
    )
    yield from _fields(name, block, _DEED("restore several"), at=("v_restored_at", "now()"))
    yield from _fields(name, block, _ROLE_OF("restore several"), role=_ROLE)
    yield from _fields(
        name, block, _RUN_OF("restore several-restore"), run_id=("restore_sessions.run_id", "NULL")
    )


def _purged() -> Mutations:
    name = "purge_archive"
    block = """            purged_sessions.id,
            'purged',
            clock_timestamp(),
            v_actor,
            session_user,
            purge_archive.run_id,
            coalesce(message_counts.messages, 0)
"""
    yield fault(
        name,
        "no event is written",
        (
            "        INSERT INTO engine_archive_event AS journal\n"
            "        (session_id, event, at, actor, role, run_id, message_count)\n",
            "",
        ),
        (block, "coalesce(message_counts.messages, 0) AS message_count\n"),
        ("        RETURNING journal.message_count\n", ""),
        test=_DEED("purge"),
    )
    yield from _fields(
        name,
        block,
        _DEED("purge"),
        event=("'purged'", "'deleted'"),
        actor=("v_actor", "session_user"),
        message_count=("coalesce(message_counts.messages, 0)", "0"),
    )
    yield from _fields(name, block, _DEED("purge"), at=("clock_timestamp()", "now()"))
    yield from _fields(name, block, _ROLE_OF("purge"), role=_ROLE)
    yield from _fields(name, block, _RUN_OF("purge-purge"), run_id=("purge_archive.run_id", "NULL"))
    yield fault(
        name,
        "the event of a session without messages has no message_count",
        ("coalesce(message_counts.messages, 0)", "message_counts.messages"),
        test=_JOURNAL(
            "test_a_call_for_several_sessions_writes_an_event_for_each_with_its_own_messages"
            "[purge_archive-tables]"
        ),
    )


def _deleted() -> Mutations:
    yield from _deleted_from(
        "_delete_chat_sessions",
        "delete live",
        """        locked.id,
        'deleted',
        clock_timestamp(),
        _actor(_delete_chat_sessions.actor),
        session_user,
        _delete_chat_sessions.run_id,
        count(deleted_messages.session_id),
        '{"place": "live"}'
""",
        at=("clock_timestamp()", "now()"),
        message_count=("count(deleted_messages.session_id)", "0"),
        place=('": "live"', '": "archive"'),
    )
    yield fault(
        "_delete_chat_sessions",
        "no event is written",
        (
            "    INSERT INTO engine_archive_event AS journal\n"
            "    (session_id, event, at, actor, role, run_id, message_count, detail)\n"
            "    SELECT\n"
            "        locked.id,\n"
            "        'deleted',\n"
            "        clock_timestamp(),\n"
            "        _actor(_delete_chat_sessions.actor),\n"
            "        session_user,\n"
            "        _delete_chat_sessions.run_id,\n"
            "        count(deleted_messages.session_id),\n"
            """        '{"place": "live"}'\n""",
            "SELECT locked.id, clock_timestamp(), count(deleted_messages.session_id)\n",
        ),
        (
            "    GROUP BY locked.id\n"
            "    RETURNING\n"
            "        journal.session_id,\n"
            "        journal.at,\n"
            "        journal.message_count;",
            "    GROUP BY locked.id;",
        ),
        test=_DEED("delete live"),
    )
    name = "delete_archived_session"
    block = """        delete_archived_session.session_id,
        'deleted',
        deleted_at,
        _actor(delete_archived_session.actor),
        session_user,
        count(*),
        '{"place": "archive"}'
"""
    yield from _deleted_from(
        name,
        "delete archived",
        block,
        at=("deleted_at", "now()"),
        message_count=("count(*)", "0"),
        place=('": "archive"', '": "live"'),
    )
    yield fault(
        name,
        "no event is written",
        (
            "    INSERT INTO engine_archive_event AS journal\n"
            "    (session_id, event, at, actor, role, message_count, detail)\n",
            "",
        ),
        (block, f"{name}.session_id, count(*)\n"),
        (
            "    FROM deleted_messages\n"
            "    RETURNING\n"
            "        journal.session_id,\n"
            "        journal.message_count\n"
            "    INTO id, message_count;",
            "    INTO id, message_count FROM deleted_messages;",
        ),
        test=_DEED("delete archived"),
    )


def _deleted_from(
    name: str, deed: str, block: str, at: tuple[str, str], **fields: tuple[str, str]
) -> Mutations:
    yield from _fields(
        name,
        block,
        _DEED(deed),
        event=("'deleted'", "'purged'"),
        actor=(f"_actor({name}.actor)", "session_user"),
        **fields,
    )
    yield from _fields(name, block, _DEED(deed), at=at)
    yield from _fields(name, block, _ROLE_OF(deed), role=_ROLE)


def _held_and_released() -> Mutations:
    name = "place_hold"
    block = """            place_hold.session_id,
            'held',
            clock_timestamp(),
            _actor(place_hold.actor),
            session_user,
            jsonb_build_object('reason', place_hold.reason)
"""
    insert = """        INSERT INTO engine_archive_event AS journal
        (session_id, event, at, actor, role, detail)
        VALUES (
"""
    yield fault(
        name,
        "no event is written",
        (insert + block + "        );\n", "        NULL;\n"),
        test=_DEED("hold"),
    )
    yield from _fields(
        name,
        block,
        _DEED("hold"),
        event=("'held'", "'released'"),
        actor=("_actor(place_hold.actor)", "session_user"),
        reason=("jsonb_build_object('reason', place_hold.reason)", "NULL"),
    )
    yield from _fields(name, block, _DEED("hold"), at=("clock_timestamp()", "now()"))
    yield from _fields(name, block, _ROLE_OF("hold"), role=_ROLE)
    yield fault(
        name,
        "the hold is the role's and not the actor's",
        (
            "VALUES (place_hold.session_id, place_hold.reason, _actor(place_hold.actor))",
            "VALUES (place_hold.session_id, place_hold.reason, session_user)",
        ),
        test=PLACED_BY,
    )
    name = "release_hold"
    block = """        release_hold.session_id,
        'released',
        clock_timestamp(),
        _actor(release_hold.actor),
        session_user
"""
    insert = """    INSERT INTO engine_archive_event AS journal (session_id, event, at, actor, role)
    VALUES (
"""
    yield fault(
        name, "no event is written", (insert + block + "    );\n", ""), test=_DEED("release")
    )
    yield fault(
        name,
        "a release of nothing is an event",
        ("    IF NOT FOUND THEN", "    IF FALSE THEN"),
        test=_REPEATED("release"),
    )
    yield from _fields(
        name,
        block,
        _DEED("release"),
        event=("'released'", "'held'"),
        actor=("_actor(release_hold.actor)", "session_user"),
    )
    yield from _fields(name, block, _DEED("release"), at=("clock_timestamp()", "now()"))
    yield from _fields(name, block, _ROLE_OF("release"), role=_ROLE)


def _resolved() -> Mutations:
    name = "resolve_session_conflict"
    block = """        resolve_session_conflict.session_id,
        'resolved',
        clock_timestamp(),
        v_actor,
        session_user,
        resolve_session_conflict.message_count,
        jsonb_strip_nulls(
            jsonb_build_object('destination', resolve_session_conflict.destination, 'kept', v_kept)
        )
"""
    insert = """    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, message_count, detail)
    VALUES (
"""
    yield fault(name, "no event is written", (insert + block + "    );\n", ""), test=RESOLVED)
    yield from _fields(
        name,
        block,
        RESOLVED,
        event=("'resolved'", "'restored'"),
        actor=("v_actor", "session_user"),
        message_count=("resolve_session_conflict.message_count", "NULL"),
        destination=("'destination', resolve_session_conflict.destination, ", ""),
    )
    yield from _fields(name, block, f"{RESOLVED}[live-live-tables]", kept=(", 'kept', v_kept", ""))
    yield from _fields(name, block, _DEED("resolve to live"), at=("clock_timestamp()", "now()"))
    yield from _fields(name, block, _ROLE_OF("resolve to live"), role=_ROLE)
    yield fault(
        name,
        "the log of conflicts has the role and not the actor",
        (
            "        v_rows.archived_at,\n        v_actor\n",
            "        v_rows.archived_at,\n        session_user\n",
        ),
        test=RESOLVED,
    )
    yield fault(
        name,
        "the move that ends it has no actor",
        ("session_id], NULL, v_actor)", "session_id])"),
        test=RESOLVED_INTO_ARCHIVE,
    )


def _copies_removed() -> Mutations:
    name = "_remove_archived_copies"
    block = """        archived.id,
        'resolved',
        clock_timestamp(),
        _remove_archived_copies.actor,
        session_user,
        _remove_archived_copies.run_id,
        (
            SELECT count(*) FROM engine_chat_message_archive AS archived_message
            WHERE archived_message.session_id = archived.id
        ),
        '{"destination": "archive"}'
    FROM engine_chat_session_archive AS archived
    WHERE archived.id = ANY(session_ids);
"""
    yield fault(
        name,
        "no event is written",
        within(block, "ANY(session_ids)", "ANY('{}')"),
        test=COPY_REMOVED,
    )
    yield from _fields(
        name,
        block,
        COPY_REMOVED_IN_A_RUN,
        actor=("_remove_archived_copies.actor", "session_user"),
        run_id=("_remove_archived_copies.run_id", "NULL"),
    )
    yield from _fields(
        name,
        block,
        COPY_REMOVED,
        event=("'resolved'", "'archived'"),
        message_count=("SELECT count(*) FROM", "SELECT count(*) - 1 FROM"),
        destination=('archive"}', 'live"}'),
    )
    yield from _fields(
        name, block, _DEED("remove an identical copy"), at=("clock_timestamp()", "now()")
    )
    yield from _fields(name, block, _ROLE_OF("remove an identical copy"), role=_ROLE)
    name = "archive_sessions"
    calls = "PERFORM _remove_archived_copies(v_copied, run_id, v_actor, v_is_plain);"
    yield fault(
        name,
        "the removal of a copy has no run",
        (calls, calls.replace("run_id", "NULL")),
        test=COPY_REMOVED_IN_A_RUN,
    )
    yield fault(
        name,
        "the removal of a copy has no actor",
        (calls, calls.replace("v_actor", "session_user")),
        test=COPY_REMOVED_IN_A_RUN,
    )
    yield fault(
        "_remove_archived_copies",
        "the event counts the messages of every archived session",
        within(block, "            WHERE archived_message.session_id = archived.id\n", ""),
        test=REMOVED_BESIDE_OTHERS,
    )


def _actors() -> Mutations:
    name = "_actor"
    argument = "nullif(actor, '')"
    setting = "nullif(current_setting('aria_db.actor', TRUE), '')"
    yield fault(
        name,
        "the setting is not asked",
        (f"{setting}, ", ""),
        test=_ACTOR_IS("None-bob-bob"),
    )
    yield fault(
        name,
        "the setting goes before the argument",
        (f"{argument}, {setting}", f"{setting}, {argument}"),
        test=_ACTOR_IS("ada-bob-ada"),
    )
    yield fault(
        name,
        "an empty argument is an actor",
        (argument, "actor"),
        test=_ACTOR_IS("-bob-bob"),
    )
    yield fault(
        name,
        "an empty setting is an actor",
        (setting, "current_setting('aria_db.actor', TRUE)"),
        test=_ACTOR_IS("None--the role"),
    )
    yield fault(
        name,
        "the last resort is the owner of the functions",
        (", session_user)", ", current_user)"),
        test=_ACTOR_IS("None-None-the role"),
    )
    for name, deed in (("archive_session", "archive one"), ("restore_session", "restore one")):
        yield fault(
            name,
            "the actor is not passed on",
            ("ARRAY[session_id], NULL, actor", "ARRAY[session_id]"),
            test=_DEED(deed),
        )
    name = "prune_sessions"
    batch = "archive_sessions(v_picked, run_id, actor)"
    yield fault(
        name, "a batch has no actor", (batch, batch.replace("actor", "NULL")), test=_DEED("prune")
    )
    yield fault(
        name,
        "a batch has no run",
        (batch, batch.replace("run_id", "NULL")),
        test=_RUN_OF("prune-prune"),
    )
    one = "archive_sessions(ARRAY[v_session_id], run_id, actor)"
    for column, argument in (("actor", "actor"), ("run", "run_id")):
        yield fault(
            name,
            f"a batch that is done one by one has no {column}",
            (one, one.replace(argument, "NULL")),
            test=ONE_BY_ONE,
        )
