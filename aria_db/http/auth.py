"""The bearer token: asked for by every path, also those that do not exist."""

from __future__ import annotations

import os
import re

from aria_db.errors import InvalidConfiguration


def configured_token() -> str | None:
    """Return ``ARIA_DB_TOKEN``, or None if it is not set.

    :raises InvalidConfiguration: only the old name ``ARIA_API_TOKEN`` is set, or the new one
        is empty beside it. A server that ignored the old name would be open to everybody.
    """
    token = os.environ.get("ARIA_DB_TOKEN")
    if not token and "ARIA_API_TOKEN" in os.environ:
        raise InvalidConfiguration(
            "ARIA_API_TOKEN was renamed: set ARIA_DB_TOKEN instead",
            hint="To serve without a token, unset ARIA_API_TOKEN.",
        )
    return token


def check_token(token: str) -> None:
    """Refuse a token that nobody could send, or that anybody could.

    :param token: the token of a server.
    :raises InvalidConfiguration: a header cannot carry it, or it is empty.
    """
    if not re.fullmatch(r"[!-~]+", token):
        raise InvalidConfiguration(
            "the API token is empty or has characters that a header cannot carry",
            hint="Use printable ASCII without spaces, for example what "
            "`openssl rand -hex 32` prints. To serve without a token, unset ARIA_DB_TOKEN.",
        )
