"""What the commands of ``aria-db`` share: the application, options, ways to the database."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer

from aria_db import __version__
from aria_db.cli import output

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import Connection

    from aria_db.database import Database
    from aria_db.session_manager import NativeSessionManager

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Where:
    """What the options say about where the database is.

    A command with a parameter ``where`` has the options ``--database-url``, ``--embedded`` and
    ``--schema`` in its place.

    :param url: the database; None for what the environment names.
    :param embedded: whether it is the embedded PostgreSQL.
    :param schema: the schema in it; None for what the environment names.
    """

    url: str | None = None
    embedded: bool = False
    schema: str | None = None


CONFIGURED = Where()
"""No option was given: use what the environment names."""


class Commands(typer.Typer):
    """A Typer application whose commands may take a :class:`Where`."""

    def command(self, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
        """Add a command; see :meth:`typer.Typer.command`."""
        return _expanding(super().command(*arguments, **options))

    def callback(self, *arguments: Any, **options: Any) -> Callable[[Function], Function]:
        """Add what is done before a command; see :meth:`typer.Typer.callback`."""
        return _expanding(super().callback(*arguments, **options))


def _expanding(register: Callable[[Callable[..., Any]], object]) -> Callable[[Function], Function]:
    """Return a decorator that registers a command, with options in the place of ``where``."""

    def registered(function: Function) -> Function:
        register(_with_options(function))
        return function

    return registered


def _with_options(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return a command that takes three options instead of the parameter ``where``."""
    signature = inspect.signature(function, eval_str=True)
    if "where" not in signature.parameters:
        return function

    @wraps(function)
    def command(
        *, database_url: str | None, embedded: bool, schema: str | None, **arguments: Any
    ) -> Result:
        if embedded and database_url is not None:
            raise typer.BadParameter(
                "give one of --embedded and --database-url", param_hint="--embedded"
            )
        return function(where=Where(database_url, embedded, schema), **arguments)

    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != "where":
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
            continue
        for name, kind, default in (
            ("database_url", _DatabaseUrl, None),
            ("embedded", _Embedded, False),
            ("schema", _Schema, None),
        ):
            parameters.append(
                inspect.Parameter(name, parameter.KEYWORD_ONLY, default=default, annotation=kind)
            )
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


app = Commands(
    no_args_is_help=True,
    # Plain text everywhere: a frame would break the ids in it.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def examples(*lines: str) -> str:
    """Return the end of a help page: lines that are not to be filled."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


# Options that several commands have


@dataclass(frozen=True)
class IdPrefix:
    """The id of a session, or the beginning of one.

    :param text: as it was given.
    :param whole: the id, if it is a whole one.
    """

    text: str
    whole: UUID | None

    def __str__(self) -> str:
        return str(self.whole or self.text)


# Fewer would often be ambiguous.
_FEWEST_DIGITS = 4


def _id_prefix(text: str) -> IdPrefix:
    try:
        return IdPrefix(text, UUID(text))
    except ValueError:
        digits = text.replace("-", "").lower()
        if _FEWEST_DIGITS <= len(digits) < 32 and not digits.strip("0123456789abcdef"):
            return IdPrefix(text, None)
        raise typer.BadParameter(
            f"{text!r} is neither a UUID nor the first {_FEWEST_DIGITS} or more digits of one"
        ) from None


def utf8(text: str | None) -> str | None:
    """Refuse an argument whose bytes are no text: the database cannot take it."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it is not valid UTF-8") from None
    return text


SessionId = Annotated[
    IdPrefix,
    typer.Argument(
        metavar="ID",
        parser=_id_prefix,
        help="The id of a session, or enough of its first digits to be unique.",
    ),
]
SessionIds = Annotated[
    list[IdPrefix] | None,
    typer.Argument(
        metavar="ID",
        parser=_id_prefix,
        help="Ids of sessions, or enough of their first digits to be unique.",
    ),
]
Actor = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=utf8,
        help="Who to record as the actor. By default the user and host of this process.",
    ),
]
_DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        callback=utf8,
        help="The database, as postgresql://user:password@host:port/name. By default "
        "DATABASE_URL, or what PGHOST, PGDATABASE and the like name.",
    ),
]
_Embedded = Annotated[
    bool,
    typer.Option(
        "--embedded",
        help="Try aria-db on a PostgreSQL of its own, whose data are where ARIA_DB_DATA says. "
        "Or set ARIA_DB_EMBEDDED=1.",
    ),
]
_Schema = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=utf8,
        help="The schema of the tables and functions. By default ARIA_DB_SCHEMA, or the only one "
        "in which aria-db is installed.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document on standard output, for programs; nothing on an error.",
    ),
]


# Helpers


def fail(message: str) -> NoReturn:
    """Print an error, and end with exit status 1.

    :param message: what is wrong, or not there.
    """
    output.note(f"Error: {message}")
    raise typer.Exit(1)


def url_of(where: Where) -> sa.URL | None:
    """Return the URL of a database; None for the embedded one."""
    from aria_db import database

    if where.url is not None:
        return database.parse_url(where.url, "--database-url")
    return None if where.embedded else database.configured_url()


@contextmanager
def opened(where: Where) -> Iterator[Database]:
    """Give the database that the options and the environment name."""
    from aria_db import database, embedded

    url = url_of(where)
    if url is None:
        output.note(f"Embedded PostgreSQL in {embedded.default_data_directory()}")
    with database.opened(url, where.schema, embedded=url is None) as found:
        yield found


def run(
    where: Where,
    work: Callable[[NativeSessionManager], Awaitable[Result]],
    actor: str | None = None,
) -> Result:
    """Run something asynchronous with a manager on the database of the options."""
    with opened(where) as database:
        return run_on(database, work, actor)


def run_on(
    database: Database,
    work: Callable[[NativeSessionManager], Awaitable[Result]],
    actor: str | None = None,
) -> Result:
    """Run something asynchronous with a manager on a database.

    :param actor: who is on record for it; by default the user and host of this process.
    """
    import asyncio

    from aria_db.database import for_schema
    from aria_db.errors import translated
    from aria_db.install.schemas import find_schema
    from aria_db.session_manager import NativeSessionManager
    from aria_db.validation import readable_json

    async def managed() -> Result:
        engine = database.async_engine(json_deserializer=readable_json)
        try:
            with translated():
                async with engine.connect() as connection:
                    schema = await connection.run_sync(find_schema, database.schema)
            manager = NativeSessionManager(for_schema(engine, schema)).acting_as(
                _this_user() if actor is None else actor
            )
            return await work(manager)
        finally:
            await engine.dispose()

    return asyncio.run(managed())


def _this_user() -> str:
    """Return who runs this process, and where: ``ada@host``."""
    import getpass
    import os
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have users without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def with_id(
    wanted: IdPrefix, work: Callable[[NativeSessionManager, UUID], Awaitable[Result]]
) -> Callable[[NativeSessionManager], Awaitable[Result]]:
    """Return work for :func:`run` that looks for the id first.

    :param wanted: the id, or the beginning of one. If none or several match, exit.
    :param work: takes the whole id.
    """

    async def looked_up(manager: NativeSessionManager) -> Result:
        session_id = await find_id(manager, wanted)
        if session_id is None:
            fail(f"session {wanted} not found")
        return await work(manager, session_id)

    return looked_up


async def find_id(manager: NativeSessionManager, wanted: IdPrefix) -> UUID | None:
    """Return the id that begins so; None if there is none. If there are several, exit.

    A whole id is returned without looking for it.
    """
    if wanted.whole is not None:
        return wanted.whole
    found = await manager.find_session_ids(wanted.text, limit=4)
    if len(found) > 1:
        some = ", ".join(map(str, found[:3])) + (", …" if len(found) > 3 else "")
        fail(f"{wanted} is the beginning of several ids: {some}. Give more digits")
    return found[0] if found else None


@contextmanager
def connected(where: Where) -> Iterator[tuple[Connection, str | None]]:
    """Give a connection to the database, for the revisions, and the schema to install into.

    Without a schema, it is the only one in which aria-db is installed; None if it is in none.
    """
    from aria_db.install.schemas import only_schema

    with opened(where) as database:
        engine = database.engine()
        try:
            with engine.connect() as connection:
                yield connection, database.schema or only_schema(connection)
        finally:
            engine.dispose()


def _print_version(is_asked_for: bool) -> None:
    if is_asked_for:
        typer.echo(f"aria-db {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "aria-db upgrade",
        "aria-db import conversations.jsonl",
        "aria-db list",
        "aria-db archive 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db list --archived",
    )
)
def aria_db(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Archive AI chat sessions in PostgreSQL: for real, atomically, in the database.

    Exit status: 0 done, 1 refused or not found, 2 wrong usage.
    """


def refuse_options_before(context: typer.Context) -> None:
    """Refuse options that are given to the list, and that the command would not see."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"give it after {context.invoked_subcommand}", param_hint=parameter.opts[0]
            )
