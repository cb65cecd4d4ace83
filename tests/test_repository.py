"""What holds for the repository as a whole, read from its files."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aria_db.install import sql_objects

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "aria_db"

# The beginning of a statement, or of one within another. Prose has the same words, but not in
# these places: `{}` stands for what an f-string puts in.
STATEMENT = re.compile(
    r"""
    (?:^|[;(]|\bAS\b|\bEXPLAIN\b) \s*
    (?:
        SELECT\s.*?\sFROM\s
        | (?:INSERT|MERGE)\s+INTO\s
        | UPDATE\s+\S+\s.*?\bSET\s
        | DELETE\s+FROM\s
        | (?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?
          (?:TABLE|VIEW|INDEX|FUNCTION|PROCEDURE|SCHEMA|SEQUENCE|TYPE|TRIGGER|ROLE|DATABASE
             |EXTENSION|MATERIALIZED|TEMPORARY|UNIQUE|UNLOGGED|SYSTEM|\{\})(?!\w)
        | TRUNCATE\s
        | (?:GRANT\s.*\sTO|REVOKE\s.*\sFROM)\s
        | LOCK\s+TABLE\s
        | WITH\s+(?:RECURSIVE\s+)?\S+\s+(?:\(.*?\)\s*)?AS\s+(?:(?:NOT\s+)?MATERIALIZED\s+)?\(
        | CALL\s+[\w.{}"]+\s*\(
        | COPY\s.*\s(?:FROM|TO)\s
        | DO\s+\$
        | SET\s+(?:LOCAL\s|SESSION\s|\w+\s*(?:=|\bTO\b))
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

# Statements that are allowed outside sql/ and migrations/, each with its reason.
ALLOWED = {
    # A DDL operation for the revisions, which name the object.
    ("aria_db/install/operations.py", "DROP {} {}"),
}

ARCHIVES = r"engine_chat_(?:session|message)_archive"
INSERT_INTO_ARCHIVE = re.compile(
    rf'\b(?:INSERT\s+INTO|MERGE\s+INTO(?:\s+ONLY)?|COPY)\s+(?:[\w"%]+\s*\.\s*)?"?{ARCHIVES}\b',
    re.IGNORECASE,
)
ARCHIVE_CLASSES = {"EngineChatSessionArchive", "EngineChatMessageArchive"}
WRITES = {"insert", "update", "delete", "merge", "add", "add_all", "bulk_save_objects"}

# A directory of somebody's own, a package index, or an address within somebody's network.
MACHINE = re.compile(
    r"""
    (?<![\w.$}*-]) / (?:work|root|home|Users|opt|tmp) / \w
    | index[-_]url | \b(?:pypi|pythonhosted|npmjs|artifactory)\.[\w.]+ | /simple[/]
    | \b(?:10(?:\.\d{1,3}){3} | (?:192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2})\b
    """,
    re.VERBOSE,
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Give every module of the package with its path in the repository."""
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text("utf-8"))


def texts(tree: ast.AST) -> Iterator[str]:
    """Give the strings of a program, docstrings left out, `{}` for what an f-string puts in."""
    for child in ast.iter_child_nodes(tree):
        match child:
            case ast.Expr(value=ast.Constant()):
                continue
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts
                )
        yield from texts(child)


def last_name(node: ast.AST) -> str | None:
    """Return the `c` of an expression `c` or `a.b.c`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "SELECT id FROM sessions",
            "\n    select *\n    from sessions",
            "INSERT INTO t VALUES (1)",
        ),
        *("UPDATE t SET a = 1", "update only t\nset a = 1", "DELETE FROM t", "TRUNCATE t"),
        *("CREATE TABLE t ()", "CREATE OR REPLACE VIEW v AS", "DROP {} {}", "ALTER TABLE t ADD a"),
        *("GRANT SELECT ON t TO r", "REVOKE ALL ON t FROM r", "LOCK TABLE t", "CALL prune({})"),
        *("WITH a AS (SELECT 1)", "WITH RECURSIVE a (b) AS (", "EXISTS (SELECT 1 FROM t)"),
        *("BEGIN; DELETE FROM t", "COPY t FROM STDIN", "DO $$ BEGIN", "SET search_path = a"),
        *("EXPLAIN SELECT 1 FROM t", "SET LOCAL x = 1", "CREATE VIEW v AS SELECT a FROM b"),
    ],
)
def test_the_search_for_sql_text_finds_a_statement(text: str) -> None:
    assert STATEMENT.search(text)


@pytest.mark.parametrize(
    "text",
    [
        *("no such session", "let the owner GRANT EXECUTE on the function (SELECT on the view)."),
        *("Create a session", "delete what is wrong from one of them", "Drop it, and try again"),
        *("With what it holds as (1) or (2)", "call archive_session again", "'{}'", "0.7"),
        *("-csearch_path=", "Update the database to the newest revision", "select"),
    ],
)
def test_the_search_for_sql_text_leaves_prose_alone(text: str) -> None:
    assert not STATEMENT.search(text)


def test_sql_text_is_in_sql_and_migrations_only() -> None:
    found = {
        (path, text) for path, tree in modules() for text in texts(tree) if STATEMENT.search(text)
    }

    assert found == ALLOWED


def test_only_archive_sessions_inserts_into_an_archive() -> None:
    in_force = {sql_object.path for sql_object in sql_objects.newest().values()}
    superseded = set((ROOT / "sql").rglob("*_v*.sql")) - in_force
    searched = [
        file
        for directory in ("sql", "migrations", "aria_db")
        for file in (ROOT / directory).rglob("*")
        if file.suffix in {".sql", ".py", ".mako"} and file not in superseded
    ]
    inserts = [
        (file, re.sub(r"\s+", " ", insert))
        for file in searched
        for insert in INSERT_INTO_ARCHIVE.findall(file.read_text("utf-8"))
    ]

    newest = sql_objects.newest()["archive_sessions"].path
    assert sorted(inserts) == [
        (newest, "INSERT INTO engine_chat_message_archive"),
        (newest, "INSERT INTO engine_chat_session_archive"),
    ]


def test_no_program_writes_to_an_archive_through_its_class() -> None:
    written = [
        f"{path}:{call.lineno}"
        for path, tree in modules()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        if last_name(call.func) in ARCHIVE_CLASSES
        or (
            last_name(call.func) in WRITES
            and any(
                last_name(node) in ARCHIVE_CLASSES for arg in call.args for node in ast.walk(arg)
            )
        )
    ]

    assert written == []


def test_no_tracked_file_names_a_machine_or_a_package_index() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("what is tracked is known in a git checkout only")
    listed = subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    found = [
        f"{name}:{number}: {match[0]}"
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).is_file()
        for number, line in enumerate((ROOT / name).read_text("utf-8", "replace").splitlines(), 1)
        if (match := MACHINE.search(line))
    ]

    assert found == []


def imported_tests(file: Path) -> Iterator[tuple[str, ...]]:
    """Give the names, in parts, of the modules of ``tests`` and ``bench`` that a module imports."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names]
            case ast.ImportFrom(level=0, module=str(module), names=names):
                found = [f"{module}.{name.name}" for name in names]
            case _:
                continue
        for name in found:
            if (parts := tuple(name.split(".")))[0] in {"tests", "bench"}:
                yield parts


@pytest.mark.parametrize("folder", ["tests", "bench"])
def test_what_several_folders_use_is_in_tests_support(folder: str) -> None:
    """No folder of tests imports from another, nor do the benchmarks; support imports from none."""
    misplaced = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        own = file.relative_to(ROOT).parent.parts
        allowed = [("tests", "support")]
        if own != ("tests",):
            allowed.append(own if folder == "tests" else (folder,))
        if own[:2] == ("tests", "support"):
            allowed = [own]
        misplaced += [
            f"{file.relative_to(ROOT)} imports {'.'.join(parts)}"
            for parts in imported_tests(file)
            if not any(parts[: len(place)] == place for place in allowed)
        ]

    assert misplaced == []


def test_no_sql_depends_on_what_a_backslash_means() -> None:
    """With standard_conforming_strings off, it would escape in a literal without E."""
    literal = re.compile(r"(?<![A-Za-z0-9_])(E?)'((?:[^']|'')*)'")
    found = [
        (file.name, text)
        for file in sorted((ROOT / "sql").rglob("*.sql"))
        for prefix, text in literal.findall(re.sub(r"--.*", "", file.read_text("utf-8")))
        if "\\" in text and not prefix
    ]
    assert found == []
