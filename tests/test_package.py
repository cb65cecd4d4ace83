"""The package itself: what it offers, and which of its parts may import which."""

import ast
import graphlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aria_db
from aria_db import errors
from aria_db.database import Database
from aria_db.session_manager import NativeSessionManager

ROOT = Path(__file__).resolve().parents[1]

# What each module or package directly in aria_db may import from the others. An import within a
# function counts, and so does one for type checkers. `aria_db` is the package's own __init__.
MAY_IMPORT = {
    # the clients
    "__main__": {"cli"},
    "cli": {
        *("aria_db", "conversations", "database", "demo", "embedded", "errors", "http"),
        *("install", "models", "results", "session_manager", "validation"),
    },
    "contrib": {"errors", "install", "models", "session_manager"},
    "http": {
        *("aria_db", "database", "errors", "install", "models", "results"),
        *("session_manager", "validation"),
    },
    # The demo shows every client, a call of `functions` in a Session among them.
    "demo": {
        *("conversations", "database", "embedded", "errors", "functions", "install"),
        *("models", "session_manager"),
    },
    "aria_db": {"database", "errors", "session_manager"},
    "conversations": {"errors", "session_manager", "validation"},
    # what they call
    "session_manager": {"errors", "functions", "models", "poolers", "results"},
    "functions": {"results"},
    # what needs neither
    # The plan of an adoption asks for the hazards.
    "install": {"database", "errors", "functions", "results"},
    "connections": set(),
    "database": {"connections", "embedded", "errors", "poolers", "timestamps"},
    "embedded": set(),
    "errors": set(),
    "models": set(),
    "poolers": {"errors"},
    "results": set(),
    "timestamps": set(),
    "validation": set(),
}

MODULES = {
    ".".join(parts[:-1] if parts[-1] == "__init__" else parts): file
    for file in sorted((ROOT / "aria_db").rglob("*.py"))
    if (parts := file.relative_to(ROOT).with_suffix("").parts)
}


def imports(module: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases if alias.name in MODULES)
            case ast.ImportFrom(module=str(source), names=aliases, level=0) if source in MODULES:
                for alias in aliases:
                    submodule = f"{source}.{alias.name}"
                    yield submodule if submodule in MODULES else source
            case ast.ImportFrom(level=level) if level > 0:
                raise AssertionError(f"{module}, line {node.lineno}: a relative import")


def part(module: str) -> str:
    """Return the module or package directly in aria_db that a module is or belongs to."""
    return [*module.split("."), "aria_db"][1]


# What it offers


def test_the_package_offers_the_database_the_manager_and_every_exception() -> None:
    exceptions = {
        name: value
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.AriaError)
    }

    offered = {name: getattr(aria_db, name) for name in aria_db.__all__}

    own = {"Database": Database, "NativeSessionManager": NativeSessionManager}
    assert offered == own | exceptions
    assert set(aria_db.__all__) <= set(dir(aria_db))


def test_what_the_package_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NoSuchThing'"):
        aria_db.NoSuchThing  # noqa: B018


def test_importing_the_package_loads_neither_sqlalchemy_nor_psycopg() -> None:
    program = "import sys, aria_db; print(*sys.modules); aria_db.Database; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert not before & {"sqlalchemy", "psycopg"}
    assert after >= {"sqlalchemy", "psycopg"}


# Its layers


def test_every_import_goes_one_way_through_the_layers() -> None:
    forbidden = [
        f"{module} imports {imported}"
        for module in MODULES
        for imported in imports(module)
        if part(imported) not in MAY_IMPORT[part(module)] | {part(module)}
    ]

    assert forbidden == []


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: {*imports(module)} - {module} for module in MODULES}

    graphlib.TopologicalSorter(graph).prepare()


def test_the_table_of_imports_names_what_there_is() -> None:
    assert MAY_IMPORT.keys() == {part(module) for module in MODULES}
    assert set().union(*MAY_IMPORT.values()) <= MAY_IMPORT.keys()
