"""The examples of the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

# FastAPI leaves null out of examples, so every member has a value.
SESSION_ID = "0198c0de-5e55-7000-8000-000000000001"
SESSION: dict[str, Any] = {
    "id": SESSION_ID,
    "session_id": SESSION_ID,
    "agent_id": "aria",
    "session_type": "interactive",
    "title": "Holiday plans",
    "system_prompt": "You are a friendly travel agent.",
    "model": "a-model",
    "temperature": 0.7,
    "max_tokens": 4096,
    "context_window": 50,
    "status": "ended",
    "message_count": 2,
    "total_tokens": 57,
    "total_cost": 0.000384,
    "metadata": {"source": "web"},
    "created_at": "2026-03-01T09:30:00.000000Z",
    "updated_at": "2026-03-01T10:00:00.000000Z",
    "ended_at": "2026-03-01T10:00:00.000000Z",
}
MESSAGE: dict[str, Any] = {
    "id": "0198c0de-0000-7000-8000-00000000000a",
    "session_id": SESSION_ID,
    "agent_id": "aria",
    "role": "assistant",
    "content": "How about the mountains?",
    "thinking": "They like to hike.",
    "tool_calls": [{"name": "weather", "arguments": '{"place": "Bern"}'}],
    "tool_results": [{"name": "weather", "content": '{"sky": "clear"}'}],
    "model": "a-model",
    "tokens_input": 38,
    "tokens_output": 19,
    "cost": 0.000384,
    "latency_ms": 640,
    "metadata": {},
    "created_at": "2026-03-01T09:31:12.500000Z",
}
LAST_MESSAGE_AT = {"last_message_at": MESSAGE["created_at"]}
ARCHIVED_AT = {"archived_at": "2026-03-02T18:00:00.123456Z"}
PAGE = {"limit": 50, "offset": 0, "has_more": False}
LIST_PART = {
    "total": 120,
    "total_is_estimate": False,
    "limit": 1,
    "offset": 0,
    "has_more": True,
    "next_cursor": "WyJ1cGRhdGVkX2F0IGRlc2MiLCIyMDI2LTAzLTAxIDEwOjAwOjAwKzAwIiwiMCJd",
}


def example(
    shown: dict[str, Any], extra: Literal["ignore", "forbid"] = "ignore", **more: int
) -> ConfigDict:
    """Return the configuration of a model with an example for OpenAPI.

    :param more: what else its JSON schema says.
    """
    return ConfigDict(json_schema_extra={"examples": [shown], **more}, extra=extra)
