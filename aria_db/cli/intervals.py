"""Spans of time as people write them: ``30d``, ``2 weeks``, ``P30D``."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

EXAMPLES = "for example 30d, 12h, '2 weeks', 10m, 50ms, or ISO 8601 as in P30D and PT10M"

_LONGEST_TIME = timedelta(days=365)
_A_DAY = timedelta(days=1)


def age(text: str) -> timedelta:
    """Return the age of a session from an argument."""
    from aria_db.session_manager import LONGEST_AGE

    return _between(text, LONGEST_AGE, "1000 years")


def time(text: str) -> timedelta:
    """Return how long something may take from an argument."""
    return _between(text, _LONGEST_TIME, "a year")


def words(span: timedelta | None) -> str:
    """Return an age as people read it; ``never`` for none."""
    if span is None:
        return "never"
    days, rest = divmod(span, _A_DAY)
    return str(span) if rest else f"{days} day" + ("" if days == 1 else "s")


def iso_8601(span: timedelta | None) -> str | None:
    """Return a span as ISO 8601 has it, for programs."""
    from pydantic import TypeAdapter

    return TypeAdapter(timedelta | None).dump_python(span, mode="json")  # type: ignore[no-any-return]


def _between(text: str, longest: timedelta, longest_in_words: str) -> timedelta:
    try:
        span = _parsed(text.strip())
    except OverflowError:
        span = timedelta.max
    if not timedelta(0) < span <= longest:
        raise typer.BadParameter(
            f"{text!r} must be more than zero and at most {longest_in_words}; {EXAMPLES}"
        )
    return span


def _parsed(text: str) -> timedelta:
    from pydantic import TypeAdapter, ValidationError

    if re.match(r"[-+]?P", text):
        try:
            return TypeAdapter(timedelta).validate_python(text)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].partition(", ")[2]
            raise typer.BadParameter(f"{text!r}: {reason}; {EXAMPLES}") from None

    from pytimeparse2 import parse  # type: ignore[import-untyped]

    # What it would read, and not everybody would read alike: 30 and 0:30 of what unit, and
    # 6M, six minutes to it and six months to others.
    if re.fullmatch(r"[-+\d.\s]*", text) or ":" in text:
        raise typer.BadParameter(f"{text!r} has no unit; {EXAMPLES}")
    if re.search(r"\d\s*M(?![A-Za-z])", text):
        raise typer.BadParameter(f"{text!r}: write m for minutes, mo for months; {EXAMPLES}")
    # In seconds: what it gives as a timedelta depends on what else is installed.
    seconds = parse(text)
    if seconds is None:
        raise typer.BadParameter(f"{text!r} is no span of time; {EXAMPLES}")
    return timedelta(seconds=seconds)
