"""What the package itself offers."""

import inspect
import subprocess
import sys

import pytest

import aria_db
from aria_db import errors
from aria_db.database import Database
from aria_db.session_manager import NativeSessionManager


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
