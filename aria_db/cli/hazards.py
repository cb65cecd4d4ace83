"""Printing what the catalogue says would go wrong with moves: for check and adopt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from aria_db.cli import output

if TYPE_CHECKING:
    from aria_db.results import Hazard

# The effects of hazards that somebody should act on. A refusal is safe.
DANGERS = ("loses", "unsafe")


def print_hazards(hazards: Iterable[Hazard]) -> None:
    """Print what would go wrong with moves, with what to do; nothing where there is nothing."""
    for hazard in hazards:
        mark = "RED" if hazard.effect in DANGERS else "-- "
        parts = (hazard.effect, hazard.hazard, hazard.object, hazard.detail)
        effect, kind, name, detail = map(output.one_line, parts)
        typer.echo(f"{mark}  {effect}: {kind} {name}: {detail}")
        typer.echo(f"     {output.one_line(hazard.remedy)}")
