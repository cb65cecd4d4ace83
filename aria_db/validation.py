"""What PostgreSQL can hold: checks for text and JSON that come from outside.

PostgreSQL refuses some of what JSON can say, and says so in terms of its own
after the work has begun. Whoever takes data from a caller or a file (the HTTP
interface, the import) checks it here first and can then name the field or the line.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import pydantic_core
from pydantic import AfterValidator

DEEPEST_JSON = 100
"""How deeply arrays and objects may be nested. PostgreSQL stores several thousand
levels, but what reads JSON (Python, Pydantic, jq) gives up long before."""


def storable_text(text: str) -> str:
    """Return the text if PostgreSQL can hold it.

    :param text: any string.
    :raises ValueError: it contains U+0000 or half a surrogate pair.
    """
    if "\0" in text:
        raise ValueError("must not contain the character U+0000: PostgreSQL cannot store it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half a surrogate pair: it is not a character") from None
    return text


def storable_json(value: Any) -> Any:
    """Return the JSON value if PostgreSQL can hold it.

    :param value: what :func:`json.loads` returns.
    :raises ValueError: it contains a string or a key that :func:`storable_text`
        refuses, a number that is not finite (``json.loads`` reads ``NaN``,
        ``Infinity`` and ``1e999`` as such), or more than :data:`DEEPEST_JSON` levels.
    """
    level = [value]
    for _ in range(DEEPEST_JSON + 1):
        inside: list[Any] = []
        is_deepest = True
        for item in level:
            match item:
                case str():
                    storable_text(item)
                case float() if not math.isfinite(item):
                    raise ValueError("must not contain a number that is not finite")
                case list():
                    is_deepest = False
                    inside.extend(item)
                case dict():
                    is_deepest = False
                    for key in item:
                        storable_text(key)
                    inside.extend(item.values())
        if is_deepest:
            return value
        level = inside
    raise ValueError(f"must not be nested more than {DEEPEST_JSON} levels deep")


def readable_json(text: bytes) -> Any:
    """Return a JSON value from the database, or its text if Python could not write it again.

    For ``json_deserializer`` of an engine: PostgreSQL stores numbers and depths that Python
    does not take, and one such row must not hide the others.

    :param text: JSON, as PostgreSQL gives it.
    """
    try:
        return storable_json(pydantic_core.from_json(text))
    except ValueError:
        return text.decode()


StorableText = Annotated[str, AfterValidator(storable_text)]
"""A string that PostgreSQL can hold."""

StorableJson = Annotated[Any, AfterValidator(storable_json)]
"""Any JSON value that PostgreSQL can hold."""

StorableObject = Annotated[dict[str, Any], AfterValidator(storable_json)]
"""A JSON object that PostgreSQL can hold."""
