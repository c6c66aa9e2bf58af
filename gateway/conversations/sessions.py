"""Sessions as clients name, see and change them. Clients hear of each change (`session_events`).

The database must be open: a caller awaits `Conversations.ready` first.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

from gateway.aio.tasks import Tasks, shielded
from gateway.config import catalog
from gateway.config.models import refusal
from gateway.config.substitute import Lookup
from gateway.config.tree import ConfigTree
from gateway.conversations.session_events import SessionEvents
from gateway.machine.clock import now_ms
from gateway.runs.service import Runs, StillActive
from gateway.sessions import keys
from gateway.sessions.records import BESIDE, Run, RunRequest, Session, Summary
from gateway.sessions.shown import RowContext
from gateway.sessions.store import Store
from gateway.sessions.transactions import SendDenied
from gateway.sessions.transcripts import SessionChanged

QUIET_S = 15.0
"""Seconds in which a session's runs must end once they are aborted."""
Change = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes a session's new entry from its old one. Entries have the keys that `sessions.patch` may set."""


class SessionService:
    def __init__(
        self,
        store: Store,
        runs: Runs,
        events: SessionEvents,
        tree: Callable[[], ConfigTree],
        environment: Lookup,
        tasks: Tasks,
    ) -> None:
        """`tree`: the active config, resolved. `tasks`: where a change runs on when its caller is cancelled."""
        self._store = store
        self._runs = runs
        self._events = events
        self._tree = tree
        self._environment = environment
        self._tasks = tasks

    # -- what is known ---------------------------------------------------------------------------------------------

    def key(self, text: str) -> str:
        """The canonical key of the session that a client names. Raises keys.BadKey."""
        who = catalog.defaults(self._tree())
        return keys.canonical(text, who.agent, who.main_key, who.scope)

    def agent(self, key: str) -> str:
        """The id of the agent to which a session belongs."""
        return keys.owner(key, catalog.default_id(self._tree()))

    def active_runs(self, key: str) -> list[str]:
        """Ids of the session's runs: the one that goes on, then those that wait."""
        running = self._runs.running(key)
        return [*([running] if running else []), *self._runs.waiting(key)]

    def row_context(self, session: Session, summary: Summary | None, *, titled: bool, previewed: bool) -> RowContext:
        """The part of a session's row that is not stored."""
        tree = self._tree()
        main = catalog.main_session(tree, session.agent)
        return RowContext(tree, main, now_ms(), self.active_runs(session.key), summary, titled, previewed)

    def refuse_model(self, key: str, wanted: str) -> str | None:
        """Why a session cannot have this model; None if it can."""
        return refusal(self._tree(), self._environment, self.agent(key), wanted)

    async def check_may_send(self, key: str) -> None:
        """Raises SendDenied if the session takes no messages, and StorageFailed."""
        session = await self._store.session(key)
        if session is not None and session.entry.get("sendPolicy") == "deny":
            raise SendDenied

    # -- changes ---------------------------------------------------------------------------------------------------

    @shielded
    async def patch(self, key: str, change: Change, *, expected: str | None = None) -> Session:
        """Set a session's entry, as `Store.patch` does; a session that is not there is made."""
        before = await self._store.session(key)
        session = await self._store.patch(key, self.agent(key), change, now_ms(), expected)
        old = before.entry.get("model") if before else None
        more = {"catalogChanged": True} if old != session.entry.get("model") else {}
        self._events.tell(key, "patch" if before else "create", **more)
        return session

    @shielded
    async def reset(self, key: str, *, expected: str | None = None) -> Session:
        """Begin an empty transcript under the same key, once the session's runs are ended.

        `expected`: the id that the session must have. Raises SessionChanged, StillActive and StorageFailed.
        """
        await self._check_id(key, expected)
        await self.end_runs(key)
        session = await self._store.reset(key, self.agent(key), now_ms())
        self._events.tell(key, "reset")
        return session

    @shielded
    async def delete(self, key: str, *, transcript: bool = True, expected: str | None = None) -> Session | None:
        """Delete a session, once its runs are ended; None if there is no such session. Raises as `reset`."""
        await self._check_id(key, expected)
        await self.end_runs(key)
        session = await self._store.delete(key, transcript=transcript)
        if session is not None:
            self._events.tell_deleted(session)
        return session

    @shielded
    async def compact(self, key: str, keep: int) -> int | None:
        """Forget all but the last `keep` messages, as `Store.compact` does. Raises StorageFailed."""
        forgotten = await self._store.compact(key, keep)
        if forgotten:
            self._events.tell(key, "compact")
        return forgotten

    async def sum_up(self, key: str, limit_s: float) -> Run | None:
        """Have a model sum up what was said, in a run that no chat shows; return the run as it is when it is over, or
        after `limit_s` seconds. Raises QueueFull and StorageFailed."""
        request = RunRequest({}, lane=BESIDE, compact="")
        run, _ = await self._runs.submit(str(uuid.uuid4()), key, self.agent(key), request)
        ended = await self._runs.wait(run.id, limit_s)
        if ended is not None and ended.state == "done":
            self._events.tell(key, "compact", compacted=True)
        return ended

    async def end_runs(self, key: str) -> None:
        """Abort the session's runs, and return when all of them are over. Raises StillActive and StorageFailed."""
        until = time.monotonic() + QUIET_S
        for id in await self._runs.abort(key):
            run = await self._runs.wait(id, max(0.0, until - time.monotonic()))
            if run is not None and run.unfinished:
                raise StillActive(key)

    async def _check_id(self, key: str, id: str | None) -> None:
        session = await self._store.session(key) if id is not None else None
        if id is not None and (session is None or session.id != id):
            raise SessionChanged(key)
