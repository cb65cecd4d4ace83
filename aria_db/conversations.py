"""Conversations in files: the form that ``aria-db import`` reads.

A file is JSON Lines, also compressed with gzip: one :class:`Conversation` a line.
It is checked as a whole before anything of it is stored, so it is read twice.
"""

from __future__ import annotations

import codecs
import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import UUID, uuid5

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from aria_db.errors import AriaError
from aria_db.session_manager import NewConversation, NewMessage, NewSession
from aria_db.validation import StorableJson, storable_text

STANDARD_INPUT = Path("-")

SAMPLE = Path(__file__).parent / "data" / "sample_conversations.jsonl"
"""The conversations that the package carries, for the demo and for trying it."""

# Part of the ids of all imported sessions: never to be changed.
_NAMESPACE = UUID("6f3d1c0a-52b7-4e0e-9a54-0d6c1f7b8e21")

_GZIP_MAGIC = b"\x1f\x8b"

# How much of a file is stored at once, in bytes as they are in it.
_BATCH_BYTES = 1_000_000

# A line is in memory as a whole, and gzip makes a gigabyte of blanks from a megabyte.
_LONGEST_LINE = 64 * 2**20

# Last in an annotation: pydantic would report a length behind it as a number of "items".
_STORABLE = AfterValidator(storable_text)

# A reason is read by people: what is wrong with the first places, not all of them.
_PROBLEMS_SHOWN = 3
_LONGEST_PLACE = 100


def session_id_of(source_id: str) -> UUID:
    """Return the id that an imported conversation has as a session.

    :param source_id: the conversation's id in its source.
    """
    return uuid5(_NAMESPACE, source_id)


class _Strict(BaseModel):
    # An unknown field would be lost silently.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Message(_Strict):
    """A turn of a conversation; the fields are the columns of a message."""

    role: Annotated[str, Field(min_length=1, max_length=20), _STORABLE]
    content: Annotated[str, _STORABLE]
    agent_id: Annotated[str, Field(max_length=100), _STORABLE] | None = None
    tool_calls: StorableJson = None
    tool_results: StorableJson = None


class Conversation(_Strict):
    """A line of a file. Its messages are in the order in which they were said."""

    source_id: Annotated[str, Field(min_length=1), _STORABLE]
    title: Annotated[str, Field(max_length=500), _STORABLE] | None = None
    session_type: Annotated[str, Field(min_length=1, max_length=50), _STORABLE] = "interactive"
    agent_id: Annotated[str, Field(min_length=1, max_length=100), _STORABLE] = "aria"
    messages: list[Message]

    @property
    def session_id(self) -> UUID:
        """The id that it has as a session: the same at every import."""
        return session_id_of(self.source_id)

    def new(self) -> NewConversation:
        """Return it as a session to import, with its messages."""
        return NewConversation(
            id=self.session_id,
            session=NewSession(
                title=self.title,
                session_type=self.session_type,
                agent_id=self.agent_id,
                metadata={"source_id": self.source_id},
            ),
            messages=[NewMessage(**dict(message)) for message in self.messages],
        )


@dataclass(frozen=True)
class Line:
    """A line of a file that is not blank.

    :param number: its number, counted from 1.
    :param size: its length in bytes.
    :param conversation: what it says; None if it cannot be imported.
    :param problem: why it cannot be imported.
    """

    number: int
    size: int
    conversation: Conversation | None
    problem: str = ""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file of conversations so that it can be read twice.

    :param path: the file; :data:`STANDARD_INPUT` for what is piped in.
    """
    with ExitStack() as stack:
        if path == STANDARD_INPUT:
            source = sys.stdin.buffer
        else:
            source = stack.enter_context(path.open("rb"))
            if source.seekable():
                yield source
                return
        copy = stack.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(source, copy)
        yield copy


def read(file: BinaryIO) -> Iterator[Line]:
    """Read a file from its beginning, a line at a time.

    :param file: a seekable file, compressed or not.
    :return: its lines, those that cannot be imported included. Damaged compression
        is a last line that cannot be imported.
    """
    numbers: dict[bytes, int] = {}
    for number, content in _numbered_lines(file):
        if isinstance(content, str):
            yield Line(number, 0, None, content)
        elif content.strip():
            yield _line(number, content, numbers)


def batches(lines: Iterable[Line], bad: Container[int]) -> Iterator[list[NewConversation]]:
    """Return the conversations of lines, as many at a time as memory should hold.

    :param lines: what :func:`read` returns.
    :param bad: the numbers of those that are known to be bad, and are left out.
    :raises AriaError: another one is bad.
    """
    batch: list[NewConversation] = []
    size = 0
    for line in lines:
        if line.conversation is not None:
            batch.append(line.conversation.new())
            size += line.size
        elif line.number not in bad:
            raise AriaError(
                f"line {line.number} was changed while the file was being imported",
                hint="Nothing was imported. Try again.",
            )
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _numbered_lines(file: BinaryIO) -> Iterator[tuple[int, bytes | str]]:
    """Give each line with its number, or what is wrong with it as a whole."""
    file.seek(0)
    is_compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    number = 0
    try:
        with gzip.open(file) if is_compressed else nullcontext(file) as lines:
            while content := lines.readline(_LONGEST_LINE + 1):
                number += 1
                if number == 1:
                    content = content.removeprefix(codecs.BOM_UTF8)
                if len(content) <= _LONGEST_LINE:
                    yield number, content
                    continue
                while content and not content.endswith(b"\n"):
                    content = lines.readline(_BATCH_BYTES)
                yield number, f"the line is longer than {_LONGEST_LINE} bytes"
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield number + 1, f"the compressed data are damaged: {error}"


def _line(number: int, content: bytes, numbers: dict[bytes, int]) -> Line:
    """Check a line.

    :param numbers: the number of the line that each session is on, so far.
    """
    try:
        conversation = Conversation.model_validate_json(content)
    except ValidationError as error:
        return Line(number, len(content), None, _reason(error))
    first = numbers.setdefault(conversation.session_id.bytes, number)
    if first != number:
        return Line(number, len(content), None, f"source_id: line {first} has the same")
    return Line(number, len(content), conversation)


def _reason(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = []
    for problem in problems[:_PROBLEMS_SHOWN]:
        place = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"]
        )
        # Each line is a document of its own: that it is "line 1" of that is no news.
        message = problem["msg"].removeprefix("Value error, ").replace("line 1 column", "column")
        reasons.append(f"{place[1 : _LONGEST_PLACE + 1]}: {message}" if place else message)
    if len(problems) > _PROBLEMS_SHOWN:
        reasons.append(f"and {len(problems) - _PROBLEMS_SHOWN} more problems")
    return "; ".join(reasons)
