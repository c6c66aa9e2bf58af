"""Runs in which happens what a test says, for tests of what carries them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.agent.link import LinkServer
from gateway.agent.runs import AgentRun, AgentRuns
from gateway.agent.turn.failed import Failed
from gateway.link.messages import Ended, Failure, Happening, Usage
from gateway.link.spec import Spec
from tests.agent.peer import Peer, Store


class Scripted:
    """Instead of a conversation: `happen` and `end` are the test's."""

    by_session: dict[str, "Scripted"] = {}

    def __init__(self, spec: Spec, emit: Any, idle_servers: Any) -> None:
        self._emit = emit
        self._queue: asyncio.Queue[Happening | Exception] = asyncio.Queue()
        self.usage = Usage()
        self.emitted = 0
        Scripted.by_session[spec.session] = self

    async def run(self) -> Ended:
        while True:
            what = await self._queue.get()
            if isinstance(what, Exception):
                raise what
            if isinstance(what, Ended):
                return what
            await self._emit(what)
            self.emitted += 1
            await asyncio.sleep(0)  # pieces of one turn of the loop would become one event

    def leftovers(self, ended: Ended) -> list[Happening]:
        return []

    def happen(self, *what: Happening) -> None:
        for one in what:
            self._queue.put_nowait(one)

    def end(self) -> None:
        self._queue.put_nowait(Ended("done"))

    def fail(self, kind: Any = "provider") -> None:
        self._queue.put_nowait(Failed(Failure(kind, "no")))

    def break_down(self) -> None:
        self._queue.put_nowait(ZeroDivisionError("oh"))


class Side:
    """The agent's side: runs and a link in this event loop."""

    def __init__(self) -> None:
        self.changes = 0
        self.runs = AgentRuns(self._happened, self._changed)
        self.link = LinkServer(self.runs)
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers: list[Peer] = []

    async def connect(self, store: Store | None = None, buffer: int | None = None) -> Peer:
        ours, theirs = socket.socketpair()
        if buffer is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        task = asyncio.create_task(self._serve(ours))
        self._tasks.add(task)
        self._peers.append(Peer(theirs, store))
        return self._peers[-1]

    async def close(self) -> None:
        self.link.cut_all()
        await asyncio.gather(*self._tasks)
        for peer in self._peers:
            peer.sock.close()
        await self.runs.end_all()

    async def _serve(self, sock: socket.socket) -> None:
        await self.link.serve(*await asyncio.open_unix_connection(sock=sock))

    def _happened(self, run: AgentRun) -> None:
        self.link.on_event(run)

    def _changed(self) -> None:
        self.changes += 1


@asynccontextmanager
async def side() -> AsyncIterator[Side]:
    made = Side()
    try:
        yield made
    finally:
        await made.close()


async def settle(until: Callable[[], bool] = lambda: False, turns: int = 30) -> None:
    """Let the loop do what there is to do."""
    for _ in range(turns):
        if until():
            return
        await asyncio.sleep(0)
