"""What a mutation is, and its text applied to the newest version of the object."""

from collections.abc import Iterator
from dataclasses import dataclass

from aria_db.install import sql_objects


class Unusable(Exception):
    """A mutation that shows nothing: its text is not in the file, or it is no SQL."""


@dataclass(frozen=True)
class Mutation:
    """A fault in the newest version of an SQL object.

    :param object: the function, procedure, table or view.
    :param fault: what is wrong, in words.
    :param changes: what is replaced, which the file has exactly once, and with what.
    :param tests: every one of them must fail, as pytest names them, from ``tests/`` on.
    """

    object: str
    fault: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.object}, {self.fault}"

    def applied(self) -> tuple[sql_objects.SqlObject, str]:
        """Return the object, and the text of its file with the fault in it.

        :raises Unusable: what is to be replaced is not there, or not once.
        """
        found = sql_objects.newest().get(self.object)
        if found is None:
            raise Unusable(f"no file creates {self.object}")
        text = found.text
        for right, wrong in self.changes:
            if (times := text.count(right)) != 1:
                raise Unusable(f"{found.path.name} has this {times} times, and must once:\n{right}")
            if right == wrong:
                raise Unusable(f"nothing in this is replaced, in {found.path.name}:\n{right}")
            text = text.replace(right, wrong)
        return found, text


def fault(
    object: str,  # noqa: A002
    what: str,
    *changes: tuple[str, str],
    test: str,
) -> Mutation:
    """Return a fault that one test notices, which is named from within ``tests/``."""
    return Mutation(object, what, changes, (f"tests/{test}",))


def within(block: str, right: str, wrong: str) -> tuple[str, str]:
    """Return a change of something that is once in a block, though not once in its file.

    Where it is not once in the block, nothing is changed, and the mutation is unusable.
    """
    return block, block.replace(right, wrong) if block.count(right) == 1 else block


Mutations = Iterator[Mutation]
