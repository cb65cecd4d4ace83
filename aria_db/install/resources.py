"""Where the SQL files and the Alembic revisions are.

In a checkout ``sql/`` and ``migrations/`` are beside the package ``aria_db``; a wheel
carries them inside it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _directory(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


SQL = _directory("sql")
MIGRATIONS = _directory("migrations")

SCRIPTS = frozenset({"adoption", "examples", "installation"})
"""Folders of ``sql/`` whose files are run as scripts, and install nothing."""
