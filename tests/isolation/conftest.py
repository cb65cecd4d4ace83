"""A laboratory for each test, the deep set, and a summary of what was tried."""

from collections import Counter

import pytest

from aria_db.database import Database
from tests.isolation.isolationtester import Laboratory

TRIED = "permutations"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--deep", action="store_true", help="run the deep set of tests/isolation (about an hour)"
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


@pytest.fixture
def deep(pytestconfig: pytest.Config) -> bool:
    """Whether the deep set was asked for."""
    return pytestconfig.getoption("deep", default=False)


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> str:
    """Which tables the four names are: ``tables``, or ``views`` over an adopted database's."""
    return getattr(request, "param", "tables")


@pytest.fixture
def laboratory(database: Database, layout: str) -> Laboratory:
    """A database in which specs run."""
    return Laboratory(database, layout)
