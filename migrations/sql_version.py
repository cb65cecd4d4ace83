"""Make the next version of an SQL object, or show what the newest one changes.

What `make sql-next NAME=...` and `make sql-diff NAME=...` run.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from aria_db.install import migrate, sql_objects
from aria_db.install.operations import ReplaceSqlObject


def make_next(name: str) -> tuple[Path, Path]:
    """Copy the newest version of an object to the next number, and write the revision.

    :param name: the name of a function, procedure or view.
    :return: the new file, and the revision that installs it.
    :raises ValueError: there is no such object, or it is a table.
    """
    current = _newest(name)
    if current.kind == "table":
        raise ValueError(
            f"{name} is a table: write a revision with AddColumnOp "
            "(see aria_db/install/operations.py)"
        )
    version = current.version + 1
    copy = current.path.with_name(f"{name}_v{version:02}.sql")
    copy.write_text(current.text, "utf-8")
    scripts = ScriptDirectory.from_config(migrate.config())
    head = scripts.get_current_head() or ""
    script = scripts.generate_revision(
        f"{int(head[:4]) + 1:04}_{name.strip('_')}",
        f"Replace {name}.",
        head=head,
        operations=[ReplaceSqlObject(name, version)],
    )
    if script is None:
        raise RuntimeError(f"Alembic wrote no revision in {scripts.dir}")
    return copy, Path(script.path)


def diff(name: str) -> str:
    """Return what the newest version of an object changes, as a unified diff.

    :param name: the object's name.
    :raises ValueError: there is no such object, or it has one version only.
    """
    new = _newest(name)
    versions = sorted(version for known, version in sql_objects.files() if known == name)
    if len(versions) == 1:
        raise ValueError(f"{name} has one version only: {new.path}")
    old = sql_objects.find(name, versions[-2])
    lines = difflib.unified_diff(
        old.text.splitlines(keepends=True),
        new.text.splitlines(keepends=True),
        old.path.name,
        new.path.name,
    )
    return "".join(lines)


def _newest(name: str) -> sql_objects.SqlObject:
    objects = sql_objects.newest()
    if name not in objects:
        close = difflib.get_close_matches(name, objects)
        raise ValueError(f"no object {name!r} in sql/" + (f"; {close[0]}?" if close else ""))
    return objects[name]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="sql_version", description=__doc__)
    parser.add_argument("command", choices=["next", "diff"])
    parser.add_argument("name", help="the name of a function, procedure or view")
    arguments = parser.parse_args()
    try:
        if arguments.command == "next":
            for path in make_next(arguments.name):
                print(f"wrote {path}")
        else:
            sys.stdout.write(diff(arguments.name))
    except ValueError as error:
        parser.exit(2, f"Error: {error}\n")


if __name__ == "__main__":
    main()
