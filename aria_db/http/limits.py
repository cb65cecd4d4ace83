"""What one request may take of the server, and all of them of the database.

The command line needs the defaults for its help: nothing slow is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

WAIT_SECONDS = 60.0
"""How long ``aria-db serve`` waits for a database that is coming up."""


@dataclass(frozen=True)
class Limits:
    """How much a server takes on.

    :param max_body: the largest body of a request, in bytes.
    :param body_timeout: how long a body may take to arrive, in seconds.
    :param connections: how many connections to the database there are at most.
    :param connection_timeout: how long a request waits for one of them, in seconds.
    :raises InvalidConfiguration: one of them is not greater than zero.
    """

    # JSON of nothing but brackets takes ninety times its size while it is handled.
    max_body: int = 10 * 2**20
    body_timeout: float = 30.0
    connections: int = 15
    connection_timeout: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 < getattr(self, field.name) < float("inf"):
                from aria_db.errors import InvalidConfiguration

                raise InvalidConfiguration(f"{field.name} must be a number greater than 0")


DEFAULT = Limits()
