"""``aria-db upgrade``, ``adopt`` and ``current`` where the extra ``cli`` is not installed.

A deploy needs no more than ``pip install aria-db``. Every other command, and the rest of
these, is in the modules beside this one.
"""

from __future__ import annotations

import argparse

from aria_db import __version__, database
from aria_db.cli import revisions
from aria_db.install import adoption, migrate


def main() -> None:
    """Run the command that the arguments of this process name."""
    parser = argparse.ArgumentParser(
        prog="aria-db",
        description="Install what archives AI chat sessions into a PostgreSQL database.",
        epilog="All other commands: pip install 'aria-db[cli]'",
    )
    parser.add_argument("--version", action="version", version=f"aria-db {__version__}")
    parser.add_argument("command", help="upgrade, adopt or current")
    parser.add_argument(
        "source", nargs="?", help="adopt: the schema of the application's chat tables"
    )
    parser.add_argument("--revision", default="head", help="the revision to upgrade to")
    parser.add_argument("--database-url", metavar="URL", help="by default DATABASE_URL")
    parser.add_argument("--schema", metavar="NAME", help="by default ARIA_DB_SCHEMA or public")
    options, others = parser.parse_known_args()
    if options.command not in {"upgrade", "adopt", "current"}:
        parser.error(f"{options.command} needs more: pip install 'aria-db[cli]'")
    if options.source and options.command != "adopt":
        others.insert(0, options.source)
    if others:
        parser.error(f"unknown arguments: {' '.join(others)}")

    url = database.parse_url(options.database_url) if options.database_url else None
    with database.opened(url, options.schema) as target:
        engine = target.engine()
        with engine.connect() as connection:
            if options.command == "upgrade":
                migrate.upgrade(connection, target.schema, options.revision)
            elif options.command == "adopt":
                adoption.adopt(connection, options.source, target.schema, options.revision)
            status = migrate.status(connection, target.schema)
        engine.dispose()
    print(revisions.in_words(status))
