"""A database that is dumped and restored, or upgraded by pg_upgrade, archives as before."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate
from tests.support import call, command_line, layouts, new_session, places
from tests.support.dependents import (
    CHAT,
    Chat,
    add_feedback,
    hazards,
    refer_to_messages,
    set_handling,
)
from tests.support.installation import connected, one, run_script, upgrade
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import (
    ARCHIVED,
    GONE,
    LIVE,
    archive,
    begin_run,
    copy_to_archive,
    finish_run,
    place_hold,
    session_of_age,
    set_policy,
)
from tests.support.server import new_place

pytestmark = pytest.mark.slow

# The tables that hold what must arrive, beside the four of the chats.
OWN = (
    "engine_session_hold",
    "engine_archive_policy",
    "engine_archive_event",
    "engine_archive_run",
    "engine_archive_dependent",
    "engine_conflict_resolution",
    "aria_db_version",
)
FOUR = (
    "engine_chat_sessions",
    "engine_chat_messages",
    "engine_chat_session_archive",
    "engine_chat_message_archive",
)


@dataclass(frozen=True)
class Filled:
    """Sessions of a database in which everything has happened.

    :param live: one that is live.
    :param archived: one that is archived, with feedback.
    :param held: one that is archived and on hold.
    :param run_id: the run that archived the held one and the next.
    """

    live: UUID
    archived: UUID
    held: UUID
    run_id: int


def fill(connection: psycopg.Connection, chat: Chat, role: str) -> Filled:
    refer_to_messages(connection, chat, "CASCADE")
    set_handling(connection, "feedback", "move")
    session_id, archived, held, merged = (new_session(connection) for _ in range(4))
    add_feedback(connection, archived)
    archive(connection, archived, actor="alice")
    run_id = begin_run(connection, "archive", actor="bob")
    archive(connection, held, new_session(connection), run_id=run_id)
    finish_run(connection, run_id)
    place_hold(connection, held, "a lawsuit")
    copy_to_archive(connection, merged)
    call(connection, "resolve_session_conflict", session_id=merged, destination="live")
    set_policy(connection, "cron", archive_after="2 days", purge_after="1 year")
    call(connection, "grant_archive_access", role_name=role, access="operator")
    return Filled(session_id, archived, held, run_id)


def rows(connection: psycopg.Connection) -> dict[str, list]:
    """Return the rows of every table that matters, as text."""
    return {
        table: connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1").fetchall()
        for table in (*FOUR, *OWN, "feedback", "feedback_archive")
    }


def privileges(connection: psycopg.Connection, role: str) -> set[tuple]:
    """Return what a role may do, and what everybody may."""
    return set(
        connection.execute(
            """
            SELECT object.name, privilege.grantee::regrole::text, privilege.privilege_type
            FROM (
                SELECT oid::regclass::text AS name, relacl AS acl FROM pg_class
                UNION ALL
                SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
                FROM pg_proc
            ) AS object (name, acl)
            CROSS JOIN LATERAL aclexplode(object.acl) AS privilege
            WHERE
                (privilege.grantee = %s::regrole OR privilege.grantee = 0)
                AND object.name ~ 'engine_|archive|restore|prune|purge|hold|session'
                AND object.name !~ 'information_schema|pg_'
            """,
            (role,),
        )
    )


def use(connection: psycopg.Connection, filled: Filled, chat: Chat, role: str) -> None:
    """Call every public function, procedure and view; each does what it should."""
    called = set()

    def function(name: str, **arguments: object) -> list:
        called.add(name)
        return call(connection, name, **arguments)

    schema = one(connection, "SELECT current_schema()")
    public = {
        name: (kind, volatility, needed)
        for name, kind, volatility, needed in connection.execute(
            "SELECT proname::text, prokind, provolatile, pronargs - pronargdefaults FROM pg_proc"
            " WHERE pronamespace = %s::text::regnamespace AND proname !~ '^_' AND prokind <> 'a'",
            (schema,),
        )
    }
    views = connection.execute(
        "SELECT relname::text FROM pg_class"
        " WHERE relnamespace = %s::text::regnamespace AND relkind = 'v'",
        (schema,),
    ).fetchall()
    before = rows(connection)
    for (view,) in views:
        connection.execute(f"SELECT * FROM {view}")
    for name, (kind, volatility, needed) in public.items():
        if kind == "f" and volatility in "si" and needed == 0:
            function(name)
    assert function("verify_archive") == []
    assert function("archive_column_drift") == []

    # what was archived before comes back as it was, with what hung on it
    (restored,) = function("restore_session", session_id=filled.archived)
    assert (restored.message_count, restored.newly_restored) == (3, True)
    assert places(connection, filled.archived) == LIVE
    assert rows(connection)["feedback"] != []
    (archived,) = function("archive_session", session_id=filled.archived)
    assert archived.message_count == 3
    assert rows(connection)["feedback_archive"] == [
        (text.replace(text.split(",")[0], after[0].split(",")[0]),)
        for (text,), after in zip(
            before["feedback_archive"], rows(connection)["feedback_archive"], strict=True
        )
    ]
    history = function("archive_history", session_id=filled.archived)
    assert {event.event for event in history} == {"archived", "restored"}
    assert "alice" in {event.actor for event in history}

    function("release_hold", session_id=filled.held)
    function("place_hold", session_id=filled.held, reason="another lawsuit")
    with pytest.raises(psycopg.Error) as refused:
        function("delete_archived_session", session_id=filled.held)
    assert refused.value.sqlstate == "AR003"
    function("release_hold", session_id=filled.held)
    function("count_restorable_sessions", run_id=filled.run_id)
    assert function("restore_run", run_id=filled.run_id)[0].sessions == 2
    assert places(connection, filled.held) == LIVE
    function("archive_sessions", session_ids=[filled.held, filled.live])
    assert function("delete_archived_session", session_id=filled.held)
    assert places(connection, filled.held) == GONE
    assert len(function("restore_sessions", session_ids=[filled.live])) == 1

    # identity columns go on where they were
    old = session_of_age(connection, "90 days")
    (run,) = function("begin_archive_run", kind="prune")
    assert run.begin_archive_run > filled.run_id
    assert function("prune_sessions", run_id=run.begin_archive_run)[0].sessions == 1
    function("finish_archive_run", run_id=run.begin_archive_run, stop_reason="nothing left")
    assert places(connection, old) == ARCHIVED
    session_of_age(connection, "90 days", session_type="cron")
    connection.execute("CALL prune_old_sessions()")
    called.add("prune_old_sessions")
    function("purge_archive")
    empty = session_of_age(connection, "1 day", 0)
    zombie = session_of_age(connection, "1 day", session_type="scoped")
    assert function("count_empty_sessions", older_than="1 hour")[0].count_empty_sessions == 1
    assert function("delete_empty_sessions", older_than="1 hour")[0].sessions == 1
    assert places(connection, empty) == GONE
    assert function("end_zombie_sessions")[0].end_zombie_sessions == 1
    assert len(function("last_message_times", place="live", session_ids=[zombie])) == 1
    message_id = one(
        connection, "SELECT id FROM engine_chat_messages WHERE session_id = %s LIMIT 1", zombie
    )
    function("delete_chat_message", session_id=zombie, message_id=message_id)
    assert places(connection, zombie) == (1, 2, 0, 0)

    function("estimate_sessions", place="archive")
    conflict = new_session(connection)
    copy_to_archive(connection, conflict)
    assert function("session_conflict_differences", session_id=conflict) == []
    function("resolve_session_conflict", session_id=conflict, destination="archive")
    assert function("delete_chat_session", session_id=filled.live)
    set_handling(connection, "feedback", "delete")
    called.add("set_archive_dependent")
    function("repair_archive_access", dry_run=True)
    function("grant_archive_access", role_name=role, access="operator", revoking=True)
    function("grant_archive_access", role_name=role, access="operator")
    assert function("verify_archive") == []

    assert called == set(public)


@dataclass(frozen=True)
class Way:
    """A way to dump a database and to restore it.

    :param dump: arguments of ``pg_dump``.
    :param restore: arguments of ``pg_restore``; None where psql does it.
    """

    dump: tuple[str, ...]
    restore: tuple[str, ...] | None


WAYS = {
    "custom": Way(("--format=custom",), ()),
    "plain": Way(("--format=plain",), None),
    "no-acl": Way(("--format=custom",), ("--no-acl",)),
    "no-owner": Way(("--format=custom",), ("--no-owner", "--single-transaction")),
}


def run_program(name: str, database: Database, *arguments: object) -> None:
    """Run a program of PostgreSQL on a database."""
    url = replace(database, schema=None).libpq_url()
    done = subprocess.run(
        [embedded.program(name), f"--dbname={url}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def dump_and_restore(
    source: Database, target: Database, way: Way, file: Path, *of_dump: str
) -> None:
    run_program("pg_dump", source, f"--file={file}", *way.dump, *of_dump)
    if way.restore is None:
        run_script(replace(target, schema=None), file.read_text("utf-8"))
    else:
        run_program("pg_restore", target, *way.restore, file)


def check(database: Database) -> list[str]:
    """Run ``aria-db check --deep``; return what it prints but for ages and sizes."""
    outcome = command_line.on(database)("check", "--deep")
    return [line for line in outcome.stdout.splitlines() if "size" not in line]


@pytest.fixture
def _same_version(postgresql_empty: psycopg.Connection) -> None:
    """Skip on the older servers of the matrix: a dump is of the version of pg_dump."""
    version = postgresql_empty.info.server_version // 10000
    done = subprocess.run([embedded.program("pg_dump"), "--version"], capture_output=True)
    if f" {version}." not in done.stdout.decode():
        pytest.skip(f"the programs here are not of PostgreSQL {version}")


@pytest.mark.usefixtures("_same_version")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@BOTH_LAYOUTS
def test_a_restored_database_archives_as_before(
    way: Way,
    database: Database,
    connection: psycopg.Connection,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    layout: str,
    role: str,
    tmp_path: Path,
) -> None:
    chat = CHAT[layout]
    filled = fill(connection, chat, role)
    before, was_granted = rows(connection), privileges(connection, role)
    assert was_granted

    dump_and_restore(database, empty_database, way, tmp_path / "dump")

    path = "public" if layout == "tables" else layouts.SEARCH_PATH
    empty_connection.execute(f"SET search_path = {path}")
    restored = replace(empty_database, schema=database.schema)
    assert rows(empty_connection) == before
    if "--no-acl" not in (way.restore or ()):
        assert privileges(empty_connection, role) == was_granted
        assert check(restored) == check(database)
    use(empty_connection, filled, chat, role)
    empty_connection.execute(f"DROP OWNED BY {role}")


@pytest.mark.usefixtures("_same_version")
@pytest.mark.parametrize("way", ["custom", "plain"])
def test_a_schema_of_its_own_is_dumped_and_restored_alone(
    way: str,
    database: Database,
    connection: psycopg.Connection,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    role: str,
    tmp_path: Path,
) -> None:
    upgrade(database, schema="aria")
    connection.execute("SET search_path = aria")
    filled = fill(connection, CHAT["tables"], role)
    before, was_granted = rows(connection), privileges(connection, role)

    dump_and_restore(database, empty_database, WAYS[way], tmp_path / "dump", "--schema=aria")

    assert one(empty_connection, "SELECT to_regclass('public.engine_chat_sessions')") is None
    empty_connection.execute("SET search_path = aria")
    assert rows(empty_connection) == before
    assert privileges(empty_connection, role) == was_granted
    restored = replace(empty_database, schema="aria")
    assert check(restored) == check(replace(database, schema="aria"))
    upgrade(restored, schema="aria")  # nothing to do
    use(empty_connection, filled, CHAT["tables"], role)
    empty_connection.execute(f"DROP OWNED BY {role}")


# pg_upgrade

OLDER = Path("/usr/lib/postgresql/15/bin")


class Cluster:
    """A data directory and the programs of its version; no server runs at first.

    :param programs: the directory of the programs.
    :param data: the data directory, which is created.
    :param options: of ``initdb``: what both clusters must have in common.
    """

    def __init__(self, programs: Path, data: Path, *options: str) -> None:
        self.programs, self.data = programs, data
        common = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.run("initdb", f"--pgdata={data}", *common, "--locale=C", *options)

    def run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self.programs / program, *map(str, arguments)],
            cwd=self.data.parent,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            capture_output=True,
            text=True,
            timeout=300,
            **embedded.unprivileged(),
        )
        found = "".join(file.read_text() for file in self.data.rglob("*_libraries.txt"))
        assert done.returncode == 0, done.stdout + done.stderr + found

    @contextmanager
    def running(self) -> Iterator[Database]:
        """Run the server; give its database."""
        options = f"-c listen_addresses= -c fsync=off -k {self.data.parent}"
        server = ("--wait", f"--pgdata={self.data}")
        self.run("pg_ctl", "start", *server, f"--log={self.data}.log", f"--options={options}")
        try:
            query = {"host": str(self.data.parent), "port": "5432"}
            yield Database(
                sa.URL.create("postgresql+psycopg", "postgres", database="postgres", query=query)
            )
        finally:
            self.run("pg_ctl", "stop", *server, "--mode=fast")


@pytest.mark.skipif(not (OLDER / "initdb").exists(), reason="Debian's postgresql-15 is not here")
@pytest.mark.parametrize("tables", ["tables", "views"])
def test_a_cluster_that_pg_upgrade_took_from_15_to_18_archives_as_before(tables: str) -> None:
    path = "public" if tables == "tables" else layouts.SEARCH_PATH
    with new_place() as place:
        if account := embedded.unprivileged():
            os.chown(place, account["user"], account["group"])
        old = Cluster(OLDER, place / "old")
        with old.running() as database:
            if tables == "tables":
                upgrade(database)
            else:
                layouts.adopt(database)
            with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
                if tables == "views":
                    # the application's, and not among the programs of 18
                    connection.execute('DROP EXTENSION IF EXISTS "uuid-ossp" CASCADE')
                    for table in (CHAT[tables].sessions, CHAT[tables].messages):
                        connection.execute(
                            f"ALTER TABLE {table} ALTER id SET DEFAULT gen_random_uuid()"
                        )
                connection.execute("CREATE ROLE operator LOGIN")
                connection.execute(f"SET search_path = {path}")
                filled = fill(connection, CHAT[tables], "operator")
                before, was_granted = rows(connection), privileges(connection, "operator")
        new = Cluster(embedded.program("initdb").parent, place / "new", "--no-data-checksums")

        new.run(
            "pg_upgrade",
            *(f"--old-datadir={old.data}", f"--new-datadir={new.data}", "--username=postgres"),
            *(f"--old-bindir={old.programs}", f"--new-bindir={new.programs}", "--no-sync"),
            f"--socketdir={place}",
        )

        with new.running() as database:
            with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
                assert connection.info.server_version >= 180000
                connection.execute(f"SET search_path = {path}")
                assert rows(connection) == before
                assert privileges(connection, "operator") == was_granted
                assert hazards(connection) == []
                use(connection, filled, CHAT[tables], "operator")
            upgraded = replace(database, schema=path.partition(",")[0])
            with connected(upgraded) as opened:
                assert migrate.status(opened, upgraded.schema).is_newest
            outcome = command_line.on(upgraded)("check", "--deep")
            assert outcome.returncode == 0, outcome.stdout
