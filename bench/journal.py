"""What the journal adds to an archive and to a prune: the functions with it and without it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from aria_db.session_manager import NativeSessionManager, Progress
from bench import data, layouts
from bench.measure import Result, Series, Setting, Target, blocking, by_turns, ratio

TITLE = "What the journal adds to an archive and to a prune"

ARCHIVE = Target(
    "20 messages: time of the function, against the function without the journal",
    "at most",
    1.08,
    tolerance=0.05,
)
PRUNE = Target("time of a prune, against one without the journal", "at most", 1.05, tolerance=0.05)

WITH, WITHOUT = "with the journal", "without the journal"

FUNCTION = "SELECT * FROM archive_session(%s)"
ONE, OLD, YOUNG = "one", "old", "young"
OLDER_THAN = timedelta(days=30)
TEMPLATE = "journal"

EVENTS = "SELECT count(*) FROM engine_archive_event"
# Of sessions that were archived, restored or purged before: an index of several levels.
EARLIER_EVENTS = """
INSERT INTO engine_archive_event (session_id, event, at, actor, role, message_count)
SELECT gen_random_uuid(), 'archived', now() - interval '60 days', session_user, session_user, 20
FROM generate_series(1, %s)
"""

DEFINITION = "SELECT pg_get_functiondef('archive_sessions(uuid[], bigint, text)'::regprocedure)"
# The journal in the statement of the move, and the statement without it.
JOURNALED = """
    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, run_id, message_count)
    SELECT
        archived_sessions.id,
        'archived',
        v_archived_at,
        v_actor,
        session_user,
        archive_sessions.run_id,
        coalesce(message_counts.messages, 0)
    FROM archived_sessions
    LEFT JOIN message_counts ON archived_sessions.id = message_counts.session_id
    RETURNING
        journal.session_id,
        journal.at,
        journal.message_count,
        TRUE;
"""
UNJOURNALED = """
    SELECT
        archived_sessions.id,
        v_archived_at,
        coalesce(message_counts.messages, 0),
        TRUE
    FROM archived_sessions
    LEFT JOIN message_counts ON archived_sessions.id = message_counts.session_id;
"""
# What a prune wrote down about the session, and what looks for it.
FORGOTTEN = """
    IF v_were_left THEN
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = ANY(v_live);
    END IF;
"""
LOOKED_FOR = """
        SELECT
            array_agg(copied.id),
            EXISTS (
                SELECT 1 FROM engine_archive_left AS left_behind
                WHERE left_behind.session_id = ANY(v_live)
            )
        INTO v_copied, v_were_left
"""
NOT_LOOKED_FOR = """
        SELECT array_agg(copied.id) INTO v_copied
"""


class OtherText(Exception):
    """The function is not the one that this benchmark knows how to change."""


async def run(setting: Setting) -> Result:
    """Measure."""
    archives, warm_up = setting.pick(3000, 20), setting.pick(100, 3)
    prunes = setting.pick(5, 1)
    earlier = setting.pick(200_000, 1000)
    groups = [
        data.Group(ONE, [20] * (archives + warm_up)),
        data.Group(OLD, data.spread(setting.pick(10_000, 60)), is_old=True),
        data.Group(YOUNG, data.spread(setting.pick(2_500, 15))),
    ]
    setting.say("laying out sessions")
    with layouts.laid_out(setting.server, TEMPLATE, groups) as (_, connection):
        connection.execute(EARLIER_EVENTS, [earlier])
        layouts.settle(connection)
        items = data.ids(connection, ONE)
        expected = {name: layouts.OURS.live(connection, name) for name in (ONE, OLD)}
        connection.close()  # nobody may be connected to a database that is copied

        setting.say(f"{archives} rounds of sessions with 20 messages")
        with copied(setting) as copies, ExitStack() as stack:
            connections = {
                name: stack.enter_context(setting.server.connect(copy))
                for name, copy in copies.items()
            }
            archive_times = await by_turns(
                setting,
                {name: blocking(archiving(of)) for name, of in connections.items()},
                dict.fromkeys(connections, items),
                warm_up,
            )
            check(connections, ONE, expected[ONE], earlier)

        prune_times: dict[str, list[float]] = {WITH: [], WITHOUT: []}
        batch_times: dict[str, list[float]] = {WITH: [], WITHOUT: []}
        for number in range(prunes):
            with copied(setting) as copies, ExitStack() as stack:
                batches = await prune(setting, copies)
                connections = {
                    name: stack.enter_context(setting.server.connect(copy))
                    for name, copy in copies.items()
                }
                check(connections, OLD, expected[OLD], earlier)
            for name, times in batches.items():
                batch_times[name] += times
                prune_times[name].append(sum(times))
            took = ", ".join(f"{name} {times[-1]:.0f} ms" for name, times in prune_times.items())
            setting.say(f"prune {number + 1}: {took}")

    return Result(
        TITLE,
        {
            **{f"20 messages, {name}": Series("ms", of) for name, of in archive_times.items()},
            **{f"batch of a prune, {name}": Series("ms", of) for name, of in batch_times.items()},
        },
        [
            ratio(ARCHIVE, archive_times[WITH], archive_times[WITHOUT]),
            ratio(PRUNE, prune_times[WITH], prune_times[WITHOUT]),
        ],
        {
            "rounds of an archive": archives,
            "rounds of a prune": prunes,
            "messages pruned": expected[OLD].messages,
            "events in the journal before": earlier,
        },
    )


@contextmanager
def copied(setting: Setting) -> Iterator[dict[str, str]]:
    """Give two copies of the template, warm; in one of them the move writes no journal.

    :return: the names of the databases, by subject.
    """
    with (
        setting.server.copied(TEMPLATE) as journaled,
        setting.server.copied(TEMPLATE) as unjournaled,
    ):
        for copy in (journaled, unjournaled):
            with setting.server.connect(copy) as connection:
                layouts.OURS.warm(connection)
        with setting.server.connect(unjournaled) as connection:
            take_out_journal(connection)
        yield {WITH: journaled, WITHOUT: unjournaled}


def take_out_journal(connection: psycopg.Connection) -> None:
    """Replace archive_sessions with itself, less what writes the journal.

    :raises OtherText: the function does not write it with the statement that is known here.
    """
    definition = str(connection.execute(DEFINITION).fetchall()[0][0])
    for text, less in (
        (JOURNALED, UNJOURNALED),
        (FORGOTTEN, ""),
        (LOOKED_FOR, NOT_LOOKED_FOR),
    ):
        if definition.count(text) != 1:
            raise OtherText(
                "archive_sessions has changed: bring the texts in bench/journal.py up to date with"
                " sql/move"
            )
        definition = definition.replace(text, less)
    connection.execute(definition)


def archiving(connection: psycopg.Connection) -> Any:
    """Return a call that archives a session."""
    return lambda session_id: connection.execute(FUNCTION, [session_id]).fetchall()


async def prune(setting: Setting, copies: Mapping[str, str]) -> dict[str, list[float]]:
    """Prune both databases, by turns: a batch of the one, a batch of the other.

    :param copies: the names of the databases, by subject.
    :return: by subject: milliseconds of each batch, its entry in the log included, and of the last
        step, which finds nothing left.
    """
    times: dict[str, list[float]] = {name: [] for name in copies}
    async with AsyncExitStack() as stack:
        progress = {
            name: await stack.enter_async_context(pruning(setting, copy))
            for name, copy in copies.items()
        }
        names = list(copies)
        while names:
            setting.rng.shuffle(names)
            for name in tuple(names):
                began = time.perf_counter()
                step = await anext(progress[name], None)
                if step is None:
                    names.remove(name)
                else:
                    times[name].append((time.perf_counter() - began) * 1000)
    return times


@asynccontextmanager
async def pruning(setting: Setting, name: str) -> AsyncIterator[AsyncIterator[Progress]]:
    """Give the batches of a prune, each of which is done when it is asked for."""
    engine = setting.server.database(name).async_engine()
    try:
        async with aclosing(
            NativeSessionManager(engine).prune_batches(older_than=OLDER_THAN)
        ) as batches:
            yield batches
    finally:
        await engine.dispose()


def check(
    connections: Mapping[str, psycopg.Connection],
    group: str,
    expected: data.Contents,
    earlier: int,
) -> None:
    """Check that both have moved the group, and that one of them has written the journal.

    :param earlier: how many events there were before.
    :raises layouts.WronglyMoved: it is not so.
    """
    for name, connection in connections.items():
        layouts.OURS.check_moved(connection, group, expected)
        events = connection.execute(EVENTS).fetchall()[0][0] - earlier
        if events != (expected.sessions if name == WITH else 0):
            raise layouts.WronglyMoved(f"{name}: {events} events of {expected.sessions} sessions")
