"""Ages and times as people write them and as commands print them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from aria_db.cli import intervals


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        *(("30d", 720), ("12h", 12), ("2 weeks", 336), ("1y", 8760), ("90 MIN", 1.5)),
        *(("1d 12h", 36), ("1mo", 720), ("P30D", 720), ("PT10M", 1 / 6), ("P1M", 720)),
        *((" 1.5h ", 1.5), ("1000 years", 8_760_000), ("1h30m", 1.5), ("1 day, 2 hours", 26)),
    ],
)
def test_an_age_is_read_as_people_write_it(text: str, hours: float) -> None:
    assert intervals.age(text) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=1), "1 day"),
        (timedelta(days=2, hours=12), "2 days 12 hours"),
        (timedelta(minutes=90), "1 hour 30 minutes"),
        (timedelta(seconds=1.5), "1.5 seconds"),
        (None, "never"),
    ],
)
def test_an_age_is_told_as_people_say_it(span: timedelta | None, words: str) -> None:
    assert intervals.words(span) == words


@pytest.mark.parametrize(
    ("youngest", "oldest", "words"),
    [
        (timedelta(days=95, hours=20), timedelta(days=400), "95 to 400 days"),
        (timedelta(days=1), timedelta(days=1, hours=23), "1 day"),
        (timedelta(hours=3), timedelta(days=2), "3 hours to 2 days"),
        (timedelta(minutes=-1), timedelta(minutes=6), "0 seconds to 6 minutes"),
    ],
)
def test_ages_are_told_in_their_largest_units(
    youngest: timedelta, oldest: timedelta, words: str
) -> None:
    now = datetime.now(UTC)

    assert intervals.ages(now - youngest, now - oldest) == words


@pytest.mark.parametrize(
    "text",
    [
        *("", "30", "1.5", "4:13", "soon", "30 parsecs", "6M", "d", "1e3d", "5 days ago", "1d1d"),
        *("0d", "-3d", "-P3D", "P0D", "P", "P30", "p30x", "1001 years", "P999999999999D"),
        *("9" * 400 + "d", "99999999999y"),
    ],
)
def test_what_is_no_age_is_refused_with_examples(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="for example 30d, 12h"):
        intervals.age(text)
