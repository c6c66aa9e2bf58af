"""Counts of sessions, and the latest ones, as `health` reports them without waiting for the database.

They are counted in the background when they are asked for and are old. Before the first count there are none.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.aio.tasks import Tasks
from gateway.machine.clock import now_ms
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Filter
from gateway.sessions.store import Store

log = logging.getLogger("gateway.sessions")

FRESH_S = 10.0
"""Seconds for which a count is reported again."""
RECENT = 5
"""Latest sessions of each agent."""


@dataclass(frozen=True)
class AgentSessions:
    """The sessions of one agent."""

    count: int = 0
    recent: tuple[tuple[str, int], ...] = ()
    """Keys of the latest ones, with when they were updated (milliseconds since 1970)."""


@dataclass(frozen=True)
class SessionCounts:
    at: int = 0
    """When they were counted; milliseconds since 1970."""
    agents: tuple[tuple[str, AgentSessions], ...] = ()

    def of(self, agent: str) -> AgentSessions:
        return dict(self.agents).get(agent, AgentSessions())


class Overview:
    """`agents` returns the ids of the agents whose sessions are counted."""

    def __init__(self, store: Store, agents: Callable[[], Sequence[str]]) -> None:
        self._store = store
        self._agents = agents
        self._counts = SessionCounts()
        self._counted = float("-inf")
        self._counting = False
        self._tasks = Tasks(log)
        self._closed = False

    def latest(self) -> SessionCounts:
        """The last counts. If they are older than `FRESH_S`, counting begins in the background."""
        if not (self._counting or self._closed) and time.monotonic() - self._counted >= FRESH_S:
            self._counting = True
            self._tasks.spawn(self._count(), "counting sessions")
        return self._counts

    def close(self) -> None:
        self._closed = True
        self._tasks.cancel()

    async def _count(self) -> None:
        try:
            agents = [(id, await self._count_agent(id)) for id in self._agents()]
            self._counts = SessionCounts(now_ms(), tuple(agents))
        except StorageFailed as error:
            log.warning("sessions cannot be counted: %s", error)
        finally:
            self._counted = time.monotonic()
            self._counting = False

    async def _count_agent(self, agent: str) -> AgentSessions:
        page = await self._store.sessions(Filter(agent=agent), RECENT)
        return AgentSessions(page.total, tuple((each.key, each.updated) for each in page.sessions))
