"""Sessions and messages with every column filled, and how to know one again."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

SESSION_COLUMNS = (
    "agent_id",
    "session_type",
    "title",
    "system_prompt",
    "model",
    "temperature",
    "max_tokens",
    "context_window",
    "metadata",
)
MESSAGE_COLUMNS = (
    "agent_id",
    "role",
    "content",
    "thinking",
    "tool_calls",
    "tool_results",
    "model",
    "tokens_input",
    "tokens_output",
    "cost",
    "latency_ms",
    "metadata",
)

# The other sessions are never restored, so that an acknowledged archive of theirs is the last word.
RESTORABLE = "id::text < '8'"

Row = dict[str, Any]


def session(rng: random.Random, version: int = 0) -> Row:
    """Make a session in the state that its n-th update gives it; the metadata tell which."""
    return {
        "agent_id": f"agent-{rng.randrange(5)}",
        "session_type": rng.choice(["interactive", "chat", "cron", "swarm"]),
        "title": text(rng, 40),
        "system_prompt": text(rng, 300),
        "model": f"model-{rng.randrange(9)}",
        "temperature": rng.random(),
        "max_tokens": rng.randrange(1, 9999),
        "context_window": rng.randrange(1, 99),
        "metadata": {"version": version, "tags": [text(rng, 9)]},
    }


def message(rng: random.Random) -> Row:
    """Make a message. Its key is in the metadata: not every client may choose the id."""
    is_long = rng.random() < 0.08  # too long for a page even compressed: kept in the TOAST table
    return {
        "agent_id": f"agent-{rng.randrange(5)}",
        "role": rng.choice(["user", "assistant", "tool"]),
        "content": text(rng, rng.randrange(3000, 9000) if is_long else rng.randrange(20, 500)),
        "thinking": text(rng, 60),
        "tool_calls": [{"name": text(rng, 9), "arguments": {"n": rng.randrange(99)}}],
        "tool_results": {"ok": rng.random() < 0.5},
        "model": f"model-{rng.randrange(9)}",
        "tokens_input": rng.randrange(999),
        "tokens_output": rng.randrange(999),
        "cost": Decimal(rng.randrange(1, 999)).scaleb(-6),
        "latency_ms": rng.randrange(9999),
        "metadata": {"key": str(uuid(rng))},
    }


def text(rng: random.Random, length: int) -> str:
    """Make a text that does not compress, with characters of one to four bytes."""
    return rng.randbytes(length // 2).hex() + rng.choice("aéπ漢🐘")


def uuid(rng: random.Random) -> UUID:
    """Make an id."""
    return UUID(int=rng.getrandbits(128), version=4)


def fingerprint(columns: Sequence[str], row: Mapping[str, Any]) -> str:
    """Digest these columns of a row, to compare it with one that somebody has at hand."""
    values = json.dumps([row[column] for column in columns], default=str, sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()[:32]
