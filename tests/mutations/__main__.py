"""The mutation check: ``python -m tests.mutations``; prints a table in Markdown.

Each mutation is a fault in the newest version of one SQL object, and names the tests that must
fail with it. They run with a copy of ``sql/`` in which that one text is another.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from aria_db import embedded, resources, sql_objects
from tests.conftest import switch_fsync_off
from tests.mutations.mutations import MUTATIONS, Mutation

# Of a fault that is no SQL any more, and so would be seen by every test.
_NO_SQL = re.compile(r"(psycopg\.)?errors\.(Syntax|Undefined|Ambiguous|Datatype|Invalid\w*Def)")

# Not ours, and slow to load.
_NO_PLUGINS = ("-p", "no:schemathesis", "-p", "no:xdist", "-p", "no:cacheprovider")


class Unusable(Exception):
    """A mutation that shows nothing: its text is not in the file, or it is no SQL."""


@dataclass(frozen=True)
class Verdict:
    """What the tests of a mutation said.

    :param failed: the tests that failed, by what each said first.
    :param passed: those that passed all the same.
    """

    failed: dict[str, str]
    passed: list[str]


class Tests:
    """Runs tests against a server of its own, with whatever ``sql/`` they are given."""

    def __init__(self, server: embedded.EmbeddedServer, directory: Path) -> None:
        self._server = server
        self._report = directory / "report.xml"

    def run(self, ids: Sequence[str], sql: Path) -> Verdict:
        """Run tests.

        :param ids: which, as pytest names them.
        :param sql: the folder that the revisions install from.
        :raises Unusable: a test could not begin.
        """
        self._report.unlink(missing_ok=True)
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", *_NO_PLUGINS, "--quiet", "--tb=short"),
                *("--override-ini=junit_family=xunit1", f"--junitxml={self._report}"),
                f"--postgresql-host={self._server.socket_directory}",
                f"--postgresql-port={self._server.port}",
                f"--sql={sql}",
                *ids,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ran.returncode not in (0, 1):
            raise Unusable(ran.stdout)
        failed, passed = {}, []
        for case in ElementTree.parse(self._report).iter("testcase"):
            name = f"{case.get('file')}::{case.get('name')}"
            if case.find("error") is not None or case.find("skipped") is not None:
                raise Unusable(ran.stdout)
            if (failure := case.find("failure")) is None:
                passed.append(name)
                continue
            said = failure.get("message", "").partition("\n")[0]
            if _NO_SQL.match(said):
                raise Unusable(ran.stdout)
            failed[name] = said
        return Verdict(failed, passed)


@contextmanager
def tests_with_a_server() -> Iterator[tuple[Tests, Path]]:
    """Give what runs tests, and a folder to work in."""
    directory = Path(tempfile.mkdtemp(prefix="aria-db-mutations-"))
    directory.chmod(0o755)  # the server may run under another account
    try:
        with embedded.start(directory / "data") as server:
            switch_fsync_off(server)
            yield Tests(server, directory), directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def newest_file(name: str) -> Path:
    """Return the file of the newest version of an SQL object, within ``sql/``."""
    for kind in ("function", "procedure", "view"):
        if version := sql_objects.newest(kind).get(name):
            return sql_objects.path(kind, name, version).relative_to(resources.SQL)
    raise Unusable(f"there is no {name}")


def mutated(mutation: Mutation) -> str:
    """Return the text of the mutation's file with the fault in it.

    :raises Unusable: what is to be replaced is not there, or not once.
    """
    text = (resources.SQL / newest_file(mutation.object)).read_text("utf-8")
    for right, wrong in mutation.changes:
        if text.count(right) != 1:
            raise Unusable(f"is {text.count(right)} times in {mutation.object}:\n{right}")
        text = text.replace(right, wrong)
    return text


def in_the_table(test: str) -> str:
    """Return a test as the table shows it."""
    return f"`{test.removeprefix('tests/')}`".replace("|", "\\|")


def check(mutations: Sequence[Mutation], *, explain: bool) -> list[str]:
    """Apply one fault after the other; print a line for each.

    :param mutations: the faults.
    :param explain: print what each test said as well.
    :return: those that no test noticed, or that could not be tried.
    """
    survivors = []
    with tests_with_a_server() as (tests, directory):
        named = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
        if broken := tests.run(named, resources.SQL).failed:
            return [f"{test} fails without any fault: {said}" for test, said in broken.items()]
        print("| object | fault | caught by | s |", "| --- | --- | --- | --: |", sep="\n")
        for mutation in mutations:
            began = time.monotonic()
            sql = directory / "sql"
            try:
                text = mutated(mutation)
                shutil.copytree(resources.SQL, sql)
                (sql / newest_file(mutation.object)).write_text(text, "utf-8")
                verdict = tests.run(mutation.tests, sql)
            except Unusable as error:
                survivors.append(f"{mutation.object}, {mutation.fault}: cannot be tried: {error}")
                verdict = Verdict({}, [])
            else:
                survivors += [
                    f"{mutation.object}, {mutation.fault}: not noticed by {test}"
                    for test in verdict.passed
                ]
            finally:
                shutil.rmtree(sql, ignore_errors=True)
            caught = "<br>".join(map(in_the_table, verdict.failed)) or "**nothing**"
            seconds = time.monotonic() - began
            print(
                f"| {mutation.object} | {mutation.fault} | {caught} | {seconds:.1f} |", flush=True
            )
            if explain:
                print(*verdict.failed.values(), sep="\n", flush=True)
    return survivors


def main() -> None:
    """Check, and exit with status 1 if a fault was not noticed by a test that it names."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="the faults that match, by a regular expression")
    parser.add_argument("--explain", action="store_true", help="print what each test said")
    options = parser.parse_args()
    chosen = [one for one in MUTATIONS if re.search(options.only, f"{one.object}, {one.fault}")]

    began = time.monotonic()
    survivors = check(chosen, explain=options.explain)
    print(f"\n{len(chosen)} faults in {time.monotonic() - began:.0f} s.")
    if survivors:
        print(f"{len(survivors)} findings:", *survivors, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
