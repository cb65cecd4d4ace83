"""docs/sql.md says of every object what the catalogue says: signatures, parameters, columns."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import Connect

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text("utf-8")
SECTIONS = {
    found["name"]: found["text"]
    for found in re.finditer(
        r"^### (?P<name>\w+)\n(?P<text>.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
}

# A row of a table of the page that begins with a name and its type.
_ROW = re.compile(r"^\| `(?P<name>\w+)` \| `(?P<type>[^`]+)` \|", re.MULTILINE)


def spaced(text: str) -> str:
    """Make one line of a signature, however it is wrapped, with the short names of types."""
    text = text.replace("timestamp with time zone", "timestamptz")
    text = text.replace("character varying", "varchar")
    text = re.sub(r"::\w+", "", text)
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(text.split()))


def signature(section: str) -> str:
    found = re.search(r"^\*\*Signature:\*\*\n\n```text\n(.*?)^```$", section, re.M | re.S)
    assert found is not None
    return spaced(found[1])


def table(section: str, title: str) -> list[tuple[str, str]]:
    """Return names and types of the table that follows the title, before the next one."""
    _, _, after = section.partition(f"**{title}:**")
    rows = re.match(r"(?:(?!^\*\*).)*", after, re.M | re.S)
    assert rows is not None
    return [(row["name"], row["type"]) for row in _ROW.finditer(rows[0])]


def fields(arguments: str) -> list[tuple[str, str]]:
    """Split ``name type DEFAULT value, ...`` into names and types."""
    found = []
    for argument in filter(None, re.sub(r"\([\d,]+\)", "", arguments).split(",")):
        name, kind = re.sub(r" DEFAULT .*", "", argument).split(" ", 1)
        found.append((name, kind))
    return found


@pytest.fixture
def connection(connect: Connect) -> psycopg.Connection:
    """A connection to a database at the newest revision."""
    return connect()


def public_functions(connection: psycopg.Connection) -> Iterator[tuple[str, str, str | None]]:
    """Give name, arguments and result of each function that is not internal."""
    yield from connection.execute(
        """
        SELECT proname::text, pg_get_function_arguments(oid), pg_get_function_result(oid)
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE '\\_%'
        """
    ).fetchall()


def test_every_public_function_has_its_signature_parameters_and_columns(
    connection: psycopg.Connection,
) -> None:
    functions = list(public_functions(connection))
    assert len(functions) > 20
    for name, arguments, result in functions:
        arguments = spaced(re.sub(r"\bIN ", "", arguments))
        expected = f"{name}({arguments})"
        if result is not None:
            expected += f"RETURNS {spaced(result)}"
        section = SECTIONS[name]

        assert signature(section) == expected
        assert table(section, "Parameters") == fields(arguments), name
        columns = re.fullmatch(r"TABLE\((.*)\)", spaced(result or ""))
        # That of several sessions refers to that of one.
        if columns and "as `" not in section.partition("**Returns:**")[2].split("\n")[0]:
            assert table(section, "Returns") == fields(columns[1]), name


def test_every_function_has_an_example_with_its_output() -> None:
    for name, section in SECTIONS.items():
        if "**Signature:**" in section:
            assert re.search(r"^```sql\n.*?^```\n\n```text\n", section, re.M | re.S), name


def test_every_table_and_view_is_there_with_the_columns_that_it_has(
    connection: psycopg.Connection,
) -> None:
    relations: dict[str, list[tuple[str, str]]] = {}
    for relation, column, kind in connection.execute(
        """
        SELECT relation.oid::regclass::text, attname::text, format_type(atttypid, atttypmod)
        FROM pg_class AS relation
        INNER JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'v')
        ORDER BY relation.oid, attnum
        """
    ):
        relations.setdefault(relation, []).append((column, spaced(kind)))
    del relations["aria_db_version"]  # Alembic's

    public = {name for name in relations if not name.startswith("_")}
    undocumented = {name for name in public if f"`{name}`" not in PAGE} - SECTIONS.keys()
    assert undocumented == set()
    described = relations.keys() & SECTIONS.keys()
    assert len(described) >= 7
    for name in described:
        assert [(row["name"], row["type"]) for row in _ROW.finditer(SECTIONS[name])] == relations[
            name
        ], name


def test_no_section_is_of_something_that_is_gone(connection: psycopg.Connection) -> None:
    there = {
        name
        for (name,) in connection.execute(
            """
            SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL
            SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
            """
        )
    }
    assert SECTIONS.keys() <= there


@pytest.mark.parametrize(
    ("written", "installed", "are_same"),
    [
        (
            "f(\n    a text DEFAULT NULL\n)\n\nRETURNS x\n",
            "f(a text DEFAULT NULL::text)RETURNS x",
            True,
        ),
        ("f(a timestamptz)", "f(a timestamp with time zone)", True),
        ("f(a jsonb DEFAULT '{}')", "f(a jsonb DEFAULT '{}'::jsonb)", True),
        ("f(a text)", "f(a text DEFAULT NULL::text)", False),
        ("f(a text)", "f(a text, b text)", False),
        ("f(a text)", "f(b text)", False),
        ("f(a text) RETURNS bigint", "f(a text) RETURNS integer", False),
    ],
)
def test_signatures_are_told_apart_by_their_words_alone(
    written: str, installed: str, are_same: bool
) -> None:
    assert (spaced(written) == spaced(installed)) == are_same
