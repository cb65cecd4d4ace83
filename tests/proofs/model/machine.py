"""Every operation, through every client, in any order.

A rule takes a session in a state in which the rule does something, and sequences begin with
sessions of all kinds, because only a few can be tried in every run. What is refused, and what is
done twice, has one rule for itself: ``do_anything``.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.proofs.model.model import ALL_TYPES, ANSWERED, Model, Place, Policy, Prune, Refused
from tests.proofs.model.world import World

_TYPES = st.sampled_from(["interactive", "chat", "cron"])
_STATUSES = st.sampled_from(["active", "ended", "archived"])
_AGES = st.sampled_from([1, 30, 300]).map(lambda days: timedelta(days))
# Small batches of everything: then it matters which sessions are the first.
_BATCH_SIZES = st.sampled_from([1, 1, 2, 500])
_PRUNED_TYPES = st.sampled_from([None, None, None, "chat", "cron", "interactive"])
_PRUNES = st.builds(Prune, _AGES | st.none(), _PRUNED_TYPES, _BATCH_SIZES)
_DESTINATIONS = st.sampled_from(["live", "archive"])
_KEPT = st.sampled_from([None, "live", "archive"])
# Who is on record: as an argument of the call, or by the setting of the connection.
_ACTORS = st.sampled_from([None, "", 'Zoë\'s "nightly" job', "legal"])
_POLICIES = st.builds(
    Policy, st.none() | _AGES, st.none() | _AGES, enabled=st.sampled_from([True, True, False])
)

# A move of several sessions, and of which run it is a batch: the kind, which may be the wrong one,
# and whether it is over.
_MOVES = st.sampled_from(
    [
        *[("archive_all", None), ("restore_all", None)] * 3,
        *[("archive_all", ("archive", False)), ("restore_all", ("restore", False))] * 2,
        ("archive_all", ("prune", False)),
        *[("archive_all", ("restore", False)), ("restore_all", ("archive", False))],
        *[("archive_all", ("archive", True)), ("restore_all", ("restore", True))],
    ]
)

# What a column may hold that a careless copy would change.
_ODD_COLUMNS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["", None, "é" * 20]),
        "temperature": st.sampled_from(["-0", "NaN", "-Infinity", None]),
        "total_cost": st.sampled_from(["NaN", None, "-0.000001"]),
        "metadata": st.sampled_from(['{"n": [1.00, -0.0, 1e-7]}', "null", None, "[]"]),
        "created_at": st.sampled_from(["infinity", None, "2020-02-29 12:00:00+00"]),
        "updated_at": st.sampled_from(["infinity", "-infinity", "294276-12-31", None, None]),
        "ended_at": st.sampled_from(["0001-01-01 BC", "2020-02-29 12:00:00.000001+00"]),
    },
)
_MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"])},
    optional={
        "content": st.sampled_from(["", "é" * 40]),
        "thinking": st.sampled_from(["…", ""]),
        "tool_calls": st.sampled_from(['{"a": 1.0, "b": [1e-7, -0.0]}', "null", "[]"]),
        "tool_results": st.sampled_from(['"\\u00e9"', "{}"]),
        "cost": st.sampled_from(["NaN", "-0.000001"]),
        "tokens_input": st.sampled_from([0, 2147483647]),
        "metadata": st.sampled_from(['{"n": 1.00}', None]),
        "created_at": st.sampled_from(["-infinity", None]),
    },
)


class NewSession(NamedTuple):
    """A session that the application has, with its messages."""

    session_type: str
    status: str
    days_old: float
    odd: dict[str, str | None]
    messages: list[dict[str, Any]]


# Ages are apart from each other, so that the time that a step takes decides nothing.
_SESSIONS = st.builds(
    NewSession,
    _TYPES,
    _STATUSES,
    st.sampled_from([400, 40, 2.5, 0]),
    st.just({}) | _ODD_COLUMNS,
    st.lists(_MESSAGES, min_size=1, max_size=3) | st.just([]),
)

# What other code may leave of a session in the archive, after it has copied all of it.
_COPIES = {
    "all of it": "SELECT",
    "its row": "DELETE FROM engine_chat_message_archive WHERE session_id = %(id)s",
    "its messages": "DELETE FROM engine_chat_session_archive WHERE id = %(id)s",
    "another row": "UPDATE engine_chat_session_archive SET title = 'another' WHERE id = %(id)s",
    "its row, written otherwise": "UPDATE engine_chat_session_archive"
    """ SET metadata = '{"n": 1.00}' WHERE id = %(id)s""",
    "its row, with another zero": "UPDATE engine_chat_session_archive"
    " SET temperature = '-0' WHERE id = %(id)s",
    "another message": "UPDATE engine_chat_message_archive SET content = 'another'"
    " WHERE session_id = %(id)s AND id = %(message)s",
    "a message, written otherwise": "UPDATE engine_chat_message_archive"
    """ SET metadata = '{"n": 1.00}' WHERE session_id = %(id)s AND id = %(message)s""",
    "a message less": "DELETE FROM engine_chat_message_archive"
    " WHERE session_id = %(id)s AND id = %(message)s",
    "a message more": "DELETE FROM engine_chat_messages"
    " WHERE session_id = %(id)s AND id = %(message)s",
}
_DAMAGE = {
    "live row deleted": "DELETE FROM engine_chat_sessions WHERE id = %(id)s",
    "archived row deleted": "DELETE FROM engine_chat_session_archive WHERE id = %(id)s",
    "archived row's time": "UPDATE engine_chat_session_archive"
    " SET archived_at = archived_at - interval '1 us' WHERE id = %(id)s",
    "archived row tomorrow": "UPDATE engine_chat_session_archive"
    " SET archived_at = now() + interval '1 day' WHERE id = %(id)s",
    "archived message's time": "UPDATE engine_chat_message_archive"
    " SET archived_at = archived_at - interval '1 us'"
    " WHERE session_id = %(id)s AND id = %(message)s",
}

# What can be done with any session, and with what besides; each by most clients.
_OPERATIONS: dict[str, tuple[Any, ...]] = {
    "archive_one": (),
    "restore": (),
    "resolve": (_DESTINATIONS, _KEPT),
    "hold": (st.just("asked for again"),),
    "release": (),
    "add_message": (st.just("said again"),),
    "end": (),
    "delete": (),
    "delete_archived": (),
    "transcript": (),
}


def _clients(*names: str) -> st.SearchStrategy[str]:
    """Choose a client; seldom the command line, which takes as long as a hundred others."""
    return st.sampled_from([name for name in names for _ in range(30)] + ["command line"])


_EVERY = _clients("sql", "manager", "http")
_NO_HTTP = _clients("sql", "manager")
_SERVICES = st.sampled_from(["manager", "http"])


def _sessions(state: str) -> st.SearchStrategy[str]:
    """Choose one of the sessions that are in a state now."""
    return st.runner().flatmap(lambda machine: st.sampled_from(machine.sessions(state)))


_SEVERAL = st.lists(_sessions("any"), min_size=2, max_size=4, unique=True)


def on(state: str, **arguments: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    """Return the decorator of a rule for a ``session`` in a state: chosen while there is one."""

    def decorate(function: Any) -> Any:
        of_a_session: Any = rule(**{"session": _sessions(state), **arguments})
        return precondition(lambda machine: bool(machine.sessions(state)))(of_a_session(function))

    return decorate


class Machine(RuleBasedStateMachine):
    """A sequence of steps; after each, the database is what the model says.

    :param world: the database.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.empty()
        self.model = Model(world.look())
        self.ids = {"s0": UUID(int=0)}  # there is none until it is inserted
        self.made = 0
        self.added_columns = 0
        self.has_failed = False

    def teardown(self) -> None:
        """Prune what is left in pairs: which goes first, and what must stay."""
        if not self.has_failed:
            self.prune_batch("manager", Prune(timedelta(days=1), None, 2))

    def sessions(self, state: str) -> list[str]:
        """Return the names of the sessions that are in a state."""
        model = self.model
        is_so: Callable[[UUID], bool] = {
            "any": lambda _: True,
            "there": lambda key: model.is_live(key) or model.is_archived(key),
            "live": model.is_live,
            "only live": lambda key: model.is_live(key) and not model.is_conflict(key),
            "only archived": lambda key: model.is_archived(key) and not model.is_live(key),
            "not live": lambda key: not model.is_live(key),
            "in both places": model.is_conflict,
            "held": model.holds.__contains__,
            "prunable": model.is_prunable,
        }[state]
        return [name for name, key in self.ids.items() if is_so(key)]

    # One step

    def do(self, client: str, operation: str, *arguments: Any) -> Any:
        """Let a client do something; compare its answer, and all that is there now."""
        acting = self.world.clients[client]
        self.model.actor = acting.actor
        told, refused = _outcome(getattr(acting, operation), *arguments)
        self.model.look(self.world.look())
        expected, refusal = _outcome(getattr(self.model, operation), *arguments)
        self._check()
        if refused is None or refusal is None:
            assert refused is refusal is None, f"refused: {refused}; expected: {refusal}"
        elif refused.sqlstate is not None:
            assert refused.sqlstate == refusal.sqlstate
        expected = _as_told(told, expected)
        assert told == expected, f"answered: {told}; expected: {expected}"
        return told

    def learn(self, keys: Iterable[UUID]) -> None:
        """See what other code than ours has just made of some rows; no other may have changed."""
        self.model.look(self.world.look())
        self.model.learn(keys)
        self._check()

    def _check(self) -> None:
        self.has_failed = True  # until all of this is passed
        seen = self.model.seen
        for place, mine in (("live", self.model.live), ("archive", self.model.archive)):
            differences = list(_differences(mine, getattr(seen, place)))
            assert not differences, f"{place}: " + "; ".join(differences)
        for view, expected in self.model.views().items():
            found = seen.views[view]
            if view.startswith("engine_chat_session_"):
                expected, found = _sorted(expected, columns=found), _sorted(found, columns=found)
            assert found == expected, f"{view} says {found}; expected: {expected}"
        self.has_failed = False

    # What the application does

    def _new_id(self) -> UUID:
        self.made += 1
        return UUID(int=self.made, version=4)

    def _name(self, session_id: UUID) -> str:
        name = f"s{len(self.ids)}"
        self.ids[name] = session_id
        return name

    def _insert(self, session_id: UUID, new: NewSession) -> set[UUID]:
        updated_at = datetime.now(UTC) - timedelta(days=new.days_old, minutes=self.made)
        row: dict[str, Any] = {"title": f"made {self.made}", "metadata": '{"n": 1.0}'}
        row["updated_at"] = updated_at
        row |= {"session_type": new.session_type, "status": new.status} | new.odd
        self.world.insert("engine_chat_sessions", id=session_id, **row)
        return {session_id} | self._insert_messages(session_id, new.messages)

    def _insert_messages(self, session_id: UUID, messages: list[dict[str, Any]]) -> set[UUID]:
        keys = set()
        for message in messages:
            keys.add(message_id := self._new_id())
            row = {"id": message_id, "session_id": session_id, "content": f"said {self.made}"}
            self.world.insert("engine_chat_messages", **row | message)
        return keys

    @initialize(
        sessions=st.lists(_SESSIONS, min_size=3, max_size=6),
        archived=st.sets(st.integers(0, 5), max_size=3),
        copied=st.dictionaries(st.integers(0, 5), st.sampled_from(sorted(_COPIES)), max_size=2),
        held=st.sets(st.integers(0, 5), max_size=2),
        policies=st.dictionaries(_TYPES | st.just(ALL_TYPES), _POLICIES, max_size=2),
        actor=_ACTORS,
        setting=_ACTORS,
    )
    def begin(
        self,
        sessions: list[NewSession],
        archived: set[int],
        copied: dict[int, str],
        held: set[int],
        policies: dict[str, Policy],
        actor: str | None,
        setting: str | None,
    ) -> None:
        """Begin in the middle: sessions are archived, in both places, or held."""
        self.world.sql.act_for(actor, setting)
        keys: set[UUID] = set()
        for new in sessions:
            session_id = self._new_id()
            self._name(session_id)
            keys |= self._insert(session_id, new)
        self.learn(keys)
        made = dict(enumerate(self.sessions("live")))
        chosen = [made[i] for i in sorted(archived & made.keys())]
        self.move_several("sql", ("archive_all", None), chosen)
        for i, copy in copied.items():
            if i in made.keys() - archived:
                self.copy(made[i], copy)
        for i in sorted(held & made.keys()):
            self.hold("sql", made[i])
        for session_type, policy in policies.items():
            self.do("manager", "set_policy", session_type, policy)

    @on("not live", new=_SESSIONS)
    def insert(self, session: str, new: NewSession) -> None:
        """Use the id of a session that is archived, or gone, or was never there."""
        self.learn(self._insert(self.ids[session], new))

    @rule(client=_SERVICES, session_type=_TYPES)
    def create(self, client: str, session_type: str) -> None:
        created = self.do(client, "create", session_type, f"created {self.made}")
        name = self._name(created)
        for content in ("a question", "an answer"):
            self.do(client, "add_message", self.ids[name], content)

    @on("live", status=_STATUSES, columns=_ODD_COLUMNS, messages=st.lists(_MESSAGES, max_size=2))
    def go_on(
        self,
        session: str,
        status: str,
        columns: dict[str, str | None],
        messages: list[dict[str, Any]],
    ) -> None:
        """Change a session that is live, and add messages."""
        session_id = self.ids[session]
        values = {"status": status} | columns
        changes = ", ".join(f"{name} = %({name})s" for name in values)
        statement = f"UPDATE engine_chat_sessions SET {changes} WHERE id = %(id)s"
        self.world.execute(statement, id=session_id, **values)
        self.learn({session_id} | self._insert_messages(session_id, messages))

    @rule(days=st.sampled_from([35, 350]))
    def time_passes(self, days: int) -> None:
        for table, column in (
            ("engine_chat_sessions", "updated_at"),
            ("engine_chat_session_archive", "archived_at"),
            ("engine_chat_message_archive", "archived_at"),
            ("engine_archive_event", "at"),
        ):
            statement = f"UPDATE {table} SET {column} = {column} - %(age)s"
            self.world.execute(statement, age=timedelta(days))
        self.model.become_older(timedelta(days))
        live, archive = self.model.live, self.model.archive
        self.learn([*live.sessions, *archive.sessions, *archive.messages])

    @precondition(lambda self: self.added_columns < 2)
    @rule(
        table=st.sampled_from(["session", "message"]),
        definition=st.sampled_from(["text", "varchar(9) NOT NULL DEFAULT 'new'", "int DEFAULT 7"]),
        operation=st.sampled_from(["archive_one", "restore"]),
        session=_sessions("any"),
        client=_EVERY,
        in_archive=st.booleans(),
    )
    def add_column(
        self,
        table: str,
        definition: str,
        operation: str,
        session: str,
        client: str,
        in_archive: bool,
    ) -> None:
        """Add a column: nothing moves until the archive has it, or the live table has it not."""
        live, archive = f"engine_chat_{table}s", f"engine_chat_{table}_archive"
        self.added_columns += 1
        self.model.drift = column = f"added_{self.added_columns}"
        everything = [key for name in self.ids for key in self.model.keys_of(self.ids[name])]
        self.world.add_column(live, column, definition)
        self.learn(everything)
        self.do(client, operation, self.ids[session])
        self.do("sql", "prune", Prune(timedelta(days=30), None, 500))
        self.model.drift = None
        if in_archive and not self.world.is_adopted:
            self.world.add_column(archive, column, definition)
            self.world.execute(f"UPDATE {live} SET {column} = '6'")
        else:
            self.world.drop_added_columns()
        self.learn(everything)
        for there_and_back in ("archive_one", "restore"):
            self.do(client, there_and_back, self.ids[session])

    # The moves

    @on("live", client=_EVERY)
    def archive(self, client: str, session: str) -> None:
        self.do(client, "archive_one", self.ids[session])

    @rule(client=_NO_HTTP, move=_MOVES, sessions=_SEVERAL)
    def move_several(
        self, client: str, move: tuple[str, tuple[str, bool] | None], sessions: list[str]
    ) -> None:
        """Move sessions, as a batch of a run if there is one: which SQL alone can say."""
        operation, run = move
        ids = [self.ids[session] for session in sessions]
        if run is None:
            self.do(client, operation, ids)
        else:
            self.do("sql", "in_run", operation, ids, *run)

    @precondition(lambda self: self.model.runs)
    @rule(client=_NO_HTTP, back=st.integers(0, 3))
    def undo(self, client: str, back: int) -> None:
        """Undo one of the last runs, whatever it did, or one that does not exist."""
        self.do(client, "undo", max(len(self.model.runs) + 1 - back, 1))

    @on("only archived", client=_EVERY)
    def restore(self, client: str, session: str) -> None:
        self.do(client, "restore", self.ids[session])

    @on("there", client=_SERVICES | st.just("sql"))
    def delete(self, client: str, session: str) -> None:
        """Delete a session for good, wherever it is."""
        is_live = self.model.is_live(self.ids[session])
        self.do(client, "delete" if is_live else "delete_archived", self.ids[session])

    @precondition(lambda self: self.sessions("only live"))
    @rule(copies=st.lists(st.sampled_from(sorted(_COPIES)), min_size=2, max_size=4), client=_EVERY)
    def copy_and_archive(self, copies: list[str], client: str) -> None:
        """Leave several sessions in both places, each in its way, and archive them."""
        copied = dict(zip(self.sessions("only live"), copies, strict=False))
        for session, copy in copied.items():
            self.copy(session, copy)
        for session in copied:
            self.archive(client, session)

    @on(
        "only live",
        copy=st.sampled_from(sorted(_COPIES)),
        client=_NO_HTTP,
        destination=_DESTINATIONS,
        kept=_KEPT,
    )
    def copy_and_resolve(
        self, session: str, copy: str, client: str, destination: str, kept: str | None
    ) -> None:
        self.copy(session, copy)
        self.resolve(client, session, destination, kept)

    @on("only live", copy=st.sampled_from(sorted(_COPIES)))
    def copy(self, session: str, copy: str) -> None:
        """Leave a session in both places, as code does that copies and is interrupted."""
        session_id = self.ids[session]
        keys = self.model.keys_of(session_id)
        messages = list(self.model.live.messages_of(session_id))
        for statement in (
            "UPDATE engine_chat_sessions"
            """ SET metadata = '{"n": 1.0}', temperature = 0 WHERE id = %(id)s""",
            """UPDATE engine_chat_messages SET metadata = '{"n": 1.0}' WHERE session_id = %(id)s""",
            "INSERT INTO engine_chat_session_archive"
            " SELECT now(), live.* FROM engine_chat_sessions AS live WHERE id = %(id)s",
            "INSERT INTO engine_chat_message_archive"
            " SELECT now(), live.* FROM engine_chat_messages AS live WHERE session_id = %(id)s",
            _COPIES[copy],
        ):
            self.world.execute(statement, id=session_id, message=messages[-1] if messages else None)
        self.learn(keys)

    @on("in both places", client=_NO_HTTP, destination=_DESTINATIONS, kept=_KEPT)
    def resolve(self, client: str, session: str, destination: str, kept: str | None) -> None:
        self.do(client, "resolve", self.ids[session], destination, kept)

    @on("any", data=st.data(), client=_EVERY, operation=st.sampled_from(sorted(_OPERATIONS)))
    def do_anything(self, client: str, session: str, operation: str, data: Any) -> None:
        """Do what may be refused, or there is no session for, or was done before."""
        if not hasattr(self.world.clients[client], operation):
            client = "manager"
        arguments = [data.draw(strategy) for strategy in _OPERATIONS[operation]]
        self.do(client, operation, self.ids[session], *arguments)

    @on("any", damage=st.sampled_from(sorted(_DAMAGE)), client=_NO_HTTP)
    def damage(self, session: str, damage: str, client: str) -> None:
        """Do what nothing here does, and ``verify_archive`` must find."""
        session_id = self.ids[session]
        keys = self.model.keys_of(session_id)
        messages = list(self.model.archive.messages_of(session_id))
        message = messages[-1] if messages else None
        self.world.execute(_DAMAGE[damage], id=session_id, message=message)
        self.learn(keys)
        if client == "command line":
            self.do(client, "findings")  # aria-db check --deep

    # The retention

    @on("there", client=_EVERY)
    def hold(self, client: str, session: str) -> None:
        self.do(client, "hold", self.ids[session], f"asked for by {client}")

    @on("held", client=_EVERY)
    def release(self, client: str, session: str) -> None:
        self.do(client, "release", self.ids[session])

    @rule(session_type=_TYPES | st.just(ALL_TYPES), policy=_POLICIES | st.none())
    def set_policy(self, session_type: str, policy: Policy | None) -> None:
        if policy is None:
            self.do("manager", "unset_policy", session_type)
        else:
            self.do("manager", "set_policy", session_type, policy)

    @precondition(lambda self: self.model.has_old())
    @rule(client=st.sampled_from(["sql", "manager"]), prune=_PRUNES)
    def prune_batch(self, client: str, prune: Prune) -> None:
        """Count what a prune would take, and take it, batch after batch."""
        self.do(client, "count_prunable", prune)
        while (told := self.do("sql", "prune_batch", prune)) and told["sessions"]:
            pass

    @precondition(lambda self: self.model.has_old())
    @rule(client=_EVERY, prune=_PRUNES)
    def prune(self, client: str, prune: Prune) -> None:
        if client == "http":
            prune = Prune(prune.older_than or timedelta(days=30), None, 500)
        self.do(client, "prune", prune)

    @on(
        "prunable",
        client=_EVERY,
        batch_size=_BATCH_SIZES,
        afterwards=st.sampled_from(["archive_one", "delete", "resolve", "restore"]),
    )
    def prune_what_is_referred_to(
        self, session: str, client: str, batch_size: int, afterwards: str
    ) -> None:
        """Let another table refer to a session: the prune leaves it, says so, and goes on."""
        session_id = self.ids[session]
        prune = Prune(timedelta(days=1), None, batch_size)
        self.world.refer_to(session_id)
        self.model.refer_to(session_id)
        self.do(client, "archive_one", session_id)
        self.do("sql", "delete", session_id)
        self.do("sql", "prune_batch", prune)
        self.prune(client, prune)
        self.world.refer_no_more()
        self.model.refer_no_more()
        if afterwards == "resolve":
            self.copy(session, "all of it")
            self.do("manager", afterwards, session_id, "live", None)
        else:
            self.do("sql", afterwards, session_id)

    @rule(client=_EVERY, days=st.sampled_from([1, 30]), one_more=st.booleans())
    def delete_empty(self, client: str, days: int, one_more: bool) -> None:
        """Delete the sessions without a message, of which there may be one more than before."""
        if one_more:
            session_id = self._new_id()
            self._name(session_id)
            self.learn(self._insert(session_id, NewSession("chat", "active", 40, {}, [])))
        self.do(client, "delete_empty", days)

    @precondition(lambda self: self.model.archive.sessions)
    @rule(
        client=_clients("manager"),
        policy=st.one_of(st.none(), *[_POLICIES.filter(lambda policy: policy.purge_after)] * 3),
        session_type=st.none() | _TYPES,
        batch_size=_BATCH_SIZES,
        days=st.sampled_from([35, 350]),
    )
    def purge(
        self,
        client: str,
        policy: Policy | None,
        session_type: str | None,
        batch_size: int,
        days: int,
    ) -> None:
        """Let the archive become old, and delete a batch of it, and then the rest."""
        if policy is not None:
            self.set_policy(session_type or ALL_TYPES, policy)
        self.time_passes(days)
        self.do("sql", "purge_batch", session_type, batch_size)
        self.do(client, "purge", session_type, batch_size)


def _outcome(call: Callable[..., Any], *arguments: Any) -> tuple[Any, Refused | None]:
    try:
        return call(*arguments), None
    except Refused as refused:
        return None, refused


def _as_told(told: Any, expected: Any) -> Any:
    """Keep of each answer what the client tells: the procedure, for one, tells nothing."""
    if isinstance(told, dict) and isinstance(expected, dict):
        if expected.keys() <= ANSWERED:
            return {name: value for name, value in expected.items() if name in told}
        return {key: _as_told(told.get(key), value) for key, value in expected.items()}
    return expected


def _differences(expected: Place, found: Place) -> Iterable[str]:
    """Tell how the rows of a place are not those that are expected."""
    for table in ("sessions", "messages"):
        mine, rows = getattr(expected, table), getattr(found, table)
        for key in mine.keys() | rows.keys():
            if key not in rows or key not in mine:
                yield f"{table}: {key} is {'lost' if key in mine else 'not expected'}"
            elif rows[key] != mine[key]:
                for name in rows[key].keys() | mine[key].keys():
                    value, wanted = (row[key].get(name) for row in (rows, mine))
                    if value != wanted:
                        yield f"{table}: {key} has {name} = {value!r}, expected {wanted!r}"


def _sorted(rows: list[Any], columns: list[Any]) -> list[Any]:
    """Return the rows of a list in one order, with the columns that the list has."""
    names = list(columns[0]) if columns else []
    return sorted(([row[name] for name in names] for row in rows), key=repr)
