"""A gateway's runs on a real database and a real Unix socket, with the agent's own link server at its other end.

Processes follow each other in one event loop: `crash` is a kill -9. What a run says is the test's (`Scripted`).
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.agent import runs as agent_runs
from gateway.agent.link import LinkServer
from gateway.link.dialer import by_path
from gateway.link.messages import Event
from gateway.link.spec import Message, Model, Spec
from gateway.link.stream import Stream
from gateway.runs.active import ActiveRun
from gateway.runs.audience import Audience, RunListener
from gateway.runs.service import Runs
from gateway.runs.storing import StoringTimes
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Run, RunRequest, text_of
from gateway.sessions.store import Store
from tests.agent.scripted import Scripted
from tests.slack import LIMIT_S

MAIN = "agent:main:main"
SOON = StoringTimes(store=0.01, again=0.01, abort=0.2)
PATIENCE_S = 10.0


def user(text: str) -> Message:
    return {"role": "user", "content": [{"type": "text", "text": text}], "timestamp": 1}


def assistant(text: str, **more: Any) -> Message:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "timestamp": 2,
        "stopReason": "stop",
    } | more


async def specify(run: Run) -> Spec:
    """The session's name in it is the run's: by that the test finds its script."""
    return Spec(run.id, run.agent, run.request.prompt, [Model("builtin", "echo", "builtin")])


async def until(true: Callable[[], object], what: str = "it") -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.001)


class Agents:
    """Whoever connects finds an agent, as with a socket unit: a new one if the last one is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.down = False
        """Nobody can be reached."""
        self.born = 0
        self._runs: agent_runs.AgentRuns | None = None
        self._link: LinkServer | None = None
        self._server: asyncio.Server | None = None
        self._served: set[asyncio.Task[Any]] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def dial(self) -> Stream:
        if self.down:
            raise ConnectionRefusedError("nobody is here")
        return await by_path(str(self.path))

    @property
    def runs(self) -> list[str]:
        return [] if self._runs is None else self._runs.ids()

    def cut(self) -> None:
        """The connection breaks; the agent lives on."""
        assert self._link is not None
        for connection in list(self._link._connections):
            connection.cut()

    async def crash(self) -> None:
        if self._link is not None and self._runs is not None:
            link, runs = self._link, self._runs
            self._link = self._runs = None
            link.cut_all()
            await runs.end_all()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self.crash()
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._link is None:
            self.born += 1
            self._runs = agent_runs.AgentRuns(lambda run: link.on_event(run), lambda: None)
            self._link = link = LinkServer(self._runs)
        serving = asyncio.current_task()
        assert serving is not None
        self._served.add(serving)
        serving.add_done_callback(self._served.discard)
        await self._link.serve(reader, writer)


@dataclass
class Witness(RunListener):
    """A listener that sees to it that nothing is told after the end of a run, and each word once."""

    begun_: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    ends: dict[str, Run] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def begun(self, live: ActiveRun) -> None:
        self._check(live)
        self.begun_.append(live.run.id)

    def happened(self, live: ActiveRun, event: Event) -> None:
        self._check(live)
        self.texts[live.run.id] = live.text

    def restarted(self, live: ActiveRun) -> None:
        self._check(live)
        self.texts[live.run.id] = live.text

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        if run.id in self.ends:
            self.wrong.append(f"{run.id} has ended twice")
        self.ends[run.id] = run

    def _check(self, live: ActiveRun) -> None:
        if live.run.id in self.ends:
            self.wrong.append(f"something was told of {live.run.id} after its end")


class Disk:
    """Between the store and its database."""

    def __init__(self, store: Store) -> None:
        self.full = False
        self.full_for: tuple[str, ...] = ()
        """Names of the store's methods that fail."""
        self.slow: dict[str, asyncio.Event] = {}
        """What waits until it is let go: a method, or `method run`."""
        self._write = store.database.write
        store.database.write = self.write  # type: ignore[method-assign]

    async def write(self, work: Any) -> Any:
        await asyncio.sleep(0)
        if self.full or name_of(work) in self.full_for:
            raise StorageFailed("the disk is full; make room on the disk")
        for name in (name_of(work), f"{name_of(work)} {_run(work)}"):
            if name in self.slow:
                await self.slow[name].wait()
        return await self._write(work)


def name_of(work: Any) -> str:
    return str(getattr(getattr(work, "func", work), "__name__", ""))


def _run(work: Any) -> str:
    first = (*getattr(work, "args", ()), "")[0]
    return str(getattr(first, "run", first))


class RunsGateway:
    """One process."""

    def __init__(
        self, folder: Path, dial: Callable[[], Awaitable[Stream]], times: StoringTimes, listeners: list[RunListener]
    ) -> None:
        self.store = Store(folder / "conversations.sqlite")
        self.disk = Disk(self.store)
        self.runs = Runs(self.store, dial, lambda run: specify(run), Audience(listeners), times=times)

    async def start(self) -> None:
        await self.store.open(1)
        await self.runs.start()

    async def crash(self) -> None:
        """What is under way never comes to its end; what the disk has been told may be written or not."""
        runs, owner, link = self.runs, self.runs._owner, self.runs._owner._link
        runs._closed = owner._closed = link._closed = owner._storing._stopped = True
        if link._writer is not None:
            link._writer.transport.abort()
        tasks = [
            *runs._tasks._running,
            *owner._tasks._running,
            *owner._asks._running,
            owner._storing._task,
            link._living,
        ]
        for task in filter(None, tasks):
            task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
        await self.store.close()

    async def leave(self) -> None:
        with contextlib.suppress(StorageFailed):
            await self.runs.close()
        await self.store.close()


class RunsWorld:
    def __init__(self, folder: Path, times: StoringTimes = SOON) -> None:
        self.folder = folder
        self.times = times
        self.heard = Witness()
        self.listeners: list[RunListener] = [self.heard]
        # The address of a Unix socket is short (unix(7)), and pytest's folders are not.
        self._short = tempfile.TemporaryDirectory(prefix="oc-")
        self.agents = Agents(Path(self._short.name) / "agent.sock")
        self.gateway = RunsGateway(folder, self.agents.dial, times, self.listeners)

    @property
    def runs(self) -> Runs:
        return self.gateway.runs

    @property
    def store(self) -> Store:
        return self.gateway.store

    async def begin(self) -> None:
        await self.agents.listen()
        await self.gateway.start()

    async def end(self) -> None:
        await self.gateway.leave()
        await self.agents.close()
        self._short.cleanup()

    async def next_gateway(self) -> None:
        self.gateway = RunsGateway(self.folder, self.agents.dial, self.times, self.listeners)
        await self.gateway.start()

    async def submit(self, id: str, session: str = MAIN, text: str = "hello", **more: Any) -> bool:
        return (await self.runs.submit(id, session, "main", RunRequest(user(text)), **more))[1]

    async def script(self, id: str) -> Scripted:
        """Once an agent has begun the run."""
        await until(lambda: id in Scripted.by_session, f"an agent for {id}")
        return Scripted.by_session.pop(id)

    async def over(self, id: str) -> Run:
        await until(lambda: id in self.heard.ends, f"the end of {id}")
        return self.heard.ends[id]

    async def transcript(self, session: str = MAIN) -> list[str]:
        """`role: text` of each message."""
        rows = await self.store.rows(session, 1000)
        return [f"{row.message['role']}: {text_of(row.message)}" for row in rows]


@contextlib.asynccontextmanager
async def world(folder: Path, times: StoringTimes = SOON) -> AsyncIterator[RunsWorld]:
    """With `Scripted` in place of an agent's conversations, which is the caller's to see to."""
    made = RunsWorld(folder, times)
    await made.begin()
    try:
        yield made
        assert made.heard.wrong == []
    finally:
        await made.end()


def in_a_world(folder: Path, test: Callable[[RunsWorld], Awaitable[None]], times: StoringTimes = SOON) -> None:
    async def life() -> None:
        async with asyncio.timeout(LIMIT_S), world(folder, times) as made:
            await test(made)

    Scripted.by_session.clear()
    asyncio.run(life())
