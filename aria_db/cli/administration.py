"""The commands for the database itself: upgrade, current, psql."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Annotated

import typer

from aria_db.cli import output, revisions
from aria_db.cli.base import CONFIGURED, Json, Where, app, connected, examples, opened, utf8


@app.command(
    epilog=examples(
        "aria-db upgrade",
        "aria-db upgrade --schema aria",
        "DATABASE_URL=postgresql://aria@localhost/aria aria-db upgrade",
    )
)
def upgrade(
    revision: Annotated[
        str, typer.Option(metavar="ID", callback=utf8, help="The revision to upgrade to.")
    ] = "head",
    beside: Annotated[
        bool,
        typer.Option(
            "--beside", help="Create chat tables although there are some in another schema."
        ),
    ] = False,
    where: Where = CONFIGURED,
) -> None:
    """Create or upgrade the tables, functions and views. Safe to repeat.

    Where the application has chat tables of its own in another schema, this is refused:
    adopt takes them over.
    """
    from aria_db.install import migrate

    with connected(where) as (connection, target):
        before = migrate.status(connection, target)
        # Alembic begins a transaction of its own.
        connection.rollback()
        migrate.upgrade(connection, target, revision, beside=beside)
        after = migrate.status(connection, target)
    if after.current == before.current:
        typer.echo(f"Nothing to do: {revisions.in_words(after)}")
    else:
        typer.echo(f"Upgraded from {before.current or 'nothing'}: {revisions.in_words(after)}")


@app.command(epilog=examples("aria-db current", "aria-db current --json"))
def current(where: Where = CONFIGURED, as_json: Json = False) -> None:
    """Say which revision the database is at.

    That it is not the newest one is an answer, not an error: the exit status is 0.
    """
    from aria_db.install import migrate

    with connected(where) as (connection, target):
        status = migrate.status(connection, target)
    if as_json:
        flags = {"is_newest": status.is_newest, "is_unreleased": status.is_unreleased}
        output.print_json({**asdict(status), **flags})
    else:
        typer.echo(revisions.in_words(status))


@app.command(
    epilog=examples(
        "aria-db psql",
        r"aria-db psql -- --command '\df+ archive_*'",
        "aria-db psql --schema aria -- --file report.sql",
    )
)
def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="Arguments for psql, after --.")
    ] = None,
    where: Where = CONFIGURED,
) -> None:
    """Run psql on the database, with the search path of the schema.

    The exit status is that of psql.
    """
    from sqlalchemy.exc import DBAPIError

    from aria_db.cli.psql import run_psql
    from aria_db.install.schemas import find_schema, only_schema

    with opened(where) as database:
        engine = database.engine()
        # If this cannot connect, psql says why, or asks for the password.
        with suppress(DBAPIError), engine.connect() as connection:
            if database.schema is None:
                database = replace(database, schema=only_schema(connection))
            else:
                find_schema(connection, database.schema)
        engine.dispose()
        raise typer.Exit(run_psql(database, arguments or []))
