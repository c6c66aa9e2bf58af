"""The gateway's end of the link, for tests: it stores events as the gateway does, and sees that each comes once."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from gateway.link.messages import (
    MAX_LINE,
    VERSION,
    Abort,
    Ack,
    Discarded,
    Ended,
    Event,
    Happening,
    Hello,
    Lost,
    Said,
    Start,
    StartRefused,
    Text,
    ToAgent,
    ToGateway,
    Welcome,
    decode_to_gateway,
    encode,
)
from gateway.link.spec import Message, Model, Spec
from gateway.text.lines import LineSplitter

ECHO = Model("builtin", "echo", "builtin")


def spec(prompt: str = "hello", *models: Model, session: str = "agent:main:main", **more: Any) -> Spec:
    return Spec(session, "main", {"role": "user", "content": prompt}, list(models) or [ECHO], **more)


class Store:
    """What a gateway has on disk."""

    def __init__(self) -> None:
        self.events: dict[str, list[Happening]] = {}
        self.lost: list[str] = []
        self.refused: list[StartRefused] = []
        self.welcome: Welcome | None = None

    def hello(self, runs: Iterable[str] | None = None) -> Hello:
        names = self.events if runs is None else runs
        return Hello(VERSION, {run: len(self.events[run]) for run in names})

    def take(self, message: ToGateway) -> None:
        match message:
            case Welcome():
                self.welcome = message
            case Event(run=run, seq=seq, what=what):
                stored = self.events[run]
                assert seq <= len(stored) + 1, f"event {seq} of {run} leaves a gap after {len(stored)}"
                if seq == len(stored) + 1:
                    stored.append(what)
                else:
                    assert stored[seq - 1] == what, "an event has changed"
            case Lost(run=run):
                self.lost.append(run)
            case StartRefused():
                self.refused.append(message)

    def ended(self, run: str) -> Ended | None:
        last = self.events[run][-1] if self.events[run] else None
        return last if isinstance(last, Ended) else None

    def check(self, run: str) -> list[Message]:
        """Its messages. Texts between two of them must be their text, and what is void does not count."""
        messages, text = [], ""
        for what in self.events[run]:
            match what:
                case Text(delta=delta):
                    text += delta
                case Discarded():
                    text = ""
                case Said(message=message):
                    if message["role"] == "assistant":
                        blocks = message["content"]
                        assert "".join(block["text"] for block in blocks if block["type"] == "text") == text
                        text = ""
                    messages.append(message)
        assert text == "", "text that is in no message"
        return messages


class Peer:
    """One connection of the gateway to the agent, from inside the same event loop or another process."""

    def __init__(self, sock: socket.socket, store: Store | None = None) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self.store = store or Store()
        self.messages: list[ToGateway] = []
        self._lines = LineSplitter(MAX_LINE)

    async def send(self, *messages: ToAgent | bytes) -> None:
        data = b"".join(message if isinstance(message, bytes) else encode(message) for message in messages)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def greet(self) -> Welcome:
        await self.send(self.store.hello())
        return await self.until(Welcome)

    async def start(self, run: str, what: Spec) -> None:
        self.store.events.setdefault(run, [])
        await self.send(Start(run, what))

    async def abort(self, run: str) -> None:
        await self.send(Abort(run))

    async def ack(self, run: str) -> None:
        await self.send(Ack(run, len(self.store.events[run])))

    async def read(self, size: int = 65536) -> bool:
        """What comes next, of at most `size` bytes. False at the end of the connection."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, size)
        except ConnectionError:
            return False
        for line in self._lines.feed(data):
            message = decode_to_gateway(line)
            self.messages.append(message)
            self.store.take(message)
        return bool(data)

    async def until(self, kind: Any, count: int = 1) -> Any:
        """The `count`th message, or happening, of this kind on this connection."""
        while len(found := self._found(kind)) < count:
            assert await self.read(), f"the connection ended before {kind.__name__}"
        return found[count - 1]

    async def until_ended(self, run: str) -> Ended:
        while (ended := self.store.ended(run)) is None:
            assert await self.read(), f"the connection ended before {run}"
        return ended

    async def until_closed(self) -> None:
        while await self.read():
            pass

    def _found(self, kind: Any) -> list[Any]:
        everything = [*self.messages, *(m.what for m in self.messages if isinstance(m, Event))]
        return [message for message in everything if isinstance(message, kind)]
