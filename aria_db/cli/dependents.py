"""The commands for tables that refer to chat rows: dependents, dependents set."""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Annotated, cast

import typer

from aria_db.cli import output
from aria_db.cli.base import (
    CONFIGURED,
    Commands,
    Json,
    Where,
    app,
    examples,
    refuse_options_before,
    run,
    utf8,
)

if TYPE_CHECKING:
    from aria_db.session_manager import Handling, NativeSessionManager

dependents = Commands(
    rich_markup_mode=None,
    epilog=examples("aria-db dependents", "aria-db dependents set public.feedback --move"),
)
app.add_typer(
    dependents, name="dependents", help="Say what becomes of rows that refer to archived sessions."
)


@dependents.callback(invoke_without_command=True)
def list_dependents(
    context: typer.Context,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """List the foreign keys that refer to chat rows, and what a move does with their rows.

    In a pipe: one line per key, with tabs between schema, table, constraint, the table it
    refers to, its action on delete, whether it has an index, the handling, and an estimate
    of the rows. A table that refers to one of these is listed once that one is set.
    """
    if context.invoked_subcommand is not None:
        refuse_options_before(context)
        return
    found = run(where, lambda manager: manager.list_dependents())
    if as_json:
        output.print_json({"dependents": list(map(asdict, found))})
        return
    titles = (
        "schema",
        "table",
        "constraint",
        "refers to",
        "on delete",
        "index",
        "handling",
        "rows",
    )
    output.print_rows(titles, map(astuple, found))
    if not found:
        output.note("No other table refers to chat rows")


@dependents.command(
    "set",
    epilog=examples(
        "aria-db dependents set public.feedback --move",
        "aria-db dependents set public.read_marks --delete",
    ),
)
def set_dependent(
    table: Annotated[
        str,
        typer.Argument(
            metavar="SCHEMA.TABLE",
            callback=utf8,
            help="The table, as `aria-db dependents` lists it.",
        ),
    ],
    move: Annotated[
        bool,
        typer.Option("--move", help="Its rows move with their session, and come back with it."),
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Its foreign key (ON DELETE CASCADE) deletes its rows.")
    ] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="Its foreign key (ON DELETE SET NULL or SET DEFAULT) lets them go."
        ),
    ] = False,
    refuse: Annotated[
        bool, typer.Option("--refuse", help="A session that its rows refer to stays live.")
    ] = False,
    where: Where = CONFIGURED,
) -> None:
    """Say what a move does with the rows of a table that refer to chat rows.

    For the owner of the functions. --move creates the table SCHEMA.TABLE_archive; run it
    again after the table got a column. What was archived with its session comes back with
    it, whatever is set later.
    """
    chosen = {"move": move, "delete": delete, "detach": detach, "refuse": refuse}
    handlings = [name for name, is_chosen in chosen.items() if is_chosen]
    if len(handlings) != 1:
        raise typer.BadParameter(
            "give one of --move, --delete, --detach and --refuse", param_hint="--move"
        )
    handling = cast("Handling", handlings[0])

    async def work(manager: NativeSessionManager) -> str:
        schema_name, _, table_name = table.rpartition(".")
        if not schema_name:
            # Hints of the SQL functions name a table on the search path without its schema.
            listed = await manager.list_dependents()
            schemas = {found.schema_name for found in listed if found.table_name == table_name}
            if len(schemas) != 1:
                raise typer.BadParameter(
                    "give it with its schema: public.feedback", param_hint="table"
                )
            (schema_name,) = schemas
        await manager.set_dependent(schema_name, table_name, handling)
        return f"{schema_name}.{table_name}"

    typer.echo(f"{run(where, work)}  {handling}")
