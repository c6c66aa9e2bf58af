"""How many sessions there are, and which were the last: what `health` says, without waiting for the database.

It is looked at in the background, when somebody asks for it and it is old; before the first look there are none.
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
"""For so long what was seen is told without another look."""
RECENT = 5


@dataclass(frozen=True)
class AgentSessions:
    """Of one agent's sessions."""

    count: int = 0
    recent: tuple[tuple[str, int], ...] = ()
    """Keys of the last ones, with when they were updated (milliseconds since 1970)."""


@dataclass(frozen=True)
class SessionCounts:
    at: int = 0
    """Milliseconds since 1970."""
    agents: tuple[tuple[str, AgentSessions], ...] = ()

    def of(self, agent: str) -> AgentSessions:
        return dict(self.agents).get(agent, AgentSessions())


class Overview:
    """`agents` names those that are to be looked at."""

    def __init__(self, store: Store, agents: Callable[[], Sequence[str]]) -> None:
        self._store = store
        self._agents = agents
        self.picture = SessionCounts()
        """What was seen last."""
        self._looked = float("-inf")
        self._looking = False
        self._tasks = Tasks(log)
        self._closed = False

    def latest(self) -> SessionCounts:
        """What was seen last; if that is long ago, another look begins."""
        if not (self._looking or self._closed) and time.monotonic() - self._looked >= FRESH_S:
            self._looking = True
            self._tasks.spawn(self._look(), "looking at the sessions")
        return self.picture

    def close(self) -> None:
        self._closed = True
        self._tasks.cancel()

    async def _look(self) -> None:
        try:
            agents = [(id, await self._see(id)) for id in self._agents()]
            self.picture = SessionCounts(now_ms(), tuple(agents))
        except StorageFailed as error:
            log.warning("sessions cannot be counted: %s", error)
        finally:
            self._looked = time.monotonic()
            self._looking = False

    async def _see(self, agent: str) -> AgentSessions:
        page = await self._store.sessions(Filter(agent=agent), RECENT)
        return AgentSessions(page.total, tuple((each.key, each.updated) for each in page.sessions))
