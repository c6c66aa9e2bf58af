"""Counts of sessions, and the latest ones, for `health` and `status`.

`health` does not wait for the database: `Overview` counts in the background when it is asked and its counts are old.
Before the first count there are none. `status` tells what is on disk: `RecentSessions` asks again when something was
committed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.aio.tasks import Tasks
from gateway.config.tree import ConfigTree
from gateway.machine.clock import now_ms
from gateway.sessions.database import StorageFailed, Version
from gateway.sessions.records import Filter, Page
from gateway.sessions.store import Store

log = logging.getLogger("gateway.sessions")

FRESH_S = 10.0
"""Seconds for which a count is reported again."""
RECENT = 5
"""Latest sessions of each agent in `Overview`."""
LISTED = 10
"""Latest sessions of each agent in `RecentSessions`."""


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


@dataclass(frozen=True, eq=False)
class Recent:
    """The latest sessions of each agent, and the config in force then. What is made of them can be kept as long as
    this object is the current one."""

    tree: ConfigTree
    pages: Mapping[str, Page]
    """By agent; each has `LISTED` sessions."""


class RecentSessions:
    """Reads the latest sessions of some agents, and knows whether they are still the latest."""

    def __init__(self, store: Store, tree: Callable[[], ConfigTree]) -> None:
        self._store = store
        self._tree = tree
        self._reading = asyncio.Lock()
        self._last = Recent(ConfigTree({}), {})
        self._version: Version | None = None
        """The database's before `_last` was read."""

    def current(self, agents: Sequence[str]) -> Recent | None:
        """What was read last, if nothing was committed since, the config is the same, and it has these agents.

        None: `read` must be asked, which waits for the database.
        """
        last = self._last
        if self._version is None or last.tree is not self._tree() or tuple(last.pages) != tuple(agents):
            return None
        return last if self._store.database.version() == self._version else None

    async def read(self, agents: Sequence[str]) -> Recent:
        """Raises StorageFailed."""
        async with self._reading:  # what one has read is good for those who waited, unless something was committed
            known = self.current(agents)
            return known if known is not None else await self._read(agents)

    async def _read(self, agents: Sequence[str]) -> Recent:
        version, tree = self._store.database.version(), self._tree()  # first: what is read is no older than this
        found = {id: await self._store.sessions(Filter(agent=id), LISTED) for id in agents}
        self._last, self._version = Recent(tree, found), version
        return self._last
