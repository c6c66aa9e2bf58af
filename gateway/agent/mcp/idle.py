"""MCP servers between two runs of a conversation, and tasks of ended runs that still have to end.

A server with a state, such as a browser's, keeps it from one message to the next, as in OpenClaw.
"""

import asyncio
from typing import Any, Protocol

IDLE_S = 600.0
"""Seconds that a server waits for the next run."""
MAX_IDLE = 16
"""Servers that wait at once. For one more, the server that has waited longest is ended."""
MAX_SENTENCES = 1024
"""Sentences that are remembered as said."""

Key = tuple[str, str]
"""Name of a conversation, name of a server in it."""


class IdleServer(Protocol):
    def close(self) -> "asyncio.Task[None] | None":
        """Begin to end the server. Returns the task to wait for, if there is one."""
        ...


class IdleServers:
    def __init__(self) -> None:
        self._ending: set[asyncio.Task[Any]] = set()
        self._idle: dict[Key, tuple[IdleServer, asyncio.TimerHandle]] = {}
        """Servers and the timers that end them. The server that has waited longest comes first."""
        self._said: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def track_ending(self, task: "asyncio.Task[Any] | None") -> None:
        """Note a task that ends by itself, so that `end_all` waits for it."""
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def park(self, key: Key, server: IdleServer) -> None:
        self._end_idle(key)
        self._idle[key] = server, asyncio.get_running_loop().call_later(IDLE_S, self._end_idle, key)
        if len(self._idle) > MAX_IDLE:
            self._end_idle(next(iter(self._idle)))

    def reclaim(self, key: Key) -> IdleServer | None:
        """Give a parked server back to the caller, who must check that it still works. None if there is none."""
        if key not in self._idle:
            return None
        server, timer = self._idle.pop(key)
        timer.cancel()
        return server

    def is_new(self, conversation: str, sentence: str) -> bool:
        """Whether the sentence was not yet said in this conversation. It counts as said from now on."""
        said = conversation, sentence
        if not conversation or said not in self._said:
            self._said[said] = None
            if len(self._said) > MAX_SENTENCES:
                del self._said[next(iter(self._said))]
            return True
        return False

    async def end_all(self) -> None:
        """End all parked servers, and return when no task is left."""
        for key in list(self._idle):
            self._end_idle(key)
        while self._ending:
            await asyncio.wait(self._ending)

    def _end_idle(self, key: Key) -> None:
        if (server := self.reclaim(key)) is not None:
            self.track_ending(server.close())
