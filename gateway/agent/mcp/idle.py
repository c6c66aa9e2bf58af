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
        self._kept: dict[Key, tuple[IdleServer, asyncio.TimerHandle]] = {}
        """The one that has waited longest comes first."""
        self._told: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def end(self, task: "asyncio.Task[Any] | None") -> None:
        """It ends by itself, and only `gone` waits for it."""
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def keep(self, key: Key, server: IdleServer) -> None:
        self._drop(key)
        self._kept[key] = server, asyncio.get_running_loop().call_later(IDLE_S, self._drop, key)
        if len(self._kept) > MAX_IDLE:
            self._drop(next(iter(self._kept)))

    def take(self, key: Key) -> IdleServer | None:
        """It is the caller's again, who does not know how it is."""
        if key not in self._kept:
            return None
        server, timer = self._kept.pop(key)
        timer.cancel()
        return server

    def is_new(self, conversation: str, sentence: str) -> bool:
        """Whether it has not been said in this conversation; from now on it has."""
        said = conversation, sentence
        if not conversation or said not in self._told:
            self._told[said] = None
            if len(self._told) > MAX_SENTENCES:
                del self._told[next(iter(self._told))]
            return True
        return False

    async def gone(self) -> None:
        """End all that is kept, and return when nothing is left."""
        for key in list(self._kept):
            self._drop(key)
        while self._ending:
            await asyncio.wait(self._ending)

    def _drop(self, key: Key) -> None:
        if (server := self.take(key)) is not None:
            self.end(server.close())
