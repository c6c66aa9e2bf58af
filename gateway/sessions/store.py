"""Sessions, transcripts and runs on disk. What a method here has returned is there after a power failure.

Everything that belongs together is one transaction: a run that has ended has its last message in the transcript, and
none is said twice, because the number of the last stored event goes with it.
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
    Spent,
    Summary,
    Used,
)
from gateway.sessions.schema import MIGRATIONS

HISTORY_BYTES = 4 * 1024 * 1024
"""Of JSON that a run gets of its session's transcript, the newest first."""


class Store:
    def __init__(self, path: Path) -> None:
        self.database = Database(path, MIGRATIONS)

    async def open(self, now: int) -> None:
        """Raises StorageFailed if nothing can be read; so does everything else here, and what writes if nothing can be
        written (`database.problem` says why). All of it tries again by itself."""
        await self.database.open()
        if self.database.problem is None:
            await self.database.write(partial(transactions.forget, now))

    async def close(self) -> None:
        await self.database.close()

    async def backup(self, target: Path) -> int:
        """Copy all of it, as of this moment, to a file that must not be there yet; how many bytes that has."""
        return await asyncio.to_thread(backup.copy, self.database.path, target)

    # -- runs ------------------------------------------------------------------------------------------------------

    async def accept(
        self, id: str, session: str, agent: str, request: RunRequest, now: int, owed: tuple[str, str] | None = None
    ) -> tuple[Run, bool]:
        """A run that waits for its turn, and True; the one that has this id already, and False. Raises QueueFull.

        `owed`: connection and id of a request that gets another answer when the run is over.
        """
        return await self.database.write(partial(transactions.accept, id, session, agent, request, now, owed))

    async def answer(
        self, id: str, session: str, agent: str, request: RunRequest, message: Message, now: int
    ) -> tuple[Run, bool]:
        """A run that the gateway itself has answered, and that is over; as `accept`."""
        return await self.database.write(partial(transactions.answer, id, session, agent, request, message, now))

    async def begin(self, id: str, now: int) -> Run | None:
        """It is its turn: the prompt becomes part of the transcript. None if it does not wait any more."""
        return await self.database.write(partial(transactions.begin, id, now))

    async def again(self, id: str) -> Run | None:
        """Another agent is asked for it from the beginning: what the one before wrote never was."""
        return await self.database.write(partial(transactions.again, id))

    async def progress(self, all: Sequence[Progress]) -> None:
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
        """A run's last events, and how it ended; `rest` is what was written of a message that nobody will complete.

        A run that has ended stays as it is.
        """
        return await self.database.write(
            partial(transactions.end, last, rest, state, now, stop_reason, failure, usage or Usage())
        )

    async def run(self, id: str) -> Run | None:
        return await self.database.read(partial(transactions.find_run, id))

    async def unfinished(self) -> list[Run]:
        """In the order in which they were accepted."""
        return await self.database.read(transactions.unfinished)

    # -- transcripts -----------------------------------------------------------------------------------------------

    async def history(self, session: str, without: str, most: int = HISTORY_BYTES) -> ModelContext:
        """The newest messages of a session that have so many bytes together, not those of one run."""
        return await self.database.read(partial(transcripts.model_context, session, without, most))

    async def rows(self, session: str, limit: int, before: int | None = None) -> list[MessageRow]:
        """The newest messages before a position, oldest first."""
        return await self.database.read(partial(transcripts.rows, session, limit, before))

    async def messages_of_run(self, session: str, run: str, most: int) -> list[MessagePlace]:
        """The first messages that a run has brought to its session, oldest first; none after a reset."""
        return await self.database.read(partial(queries.messages_of_run, session, run, most))

    async def page(self, session: str, limit: int) -> tuple[Session | None, list[MessageRow]]:
        """A session and its newest messages, oldest first, all as of one moment."""
        return await self.database.read(
            lambda db: (transcripts.find_session(session, db), transcripts.rows(session, limit, None, db))
        )

    async def append(self, session: str, message: Message, now: int) -> MessageRow | None:
        """Add what nobody was asked for. None if there is no such session."""
        return await self.database.write(partial(transcripts.append, session, message, now))

    # -- sessions --------------------------------------------------------------------------------------------------

    async def session(self, key: str) -> Session | None:
        return await self.database.read(partial(transcripts.find_session, key))

    async def session_by_id(self, id: str) -> Session | None:
        """The one whose transcript has this id."""
        return await self.database.read(partial(queries.session_by_id, id))

    async def sessions(self, which: Filter = ALL, limit: int | None = None, offset: int = 0) -> Page:
        """The most recently updated first."""
        return await self.database.read(partial(queries.sessions, which, limit, offset))

    async def summaries(self, keys: Sequence[str]) -> dict[str, Summary]:
        """How the transcripts of these sessions begin and end; keys without a session are left out."""
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
        """Set the entry to what `change` makes of it; what that raises leaves everything as it is.

        `expected`: the id that the session must have. Raises SessionChanged, and LabelTaken, because no two sessions
        of an agent have the same label.
        """
        return await self.database.write(partial(transcripts.patch, key, agent, change, now, expected))

    async def reset(self, key: str, agent: str, now: int) -> Session:
        """Begin anew under the same key: another transcript, no tokens, the same settings."""
        return await self.database.write(partial(transcripts.reset, key, agent, now))

    async def delete(self, key: str, *, transcript: bool = True) -> Session | None:
        """What was deleted, None if there was no such session. Runs that are under way must be aborted before."""
        return await self.database.write(partial(transcripts.delete, key, transcript))

    async def compact(self, key: str, keep: int) -> int | None:
        """Forget all but the last messages; how many were forgotten, None without a session."""
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
        """Tokens and dollars from `since` to before `until`; days are those at so many minutes east of UTC."""
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
        """The messages of the transcripts that are there, by the same rules."""
        return await self.database.read(partial(queries.message_counts, since, until, by, offset_min, agent, session))

    async def tools(
        self, since: int, until: int, *, agent: str | None = None, session: str | None = None
    ) -> list[Used]:
        """What tools were called, by session, the most used first."""
        return await self.database.read(partial(queries.tools, since, until, agent, session))
