"""A made-up next release: every object has a version 2, and one of each kind has grown.

It is a copy of the package with its own `sql/` and `migrations/`, run as a program of its own:
a function gets an argument, a view and one of aria-db's own tables a column.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from aria_db.database import Database
from aria_db.install import resources, sql_objects
from tests.support.installation import ROOT

REVISION = "0003_next_release"

GROWN_FUNCTION = "archive_session"
GROWN_VIEW = "engine_archive_run_list"
GROWN_TABLE = "engine_archive_run"

TEMPLATE = '''
"""A made-up next release."""

import sqlalchemy as sa
from alembic import op
from alembic.operations.ops import AddColumnOp

from aria_db.install.operations import ReplaceSqlObject

revision = {revision!r}
down_revision = {down_revision!r}
branch_labels = None
depends_on = None

OPERATIONS = [
    AddColumnOp({table!r}, sa.Column("note", sa.Text())),
    *(ReplaceSqlObject(name, 2) for name in {names!r}),
]


def upgrade() -> None:
    op.apply_sql_objects(OPERATIONS)


def downgrade() -> None:
    op.revert_sql_objects(OPERATIONS)
'''


class NextRelease:
    """The made-up release, in a folder of its own.

    :param directory: an empty folder.
    :param head: the newest revision of this release.
    """

    def __init__(self, directory: Path, head: str) -> None:
        self.directory = directory
        copy_checkout(directory)
        installed = [
            sql_object for sql_object in sql_objects.newest().values() if sql_object.kind != "table"
        ]
        for sql_object in installed:
            copy = directory / "sql" / sql_object.path.relative_to(resources.SQL)
            copy.with_name(f"{sql_object.name}_v02.sql").write_text(next_version(sql_object))
        revision = TEMPLATE.format(
            revision=REVISION,
            down_revision=head,
            table=GROWN_TABLE,
            names=[sql_object.name for sql_object in installed],
        )
        (directory / "migrations" / "versions" / f"{REVISION}.py").write_text(revision.lstrip())

    def run(self, database: Database, *arguments: str) -> None:
        """Run alembic of the next release on a database; it must succeed."""
        run_module(self.directory, "alembic", *arguments, DATABASE_URL=database.libpq_url())


def copy_checkout(directory: Path) -> None:
    """Copy what the program and its revisions need into a folder."""
    for name in ("aria_db", "sql", "migrations"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", directory)


def run_module(directory: Path, *arguments: str, **environment: str) -> str:
    """Run a module of a copied checkout, which must succeed; return what it printed."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "ARIA_", "DATABASE_URL"))
    }
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=directory,
        env=inherited | environment | {"PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def next_version(sql_object: sql_objects.SqlObject) -> str:
    """Return the text of version 2 of an object."""
    text = re.sub(r"(COMMENT ON .*?)';", r"\1 Next release.';", sql_object.text, flags=re.DOTALL)
    assert text != sql_object.text
    if sql_object.name == GROWN_VIEW:
        return text.replace(
            "\nFROM engine_archive_run AS run;", ",\n    run.note\nFROM engine_archive_run AS run;"
        )
    if sql_object.name == GROWN_FUNCTION:
        older = "session_id uuid, actor text DEFAULT NULL"
        assert older in text
        longer = text.replace(older, "session_id uuid, actor text, note text").replace(
            "(uuid, text)", "(uuid, text, text)"
        )
        body = text.index("AS $function$")
        wrapper = (
            text[:body]
            + "AS $function$\nBEGIN\n"
            + "    RETURN QUERY SELECT * FROM archive_session(session_id, actor, NULL);\n"
            + "END;\n"
            + text[text.index("$function$;") :]
        )
        return longer + wrapper
    return text
