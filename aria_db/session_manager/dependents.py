"""Dependents: the manager's calls for tables that refer to chat rows, and for other hazards."""

from __future__ import annotations

from typing import Literal

from aria_db import functions
from aria_db.results import Dependent, Hazard
from aria_db.session_manager.transactions import Transactions

Handling = Literal["move", "delete", "detach", "refuse"]


class Dependents(Transactions):
    """The manager's calls that say what would keep a session from moving."""

    async def list_dependents(self) -> list[Dependent]:
        """Return the foreign keys through which rows hang on chat rows, with their handling."""
        return [Dependent(*row) for row in await self._call(functions.archive_dependents())]

    async def set_dependent(self, schema_name: str, table_name: str, handling: Handling) -> None:
        """Say what becomes of the rows of a table that refer to chat rows.

        :param schema_name: the schema of the table.
        :param table_name: the table.
        :param handling: ``move`` moves the rows with their session, into an archive that is
            created for them; ``delete`` and ``detach`` leave them to their foreign key, which is
            ON DELETE CASCADE, or SET NULL or SET DEFAULT; ``refuse`` refuses the session.
        :raises aria_db.errors.InvalidArgument: the handling is none of these, does not fit the
            foreign key, or no foreign key of the table refers to chat rows.
        :raises aria_db.errors.NameTaken: another table has the name of the archive.
        :raises aria_db.errors.PermissionDenied: this manager's role does not own the functions.
        """
        await self._call(functions.set_archive_dependent(schema_name, table_name, handling))

    async def list_hazards(self) -> list[Hazard]:
        """Return what would make a move refuse, lose rows, be unsafe or be slow."""
        return [Hazard(*row) for row in await self._call(functions.archive_hazards())]
