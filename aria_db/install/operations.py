"""Alembic operations that install a version of a file in ``sql/``.

Every table, view, function and procedure is one file per version,
``sql/<topic>/<name>_v<NN>.sql``, and a file that was released never changes. A revision
names the object and the version. The operation finds the file by that name, reads from it
what kind of object it is and which arguments it takes, and knows its inverse, so that a
downgrade is the upgrade read backwards, online and with ``--sql`` alike::

    OPERATIONS = [
        CreateSqlObject("archive_session", 1),
        ReplaceSqlObject("engine_chat_session_list", 2),
    ]


    def upgrade() -> None:
        op.apply_sql_objects(OPERATIONS)


    def downgrade() -> None:
        op.revert_sql_objects(OPERATIONS)

Single ones are called as Alembic's own: ``op.create_sql_object("archive_session", 1)``.

How an object changes after a release:

* A function with the same arguments, and a view with the same columns or more at its end,
  is replaced.
* A function that gets an argument becomes two in its file: one with the new argument and no
  defaults, and one with the old arguments that calls it. Calls of both kinds work from then
  on, and a role that may call the one may call the other.
* A table of ours gets columns by Alembic's own ``AddColumnOp``, whose inverse drops them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from alembic.operations import MigrateOperation, Operations
from alembic.script import ScriptDirectory

from aria_db.database import literal
from aria_db.install import resources
from aria_db.install.sql_objects import CHAT_TABLES, SqlObject, find, newest, verbatim


def at_head(scripts: ScriptDirectory) -> list[SqlObject]:
    """Return what is installed at the newest revision, in the order of its installation.

    :param scripts: the revisions.
    """
    installed: dict[str, SqlObject] = {}
    for script in reversed(list(scripts.walk_revisions())):
        for operation in getattr(script.module, "OPERATIONS", ()):
            if not isinstance(operation, SqlObjectOperation):
                continue
            installed.pop(operation.name, None)
            if not isinstance(operation, DropSqlObject):
                installed[operation.name] = operation.file
    return list(installed.values())


class SqlObjectOperation(MigrateOperation):
    """Base class of the operations on one version of an SQL object.

    :param name: the object's unqualified name; the revision's search path says
        in which schema it is.
    :param version: the version to create, to replace another one with, or to drop.
    """

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version

    @property
    def file(self) -> SqlObject:
        """The version of the object, with its text."""
        return find(self.name, self.version)

    def reverse(self) -> SqlObjectOperation:
        """Return the operation that undoes this one."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *sorted(vars(self).items())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


@Operations.register_operation("create_sql_object")
class CreateSqlObject(SqlObjectOperation):
    """Create an object.

    Something else of the same name (of a function: and the same argument types) is not
    replaced: the operation fails with 42P07 or 42723.

    :param name: as :class:`SqlObjectOperation`.
    :param version: as :class:`SqlObjectOperation`.
    :param if_absent: of a table: leave it as it is where it exists. The inverse then drops
        only what aria-db created.
    """

    def __init__(self, name: str, version: int, *, if_absent: bool = False) -> None:
        super().__init__(name, version)
        self.if_absent = if_absent

    @classmethod
    def create_sql_object(
        cls, operations: Operations, name: str, version: int, *, if_absent: bool = False
    ) -> None:
        """Create an object: ``op.create_sql_object("archive_session", 1)``."""
        operations.invoke(cls(name, version, if_absent=if_absent))

    def reverse(self) -> DropSqlObject:
        """Return the operation that drops the same version."""
        return DropSqlObject(self.name, self.version, if_created=self.if_absent)


@Operations.register_operation("drop_sql_object")
class DropSqlObject(SqlObjectOperation):
    """Drop an object. A table that holds rows is not dropped: 55000.

    :param name: as :class:`SqlObjectOperation`.
    :param version: the version that is installed, which the inverse creates again.
    :param if_created: of a table: drop it only where aria-db created it.
    """

    def __init__(self, name: str, version: int, *, if_created: bool = False) -> None:
        super().__init__(name, version)
        self.if_created = if_created

    @classmethod
    def drop_sql_object(cls, operations: Operations, name: str, version: int) -> None:
        """Drop an object: ``op.drop_sql_object("archive_session", 1)``."""
        operations.invoke(cls(name, version))

    def reverse(self) -> CreateSqlObject:
        """Return the operation that creates the same version."""
        return CreateSqlObject(self.name, self.version, if_absent=self.if_created)


@Operations.register_operation("replace_sql_object")
class ReplaceSqlObject(SqlObjectOperation):
    """Replace a function, procedure or view with another version; privileges are kept.

    :param name: as :class:`SqlObjectOperation`.
    :param version: the version to install.
    :param replaces: the version that is installed; the one before by default.
    """

    def __init__(self, name: str, version: int, *, replaces: int | None = None) -> None:
        super().__init__(name, version)
        self.replaces = version - 1 if replaces is None else replaces

    @classmethod
    def replace_sql_object(
        cls, operations: Operations, name: str, version: int, *, replaces: int | None = None
    ) -> None:
        """Replace an object: ``op.replace_sql_object("archive_session", 2)``."""
        operations.invoke(cls(name, version, replaces=replaces))

    def reverse(self) -> ReplaceSqlObject:
        """Return the operation that brings the replaced version back."""
        return ReplaceSqlObject(self.name, self.replaces, replaces=self.version)


@Operations.register_operation("apply_sql_objects")
class ApplySqlObjects(MigrateOperation):
    """Carry out operations, in their order. The relations of aria-db are locked first.

    :param steps: operations that know their inverse: those of this module, and Alembic's own
        such as ``AddColumnOp``.
    """

    def __init__(self, steps: Sequence[MigrateOperation]) -> None:
        self.steps = steps

    @classmethod
    def apply_sql_objects(cls, operations: Operations, steps: Sequence[MigrateOperation]) -> None:
        """Carry out operations: ``op.apply_sql_objects(OPERATIONS)``."""
        operations.invoke(cls(steps))


@Operations.register_operation("revert_sql_objects")
class RevertSqlObjects(MigrateOperation):
    """Undo operations, the last one first. The relations of aria-db are locked first.

    :param steps: the operations that were applied.
    """

    def __init__(self, steps: Sequence[MigrateOperation]) -> None:
        self.steps = steps

    @classmethod
    def revert_sql_objects(cls, operations: Operations, steps: Sequence[MigrateOperation]) -> None:
        """Undo operations: ``op.revert_sql_objects(OPERATIONS)``."""
        operations.invoke(cls(steps))


@Operations.register_operation("run_sql_script")
class RunSqlScript(MigrateOperation):
    """Run a script of ``sql/installation``.

    :param name: the file's name, without ``.sql``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def run_sql_script(cls, operations: Operations, name: str) -> None:
        """Run a script: ``op.run_sql_script("forget_default_policies")``."""
        operations.invoke(cls(name))

    @property
    def path(self) -> Path:
        """The file."""
        return resources.SQL / "installation" / f"{self.name}.sql"


@Operations.register_operation("revoke_default_privileges")
class RevokeDefaultPrivileges(MigrateOperation):
    """Revoke what ``ALTER DEFAULT PRIVILEGES`` has granted on new objects.

    :param names: tables and views, and functions with their argument types.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    @classmethod
    def revoke_default_privileges(cls, operations: Operations, names: Sequence[str]) -> None:
        """Revoke default privileges: ``op.revoke_default_privileges(["aria_db_version"])``."""
        operations.invoke(cls(names))


@Operations.register_operation("create_schema_if_absent")
class CreateSchemaIfAbsent(MigrateOperation):
    """Create the schema of the functions; nobody else may create objects in it.

    :param name: the schema's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def create_schema_if_absent(cls, operations: Operations, name: str) -> None:
        """Create a schema: ``op.create_schema_if_absent("aria")``."""
        operations.invoke(cls(name))


@Operations.implementation_for(RunSqlScript)
def _run_script(operations: Operations, operation: RunSqlScript) -> None:
    operations.execute(verbatim(operation.path.read_text("utf-8")))


@Operations.implementation_for(RevokeDefaultPrivileges)
def _revoke(operations: Operations, operation: RevokeDefaultPrivileges) -> None:
    _call(operations, "revoke_default_privileges", list(operation.names))


@Operations.implementation_for(CreateSchemaIfAbsent)
def _create_schema(operations: Operations, operation: CreateSchemaIfAbsent) -> None:
    _call(operations, "create_schema", operation.name)


@Operations.implementation_for(CreateSqlObject)
def _create(operations: Operations, operation: CreateSqlObject) -> None:
    _create_all(operations, [operation])


def _create_all(operations: Operations, steps: Iterable[CreateSqlObject]) -> None:
    """Create objects, and revoke what default privileges have granted on them."""
    own: list[str] = []
    for step in steps:
        created = step.file
        statements = created.creation(new=created.signatures)
        if step.if_absent:
            operations.invoke(RunSqlScript("revoke_default_privileges"))
            _call(operations, "create_if_absent", created.name, statements)
        else:
            operations.execute(verbatim(statements))
            own += created.signatures
    if own:
        operations.invoke(RevokeDefaultPrivileges(own))


@Operations.implementation_for(DropSqlObject)
def _drop(operations: Operations, operation: DropSqlObject) -> None:
    dropped = operation.file
    if dropped.kind == "table":
        _call(operations, "drop_tables", [dropped.name], operation.if_created)
        return
    for signature in dropped.signatures:
        operations.execute(verbatim(f"DROP {dropped.kind.upper()} {signature}"))


@Operations.implementation_for(ReplaceSqlObject)
def _replace(operations: Operations, operation: ReplaceSqlObject) -> None:
    new, old = operation.file, find(operation.name, operation.replaces)
    if new.kind == "view" and new.version < old.version:
        operations.invoke(RunSqlScript("revoke_default_privileges"))
        _call(operations, "replace_view", new.name, new.text)
        return
    added = [signature for signature in new.signatures if signature not in old.signatures]
    operations.execute(verbatim(new.creation(new=added)))
    if added:
        operations.invoke(RevokeDefaultPrivileges(added))
    for signature in added:
        _call(operations, "copy_privileges", old.signatures[0], signature)
    for signature in old.signatures:
        if signature not in new.signatures:
            operations.execute(verbatim(f"DROP {old.kind.upper()} {signature}"))


@Operations.implementation_for(ApplySqlObjects)
def _apply(operations: Operations, operation: ApplySqlObjects) -> None:
    _lock_relations(operations)
    for is_creation, group in groupby(
        operation.steps, key=lambda step: isinstance(step, CreateSqlObject)
    ):
        if is_creation:
            _create_all(operations, cast(Iterable[CreateSqlObject], group))
        else:
            for step in group:
                operations.invoke(step)


@Operations.implementation_for(RevertSqlObjects)
def _revert(operations: Operations, operation: RevertSqlObjects) -> None:
    _lock_relations(operations)
    steps: list[Any] = [step.reverse() for step in reversed(operation.steps)]
    # Tables that go together are all locked before one of them is looked at.
    for if_created, group in groupby(steps, key=_dropped_table):
        if if_created is None:
            for step in group:
                operations.invoke(step)
        else:
            names = [step.name for step in group][::-1]
            _call(operations, "drop_tables", names, if_created)


def _lock_relations(operations: Operations) -> None:
    """Lock the views and tables that are aria-db's own, where they exist."""
    _call(
        operations,
        "lock_relations",
        [
            sql_object.name
            for sql_object in newest().values()
            if sql_object.kind in {"table", "view"} and sql_object.name not in CHAT_TABLES
        ],
    )


def _dropped_table(step: MigrateOperation) -> bool | None:
    """Return how a step drops a table: True if only where aria-db created it; None: it doesn't."""
    if isinstance(step, DropSqlObject) and step.file.kind == "table":
        return step.if_created
    return None


def _call(operations: Operations, name: str, *arguments: bool | str | list[str]) -> None:
    """Create one of the temporary functions in ``sql/installation`` and call it."""
    operations.invoke(RunSqlScript(name))
    values = ", ".join(map(_constant, arguments))
    operations.execute(verbatim(f"SELECT pg_temp.{name}({values})"))


def _constant(value: bool | str | list[str]) -> str:
    """Return a value as SQL writes it, for the database and for a script alike."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return literal(value)
    return f"ARRAY[{', '.join(map(literal, value))}]"
