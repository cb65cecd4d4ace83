"""What a message in the archive costs: bytes of WAL and of tables, against the limit."""

from __future__ import annotations

import psycopg

from bench import data, layouts, limit
from bench.measure import Figure, Result, Series, Setting, Target
from bench.prune import at_once, by_limit

TITLE = "Bytes of a message that is archived"

WAL = Target("WAL of a prune, against the limit in one statement", "at most", 1.05, tolerance=0.03)
TABLES = Target("archive tables and indexes, against the limit", "at most", 1.05, tolerance=0.03)
WAL_ONE = Target(
    "WAL of sessions of 20 messages one by one, against the limit", "at most", 1.05, tolerance=0.03
)

GROUP = "old"
PRUNE, LIMIT = "prune", "limit"
FUNCTION_ONE, LIMIT_ONE = "function, 20 messages", "limit, 20 messages"


async def run(setting: Setting) -> Result:
    """Measure; these figures do not depend on how busy the machine is."""
    prunes = {PRUNE: at_once(1), LIMIT: by_limit}
    ones = {FUNCTION_ONE: "SELECT archive_session(%(session_id)s)", LIMIT_ONE: limit.ONE}
    wal: dict[str, float] = {}
    tables: dict[str, float] = {}
    setting.say("laying out sessions")
    groups = [
        data.Group(GROUP, data.spread(setting.pick(5_000, 60)), is_old=True),
        data.Group("20", [20] * setting.pick(2_000, 20)),
    ]
    with layouts.laid_out(setting.server, "size", groups) as (_, connection):
        many, few = (layouts.OURS.live(connection, name) for name in (GROUP, "20"))
        ids = data.ids(connection, "20")
        connection.close()  # nobody may be connected to a database that is copied
        for name in (*prunes, *ones):
            with setting.server.copied("size") as copy, setting.server.connect(copy) as watching:
                position = _wal_position(watching)
                if name in prunes:
                    await prunes[name](setting.server.database(copy))
                else:
                    for session_id in ids:
                        watching.execute(ones[name], {"session_id": session_id})
                expected = many if name in prunes else few
                wal[name] = (_wal_position(watching) - position) / expected.messages
                tables[name] = _archive_bytes(watching) / expected.messages
                layouts.OURS.check_moved(watching, GROUP if name in prunes else "20", expected)
    return Result(
        TITLE,
        {
            **{f"WAL: {name}": Series("bytes", [of]) for name, of in wal.items()},
            **{f"archive: {name}": Series("bytes", [of]) for name, of in tables.items()},
        },
        [
            _against(WAL, wal[PRUNE], wal[LIMIT]),
            _against(TABLES, tables[PRUNE], tables[LIMIT]),
            _against(WAL_ONE, wal[FUNCTION_ONE], wal[LIMIT_ONE]),
        ],
        {"messages of the prune": many.messages, "sessions of 20 messages": few.sessions},
    )


def _against(target: Target, ours: float, limit_of: float) -> Figure:
    return Figure(target, ours / limit_of, ours / limit_of, ours / limit_of)


def _wal_position(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchall()[0]
    return int(row[0])


def _archive_bytes(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT pg_total_relation_size(%s::regclass) + pg_total_relation_size(%s::regclass)",
        [layouts.OURS.session_archive, layouts.OURS.message_archive],
    ).fetchall()[0]
    return int(row[0])
