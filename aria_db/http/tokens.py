"""Tokens: who may call the API, as what, and under which name."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aria_db.errors import InvalidConfiguration


class Role(StrEnum):
    """What the holder of a token may do.

    A reader sees lists and figures; support sees sessions, transcripts and histories, too; an
    application works with sessions of both places; an operator may do everything.
    """

    READER = "reader"
    SUPPORT = "support"
    APP = "app"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Token:
    """A token of a server.

    :param secret: what callers send as ``Authorization: Bearer <secret>``.
    :param role: what they may do.
    :param name: who is on record for what they change; None for the database role.
    :raises InvalidConfiguration: the secret is empty, or a header cannot carry it.
    """

    secret: str = field(repr=False)
    role: Role = Role.OPERATOR
    name: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[!-~]+", self.secret):
            of = "" if self.name is None else f" of {self.name}"
            raise InvalidConfiguration(
                f"the API token{of} is empty or has characters that a header cannot carry",
                hint="Use printable ASCII without spaces, for example what "
                "`openssl rand -hex 32` prints. To serve without a token, unset ARIA_DB_TOKEN and "
                "ARIA_DB_TOKENS.",
            )


def parse(text: str) -> tuple[Token, ...]:
    """Return the tokens of ``name:role:token,…``.

    :param text: entries, separated by commas. Space around them, and an empty last one, are
        passed over.
    :raises InvalidConfiguration: an entry is malformed, its role is unknown, or a name or a token
        comes twice. The message does not show the token.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if entries[-1] == "" and len(entries) > 1:
        entries.pop()
    found: list[Token] = []
    for number, entry in enumerate(entries, 1):
        name, separator, rest = entry.partition(":")
        role, another, secret = rest.partition(":")
        name = name.strip()
        if not (separator and another and name and name.isprintable()):
            raise InvalidConfiguration(
                f"ARIA_DB_TOKENS: entry {number} is not name:role:token",
                hint="For example ada:operator:TOKEN,web:app:TOKEN; a token has no comma.",
            )
        if role not in set(Role):
            raise InvalidConfiguration(
                f"ARIA_DB_TOKENS: {name} has the role {role!r}",
                hint=f"The roles are {', '.join(Role)}.",
            )
        found.append(Token(secret, Role(role), name))
    refuse_doubles(found)
    return tuple(found)


def refuse_doubles(tokens: Sequence[Token]) -> None:
    """Refuse tokens of which two have the same name or the same secret.

    :param tokens: all tokens of a server.
    :raises InvalidConfiguration: there are two.
    """
    names = [token.name for token in tokens if token.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise InvalidConfiguration(f"ARIA_DB_TOKENS: there are two tokens of {name}")
    if len({token.secret for token in tokens}) < len(tokens):
        raise InvalidConfiguration(
            "two entries have the same token",
            hint="Give each its own, in ARIA_DB_TOKENS and in ARIA_DB_TOKEN.",
        )


def find(tokens: Iterable[Token], secret: bytes) -> Token | None:
    """Return the token with this secret.

    Every token is compared, in a time that says nothing about how much of it is right.

    :param tokens: those of the server.
    :param secret: what the caller sent.
    """
    sent = hashlib.sha256(secret).digest()
    found = None
    for token in tokens:
        if secrets.compare_digest(hashlib.sha256(token.secret.encode()).digest(), sent):
            found = token
    return found
