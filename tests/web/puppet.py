"""An agent that says what a test tells it to, and a gateway's HTTP face whose conversations have it as theirs."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config.files import Snapshot
from gateway.config.schema import ChatCompletions, Config, Endpoints, Gateway, Http, Limits
from gateway.conversations.service import Conversations
from gateway.files.paths import Paths
from gateway.lifecycle.phases import Budgets
from gateway.link.dialer import by_path
from gateway.link.messages import (
    VERSION,
    Abort,
    Ended,
    Event,
    Happening,
    Hello,
    Start,
    ToAgent,
    ToGateway,
    Welcome,
    decode_to_agent,
    encode,
)
from gateway.serving.http import HttpProtocol
from gateway.serving.server import GatewayServer
from gateway.web.app import create_app
from gateway.web.openai.paths import MAX_BODY
from tests.fakes.core import FakeCore
from tests.serving.leaving import leave
from tests.slack import LIMIT_S

if TYPE_CHECKING:
    from gateway.link.spec import Spec

TOKEN = "t0k"


class Puppet:
    def __init__(self) -> None:
        self.specs: dict[str, Spec] = {}
        self.aborted: list[str] = []
        self._said: dict[str, list[Event]] = {}
        """All of it: nothing is ever acknowledged."""
        self._writers: list[asyncio.StreamWriter] = []
        """The last one is the gateway's."""
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, path, limit=2**26)
        try:
            yield
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while line := await reader.readline():
            if line.strip():
                await self._hear(decode_to_agent(line))

    async def _hear(self, message: ToAgent) -> None:
        match message:
            case Hello(runs=runs):
                self._send(Welcome(VERSION, 1, "puppet", list(self.specs)))
                for run, seq in runs.items():
                    for event in self._said.get(run, [])[seq:]:
                        self._send(event)
            case Start(run=run, spec=spec):
                async with self._news:
                    self.specs[run] = spec
                    self._news.notify_all()
            case Abort(run=run):
                self.aborted.append(run)
                self.say(run, Ended("aborted", "aborted"))

    def _send(self, message: ToGateway) -> None:
        self._writers[-1].write(encode(message))

    def say(self, run: str, *what: Happening) -> None:
        said = self._said.setdefault(run, [])
        for each in what:
            said.append(Event(run, len(said) + 1, 1, each))
            self._send(said[-1])

    async def begun(self, number: int = 1) -> list[str]:
        """The ids of all runs, once there are so many."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.specs) >= number)
            return list(self.specs)


@dataclass
class Scene:
    core: Any
    server: GatewayServer
    puppet: Puppet
    port: int
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def end(self) -> None:
        while self.server.server_state.tasks or self.server.server_state.connections:
            await asyncio.sleep(0)
        await leave(self.server)
        await self.core.conversations.close()

    async def restart(self, while_gone: Callable[[], None] = lambda: None) -> None:
        """On purpose, as `Process` does it: the next process gets all connections."""
        core, before = self.core, self.server
        core.conversations.runs.release_waiters()
        await leave(before, Budgets(0, 0, 0, 0.3, 0.05), carry=True)
        await core.conversations.close(5.0)
        fds, answers = before.carried()
        fds = {name: os.dup(fd) for name, fd in fds.items()}
        for connection in before.http:
            if connection._answering is not None:
                connection._answering.given_up = True
            connection.transport.abort()
        while before.server_state.connections or before.server_state.tasks:
            await asyncio.sleep(0)
        while_gone()
        self.server = begin(core, self.puppet)
        await self.server.start([])
        for name, fd in fds.items():
            await self.server.adopt(fd, partial(HttpProtocol, adopted=True, pending=answers.get(name)))
        await asyncio.sleep(0)
        await core.conversations.ready()

    async def ask(self, body: Any, *headers: str, path: str = "/v1/chat/completions", method: str = "POST") -> "Reply":
        """One request on a connection of its own, its head and the beginning of its answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.opened.append(writer)
        lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(data)}", *headers]
        if not any(line.lower().startswith("authorization:") for line in headers):
            lines.append(f"authorization: Bearer {TOKEN}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        return Reply(reader, writer)


@dataclass
class Reply:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""

    async def status(self) -> int:
        if not self.head:
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        return int(self.head.split()[1])

    async def chunk(self) -> bytes:
        """The next of a chunked body, empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def events(self) -> list[Any]:
        """All of a stream from here on; a comment is a text."""
        data = b"".join([chunk async for chunk in self.chunks()])
        return [read_event(each) for each in data.decode().split("\n\n")[:-1]]

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self.chunk():
            yield chunk

    async def event(self) -> Any:
        return read_event((await self.chunk()).decode().strip())

    async def json(self) -> Any:
        """The JSON of an answer with a Content-Length."""
        await self.status()
        (size,) = [int(line[15:]) for line in self.head.lower().splitlines() if line.startswith(b"content-length:")]
        return json.loads(await self.reader.readexactly(size))


def read_event(text: str) -> Any:
    text = text.removeprefix("data: ")
    return json.loads(text) if text.startswith("{") else text


def piece(event: Any) -> Any:
    """What a chunk of a stream adds to the answer."""
    return event["choices"][0]["delta"].get("content")


@asynccontextmanager
async def talking(folder: Path, tree: dict[str, Any] | None = None, **limits: int) -> AsyncIterator[Scene]:
    puppet, core = Puppet(), FakeCore(snapshot=Snapshot(folder / "c", True, (), merged=tree or {}))
    http = Http(Limits(**limits), Endpoints(ChatCompletions(True)))
    core.config = Config(gateway=Gateway(http=http))
    core.paths = Paths(folder / "c", folder, folder)
    server = begin(core, puppet)
    async with puppet.listening(folder / "agent"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await server.start([listener])
            scene = Scene(core, server, puppet, listener.getsockname()[1])
            try:
                async with asyncio.timeout(LIMIT_S):
                    yield scene
            finally:
                for writer in scene.opened:
                    writer.close()
                await scene.end()


def begin(core: Any, puppet: Puppet) -> GatewayServer:
    """Another process of the gateway, with the same folder."""
    agent = str(core.paths.state / "agent")
    core.conversations = Conversations(core.paths, core.hub, lambda: core.tree, core.env, lambda: by_path(agent))
    return GatewayServer(create_app(core), lambda: core.config.gateway.http.limits, MAX_BODY)
