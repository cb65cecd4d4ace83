"""What one request may take of the server, and all of them of the database.

The command line needs the defaults for its help: nothing slow is imported here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Self


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

    @classmethod
    def from_environment(cls) -> Self:
        """Return what the environment sets, for example ``ARIA_DB_MAX_BODY``.

        :raises InvalidConfiguration: a variable is no number, or not greater than 0.
        """
        from aria_db.errors import InvalidConfiguration

        given = {}
        for field in fields(cls):
            variable = f"ARIA_DB_{field.name.upper()}"
            if text := os.environ.get(variable):
                try:
                    given[field.name] = type(getattr(cls, field.name))(text)
                except ValueError:
                    raise InvalidConfiguration(f"{variable} is no number: {text!r}") from None
        return cls(**given)


DEFAULT = Limits()
