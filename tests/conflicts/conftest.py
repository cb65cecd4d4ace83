"""Two connections that can be made to wait for each other, on either layout of the tables."""

from tests.sql.conftest import a, b, connect, layout, role, start, start_blocked, threads

__all__ = ["a", "b", "connect", "layout", "role", "start", "start_blocked", "threads"]
