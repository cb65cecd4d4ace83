"""Run benchmarks: ``python -m bench --help``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from bench import (
    archive_one,
    history,
    http_archive,
    journal,
    lists,
    memory,
    prune,
    report,
    search,
    size,
    writers,
)
from bench.measure import Setting
from bench.server import started

BENCHMARKS: dict[str, ModuleType] = {
    module.__name__.removeprefix("bench."): module
    for module in (
        archive_one,
        history,
        journal,
        prune,
        writers,
        size,
        lists,
        search,
        http_archive,
        memory,
    )
}
"""By name. Each module has a coroutine ``run(setting)`` that returns a Result."""

COMMITTED = Path(__file__).parent / "results"


def main() -> None:
    """Run, and exit with status 1 if a figure has become worse than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="small data, for correctness alone")
    mode.add_argument(
        "--check", action="store_true", help="compare with the committed results; change nothing"
    )
    options = parser.parse_args()
    names = options.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    committed = report.read(COMMITTED)
    if options.check and (missing := set(names) - set(committed)):
        parser.error(f"there are no committed results of {', '.join(sorted(missing))}")

    # So that the server is stopped and its data are removed then, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    worse: list[str] = []
    scratch = Path(tempfile.mkdtemp(prefix="aria-db-results-"))
    directory = scratch if options.quick or options.check else COMMITTED
    try:
        with started() as server:
            for name in names:
                began = time.monotonic()
                print(f"{name}:", flush=True)
                setting = Setting(
                    server, options.quick, lambda line: print(f"  {line}", flush=True)
                )
                result = asyncio.run(BENCHMARKS[name].run(setting))
                report.write(directory, name, result, setting)
                if options.check:
                    worse += report.regressions(result, committed[name])
                if not options.quick:
                    print(*report.describe(result), sep="\n")
                print(f"  took {time.monotonic() - began:.0f} s", flush=True)
        report.write_table(directory)
        report.plot(directory)
    finally:
        shutil.rmtree(scratch)
    if worse:
        print("Worse than committed:", *worse, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
