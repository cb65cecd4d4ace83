"""A database with trigram indexes and a copy without: what the parts of the benchmark compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from bench import layouts
from bench.measure import Figure, Series, Setting

INDEXED, PLAIN = "with indexes", "without indexes"

# A server has to be asked for them: they are no part of what aria-db installs.
INDEXES = f"""
CREATE EXTENSION pg_trgm;
CREATE INDEX ON {layouts.OURS.sessions} USING gin (title gin_trgm_ops);
CREATE INDEX ON {layouts.OURS.session_archive} USING gin (title gin_trgm_ops);
CREATE INDEX ON {layouts.OURS.messages} USING gin (content gin_trgm_ops);
CREATE INDEX ON {layouts.OURS.message_archive} USING gin (content gin_trgm_ops);
"""
TRIGRAM = """
SELECT index.oid FROM pg_class AS index JOIN pg_am ON pg_am.oid = index.relam
WHERE index.relkind = 'i' AND pg_am.amname = 'gin'
"""


@dataclass(frozen=True)
class Part:
    """A part of the outcome, as a Result shows it."""

    series: dict[str, Series]
    figures: list[Figure]
    facts: dict[str, Any]


@contextmanager
def indexed_copy(setting: Setting, template: str) -> Iterator[str]:
    """Give the name of a copy of a database that has the indexes."""
    with setting.server.copied(template) as name:
        setting.say("making the indexes")
        with setting.server.connect(name) as connection:
            connection.execute(INDEXES)
            layouts.settle(connection)
        yield name


def sort_in(connection: psycopg.Connection) -> None:
    """Do what has been put off: sort the lists of new entries into the indexes."""
    connection.execute(f"SELECT gin_clean_pending_list(id) FROM ({TRIGRAM}) AS _ (id)")


def trigram_megabytes(connection: psycopg.Connection) -> int:
    """Measure the indexes."""
    total = f"SELECT coalesce(sum(pg_relation_size(id)), 0) FROM ({TRIGRAM}) AS _ (id)"
    return round(number(connection, total) / 2**20)


def wal_position(connection: psycopg.Connection) -> int:
    """Return how many bytes of WAL there are."""
    return number(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")


def number(connection: psycopg.Connection, query: str) -> int:
    """Return the one number that a query gives."""
    return int(connection.execute(query).fetchall()[0][0])
