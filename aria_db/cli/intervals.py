"""Spans of time as people write them: ``30d``, ``2 weeks``, ``P30D``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

from aria_db.cli import output

EXAMPLES = "for example 30d, 12h, '2 weeks', 10m, 50ms, or ISO 8601 as in P30D and PT10M"

_LONGEST_TIME = timedelta(days=365)
_A_DAY = timedelta(days=1)
_UNITS = {"day": _A_DAY, "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+),?\s*", re.IGNORECASE)
_SECONDS_BY_UNIT = {
    unit: seconds
    for units, seconds in {
        "ms msec msecs millisecond milliseconds": 0.001,
        "s sec secs second seconds": 1,
        "m min mins minute minutes": 60,
        "h hr hrs hour hours": 3600,
        "d day days": 86_400,
        "w wk wks week weeks": 7 * 86_400,
        "mo mon mos month months": 30 * 86_400,
        "y yr yrs year years": 365 * 86_400,
    }.items()
    for unit in units.split()
}


def age(text: str) -> timedelta:
    """Return the age of a session from an argument."""
    from aria_db.session_manager import LONGEST_AGE

    return _between(text, LONGEST_AGE, "1000 years")


def time(text: str) -> timedelta:
    """Return how long something may take from an argument."""
    return _between(text, _LONGEST_TIME, "a year")


def moment(text: str) -> datetime:
    """Return a time from an argument: a date or time as in ISO 8601, or an age before now."""
    text = text.strip()
    if not re.match(r"\d{4}-", text):
        return datetime.now(UTC) - age(text.removesuffix("ago").strip())
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; for example 2026-03-01, 2026-03-01T09:30Z, or 2d ago"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def end_of(text: str) -> datetime:
    """Return the end of a period from an argument, as :func:`moment`: a date is part of it."""
    found = moment(text)
    return found + _A_DAY if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()) else found


def words(span: timedelta | None) -> str:
    """Return an age as people read it; ``never`` for none."""
    if span is None:
        return "never"
    parts = []
    for unit, size in _UNITS.items():
        number, span = divmod(span, size)
        if number:
            parts.append(output.count(number, unit))
    if span:
        seconds = span.total_seconds()
        parts.append(f"{seconds:g} second" + ("" if seconds == 1 else "s"))
    return " ".join(parts)


def ages(youngest: datetime, oldest: datetime) -> str:
    """Return between which ages something is, each in its largest unit: ``95 to 400 days``.

    :param youngest: when the youngest began.
    :param oldest: when the oldest began.
    """
    now = datetime.now(UTC)
    (fewest, unit), (most, larger_unit) = (
        _in_largest_unit(now - moment) for moment in (youngest, oldest)
    )
    last = output.count(most, larger_unit)
    if unit != larger_unit:
        return f"{output.count(fewest, unit)} to {last}"
    return last if fewest == most else f"{fewest} to {last}"


def _in_largest_unit(span: timedelta) -> tuple[int, str]:
    for unit, size in _UNITS.items():
        if span >= size:
            return span // size, unit
    # The clock of the server may be ahead.
    return max(0, int(span.total_seconds())), "second"


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

    # Readers disagree about these: 30 and 0:30 of what unit, and 6M, which is six minutes to
    # some and six months to others.
    if re.fullmatch(r"[-+\d.\s]*", text) or ":" in text:
        raise typer.BadParameter(f"{text!r} has no unit; {EXAMPLES}")
    if re.search(r"\d\s*M(?![A-Za-z])", text):
        raise typer.BadParameter(f"{text!r}: write m for minutes, mo for months; {EXAMPLES}")
    is_negative, amounts = text.startswith("-"), text.lstrip("+-")
    found = [(float(number), unit.lower()) for number, unit in _AMOUNT.findall(amounts)]
    units = {unit for _, unit in found}
    if _AMOUNT.sub("", amounts) or len(units) < len(found) or units - _SECONDS_BY_UNIT.keys():
        raise typer.BadParameter(f"{text!r} is no span of time; {EXAMPLES}")
    span = timedelta(seconds=sum(number * _SECONDS_BY_UNIT[unit] for number, unit in found))
    return -span if is_negative else span
