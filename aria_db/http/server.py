"""Run the application with uvicorn."""

from __future__ import annotations

import ipaddress
import socket

import uvicorn

from aria_db.database import Database
from aria_db.errors import InvalidConfiguration
from aria_db.http.app import create_app


def serve(database: Database, host: str, port: int, token: str | None = None) -> None:
    """Serve a database until SIGINT or SIGTERM.

    :param database: the database.
    :param host: the address or name to listen at; beyond loopback only with a token.
    :param port: the port; 0 for any that is free.
    :param token: what every request must send as a bearer token; None for no token.
    :raises InvalidConfiguration: there is no token and others could connect, the host is
        unknown, or the token is empty or nothing that a header can carry.
    :raises SystemExit: the port is in use.
    """
    if token is None and not is_loopback(host):
        raise InvalidConfiguration(
            f"without a token, the server does not listen at {host or 'every address'}",
            hint="Set ARIA_API_TOKEN, or listen at 127.0.0.1.",
        )
    uvicorn.run(create_app(database, token=token), host=host, port=port)


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
