"""Policies: the manager's calls for the ages at which sessions are archived and purged."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from aria_db.errors import InvalidArgument
from aria_db.models import EngineArchivePolicy
from aria_db.session_manager.transactions import Transactions

ALL_TYPES = "*"
"""The session_type of the policy for every type that has none of its own."""

LONGEST_AGE = timedelta(days=365_000)
"""No age in a policy may be longer; the functions say the same."""


class Keep(enum.Enum):
    """Marks a value of a policy that stays as it is."""

    KEEP = enum.auto()


KEEP = Keep.KEEP
"""The value stays as it is."""


class Policies(Transactions):
    """The manager's calls for policies."""

    async def list_policies(self) -> Sequence[EngineArchivePolicy]:
        """Return the policies, that for all other types (``*``) first."""
        async with self._transaction() as session:
            policies = select(EngineArchivePolicy).order_by(EngineArchivePolicy.session_type)
            return (await session.scalars(policies)).all()

    async def set_policy(
        self,
        session_type: str,
        *,
        archive_after: timedelta | Keep | None = KEEP,
        purge_after: timedelta | Keep | None = KEEP,
        enabled: bool | Keep = KEEP,
    ) -> EngineArchivePolicy:
        """Set the policy of a session type, whether it has one or not.

        What is left out stays as it is; a type that has no policy yet begins with what
        held for it until now, the policy of all other types.

        :param session_type: the type, or :data:`ALL_TYPES`.
        :param archive_after: how long ago the last update of a session must be for the
            prune to archive it; None for never.
        :param purge_after: how long ago a session must have been archived for the purge to
            delete it; None for never.
        :param enabled: whether prune and purge follow it.
        :return: the policy.
        :raises aria_db.errors.InvalidArgument: an age is not above zero.
        """
        for name, age in (("archive_after", archive_after), ("purge_after", purge_after)):
            if isinstance(age, timedelta) and not timedelta(0) < age <= LONGEST_AGE:
                raise InvalidArgument(
                    f"{name} is {age}, and must be more than zero"
                    f" and at most {LONGEST_AGE.days} days"
                )
        values = {"archive_after": archive_after, "purge_after": purge_after, "enabled": enabled}
        given = {name: value for name, value in values.items() if value is not KEEP}
        policy = EngineArchivePolicy
        default = select(policy.archive_after, policy.purge_after, policy.enabled).where(
            policy.session_type == ALL_TYPES
        )
        async with self._transaction() as session:
            row = (await session.execute(default)).mappings().one_or_none()
            inherited = {} if row is None else dict(row)
            statement = (
                insert(policy)
                .values(session_type=session_type, **{**inherited, **given})
                .on_conflict_do_update(
                    index_elements=["session_type"],
                    # Something, so that there is a row to return.
                    set_=given or {"session_type": session_type},
                )
                .returning(policy)
            )
            return (await session.scalars(statement)).one()

    async def unset_policy(self, session_type: str) -> bool:
        """Remove the policy of a session type; that of all other types holds for it then.

        :return: whether there was one.
        """
        policy = EngineArchivePolicy
        statement = (
            delete(policy).where(policy.session_type == session_type).returning(policy.session_type)
        )
        async with self._transaction() as session:
            return (await session.scalars(statement)).one_or_none() is not None
