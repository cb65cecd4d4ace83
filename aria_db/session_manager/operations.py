"""Operations: the manager's calls for the people who run the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import select

from aria_db import functions
from aria_db.models import EngineArchiveHealth
from aria_db.results import Finding
from aria_db.session_manager.transactions import Transactions

Access = Literal["reader", "support", "app", "operator"]


class Operations(Transactions):
    """The manager's calls that check the database and give roles access."""

    async def check_health(self) -> Sequence[EngineArchiveHealth]:
        """Return the figures that an operator watches; those that are not ok first."""
        figure = EngineArchiveHealth
        async with self._snapshot() as session:
            figures = select(figure).order_by(figure.is_ok, figure.figure, figure.subject)
            return (await session.scalars(figures)).all()

    async def verify_archive(self, since: datetime | None = None) -> list[Finding]:
        """Look for what contradicts that everything is in exactly one place.

        :param since: look only at the sessions that were archived since then; None for all.
        :return: the findings; none when all is well.
        """
        return [Finding(*row) for row in await self._call(functions.verify_archive(since))]

    async def grant_access(
        self, role: str, access: Access, *, revoke: bool = False, dry_run: bool = False
    ) -> Sequence[str]:
        """Give a role what it needs, or take it away. Safe to repeat.

        :param role: the role, which must exist.
        :param access: ``app`` to archive, restore and list; ``operator`` to do everything;
            ``reader`` to read the views; ``support`` to read transcripts and history of both
            places as well.
        :param revoke: take it away; what else was granted stays.
        :param dry_run: change nothing.
        :return: the statements that were run, or would be.
        :raises aria_db.errors.InvalidArgument: the access is none of these, or the role that
            is to lose it is the owner.
        :raises aria_db.errors.PermissionDenied: this manager's role may not grant.
        :raises aria_db.errors.DatabaseError: there is no such role.
        """
        statement = functions.grant_archive_access(role, access, revoking=revoke, dry_run=dry_run)
        return [sql for (sql,) in await self._call(statement)]

    async def repair_access(self, *, dry_run: bool = False) -> Sequence[str]:
        """Revoke privileges that :meth:`grant_access` never grants. Safe to repeat.

        These are ``EXECUTE`` for ``PUBLIC``, which ``pg_restore --no-acl`` leaves behind, and
        write privileges on the archives and aria-db's own tables.

        :param dry_run: change nothing.
        :return: the statements that were run, or would be.
        :raises aria_db.errors.PermissionDenied: this manager's role may not revoke.
        """
        statement = functions.repair_archive_access(dry_run=dry_run)
        return [sql for (sql,) in await self._call(statement)]
