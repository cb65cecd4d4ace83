"""The documentation is run: what a reader copies from it works as it says.

Blocks of a page run in their order, on a database of the page's own that holds the
sample conversations: ``sql`` in psql, ``python`` in a process of its own, and of
``console`` the lines after ``$`` in bash, with the API served. ``sh`` marks what is
run elsewhere (by CI) or cannot run here. A ``text`` right after ``sql`` is what psql
answers, but for the times in it; other ``text`` and the like are not commands.
"""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from aria_db import conversations, embedded
from aria_db.database import Database

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sql", "python", "console"}
API = "http://127.0.0.1:8000"

# What an `sh` block may hold, and who runs it instead.
ELSEWHERE = (
    "make ",  # CI
    ".venv/bin/python -m pytest tests",  # CI, as part of all tests
    "pip install ",  # CI: make wheel
    "aria-db adopt",  # tests/sql/adoption, on databases as they are found
    "aria-db serve --embedded --samples",  # tests/cli/test_processes.py
    "ARIA_DB_TOKEN=$API_KEY aria-db serve",  # tests/docs/test_integrating.py
    "docker compose ",  # needs Docker; the file itself is tested in test_compose.py
    "cp .env.example .env",
)


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(found["language"], found["text"]) for found in BLOCK.finditer(page.read_text("utf-8"))]


def answers(page: Path) -> dict[int, str]:
    """What the page says that psql answers, by the number of the block of SQL."""
    found = list(BLOCK.finditer(page.read_text("utf-8")))
    return {
        number: after["text"]
        for number, (block, after) in enumerate(pairwise(found))
        if block["language"] == "sql"
        and after["language"] == "text"
        and not after.string[block.end() : after.start()].strip()
    }


def cells(answer: str) -> list[list[str]]:
    """Split what psql prints into its cells, whatever their width and the time of day."""
    answer = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?", "(time)", answer)
    lines = (line.rstrip() for line in answer.splitlines())
    return [
        [cell.strip() for cell in line.split("|")]
        for line in lines
        if line and not re.fullmatch(r"[-+]+", line)
    ]


def runnable(page: Path) -> bool:
    return any(language in RUN for language, _ in blocks(page))


def commands(console: str) -> str:
    """The lines after the prompts, with their continuations."""
    lines = []
    continues = False
    for line in console.splitlines():
        if line.startswith("$ ") or continues:
            lines.append(line.removeprefix("$ "))
            continues = line.endswith("\\")
    return "\n".join(lines)


@pytest.fixture
def environment(database: Database) -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}:{embedded.program('psql').parent}"
    return {
        **os.environ,
        "DATABASE_URL": database.libpq_url(),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }


@pytest.fixture
def api(environment: dict[str, str]) -> Iterator[str]:
    """The address of the API in a process of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "aria_db", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/health").close()
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        yield address
        process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name
)
def test_what_a_page_shows_can_be_run(
    page: Path, environment: dict[str, str], api: str, tmp_path: Path
) -> None:
    aria_db = [sys.executable, "-m", "aria_db"]
    subprocess.run(
        [*aria_db, "import", str(conversations.SAMPLE)],
        env=environment,
        check=True,
        capture_output=True,
    )
    said = answers(page)
    for number, (language, text) in enumerate(blocks(page)):
        text = text.replace(API, api)
        if language == "sql":
            command = ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--command", text]
            command.append(environment["DATABASE_URL"])
        elif language == "python":
            command = [sys.executable, "-c", text]
        elif language == "console":
            command = ["bash", "-e", "-u", "-o", "pipefail", "-c", commands(text)]
        else:
            continue
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page.name}:\n{text}\n{done.stdout}\n{done.stderr}"
        if number in said:
            assert cells(done.stderr + done.stdout) == cells(said[number]), f"{page.name}:\n{text}"


def test_an_answer_is_compared_by_its_cells_but_for_its_times(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sql\nSELECT 1;\n```\n\n```text\n a | b\n---+---\n 1 | \n(1 row)\n```\n"
        "```sql\nSELECT 2;\n```\nwhich is not\n```text\nits answer\n```\n"
    )

    assert answers(page) == {0: " a | b\n---+---\n 1 | \n(1 row)\n"}
    assert cells(answers(page)[0]) == [["a", "b"], ["1", ""], ["(1 row)"]]
    at = " 2026-11-26 02:34:25.67{}+00 | t"
    assert cells(at.format(1)) == cells(at.format(2)) != cells(at.format(1).replace("t", "f"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_not_run_here_is_run_elsewhere(page: Path) -> None:
    for language, text in blocks(page):
        if language == "sh":
            for line in text.splitlines():
                assert line.startswith(ELSEWHERE), f"{page.name}: nobody runs: {line}"


def anchors(page: Path) -> set[str]:
    """The names by which GitHub knows the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text("utf-8"))
    for name, anchor in links:
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {name}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_make_is_to_make_is_in_the_makefile(page: Path) -> None:
    targets = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    known = {target for line in targets for target in line.split()}

    named = re.findall(r"(?:`|^)make ([a-z][\w-]*)", page.read_text("utf-8"), re.MULTILINE)

    assert set(named) <= known
