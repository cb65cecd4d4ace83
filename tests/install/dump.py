"""The schema at the newest revision as pg_dump writes it: what reviewers see of a change.

`make schema` writes it to schema.sql.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import sqlalchemy as sa

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate

FILE = Path(__file__).with_name("schema.sql")

# What differs from run to run, or from one minor version of PostgreSQL to the next.
_VARYING = re.compile(
    r"^(?:\\(?:un)?restrict .*|-- Dumped .*|SET .*|SELECT pg_catalog\.set_config.*)\n", re.M
)


def dump(database: Database) -> str:
    """Return the schema of a database."""
    done = subprocess.run(
        [
            *(embedded.program("pg_dump"), "--schema-only", "--no-owner"),
            f"--dbname={database.libpq_url()}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return re.sub(r"\n{3,}", "\n\n", _VARYING.sub("", done.stdout))


def main() -> None:
    """Write the schema of this checkout."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        server = embedded.start(Path(directory) / "data")
        database = Database(server.url("postgres"))
        engine = sa.create_engine(database.url)
        with engine.connect() as connection:
            migrate.upgrade(connection)
        engine.dispose()
        FILE.write_text(dump(database), "utf-8")
        server.close()
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
