"""The routes of the sessions: one call of the manager each."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Path, Query
from sqlalchemy import inspect

from aria_db.errors import InvalidArgument
from aria_db.http import access, answers, requests
from aria_db.http.access import Manager
from aria_db.http.problems import Refused, documented
from aria_db.http.route import Calls
from aria_db.models import (
    EngineChatMessage,
    EngineChatSession,
    EngineChatSessionArchiveList,
    EngineChatSessionList,
)
from aria_db.results import Archived, Deleted, Hold, Restored
from aria_db.session_manager import (
    ARCHIVE,
    LIVE,
    AnyPlace,
    Detail,
    NativeSessionManager,
    NewMessage,
    NewSession,
    Page,
    PruneResult,
    Stats,
)

calls = Calls(aliases={"/archive": "/archived"})
"""The calls, for :func:`aria_db.http.embedding.router`."""

Found = TypeVar("Found")


RunId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The run.")]


def _found(found: Found | None, session_id: UUID) -> Found:
    """Return what the manager found; nothing is a 404."""
    if found is None:
        raise Refused(404, f"Session {session_id} not found")
    return found


def _detail(found: Detail[Any, Any]) -> dict[str, Any]:
    """Return a session, by the attributes of its ORM class, and its last messages."""
    attributes = inspect(type(found.session)).column_attrs
    return {
        **{each.key: getattr(found.session, each.key) for each in attributes},
        "last_message_at": found.last_message_at,
        "recent_messages": found.recent_messages,
    }


async def _transcript(
    manager: NativeSessionManager, session_id: UUID, place: AnyPlace, paging: requests.Paging
) -> dict[str, Any]:
    """Return a part of a transcript. One message more is read, to see whether something follows."""
    found = await manager.get_messages(
        session_id,
        place,
        limit=paging.limit + 1,
        offset=paging.offset,
        since=paging.since,
        role=paging.role,
    )
    messages = _found(found, session_id)
    return {
        "session_id": session_id,
        "messages": messages[: paging.limit],
        "limit": paging.limit,
        "offset": paging.offset,
        "has_more": len(messages) > paging.limit,
    }


# Fixed paths first: /{session_id} would take their names for ids.


@calls(
    "GET",
    "",
    summary="List live sessions",
    dependencies=access.LISTS,
    response_model=answers.SessionList,
    responses=documented(422),
)
async def list_sessions(
    query: Annotated[requests.ListQuery, Query()], manager: Manager
) -> Page[EngineChatSessionList]:
    """Sessions that the application soft-deleted (status `archived`) are not shown."""
    return await manager.list_sessions(
        limit=query.limit,
        offset=query.offset,
        cursor=query.cursor,
        filters=query.filters(),
        sort=query.sort,
        descending=query.order == "desc",
    )


@calls(
    "POST",
    "",
    status_code=201,
    summary="Create a session",
    dependencies=access.WORK,
    response_model=answers.Session,
    response_description="The session as it was stored.",
    responses=documented(400, 408, 413, 415, 422),
)
async def create_session(new: requests.SessionCreate, manager: Manager) -> EngineChatSession:
    """Create a live session. PostgreSQL makes its id."""
    return await manager.create_session(NewSession(**new.model_dump()))


@calls(
    "GET",
    "/archive",
    summary="List archived sessions",
    dependencies=access.LISTS,
    response_model=answers.ArchivedSessionList,
    responses=documented(422),
)
async def list_archived_sessions(
    query: Annotated[requests.ArchiveQuery, Query()], manager: Manager
) -> Page[EngineChatSessionArchiveList]:
    """Newest archived first."""
    return await manager.list_archived_sessions(
        query.limit, query.offset, cursor=query.cursor, filters=query.filters()
    )


@calls(
    "GET",
    "/archive/{session_id}",
    summary="Show an archived session",
    dependencies=access.TRANSCRIPTS,
    response_model=answers.ArchivedSessionDetail,
    responses=documented(404, 422),
)
async def get_archived_session(session_id: UUID, manager: Manager) -> dict[str, Any]:
    """Every column of an archived session, as it was when it was archived; its last messages."""
    return _detail(_found(await manager.get_detail(session_id, ARCHIVE), session_id))


@calls(
    "DELETE",
    "/archive/{session_id}",
    summary="Delete an archived session for good",
    dependencies=access.WORK,
    response_model=answers.DeleteResult,
    responses=documented(404, 409, 422),
)
async def delete_archived_session(session_id: UUID, manager: Manager) -> Deleted:
    """Delete an archived session that is neither on hold nor live, and its messages."""
    return _found(await manager.delete_session(session_id, ARCHIVE), session_id)


@calls(
    "GET",
    "/archive/{session_id}/messages",
    summary="Show the messages of an archived session",
    dependencies=access.TRANSCRIPTS,
    response_model=answers.ArchivedTranscript,
    responses=documented(404, 422),
)
async def get_archived_messages(
    session_id: UUID, paging: Annotated[requests.Paging, Query()], manager: Manager
) -> dict[str, Any]:
    """Oldest message first."""
    return await _transcript(manager, session_id, ARCHIVE, paging)


@calls(
    "GET",
    "/stats",
    summary="Count sessions and messages",
    dependencies=access.LISTS,
    response_model=answers.Counts,
)
async def get_stats(manager: Manager) -> Stats:
    """How many sessions and messages there are, live and archived, in one moment."""
    return await manager.get_stats()


@calls(
    "GET",
    "/left",
    summary="List sessions that a prune or an undo could not move",
    dependencies=access.FIGURES,
    response_model=answers.LeftList,
    responses=documented(422),
)
async def list_left(
    query: Annotated[requests.LeftQuery, Query()], manager: Manager
) -> dict[str, Any]:
    """Each with the SQLSTATE, why, and what an operator can do; the newest first."""
    return {"left": await manager.list_left(query.limit)}


@calls(
    "POST",
    "/cleanup",
    summary="Archive old sessions",
    dependencies=access.OPERATION,
    response_model=answers.CleanupResult,
    responses=documented(409, 422),
)
async def cleanup(
    query: Annotated[requests.CleanupQuery, Query()], manager: Manager
) -> PruneResult:
    """Count the sessions that are old or soft-deleted, or archive them all, batch by batch.

    A dry run unless `dry_run=false`. Held sessions and sessions in use are left. First, sessions
    of the types scoped and cron that are active two hours after their last update are ended.
    """
    return await manager.prune_old_sessions(query.days, query.dry_run)


@calls(
    "DELETE",
    "/ghosts",
    summary="Delete sessions without a message",
    dependencies=access.OPERATION,
    response_model=answers.GhostsResult,
    responses=documented(422),
)
async def delete_ghosts(
    query: Annotated[requests.GhostsQuery, Query()], manager: Manager
) -> dict[str, Any]:
    """Delete live sessions without a message for good, batch by batch; or count them.

    Sessions that are in use, held, soft-deleted, archived as well, or that rows of other tables
    refer to, stay.
    """
    older_than = timedelta(minutes=query.older_than_minutes)
    if query.dry_run:
        ghosts = await manager.count_empty_sessions(older_than)
        return {"deleted": 0, "ghosts": ghosts, "dry_run": True}
    deleted = await manager.delete_empty_sessions(older_than)
    return {"deleted": deleted, "ghosts": deleted, "dry_run": False}


@calls(
    "GET",
    "/runs",
    summary="List bulk runs",
    dependencies=access.FIGURES,
    response_model=answers.RunList,
    responses=documented(422),
)
async def list_runs(
    query: Annotated[requests.RunsQuery, Query()], manager: Manager
) -> dict[str, Any]:
    """Prunes, purges and other bulk runs, the newest first."""
    return {"runs": await manager.list_runs(query.limit)}


@calls(
    "POST",
    "/runs/{run_id}/undo",
    summary="Undo a run",
    dependencies=access.OPERATION,
    response_model=answers.UndoResult,
    responses=documented(404, 409, 422),
)
async def undo_run(
    run_id: RunId, query: Annotated[requests.UndoQuery, Query()], manager: Manager
) -> dict[str, Any]:
    """Restore what a prune or a bulk archive archived, unless it has changed since.

    A dry run, which only counts, unless `dry_run=false`. After an interruption, send the same
    call again to continue.
    """
    try:
        counted = await manager.count_restorable_sessions(run_id)
    except InvalidArgument as error:  # there is no such run, or it has archived nothing
        raise Refused(404, error.message) from error
    found = {"dry_run": query.dry_run, "run_id": None, "left_behind": 0, **asdict(counted)}
    if not query.dry_run:
        async with aclosing(manager.undo_batches(run_id)) as batches:
            async for progress in batches:
                for name in ("run_id", "sessions", "messages", "left_behind"):
                    found[name] = getattr(progress, name)
    return found


@calls(
    "GET",
    "/{session_id}",
    summary="Show a live session",
    dependencies=access.TRANSCRIPTS,
    response_model=answers.SessionDetail,
    responses=documented(404, 422),
)
async def get_session(session_id: UUID, manager: Manager) -> dict[str, Any]:
    """Every column of a live session, and its last messages."""
    return _detail(_found(await manager.get_detail(session_id), session_id))


@calls(
    "PATCH",
    "/{session_id}",
    summary="Change a live session",
    dependencies=access.WORK,
    response_model=answers.Session,
    response_description="The session as it is now.",
    responses=documented(400, 404, 408, 413, 415, 422),
)
async def update_session(
    session_id: UUID, change: requests.SessionChange, manager: Manager
) -> EngineChatSession:
    """Change the title, the model or the metadata. The session counts as updated now."""
    changes = change.model_dump(exclude_unset=True)
    return _found(await manager.update_session(session_id, **changes), session_id)


@calls(
    "PATCH",
    "/{session_id}/title",
    summary="Change the title of a live session",
    dependencies=access.WORK,
    response_model=answers.Session,
    response_description="The session as it is now.",
    responses=documented(400, 404, 408, 413, 415, 422),
)
async def update_title(
    session_id: UUID, change: requests.TitleChange, manager: Manager
) -> EngineChatSession:
    """Change the title. The session counts as updated now."""
    return _found(await manager.update_session(session_id, title=change.title), session_id)


@calls(
    "DELETE",
    "/{session_id}",
    summary="Delete a live session for good",
    dependencies=access.WORK,
    response_model=answers.DeleteResult,
    responses=documented(404, 409, 422),
)
async def delete_session(session_id: UUID, manager: Manager) -> Deleted:
    """Delete a live session that is not on hold, and its messages. The archive is not touched."""
    return _found(await manager.delete_session(session_id), session_id)


@calls(
    "GET",
    "/{session_id}/messages",
    summary="Show the messages of a live session",
    dependencies=access.TRANSCRIPTS,
    response_model=answers.Transcript,
    responses=documented(404, 422),
)
async def get_messages(
    session_id: UUID, paging: Annotated[requests.Paging, Query()], manager: Manager
) -> dict[str, Any]:
    """Oldest message first."""
    return await _transcript(manager, session_id, LIVE, paging)


@calls(
    "POST",
    "/{session_id}/messages",
    status_code=201,
    summary="Add a message to a live session",
    dependencies=access.WORK,
    response_model=answers.Message,
    response_description="The message as it was stored.",
    responses=documented(400, 404, 408, 413, 415, 422),
)
async def add_message(
    session_id: UUID, new: requests.MessageCreate, manager: Manager
) -> EngineChatMessage:
    """Add a message, and its tokens and cost to the totals of the session."""
    return _found(await manager.add_message(session_id, NewMessage(**new.model_dump())), session_id)


@calls(
    "GET",
    "/{session_id}/history",
    summary="Show what has happened to a session",
    dependencies=access.TRANSCRIPTS,
    response_model=answers.History,
    responses=documented(404, 422),
)
async def get_history(session_id: UUID, manager: Manager) -> dict[str, Any]:
    """Who archived, restored, held, released, resolved, purged or deleted it, oldest first.

    It works for a session that is gone, too.
    """
    events = _found(await manager.get_history(session_id), session_id)
    return {"session_id": session_id, "events": events}


@calls(
    "POST",
    "/{session_id}/end",
    summary="End a live session",
    dependencies=access.WORK,
    response_model=answers.EndResult,
    responses=documented(404, 422),
)
async def end_session(session_id: UUID, manager: Manager) -> EngineChatSession:
    """Mark a live session as ended. Safe to repeat."""
    return _found(await manager.end_session(session_id), session_id)


@calls(
    "POST",
    "/{session_id}/archive",
    summary="Archive a session",
    dependencies=access.WORK,
    response_model=answers.ArchiveResult,
    responses=documented(404, 409, 422),
)
async def archive_session(session_id: UUID, manager: Manager) -> Archived:
    """Move a session and all its messages into the archive, in one step or not at all.

    Safe to repeat: a session that is archived already keeps its first `archived_at`.
    """
    return _found(await manager.archive_session(session_id), session_id)


@calls(
    "POST",
    "/{session_id}/restore",
    summary="Restore an archived session",
    dependencies=access.WORK,
    response_model=answers.RestoreResult,
    responses=documented(404, 409, 422),
)
async def restore_session(session_id: UUID, manager: Manager) -> Restored:
    """Move an archived session and all its messages back, as they were.

    Safe to repeat: a session that is live already stays as it is.
    """
    return _found(await manager.restore_session(session_id), session_id)


@calls(
    "PUT",
    "/{session_id}/hold",
    summary="Place a session on hold",
    dependencies=access.OPERATION,
    response_model=answers.Hold,
    response_description="The hold.",
    responses=documented(400, 404, 408, 413, 415, 422),
)
async def place_hold(session_id: UUID, hold: requests.HoldRequest, manager: Manager) -> Hold:
    """Keep a session, live or archived, from being archived, pruned, purged or deleted.

    Safe to repeat: the reason is replaced, and when and by whom it was placed first stays.
    """
    return _found(await manager.place_hold(session_id, hold.reason), session_id)


@calls(
    "DELETE",
    "/{session_id}/hold",
    summary="Release a hold",
    dependencies=access.OPERATION,
    response_model=answers.ReleaseResult,
    responses=documented(404, 422),
)
async def release_hold(session_id: UUID, manager: Manager) -> dict[str, Any]:
    """End the hold on a session."""
    if not await manager.release_hold(session_id):
        raise Refused(404, f"Session {session_id} is not on hold")
    return {"session_id": session_id}
