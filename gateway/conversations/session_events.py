"""`sessions.changed` and `session.message`: events of sessions for clients of protocol 4.

Each client that may read gets the events of all sessions. OpenClaw has a subscription for each connection instead,
which its page makes on every connect. Connections outlive this process and subscriptions would not; the page ignores
sessions that it does not show.

A row is read from the database when its event is sent, a moment after the change, so that a run that begins reads
first. Several changes of one session that come close together become one event, with the row of that moment.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.aio.tasks import Tasks
from gateway.handover.positions import Positions
from gateway.hub.hub import Hub
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.runs.active import ActiveRun
from gateway.runs.audience import RunListener
from gateway.sessions import shown
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import MessagePlace, Run, Session, Summary
from gateway.sessions.shown import RowContext
from gateway.sessions.store import Store

log = logging.getLogger("gateway.sessions")

SINCE = 4
"""The first protocol that has these events."""
MOMENT_S = 0.01
"""Seconds from a change to its event."""
LEAVE_S = 1.0
"""Seconds in which all events must be sent when the process leaves."""
MAX_MESSAGES = 100
"""Messages of one run that are sent one by one; a page reads the rest from the history."""

Look = Callable[[Session, Summary | None], RowContext]
"""Makes the part of a row that is not stored, as it is now."""


@dataclass
class _Due:
    """What is still to be sent of one session."""

    news: dict[str, Any] = field(default_factory=dict)
    """The last change's own fields: the row shows the result of all changes."""
    runs: list[str] = field(default_factory=list)
    """Ids of runs that may have brought messages."""


class SessionEvents(RunListener):
    def __init__(self, hub: Hub, store: Store, look: Look, memory: Positions | None = None) -> None:
        """`memory`: how much of runs the process before has sent."""
        self._memory = memory
        self._hub = hub
        self._store = store
        self._look = look
        self._due: dict[str, _Due] = {}
        self._told: dict[str, int] = {}
        """How many messages of each run were sent, by the run's id."""
        self._tasks = Tasks(log)
        self.telling: asyncio.Task[None] | None = None
        """Under way while something is still to be sent."""

    # -- RunListener -----------------------------------------------------------------------------------------------

    def accepted(self, run: Run) -> None:
        if run.request.keeps and run.request.compact is None:
            self.tell(run.session, "send")

    def begun(self, live: ActiveRun) -> None:
        self._soon(live.run.session, {"phase": "start", "runId": live.run.id}, live.run)

    def restarted(self, live: ActiveRun) -> None:
        if self._memory is not None and live.run.id not in self._told:
            self._told[live.run.id] = self._memory.messages(live.run.id)

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        phase = "error" if run.state in ("failed", "interrupted") else "end"
        self._soon(run.session, {"phase": phase, "runId": run.id}, run)

    # -- what methods tell -----------------------------------------------------------------------------------------

    def tell(self, key: str, reason: str, **more: Any) -> None:
        """A session was changed or made. `more`: fields of the event."""
        self._soon(key, {"reason": reason, **more})

    def tell_deleted(self, session: Session) -> None:
        self._due.pop(session.key, None)
        gone = {"sessionKey": session.key, "sessionId": session.id, "agentId": session.agent, "reason": "delete"}
        self._broadcast("sessions.changed", gone | {"ts": now_ms()})

    async def close(self) -> None:
        """Send what is still due, for clients whose connections outlive this process."""
        if self.telling is not None:
            await asyncio.wait([self.telling], timeout=LEAVE_S)
            self.telling.cancel()

    # -- telling ---------------------------------------------------------------------------------------------------

    def _soon(self, key: str, news: dict[str, Any], run: Run | None = None) -> None:
        if not self._hub.reaches_anyone(READ, SINCE):
            return
        due = self._due.setdefault(key, _Due())
        sticky = {"catalogChanged": True} if due.news.get("catalogChanged") else {}
        due.news = {**news, **sticky}
        if run is not None and run.request.keeps and run.id not in due.runs:
            due.runs.append(run.id)
        if self.telling is None or self.telling.done():
            self.telling = self._tasks.spawn(self._tell_all(), "telling of sessions")

    async def _tell_all(self) -> None:
        await asyncio.sleep(MOMENT_S)
        while self._due:
            key = next(iter(self._due))
            due = self._due.pop(key)
            try:
                await self._tell(key, due)
            except StorageFailed as error:
                log.warning("clients are not told of a change of session %s: %s", key, error)
            except Exception:
                log.exception("clients are not told of a change of session %s", key)

    async def _tell(self, key: str, due: _Due) -> None:
        found = await self._store.news(key, due.runs, MAX_MESSAGES)
        if found is None:
            return
        row = shown.row(found.session, self._look(found.session, found.summary), SINCE)
        for id, (run, places) in found.runs.items():
            self._tell_messages(found.session, row, id, run, places)
        head = {"sessionKey": key, "agentId": found.session.agent, "ts": now_ms(), **due.news}
        self._broadcast("sessions.changed", {**head, "session": row, "ancestorSessions": [], **_top(row)})

    def _tell_messages(
        self, session: Session, row: dict[str, Any], id: str, run: Run | None, places: list[MessagePlace]
    ) -> None:
        for place in places[self._told.get(id, 0) :]:
            event = {
                "sessionKey": session.key,
                "agentId": session.agent,
                "message": shown.message(place.row, place.number),
                "messageId": place.row.id,
                "messageSeq": place.number,
                "session": row,
                "ancestorSessions": [],
                **_top(row),
            }
            self._broadcast("session.message", event)
        if run is not None and run.unfinished:
            self._told[id] = len(places)
            if self._memory is not None:
                self._memory.note_messages(id, len(places))
        else:
            self._told.pop(id, None)

    def _broadcast(self, event: str, payload: dict[str, Any]) -> None:
        self._hub.broadcast(event, payload, scope=READ, min_protocol=SINCE)


def _top(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row that the event has at its top level too."""
    return {
        name: row[name]
        for name in ("updatedAt", "sessionId", "kind", "archived", "status", "hasActiveRun", "activeRunIds")
        if name in row
    }
