"""What runs leave behind: tasks that still have to end, and servers for the next run of their conversation.

A server that has a state, such as a browser's, keeps it from one message to the next, as OpenClaw's do.
"""

import asyncio
from typing import Any, Protocol

IDLE_S = 600.0
"""For so long a server waits for the next run."""
MAX_IDLE = 16
"""Servers that wait; for one more, the one that has waited longest is ended."""
MAX_SENTENCES = 1024
"""Sentences that are known to have been said."""

Key = tuple[str, str]
"""A conversation, and the name of a server in it."""


class IdleServer(Protocol):
    def close(self) -> "asyncio.Task[None] | None":
        """End it. Returns what there is to wait for."""
        ...


class IdleServers:
    def __init__(self) -> None:
        self._ending: set[asyncio.Task[Any]] = set()
        self._idle: dict[Key, tuple[IdleServer, asyncio.TimerHandle]] = {}
        """The one that has waited longest comes first."""
        self._said: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def track_ending(self, task: "asyncio.Task[Any] | None") -> None:
        """It ends by itself, and only `end_all` waits for it."""
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def park(self, key: Key, server: IdleServer) -> None:
        self._end_idle(key)
        self._idle[key] = server, asyncio.get_running_loop().call_later(IDLE_S, self._end_idle, key)
        if len(self._idle) > MAX_IDLE:
            self._end_idle(next(iter(self._idle)))

    def reclaim(self, key: Key) -> IdleServer | None:
        """It is the caller's again, who does not know how it is."""
        if key not in self._idle:
            return None
        server, timer = self._idle.pop(key)
        timer.cancel()
        return server

    def is_new(self, conversation: str, sentence: str) -> bool:
        """Whether it has not been said in this conversation; from now on it has."""
        said = conversation, sentence
        if not conversation or said not in self._said:
            self._said[said] = None
            if len(self._said) > MAX_SENTENCES:
                del self._said[next(iter(self._said))]
            return True
        return False

    async def end_all(self) -> None:
        """End all that is kept, and return when nothing is left."""
        for key in list(self._idle):
            self._end_idle(key)
        while self._ending:
            await asyncio.wait(self._ending)

    def _end_idle(self, key: Key) -> None:
        if (server := self.reclaim(key)) is not None:
            self.track_ending(server.close())
