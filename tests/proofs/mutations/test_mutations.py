"""The faults of the mutation check are up to date; what notices them is another matter."""

import ast
from collections import Counter
from pathlib import Path

from tests.proofs.mutations.mutation import Unusable
from tests.proofs.mutations.mutations import MUTATIONS

ROOT = Path(__file__).parents[3]


def test_every_fault_finds_its_text_exactly_once() -> None:
    findings = []
    for mutation in MUTATIONS:
        try:
            mutation.applied()
        except Unusable as error:
            findings.append(f"{mutation}: {error}")

    assert not findings, "\n".join(findings)


def test_no_fault_is_listed_twice() -> None:
    assert not [name for name, times in Counter(map(str, MUTATIONS)).items() if times > 1]
    applied = Counter((found.path, text) for found, text in (one.applied() for one in MUTATIONS))
    assert not [path for (path, _), times in applied.items() if times > 1]


def test_every_test_that_must_notice_a_fault_exists() -> None:
    """By its function; whether it has such parameters, ``make test-mutations`` tells."""
    functions: dict[str, set[str]] = {}
    missing = set()
    for test in {test for mutation in MUTATIONS for test in mutation.tests}:
        file, _, name = test.partition("::")
        if file not in functions:
            path = ROOT / file
            tree = ast.parse(path.read_text("utf-8") if path.exists() else "")
            functions[file] = {
                node.name
                for node in tree.body
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        if name.partition("[")[0] not in functions[file]:
            missing.add(test)

    assert not missing, "\n".join(sorted(missing))
