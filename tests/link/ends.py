"""Both ends of the link, for tests of the other one: an agent that says what a test wants, a handler that notes."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gateway.link.client import AgentLink
from gateway.link.dialer import by_path
from gateway.link.handler import Unreachable
from gateway.link.messages import (
    MAX_LINE,
    VERSION,
    Event,
    Happening,
    Hello,
    StartRefused,
    ToAgent,
    ToGateway,
    Welcome,
    decode_to_agent,
    encode,
)
from gateway.link.spec import Model, Spec
from gateway.link.stream import Stream
from tests.slack import LIMIT_S

T = TypeVar("T")
SPEC = Spec("agent:main:main", "main", {"role": "user", "content": "?"}, [Model("builtin", "echo", "builtin")])


@dataclass
class Notes:
    """A handler."""

    stored: dict[str, int] = field(default_factory=dict)
    """What `awaited_runs` says."""
    ending: list[str] = field(default_factory=list)
    idle: bool = False
    """Nothing goes on, although runs are awaited."""
    events: list[Event] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    refusals: list[StartRefused] = field(default_factory=list)
    given_up: list[Unreachable] = field(default_factory=list)
    gap: bool = False
    """Each event leaves others out."""

    @property
    def has_active_runs(self) -> bool:
        return bool(self.stored) and not self.idle

    def awaited_runs(self) -> dict[str, int]:
        return dict(self.stored)

    def aborted_runs(self) -> list[str]:
        return list(self.ending)

    def received(self, event: Event) -> None:
        if self.gap:
            raise ValueError("others must come before")
        self.events.append(event)

    def unreadable(self, run: str) -> None:
        self.stored.pop(run)
        self.broken.append(run)

    def lost(self, run: str) -> None:
        self.stored.pop(run)
        self.gone.append(run)

    def refused(self, refusal: StartRefused) -> None:
        self.refusals.append(refusal)

    def unreachable(self, why: Unreachable) -> None:
        self.stored.clear()
        self.given_up.append(why)


class Connection:
    """The agent's end of one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heard: list[ToAgent] = []

    async def hear(self, kind: type[T]) -> T:
        """The next message, which is of this kind."""
        while True:
            line = await self.reader.readline()
            assert line, f"the connection ended before {kind.__name__}"
            if line.strip():
                message = decode_to_agent(line)
                assert isinstance(message, kind), message
                self.heard.append(message)
                return message

    async def ended(self) -> None:
        while await self.reader.read(65536):
            pass

    def say(self, *messages: ToGateway) -> None:
        self.writer.write(b"".join(map(encode, messages)))

    def happen(self, run: str, *what: Happening, first: int = 1) -> None:
        self.say(*(Event(run, seq, 1, each) for seq, each in enumerate(what, first)))

    async def greet(self, *runs: str, version: int = VERSION) -> Hello:
        hello = await self.hear(Hello)
        self.say(Welcome(version, 1, "test", list(runs)))
        return hello

    def cut(self) -> None:
        self.writer.transport.abort()


class AgentEnd:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.dials = 0
        self._come: asyncio.Queue[Connection] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[Any], Connection] = {}

    async def dial(self) -> Stream:
        self.dials += 1
        return await by_path(str(self.path))

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._take, str(self.path), limit=MAX_LINE)

    async def accept(self) -> Connection:
        return await self._come.get()

    async def greeted(self, *runs: str) -> Connection:
        connection = await self.accept()
        await connection.greet(*runs)
        return connection

    def close(self) -> None:
        """Nobody can connect any more."""
        assert self._server is not None
        self._server.close()

    async def end(self) -> None:
        self.close()
        for connection in self._serving.values():
            connection.cut()
        await asyncio.gather(*self._serving)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self._come.put_nowait(connection)
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = connection
        task.add_done_callback(self._serving.pop)
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def linked(**notes: Any) -> AsyncIterator[tuple[AgentLink, AgentEnd, Notes]]:
    with tempfile.TemporaryDirectory(prefix="oc-") as folder:  # the address of a Unix socket is short (unix(7))
        handler, agent = Notes(**notes), AgentEnd(Path(folder) / "agent.sock")
        await agent.listen()
        link = AgentLink(handler, agent.dial, asyncio.get_running_loop().time, pauses=(0.0, 0.005))
        try:
            yield link, agent, handler
        finally:
            await link.close()
            await agent.end()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(limited())


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.001)
