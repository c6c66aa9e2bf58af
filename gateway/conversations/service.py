"""Sessions and runs of this gateway, as methods, HTTP and commands ask for them, with the active config.

The database is opened in the quiet after READY, and requests that come earlier wait for it. When it cannot be opened,
the next request tries again, and nothing else of the gateway depends on it.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from gateway.aio.opening import RetriedOpening
from gateway.aio.tasks import Tasks, shielded
from gateway.config import catalog
from gateway.config.substitute import Lookup
from gateway.config.tree import ConfigTree, section
from gateway.conversations.commands import Commands
from gateway.conversations.deferred_answers import DeferredReplies
from gateway.conversations.overview import Overview, RecentSessions, SessionCounts
from gateway.conversations.run_events import RunEvents, tell_injected
from gateway.conversations.session_events import SessionEvents
from gateway.conversations.sessions import SessionService
from gateway.files.paths import Paths
from gateway.handover.positions import Positions
from gateway.hub.hub import Hub
from gateway.link.spec import Message
from gateway.link.stream import Dial
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.runs.audience import Audience
from gateway.runs.following import BEGINNING, Cursor, Reader, RunTexts
from gateway.runs.service import Runs
from gateway.runs.spec import Specifier
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import MessageRow, Run, RunRequest, Session, Summary
from gateway.sessions.shown import RowContext
from gateway.sessions.store import Store

log = logging.getLogger("gateway.conversations.service")

CLOSE_S = 10.0
"""Seconds in which events of runs must be stored when the process leaves without a budget."""


class Conversations:
    def __init__(
        self,
        paths: Paths,
        hub: Hub,
        tree: Callable[[], ConfigTree],
        environment: Lookup,
        dial: Dial,
        told: Positions | None = None,
    ) -> None:
        """`tree`: the active config, resolved. `told`: how much of runs the process before has sent to clients."""
        self._hub = hub
        self._announcing = partial(hub.announcing, READ)
        self.store = Store(paths.database)
        self._tree = tree
        self._opening = RetriedOpening(self._open, "opening the database", log)
        self._following = RunTexts(lambda id: self.runs.active(id))
        self._tasks = Tasks(log)
        self.session_events = SessionEvents(hub, self.store, self._row_context, told)
        """The events of sessions for clients."""
        self._overview = Overview(self.store, lambda: catalog.defaults(self._tree()).agents)
        self.recent = RecentSessions(self.store, tree)
        """The latest sessions. `read` needs the database open: see `ready`."""
        self._run_events = RunEvents(hub, self._is_verbose, told)
        audience = Audience((self._run_events, DeferredReplies(hub), self.session_events, self._following))
        specify = Specifier(self.store, paths.state, tree, environment)
        self.runs = Runs(self.store, dial, specify, audience, announcing=self._announcing)
        self.sessions = SessionService(self.store, self.runs, self.session_events, tree, environment, self._tasks)
        self.commands = Commands(self.store, self.runs, self.sessions, tree, environment, self._tasks, self._announcing)
        """The commands in chats."""

    async def ready(self) -> None:
        """Return when sessions and runs can be asked for. Raises StorageFailed."""
        await self._opening.wait()

    async def begin(self) -> None:
        """Open the database, and go on with the runs that another process has left. Return after the first attempt;
        further ones follow until one succeeds."""
        await self._opening.begin()

    @property
    def open(self) -> bool:
        return self._opening.is_open

    @property
    def degraded(self) -> str | None:
        """Why the database cannot be used, or not be written."""
        return self._opening.problem or self.store.database.problem

    def release_waiters(self) -> None:
        """The process is about to leave: each request that waits for the end of a run gets the run as it is now."""
        self.runs.release_waiters()

    async def close(self, limit_s: float = CLOSE_S, *, for_good: bool = True) -> None:
        """Store the events of runs, within `limit_s` seconds. The agent goes on with the runs, and keeps what is not
        stored.

        `for_good`: no process follows, so the files of the database are put in order too.
        """
        self.release_waiters()
        try:
            async with asyncio.timeout(limit_s):
                if not await self._opening.stop() or not self.open:
                    return
                self._overview.close()
                await self._tasks.join()
                try:
                    await self.runs.close()
                except StorageFailed as error:
                    log.error("%s; the agent keeps what could not be stored", error)
                finally:
                    self._run_events.close()
                await self.session_events.close()
                if for_good:
                    await self.store.close()
        except TimeoutError:
            log.warning("what runs have said is not stored after %g s; the agent keeps the rest", limit_s)

    async def _open(self) -> None:
        await self.store.open(now_ms())
        await self._hub.wait_adopted()  # or a client that is adopted later would miss events of runs
        await self.runs.start()

    def _row_context(self, session: Session, summary: Summary | None) -> RowContext:
        return self.sessions.row_context(session, summary, titled=True, previewed=True)

    def counts(self) -> SessionCounts:
        """How many sessions there were when they were last counted; nothing while the database is not open."""
        return self._overview.latest() if self.open else SessionCounts()

    # -- runs ------------------------------------------------------------------------------------------------------

    async def submit(
        self, id: str, key: str, request: RunRequest, deferred_reply: tuple[str, str] | None = None
    ) -> tuple[Run, bool]:
        """Accept a message for a session, by its canonical key. Returns its run, and False if the id is known already.

        `deferred_reply`: connection and id of a request that gets a second answer when the run is over. Raises
        SendDenied, QueueFull and StorageFailed.
        """
        await self.ready()
        return await self.runs.submit(id, key, self.sessions.agent(key), request, deferred_reply)

    def follow(self, id: str, place: Cursor = BEGINNING) -> Reader:
        """A reader of a run's text, from its beginning or from the cursor of a reader in another process. You must
        `close` it. Call `end_if_over` after it, because the run may be over."""
        return self._following.read(id, place)

    async def end_if_over(self, id: str) -> None:
        """End the readers of a run that is over already. Raises StorageFailed."""
        await self.ready()
        self._following.end_if_over(id, await self.store.run(id))

    @shielded
    async def inject(self, key: str, message: Message) -> MessageRow | None:
        """Add a message without a run to a session; None if there is no such session. Raises StorageFailed."""
        await self.ready()
        with self._announcing():
            row = await self.store.append(key, message, now_ms())
            if row is not None:
                tell_injected(self._hub, row.id, key, self.sessions.agent(key), message)
                self.session_events.tell(key, "chat.inject")
        return row

    async def _is_verbose(self, key: str) -> bool:
        """Whether a session shows its tools to clients of protocol 3. Raises StorageFailed."""
        session = await self.store.session(key)
        chosen = session.entry.get("verboseLevel") if session else None
        return (chosen or section(self._tree(), "agents", "defaults").get("verboseDefault")) == "on"

    async def pending(self, key: str) -> list[Run]:
        """Runs of a session that wait for their turn. Raises StorageFailed."""
        runs = [await self.store.run(id) for id in self.runs.waiting(key)]
        return [run for run in runs if run is not None and run.state == "queued"]

    async def abort(self, key: str, id: str | None = None) -> list[str]:
        """Abort one run, or all runs of a session; return the ids of those that were not over. Raises StorageFailed."""
        await self.ready()
        return await self.runs.abort(key, id)
