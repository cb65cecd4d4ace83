"""Where the SQL files and the Alembic revisions are.

In a checkout ``sql/`` and ``migrations/`` are beside the package ``aria_db``; a wheel
carries them inside it.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def _directory(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


SQL = _directory("sql")
MIGRATIONS = _directory("migrations")
SAMPLE_CONVERSATIONS = PACKAGE / "data" / "sample_conversations.jsonl"

SCRIPTS = frozenset({"adoption", "examples", "installation"})
"""Folders of ``sql/`` whose files are run as scripts, and install nothing."""
