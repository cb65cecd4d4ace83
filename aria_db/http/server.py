"""Run the application with uvicorn."""

from __future__ import annotations

import gc
import ipaddress
import logging
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import h11
import uvicorn
from psycopg.pq import PGconn, Ping
from sqlalchemy.exc import DBAPIError
from uvicorn.protocols.http.h11_impl import H11Protocol

from aria_db.database import Database
from aria_db.errors import DatabaseUnavailable, InvalidConfiguration
from aria_db.http import problems
from aria_db.http.app import create_app, with_connect_timeout
from aria_db.http.limits import DEFAULT, WAIT_SECONDS, Limits
from aria_db.http.tokens import Token
from aria_db.install.schemas import only_schema

_ASK_AGAIN_SECONDS = 0.5

_NOT_YET = {
    Ping.REJECT: "it is starting up",
    Ping.NO_RESPONSE: "it does not answer",
}

# uvicorn's: it has set up where its messages go.
_logger = logging.getLogger("uvicorn.error")


def serve(
    database: Database,
    host: str,
    port: int,
    token: str | None = None,
    *,
    tokens: Sequence[Token] = (),
    actor_header: str | None = None,
    root_path: str = "",
    limits: Limits = DEFAULT,
    wait: float = WAIT_SECONDS,
) -> None:
    """Serve a database until SIGINT or SIGTERM; what was begun is finished.

    After SIGTERM it returns; after SIGINT it raises :class:`KeyboardInterrupt`.

    :param database: the database.
    :param host: the address or name to listen at; beyond loopback only with a token.
    :param port: the port; 0 for any that is free.
    :param token: as :func:`aria_db.http.app.create_app`.
    :param tokens: as :func:`aria_db.http.app.create_app`.
    :param actor_header: as :func:`aria_db.http.app.create_app`.
    :param root_path: the path that a proxy in front of it strips, for the links of ``/docs``.
    :param limits: how much it takes on.
    :param wait: how many seconds a database that does not answer has to come up.
    :raises InvalidConfiguration: there is no token and others could connect, the host is
        unknown, or the token is empty or nothing that a header can carry.
    :raises DatabaseUnavailable: the database did not come up.
    :raises SystemExit: the port is in use.
    """
    if token is None and not tokens and not is_loopback(host):
        raise InvalidConfiguration(
            f"without a token, the server does not listen at {host or 'every address'}",
            hint="Set ARIA_DB_TOKEN or ARIA_DB_TOKENS, or listen at 127.0.0.1.",
        )
    app = create_app(database, token=token, tokens=tokens, actor_header=actor_header, limits=limits)
    server = _Server(uvicorn.Config(app, host=host, port=port, http=_Protocol, root_path=root_path))
    _wait_for(database, wait)
    _refuse_several_schemas(database)
    # What is imported by now stays: nothing that every garbage collection has to look at.
    gc.collect()
    gc.freeze()
    server.run()


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop. uvicorn would send itself SIGTERM again in the end, and not exit with 0."""
        if sig == signal.SIGTERM:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)


class _Protocol(H11Protocol):
    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has an address or headers of more than 64 kB."""
        answer = problems.response(400, msg, headers={"Connection": "close"})
        head = h11.Response(status_code=400, headers=answer.raw_headers, reason=b"Bad Request")
        events = (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage())
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()


def _wait_for(database: Database, seconds: float) -> None:
    """Return when PostgreSQL takes connections; whether it takes ours, /health tells."""
    place = with_connect_timeout(database).libpq_url().encode()
    deadline = time.monotonic() + seconds
    reported = None
    while reason := _NOT_YET.get(Ping(PGconn.ping(place))):
        if time.monotonic() >= deadline:
            raise DatabaseUnavailable(
                f"the database did not come up within {seconds:g} s: {reason}",
                hint=DatabaseUnavailable.default_hint,
            )
        if reason != reported:
            _logger.warning("Waiting for the database, up to %g s: %s", seconds, reason)
            reported = reason
        time.sleep(_ASK_AGAIN_SECONDS)
    if reported:
        _logger.info("The database takes connections")


def _refuse_several_schemas(database: Database) -> None:
    """Raise the error before the application starts, where it would be a traceback."""
    if database.schema is None:
        engine = with_connect_timeout(database).engine()
        try:
            with suppress(DBAPIError), engine.connect() as connection:
                only_schema(connection)
        finally:
            engine.dispose()


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to what listens at a host.

    :param host: an address or a name; a name is what it resolves to, every one of
        its addresses.
    :raises InvalidConfiguration: it cannot be resolved.
    """
    if not host:
        return False  # every address
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidConfiguration(
            f"the host {host!r} to listen at cannot be resolved",
            hint="Give an address of this machine, for example 127.0.0.1.",
        ) from error
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)
