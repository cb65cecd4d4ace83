"""The option ``--deep``, and a summary of how many orders of events were tried.

Loaded by ``tests/conftest.py``, not a conftest itself: pytest-xdist's controller, which writes
the summary, reads those of the folders only when it is told to run nothing else.
"""

from collections import Counter

import pytest

TRIED = "permutations"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--deep",
        action="store_true",
        help="run the deep set of tests/proofs/isolation (about two hours)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deep: runs with --deep only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("deep", default=False):
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    if deep:
        config.hook.pytest_deselected(items=deep)
        items[:] = [item for item in items if not item.get_closest_marker("deep")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what came out of how many permutations."""
    tried: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            # the properties are the test's, and its subtests' reports have them too
            if type(report) is pytest.TestReport and report.when == "call":
                for name, counts in report.user_properties:
                    if name == TRIED:
                        tried += Counter(counts)
    if tried:
        terminalreporter.section("orders of events")
        for what, count in sorted(tried.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{count:8,} {what}")
