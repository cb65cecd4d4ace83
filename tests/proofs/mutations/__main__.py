"""The mutation check: ``python -m tests.proofs.mutations``; prints a table in Markdown.

Each mutation is a fault in the newest version of one SQL object, and names the tests that must
fail with it. They run with a copy of ``sql/`` in which that one text is another. First of all,
every fault must find its text exactly once, and every test must pass without it; ``--apply`` does
no more than the first of these, and needs no server.
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

from aria_db import embedded
from aria_db.install import resources
from tests.proofs.mutations.mutation import Mutation, Unusable
from tests.proofs.mutations.mutations import MUTATIONS
from tests.support.server import make_fast

# Of a fault that is no SQL any more, and so would be seen by every test.
_NO_SQL = re.compile(r"(psycopg\.)?errors\.(Syntax|Undefined|Ambiguous|Datatype|Invalid\w*Def)")

# Not ours, and slow to load.
_NO_PLUGINS = ("-p", "no:schemathesis", "-p", "no:xdist", "-p", "no:cacheprovider")


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
            make_fast(server)
            yield Tests(server, directory), directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def folder_with(mutation: Mutation, directory: Path) -> Iterator[Path]:
    """Give a copy of ``sql/`` with the fault in it.

    :raises Unusable: it cannot be applied.
    """
    found, text = mutation.applied()
    copy = directory / "sql"
    shutil.copytree(resources.SQL, copy)
    try:
        (copy / found.path.relative_to(resources.SQL)).write_text(text, "utf-8")
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def not_applicable(mutations: Sequence[Mutation]) -> list[str]:
    """Tell which faults cannot be applied to ``sql/`` as it is, and why."""
    findings = []
    for mutation in mutations:
        try:
            mutation.applied()
        except Unusable as error:
            findings.append(f"{mutation}: does not apply: {error}")
    return findings


def not_there(mutations: Sequence[Mutation]) -> dict[Mutation, str]:
    """Tell which faults name a test that pytest does not find, and the test."""
    files = {test.partition("::")[0] for mutation in mutations for test in mutation.tests}
    collected = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *_NO_PLUGINS, "--quiet", "--collect-only"),
            *sorted(file for file in files if Path(file).exists()),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    found = set(collected.stdout.splitlines())
    # Without parameters: with any of them.
    found |= {test.partition("[")[0] for test in found}
    return {
        mutation: test for mutation in mutations for test in mutation.tests if test not in found
    }


def in_the_table(test: str) -> str:
    """Return a test as the table shows it."""
    return f"`{test.removeprefix('tests/')}`".replace("|", "\\|")


def check(mutations: Sequence[Mutation], *, explain: bool) -> list[str]:
    """Apply one fault after the other; print a line for each.

    :param mutations: the faults.
    :param explain: print what each test said as well.
    :return: those that no test noticed, or that could not be tried.
    """
    unknown = not_there(mutations)
    survivors = [f"{mutation}: there is no {test}" for mutation, test in unknown.items()]
    mutations = [mutation for mutation in mutations if mutation not in unknown]
    if not mutations:
        return survivors
    with tests_with_a_server() as (tests, directory):
        named = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
        try:
            broken = tests.run(named, resources.SQL).failed
        except Unusable as error:
            return [*survivors, f"the tests cannot be run without any fault:\n{error}"]
        if broken:
            survivors += [
                f"{test} fails without any fault: {said}" for test, said in broken.items()
            ]
            return survivors
        print("| object | fault | caught by | s |", "| --- | --- | --- | --: |", sep="\n")
        for mutation in mutations:
            began = time.monotonic()
            try:
                with folder_with(mutation, directory) as sql:
                    verdict = tests.run(mutation.tests, sql)
            except Unusable as error:
                survivors.append(f"{mutation}: cannot be tried: {error}")
                verdict = Verdict({}, [])
            else:
                survivors += [f"{mutation}: not noticed by {test}" for test in verdict.passed]
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
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="the faults that match, by a regular expression")
    parser.add_argument("--explain", action="store_true", help="print what each test said")
    parser.add_argument(
        "--apply", action="store_true", help="look only whether each finds its text exactly once"
    )
    options = parser.parse_args()
    chosen = [one for one in MUTATIONS if re.search(options.only, str(one))]

    began = time.monotonic()
    survivors = not_applicable(chosen)
    if not (survivors or options.apply):
        survivors = check(chosen, explain=options.explain)
    print(f"\n{len(chosen)} faults in {time.monotonic() - began:.0f} s.")
    if survivors:
        print(f"{len(survivors)} findings:", *survivors, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
