"""Sessions, transcripts and runs on disk. A write is durable when its method returns. Times are ms since 1970.

Changes that belong together are one transaction: a run that has ended has its last message in the transcript, and no
message is there twice, because the number of the last stored event is written with it. All methods raise StorageFailed
and can be called again later.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gateway.link.messages import Failure, Usage
from gateway.link.spec import Message
from gateway.sessions import backup, queries, transactions, transcripts
from gateway.sessions.database import Database
from gateway.sessions.records import (
    ALL,
    Filter,
    Group,
    MessageCount,
    MessagePlace,
    MessageRow,
    ModelContext,
    Page,
    Progress,
    Run,
    RunRequest,
    RunState,
    Session,
    SessionNews,
    Spent,
    Summary,
    Used,
)
from gateway.sessions.schema import MIGRATIONS

HISTORY_BYTES = 4 * 1024 * 1024
"""Bytes of JSON of a session's newest messages that a run gets."""


class Store:
    def __init__(self, path: Path) -> None:
        self.database = Database(path, MIGRATIONS)

    async def open(self, now: int) -> None:
        """Open the database and forget old runs. Raises StorageFailed if it cannot be read.

        If it cannot be written, `database.problem` says why.
        """
        await self.database.open()
        if self.database.problem is None:
            await self.database.write(partial(transactions.forget, now))

    async def close(self) -> None:
        await self.database.close()

    async def backup(self, target: Path) -> int:
        """Copy a snapshot to a file that must not exist. Returns its size in bytes."""
        return await asyncio.to_thread(backup.copy, self.database.path, target)

    # -- runs ------------------------------------------------------------------------------------------------------

    async def accept(
        self,
        id: str,
        session: str,
        agent: str,
        request: RunRequest,
        now: int,
        owed: tuple[str, str] | None = None,
        *,
        begin: bool = False,
    ) -> tuple[Run, bool]:
        """Queue a run. Returns it and True, or the run that has this id already and False. Raises QueueFull and
        SendDenied.

        `owed`: connection and id of a request that gets a second answer at the end of the run. `begin`: start the run
        at once, in the same transaction.
        """
        work = transactions.accept_and_begin if begin else transactions.accept
        return await self.database.write(partial(work, id, session, agent, request, now, owed))

    async def answer(
        self, id: str, session: str, agent: str, request: RunRequest, message: Message, now: int
    ) -> tuple[Run, bool]:
        """Add a run that the gateway has answered itself and that has ended. Returns the same as `accept`."""
        return await self.database.write(partial(transactions.answer, id, session, agent, request, message, now))

    async def begin(self, id: str, now: int) -> Run | None:
        """Start a queued run and append its prompt to the transcript. None if it is over."""
        return await self.database.write(partial(transactions.begin, id, now))

    async def again(self, id: str) -> Run | None:
        """Start a run again with another agent, without its messages after the prompt. None if it is not running."""
        return await self.database.write(partial(transactions.again, id))

    async def progress(self, all: Sequence[Progress]) -> None:
        """Store the events of several runs in one transaction."""

        def work(db: sqlite3.Connection) -> None:
            for each in all:
                transactions.progress(each, db)

        await self.database.write(work)

    async def end(
        self,
        last: Progress,
        state: RunState,
        now: int,
        *,
        rest: Message | None = None,
        stop_reason: str | None = None,
        failure: Failure | None = None,
        usage: Usage | None = None,
    ) -> Run:
        """Store a run's last events and its end. A run that has ended already is returned unchanged.

        `rest`: the part of an answer that was written before the run broke off.
        """
        return await self.database.write(
            partial(transactions.end, last, rest, state, now, stop_reason, failure, usage or Usage())
        )

    async def run(self, id: str) -> Run | None:
        return await self.database.read(partial(transactions.find_run, id))

    async def unfinished(self) -> list[Run]:
        """Queued and running runs, in the order in which they were accepted."""
        return await self.database.read(transactions.unfinished)

    # -- transcripts -----------------------------------------------------------------------------------------------

    async def past(self, key: str, without: str, most: int = HISTORY_BYTES) -> tuple[Session | None, ModelContext]:
        """A session and its newest messages, `most` bytes of JSON together, in one snapshot. Those of the run
        `without` are left out."""
        return await self.database.read(
            lambda db: (transcripts.find_session(key, db), transcripts.model_context(key, without, most, db))
        )

    async def rows(self, session: str, limit: int, before: int | None = None) -> list[MessageRow]:
        """The newest messages before the position `before`, oldest first."""
        return await self.database.read(partial(transcripts.rows, session, limit, before))

    async def messages_of_run(self, session: str, run: str, most: int) -> list[MessagePlace]:
        """The first messages of a run in its session, oldest first; none after a reset."""
        return await self.database.read(partial(queries.messages_of_run, session, run, most))

    async def news(self, key: str, runs: Sequence[str], most: int) -> SessionNews | None:
        """A session, and the first messages of these runs in it. None if there is no such session."""
        return await self.database.read(partial(_news, key, runs, most))

    async def page(self, session: str, limit: int) -> tuple[Session | None, list[MessageRow]]:
        """A session and its newest messages, oldest first, in one snapshot."""
        return await self.database.read(
            lambda db: (transcripts.find_session(session, db), transcripts.rows(session, limit, None, db))
        )

    async def append(self, session: str, message: Message, now: int) -> MessageRow | None:
        """Append a message that belongs to no run. None if there is no such session."""
        return await self.database.write(partial(transcripts.append, session, message, now))

    # -- sessions --------------------------------------------------------------------------------------------------

    async def session(self, key: str) -> Session | None:
        return await self.database.read(partial(transcripts.find_session, key))

    async def session_by_id(self, id: str) -> Session | None:
        """The session whose transcript has this id."""
        return await self.database.read(partial(queries.session_by_id, id))

    async def sessions(self, which: Filter = ALL, limit: int | None = None, offset: int = 0) -> Page:
        """The selected sessions, the most recently updated first."""
        return await self.database.read(partial(queries.sessions, which, limit, offset))

    async def summaries(self, keys: Sequence[str]) -> dict[str, Summary]:
        """First and last texts of these sessions; keys without a session are left out."""
        return await self.database.read(partial(queries.summaries, keys))

    async def last_rows(self, keys: Sequence[str], limit: int) -> dict[str, list[MessageRow]]:
        """The newest messages of each of these sessions, oldest first; keys without a session are left out."""
        return await self.database.read(partial(queries.last_rows, keys, limit))

    async def patch(
        self,
        key: str,
        agent: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        now: int,
        expected: str | None = None,
    ) -> Session:
        """Set the entry to what `change` makes of it; if that raises, nothing changes. A missing session is created.

        `expected`: the id that the session must have. Raises SessionChanged, and LabelTaken, because labels are unique
        among the sessions of an agent.
        """
        return await self.database.write(partial(transcripts.patch, key, agent, change, now, expected))

    async def reset(self, key: str, agent: str, now: int) -> Session:
        """Give the session a new, empty transcript and no tokens, under the same key and with the same settings."""
        return await self.database.write(partial(transcripts.reset, key, agent, now))

    async def delete(self, key: str, *, transcript: bool = True) -> Session | None:
        """Delete a session and return it; None if there is none. Its runs must be aborted before."""
        return await self.database.write(partial(transcripts.delete, key, transcript))

    async def compact(self, key: str, keep: int) -> int | None:
        """Delete all but the last `keep` messages. Returns how many were deleted; None if there is no session."""
        return await self.database.write(partial(transcripts.compact, key, keep))

    # -- usage -----------------------------------------------------------------------------------------------------

    async def spent(
        self,
        since: int,
        until: int,
        by: Sequence[Group],
        offset_min: int = 0,
        *,
        agent: str | None = None,
        session: str | None = None,
    ) -> list[Spent]:
        """Tokens and dollars from `since` to before `until`. Days begin `offset_min` minutes east of UTC."""
        return await self.database.read(partial(queries.spent, since, until, by, offset_min, agent, session))

    async def message_counts(
        self,
        since: int,
        until: int,
        by: Sequence[Literal["day", "session"]],
        offset_min: int = 0,
        *,
        agent: str | None = None,
        session: str | None = None,
    ) -> list[MessageCount]:
        """Counts of the messages in transcripts, by the same rules as `spent`."""
        return await self.database.read(partial(queries.message_counts, since, until, by, offset_min, agent, session))

    async def tools(
        self, since: int, until: int, *, agent: str | None = None, session: str | None = None
    ) -> list[Used]:
        """Calls of tools by session, the most used tool first."""
        return await self.database.read(partial(queries.tools, since, until, agent, session))


def _news(key: str, runs: Sequence[str], most: int, db: sqlite3.Connection) -> SessionNews | None:
    session = transcripts.find_session(key, db)
    if session is None:
        return None
    said = {run: (transactions.find_run(run, db), queries.messages_of_run(key, run, most, db)) for run in runs}
    return SessionNews(session, queries.summaries([key], db).get(key), said)
