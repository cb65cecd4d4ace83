"""The commands for policies: policy list, policy set, policy unset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aria_db.cli import intervals, output
from aria_db.cli.base import CONFIGURED, Commands, Json, Where, app, examples, fail, run, utf8

if TYPE_CHECKING:
    from aria_db.models import EngineArchivePolicy
    from aria_db.session_manager import NativeSessionManager

policies = Commands(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples(
        "aria-db policy list",
        "aria-db policy set cron --archive-after 1d --purge-after 1y",
        "aria-db policy set default --archive-after 30d",
        "aria-db policy unset cron",
    ),
)
app.add_typer(policies, name="policy", help="List and change at which age sessions go.")


@dataclass(frozen=True)
class PolicyAge:
    """An age of a policy that was given.

    :param text: as it was written.
    :param span: the age; None for never.
    """

    text: str
    span: timedelta | None


def is_short(purge_after: timedelta | None) -> bool:
    """Return whether a purge_after is below one day, which may be a typo."""
    return purge_after is not None and purge_after < timedelta(days=1)


def _policy_age(text: str) -> PolicyAge:
    return PolicyAge(text, None if text == "never" else intervals.age(text))


def _policy_type(text: str) -> str:
    """Return the type that a policy is for. ``*`` is a wildcard to shells: it has a name."""
    utf8(text)
    return "*" if text == "default" else text


PolicyType = Annotated[
    str,
    typer.Argument(
        metavar="TYPE",
        parser=_policy_type,
        help="A session type; default (or '*') for all types that have no policy of their own.",
    ),
]


@policies.command("list", epilog=examples("aria-db policy list", "aria-db policy list --json"))
def list_policies(where: Where = CONFIGURED, as_json: Json = False) -> None:
    """List the policies: when sessions are archived, and deleted from the archive."""
    found = run(where, lambda manager: manager.list_policies())
    if as_json:
        output.print_json({"policies": [_policy(policy) for policy in found]})
        return
    titles = ("type", "archived after", "purged after", "state")
    output.print_rows(
        titles,
        (
            (
                policy.session_type,
                intervals.words(policy.archive_after),
                intervals.words(policy.purge_after),
                "enabled" if policy.enabled else "disabled",
            )
            for policy in found
        ),
    )
    if not found:
        output.note("No policies")


def _policy(policy: EngineArchivePolicy) -> dict[str, Any]:
    ages = {
        name: intervals.iso_8601(getattr(policy, name)) for name in ("archive_after", "purge_after")
    }
    return {**output.columns_of(policy), **ages}


@policies.command(
    "set",
    epilog=examples(
        "aria-db policy set cron --archive-after 1d",
        "aria-db policy set default --purge-after 1y",
        "aria-db policy set interactive --archive-after never",
        "aria-db policy set cron --disable",
    ),
)
def set_policy(
    session_type: PolicyType,
    archive_after: Annotated[
        PolicyAge | None,
        typer.Option(
            metavar="AGE",
            parser=_policy_age,
            help="How long after its last update a session is archived: 30d, '2 weeks', P30D; "
            "never.",
        ),
    ] = None,
    purge_after: Annotated[
        PolicyAge | None,
        typer.Option(
            metavar="AGE",
            parser=_policy_age,
            help="How long after it was archived a session is deleted for good; never.",
        ),
    ] = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Whether prune and purge follow it."),
    ] = None,
    where: Where = CONFIGURED,
) -> None:
    """Set the policy of a session type. What is not given stays as it is.

    A type that has no policy yet begins with that of default, which held for it. It warns if
    purge-after is below one day: 6m is six minutes.
    """
    if (archive_after, purge_after, enabled) == (None, None, None):
        raise typer.BadParameter(
            "give what to set", param_hint="--archive-after, --purge-after, --enable or --disable"
        )

    async def work(manager: NativeSessionManager) -> EngineArchivePolicy:
        from aria_db.session_manager import KEEP

        return await manager.set_policy(
            session_type,
            archive_after=KEEP if archive_after is None else archive_after.span,
            purge_after=KEEP if purge_after is None else purge_after.span,
            enabled=KEEP if enabled is None else enabled,
        )

    policy = run(where, work)
    typer.echo(
        f"{output.one_line(policy.session_type)}: "
        f"archived after: {intervals.words(policy.archive_after)}, "
        f"purged after: {intervals.words(policy.purge_after)}, "
        + ("enabled" if policy.enabled else "disabled")
    )
    if purge_after is not None and is_short(purge_after.span):
        output.note(
            f"Warning: {output.one_line(purge_after.text)} is {intervals.words(purge_after.span)}:"
            " a purge deletes sessions less than one day after they were archived"
        )


@policies.command("unset", epilog=examples("aria-db policy unset cron"))
def unset_policy(session_type: PolicyType, where: Where = CONFIGURED) -> None:
    """Remove the policy of a session type; that of default holds for it then."""
    shown = output.one_line(session_type)
    if not run(where, lambda manager: manager.unset_policy(session_type)):
        fail(f"{shown} has no policy")
    typer.echo(f"{shown}: no policy")
