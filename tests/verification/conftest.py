"""Connections on either layout of the tables, and roles to be granted something."""

from tests.sql.conftest import a, b, connect, layout, role, threads

__all__ = ["a", "b", "connect", "layout", "role", "threads"]
