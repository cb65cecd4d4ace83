"""Random databases around the chat tables: tables that refer to them, triggers, constraints.

A schema is drawn as data, so that Hypothesis can shrink it, and then built with SQL.
"""

from dataclasses import dataclass
from uuid import UUID

import psycopg
from hypothesis import strategies as st

from tests.support import new_session
from tests.support.dependents import CHAT, set_handling

TABLES = CHAT["tables"]
ACTIONS = ("CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION", "RESTRICT")
ROOTS = ("sessions", "messages", "both")

# The handlings that fit a key with the action. What refers by another key stays in its way.
FITTING = {
    "CASCADE": (*["move"] * 6, "delete", "delete", "refuse"),
    "SET NULL": (*["move"] * 4, "detach", "detach", "refuse"),
    "SET DEFAULT": (*["move"] * 4, "detach", "detach", "refuse"),
    "NO ACTION": (*["move"] * 8, "refuse"),
    "RESTRICT": (*["move"] * 8, "refuse"),
}


@dataclass(frozen=True)
class Dependent:
    """A table that refers to chat rows, or to another dependent.

    :param parent: ``sessions``, ``messages``, ``both``, or the number of an earlier dependent.
    :param action: what stands behind ON DELETE.
    :param is_deferred: whether the key is checked at COMMIT.
    :param is_recursive: whether the rows also refer to each other.
    :param is_partitioned: whether the table is partitioned.
    :param handling: what ``set_archive_dependent`` is told.
    """

    parent: str | int
    action: str
    is_deferred: bool
    is_recursive: bool
    is_partitioned: bool
    handling: str


@dataclass(frozen=True)
class Trigger:
    """A row trigger.

    :param table: a field of :class:`tests.support.dependents.Chat`, or the number of a dependent.
    :param does: ``keep``, ``change``, ``redirect``, ``count`` or ``watch``.
    """

    table: str | int
    does: str


@dataclass(frozen=True)
class Schema:
    """What an application has around the chat tables.

    :param has_parents: whether sessions can refer to sessions.
    :param constraint: a constraint of the archive alone, or None.
    :param is_key_off: whether the triggers of the messages' key are switched off.
    """

    dependents: tuple[Dependent, ...]
    triggers: tuple[Trigger, ...]
    has_parents: bool
    constraint: str | None
    is_key_off: bool

    @property
    def depth(self) -> int:
        """How far the furthest dependent is from the chat tables."""
        depths: list[int] = []
        for dependent in self.dependents:
            parent = dependent.parent
            depths.append(1 + depths[parent] if isinstance(parent, int) else 1)
        return max(depths, default=0)

    @property
    def tables(self) -> list[str]:
        """The dependents' names."""
        return [f"dependent_{number}" for number in range(len(self.dependents))]


@st.composite
def _dependents(draw: st.DrawFn, is_rough: bool) -> tuple[Dependent, ...]:
    dependents: list[Dependent] = []
    for number in range(draw(st.integers(0, 3))):
        earlier = list(range(number))
        # Mostly a chain: what hangs on what hangs on a session.
        parent = draw(st.sampled_from([*earlier[-1:] * 4, *earlier, *ROOTS]))
        action = draw(st.sampled_from(ACTIONS))
        handling = draw(st.sampled_from(FITTING[action] if is_rough else ("move",)))
        dependents.append(
            Dependent(
                parent,
                action,
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.sampled_from([False, False, True])),
                handling,
            )
        )
    return tuple(dependents)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Draw a schema: two of three let every session move, and in the others anything may happen."""
    is_rough = draw(st.sampled_from([False, False, True]))
    dependents = draw(_dependents(is_rough))
    chat_tables = ("sessions", "messages", "session_archive", "message_archive")
    triggers = draw(
        st.lists(
            st.builds(
                Trigger,
                st.sampled_from([*chat_tables, *range(len(dependents))]),
                st.sampled_from(
                    ["watch", "count", "keep", "change", "redirect"]
                    if is_rough
                    else ["watch", "count"]
                ),
            ),
            max_size=2,
            unique_by=lambda trigger: trigger.table,
        )
    )
    return Schema(
        dependents,
        tuple(triggers),
        draw(st.booleans()),
        draw(st.sampled_from([None, None, "NOT NULL", "CHECK"])) if is_rough else None,
        is_rough and draw(st.sampled_from([False, False, False, True])),
    )


def build(connection: psycopg.Connection, schema: Schema, sessions: list[UUID]) -> None:
    """Build a schema, with sessions and rows that hang on them."""
    if schema.has_parents:
        for table in (TABLES.sessions, TABLES.session_archive):
            connection.execute(f"ALTER TABLE {table} ADD parent_id uuid")
        connection.execute(
            f"ALTER TABLE {TABLES.sessions} ADD FOREIGN KEY (parent_id)"
            f" REFERENCES {TABLES.sessions} ON DELETE CASCADE"
        )
    for number, session_id in enumerate(sessions):
        new_session(connection, 2, id=session_id, title=f"session {number}")
        connection.execute(
            "UPDATE engine_chat_sessions SET updated_at = now() - %s * interval '100 days'"
            " WHERE id = %s",
            (len(sessions) - number, session_id),
        )
    if schema.has_parents:
        connection.execute(
            "UPDATE engine_chat_sessions SET parent_id = %s WHERE id = %s", sessions[:2]
        )
    for number, dependent in enumerate(schema.dependents):
        _build_dependent(connection, number, dependent, sessions)
    for name, dependent in zip(schema.tables, schema.dependents, strict=True):
        reachable = connection.execute(
            "SELECT 1 FROM archive_dependents() WHERE table_name = %s", (name,)
        ).fetchone()
        if reachable:
            set_handling(connection, name, _fitting(connection, name, dependent.handling))
    for number, trigger in enumerate(schema.triggers):
        table = trigger.table
        name = schema.tables[table] if isinstance(table, int) else getattr(TABLES, table)
        _build_trigger(connection, f"meddle_{number}", name, trigger.does)
    if schema.constraint == "NOT NULL":
        connection.execute(f"ALTER TABLE {TABLES.session_archive} ALTER model SET NOT NULL")
        connection.execute("UPDATE engine_chat_sessions SET model = 'm' WHERE title <> 'session 1'")
    elif schema.constraint == "CHECK":
        connection.execute(f"ALTER TABLE {TABLES.session_archive} ADD CHECK (title <> 'session 1')")
    if schema.is_key_off:
        connection.execute(f"ALTER TABLE {TABLES.messages} DISABLE TRIGGER ALL")


def _fitting(connection: psycopg.Connection, table: str, handling: str) -> str:
    """Return the handling, or move where another key of the table forbids it."""
    actions = connection.execute(
        "SELECT array_agg(on_delete) FROM archive_dependents() WHERE table_name = %s", (table,)
    ).fetchone()
    assert actions is not None
    found = set(actions[0])
    is_wrong = (handling == "delete" and found != {"CASCADE"}) or (
        handling == "detach" and not found <= {"SET NULL", "SET DEFAULT"}
    )
    return "move" if is_wrong else handling


def _build_dependent(
    connection: psycopg.Connection, number: int, dependent: Dependent, sessions: list[UUID]
) -> None:
    name = f"dependent_{number}"
    deferred = " DEFERRABLE INITIALLY DEFERRED" if dependent.is_deferred else ""
    on_delete = f"ON DELETE {dependent.action}{deferred}"
    is_partitioned = dependent.is_partitioned
    partitioning = " PARTITION BY LIST (half)" if is_partitioned else ""
    unique = "UNIQUE (id, half)" if is_partitioned else "UNIQUE (id)"
    connection.execute(
        f"CREATE TABLE {name} (id int NOT NULL, half int NOT NULL DEFAULT 0, session_id uuid,"
        " message_id uuid, parent int, parent_half int, own int, own_half int, value real,"
        f" {unique}){partitioning}"
    )
    if is_partitioned:
        for half in (0, 1):
            connection.execute(
                f"CREATE TABLE {name}_{half} PARTITION OF {name} FOR VALUES IN ({half})"
            )
    keys = []
    if dependent.parent in ("sessions", "both"):
        keys.append(f"FOREIGN KEY (session_id) REFERENCES {TABLES.sessions} {on_delete}")
    if dependent.parent in ("messages", "both"):
        keys.append(
            f"FOREIGN KEY (session_id, message_id) REFERENCES {TABLES.messages} {on_delete}"
        )
    if isinstance(dependent.parent, int):
        of = f"dependent_{dependent.parent}"
        has_halves = _is_partitioned(connection, of)
        columns = ("parent, parent_half", "id, half") if has_halves else ("parent", "id")
        keys.append(f"FOREIGN KEY ({columns[0]}) REFERENCES {of} ({columns[1]}) {on_delete}")
    if dependent.is_recursive:
        columns = ("own, own_half", "id, half") if is_partitioned else ("own", "id")
        keys.append(f"FOREIGN KEY ({columns[0]}) REFERENCES {name} ({columns[1]}) {on_delete}")
    for key in keys:
        connection.execute(f"ALTER TABLE {name} ADD {key}")

    if isinstance(dependent.parent, int):
        connection.execute(
            f"INSERT INTO {name} (id, half, parent, parent_half, value)"
            f" SELECT id, id % 2, id, half, id / 10.0 FROM dependent_{dependent.parent}"
        )
    else:
        # The last session has nothing that hangs on it.
        connection.execute(
            f"INSERT INTO {name} (id, half, session_id, message_id, value)"
            " SELECT row_number() OVER (ORDER BY session_id, id),"
            " row_number() OVER (ORDER BY session_id, id) %% 2, session_id, id, 0.1"
            f" FROM {TABLES.messages} WHERE session_id = ANY(%s)",
            (sessions[:-1],),
        )
    if dependent.is_recursive:
        # Each to itself: to another session's row would be a row that hangs on two sessions.
        connection.execute(f"UPDATE {name} SET own = id, own_half = half")
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    connection.execute("SET CONSTRAINTS ALL DEFERRED")


def _is_partitioned(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute(
        "SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", (table,)
    ).fetchone()
    return row == (True,)


def _build_trigger(connection: psycopg.Connection, name: str, table: str, does: str) -> None:
    columns = {"engine_chat_sessions": "title", "engine_chat_messages": "content"}
    column = columns.get(table.replace("_session_archive", "_sessions"), "")
    if table == "engine_chat_message_archive":
        column = "content"
    new = f"NEW.{column} := 'changed';" if column else "NEW.value := 25;"
    when, body = {
        "keep": ("BEFORE DELETE", "RETURN NULL;"),
        "change": ("BEFORE INSERT", f"{new} RETURN NEW;"),
        "redirect": ("BEFORE INSERT", "INSERT INTO elsewhere VALUES (NEW::text); RETURN NULL;"),
        "count": (
            "AFTER INSERT OR DELETE",
            "UPDATE engine_chat_sessions SET message_count = coalesce(message_count, 0)"
            " + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END"
            " WHERE id = coalesce(NEW.session_id, OLD.session_id); RETURN NULL;"
            if table == "engine_chat_messages"
            else "INSERT INTO elsewhere VALUES (TG_OP); RETURN NULL;",
        ),
        "watch": (
            "AFTER INSERT OR UPDATE OR DELETE",
            "INSERT INTO elsewhere VALUES (TG_OP); RETURN NULL;",
        ),
    }[does]
    connection.execute("CREATE TABLE IF NOT EXISTS elsewhere (what text)")
    connection.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END; $$;"
        f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
    )
