"""The long run: ``python -m tests.proofs.faults --faults 200``; prints a table in Markdown."""

import argparse
import random
import sys
import time

from tests.proofs.faults.faults import FAULTS
from tests.proofs.faults.supervisor import Struck, Supervisor


def table(struck: dict[str, Struck]) -> list[str]:
    """Return a line of a Markdown table for each kind of fault, with a head and a foot."""
    lines = [
        "| fault | times | crash recoveries | what the clients were told | violations |",
        "| --- | --: | --: | --- | --: |",
    ]
    for kind, of_kind in struck.items():
        told = ", ".join(f"{times} {error}" for error, times in sorted(of_kind.told.items()))
        lines.append(
            f"| {kind} | {of_kind.times} | {of_kind.recoveries} | {told or 'nothing'}"
            f" | {len(of_kind.violations)} |"
        )
    totals = struck.values()
    lines.append(
        f"| **all** | **{sum(of_kind.times for of_kind in totals)}**"
        f" | **{sum(of_kind.recoveries for of_kind in totals)}** |"
        f" | **{sum(len(of_kind.violations) for of_kind in totals)}** |"
    )
    return lines


def main() -> None:
    """Run, and exit with status 1 if the law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the choices")
    parser.add_argument(
        "--kind", choices=FAULTS, action="append", help="only this one; may be repeated"
    )
    options = parser.parse_args()
    kinds = options.kind or tuple(FAULTS)

    print(f"seed {options.seed}")
    began = time.monotonic()
    with Supervisor(
        options.seed, kinds=kinds, report=lambda line: print(line, flush=True)
    ) as supervisor:
        broken = supervisor.run(options.faults)
        version = supervisor.server.version
        outcomes = supervisor.journals.outcomes
        print("", *table(supervisor.struck), "", sep="\n")
        print(
            f"{options.faults} faults in {time.monotonic() - began:.0f} s on PostgreSQL {version},"
            f" seed {options.seed}: {outcomes['done']} attempts were acknowledged,"
            f" {outcomes['refused']} refused, {outcomes['unknown']} cut off. The law was checked"
            " after each fault, and with nobody at work at the end."
        )
        if broken:
            print(*broken, sep="\n")
            sys.exit(1)  # here, so that the journals are kept


if __name__ == "__main__":
    main()
