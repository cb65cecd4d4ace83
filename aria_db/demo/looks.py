"""A look at a session: where its rows are, and which lists of the API have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.table import Table


@dataclass(frozen=True)
class Look:
    """Where a session is, as the tables and the lists of the API say.

    :param live: rows in ``engine_chat_sessions`` and in ``engine_chat_messages``.
    :param archived: rows in the two archive tables.
    :param archived_at: the archive's, if it is there.
    :param in_list: whether ``GET /sessions`` has it.
    :param in_archive_list: whether ``GET /sessions/archive`` has it.
    """

    live: tuple[int, int]
    archived: tuple[int, int]
    archived_at: datetime | None
    in_list: bool
    in_archive_list: bool


def looks_table() -> Table:
    """Return an empty table for looks, narrow enough for 80 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("client", "", "live", "archive", "in list", "in archive", "archived_at", "ok"):
        table.add_column(heading, no_wrap=True)
    return table


def is_live(look: Look) -> bool:
    """Whether a session is where a live one belongs, and nowhere else."""
    return (
        look.live[0] == 1 and look.archived == (0, 0) and look.in_list and not look.in_archive_list
    )


def is_archived(look: Look) -> bool:
    """Whether a session is where an archived one belongs, and nowhere else."""
    return (
        look.live == (0, 0)
        and look.archived[0] == 1
        and look.archived_at is not None
        and look.in_archive_list
        and not look.in_list
    )
