"""What the commands print: JSON for programs, lines for pipes, tables for people.

:mod:`aria_db.cli.progress` prints how far the work has come.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MINUTES = "%Y-%m-%d %H:%M"
_NARROWEST = 16
_GAP = 2


def print_json(document: Any) -> None:
    """Print a JSON document in UTF-8, whatever the locale.

    :param document: dicts, lists and values of the tables' columns.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2, default=_plain)
    typer.echo(text.encode())


def columns_of(row: Any) -> dict[str, Any]:
    """Return the columns of an ORM object by name, and what a list adds, as JSON can hold them.

    :param row: an object of a class in :mod:`aria_db.models`.
    """
    from sqlalchemy import Column, inspect

    found = {}
    for attribute in inspect(type(row)).column_attrs:
        column = attribute.columns[0]
        name = column.name if isinstance(column, Column) else attribute.key
        found[name] = _finite(getattr(row, attribute.key))
    return found


def note(text: str) -> None:
    """Print a line for people, where it is not in the way of the output."""
    # Not typer.echo, which would write across a progress bar.
    print(text, file=sys.stderr)


def clean(text: str) -> str:
    """Return a text from the database without what would control the terminal."""
    return _CONTROL_CHARACTERS.sub("\ufffd", text)


def one_line(value: object) -> str:
    """Return a value as a line or a cell shows it."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    return "" if value is None else clean(" ".join(str(value).split()))


def count(number: int, thing: str) -> str:
    """Return a number of things, in words."""
    plural = thing + ("es" if thing.endswith("ch") else "s")
    return f"{number} {thing if number == 1 else plural}"


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: as a table on a terminal, else as lines with tabs between the cells.

    :param titles: the titles of the columns.
    :param rows: the cells. All are shown whole but the last one, which is cut where the
        line ends.
    """
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(map(one_line, row)))
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [
        [f"{cell:{_MINUTES}}" if isinstance(cell, datetime) else one_line(cell) for cell in row]
        for row in rows
    ]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), expand=True)
    *whole, last = zip(titles, *cells, strict=True)
    widths = [max(map(cell_len, column)) for column in whole]
    for column, width in zip(whole, widths, strict=True):
        table.add_column(column[0], no_wrap=True, min_width=width)
    table.add_column(last[0], no_wrap=True, overflow="ellipsis", ratio=1)
    for row in cells:
        table.add_row(*map(Text, row))
    # A narrow terminal wraps the lines; rich would leave out columns.
    needed = sum(widths) + _GAP * len(widths) + _NARROWEST
    Console(width=max(Console().width, needed)).print(table)


def print_transcript(session: dict[str, Any], messages: Sequence[dict[str, Any]]) -> None:
    """Print a session and its messages to read.

    :param session: its columns by name; those that hold nothing are left out.
    :param messages: the columns of each message by name, in order.
    """
    for name, value in session.items():
        if value not in (None, {}):
            typer.echo(f"{name:<16}{one_line(value)}")
    for message in messages:
        agent = f" ({one_line(message['agent_id'])})" if message["agent_id"] else ""
        heading = f"{one_line(message['created_at'])}  {one_line(message['role'])}{agent}"
        typer.secho(f"\n{heading}", bold=True)
        typer.echo(clean(message["content"]))
        for name in ("thinking", "tool_calls", "tool_results"):
            if message[name] is not None:
                typer.echo(f"{name}: {one_line(message[name])}")


def _finite(value: Any) -> Any:
    """Return NaN and infinity as PostgreSQL writes them in JSON: as strings."""
    if isinstance(value, Decimal):
        # A count is a whole number; what has decimal places, or is none, is a float.
        value = int(value) if value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
