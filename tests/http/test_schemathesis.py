"""Requests that are made up from the OpenAPI document, right and wrong ones, in any order."""

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from aria_db.database import Database
from tests.support.http import running

pytestmark = pytest.mark.slow

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
TOKEN = "only-the-tests-know"

# Hypothesis makes the same of the same seed.
EXAMPLES = 15
SEED = 1


def test_every_answer_to_whatever_is_sent_is_as_the_document_says(
    database: Database, connection: psycopg.Connection, tmp_path: Path
) -> None:
    config = Path(__file__).with_name("schemathesis.toml")
    with running(database, TOKEN) as client:
        done = subprocess.run(
            [
                *(SCHEMATHESIS, "--no-color", "--config-file", config),
                *("run", f"{client.base_url}/openapi.json"),
                *("--header", f"Authorization: Bearer {TOKEN}"),
                *("--header", f"X-API-Key: {TOKEN}"),
                *("--seed", str(SEED), "--max-examples", str(EXAMPLES)),
                *("--generation-database", ":memory:", "--request-timeout", "60"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    # It did test, every route, and with a database behind it.
    assert re.search(r"Tested: 25$", done.stdout, re.MULTILINE), done.stdout
    assert connection.execute("SELECT count(*) > 0 FROM engine_chat_session_all").fetchone() == (
        True,
    )
