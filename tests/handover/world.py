"""Processes that follow each other over the same connections, in one event loop: they leave, or die at any step.

The connections are real ones over loopback with the protocol, the hub and the dispatcher of the gateway on them. A
process dies by closing its descriptors without another word; what systemd's fd store has is duplicates.
"""

import array
import asyncio
import fcntl
import json
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from termios import FIONREAD, TIOCOUTQ
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from websockets.frames import Frame, Opcode

from gateway.config.schema import Limits
from gateway.handover.counters import count
from gateway.handover.keeper import ClientRecord, InheritedConnection, Keeper
from gateway.handover.ledger import Entry
from gateway.hub.connection import Connection
from gateway.hub.leaving import finish_requests
from gateway.process import adoption
from gateway.process.adoption import Tally
from gateway.process.leaving import RESTARTING
from gateway.process.signals import SIGNAL_TURNS
from gateway.protocol.peer import ClientInfo, Peer
from gateway.rpc.registry import Call, Method, Registry, method
from gateway.serving.server import GatewayServer
from gateway.serving.websocket import WebSocketProtocol
from gateway.systemd.descriptors import CONNECTION, PARTING
from gateway.systemd.parcels import PARCEL
from gateway.web.socket import websocket_endpoint
from tests.fakes.core import FakeCore
from tests.fakes.service_manager import FakeNotifier, FdStore, stored
from tests.tcp import connected

BULK = 40_000
BUFFER = 8_192
PEER = Peer(4, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "backend"), auth_mode="token")


class Died(BaseException):
    """The process is no more; whoever sees this is not either."""


class Voice(FakeNotifier):
    """What one process says to systemd, as long as it lives."""

    def __init__(self, image: "Image", fds: FdStore) -> None:
        super().__init__(fds)
        self._image = image

    def try_store(self, name: str, *fds: int) -> bool:
        return not self._image.world.deaf and self.store(name, *fds)

    def try_remove(self, name: str) -> bool:
        return not self._image.world.deaf and self.remove(name)

    def store(self, name: str, *fds: int) -> bool:
        return self._image.dead or super().try_store(name, *fds)

    def remove(self, name: str) -> bool:
        return self._image.dead or super().try_remove(name)


class Mortal(WebSocketProtocol):
    """May be the last thing that its process does, before and after whatever it does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.image: Image = kwargs["server_state"].image

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.image.protocols.append(self)
        if not self.image.dead:
            super().connection_made(transport)
        else:
            self.transport = transport  # type: ignore[assignment]
            self.die()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.connections:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.image.steps():
            super().data_received(data)
            self.image.steps()

    def _write(self, data: bytes) -> None:
        if self.image.steps():
            super()._write(data)
            self.image.steps()

    def die(self) -> None:
        transport: Any = self.transport
        self._points.stop()
        self._release_entry, self._shared = None, False
        if transport._sock is None:
            return  # it has ended before
        loop: Any = asyncio.get_running_loop()
        loop._remove_reader(transport._sock_fd)
        loop._remove_writer(transport._sock_fd)
        transport._buffer.clear()
        transport._sock.close()
        transport._closing = True
        if not transport._conn_lost:
            transport._conn_lost += 1
            loop.call_soon(transport._call_connection_lost, OSError("died"))


def rest(entry: Entry, read: int, written: int, seq: int) -> None:
    image: Image | None = getattr(entry._ledger, "image", None)
    if image is None or image.steps():
        write_point(entry, read, written, seq)
        if image is not None:
            image.steps()


write_point = Entry.note_rest


@contextmanager
def mortals() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adoption, "WebSocketProtocol", Mortal)
        patch.setattr(Entry, "note_rest", rest)
        # A world lives for milliseconds, and one of them would be for the list of 8,176 slots.
        patch.setattr("gateway.handover.ledger.SLOTS", 64)
        yield


@dataclass
class SteppedClient:
    """One end of a connection, by what it has sent and received; it does not go on by itself."""

    sock: socket.socket
    ends: tuple[Any, Any]
    pending: bytes = b""
    whole: deque[tuple[int, str]] = field(default_factory=deque)
    """Ends of requests in what is sent, with their ids."""
    asked: list[str] = field(default_factory=list)
    """Requests that have been sent to their last byte."""
    sent: int = 0
    total: int = 0
    received: bytes = b""
    ended: bool = False
    left: bool = False
    """By its own will."""

    def put(self, data: bytes, id: str | None = None) -> None:
        self.pending += data
        self.total += len(data)
        if id is not None:
            self.whole.append((self.total, id))

    def ask(self, id: str, name: str, in_pieces: bool = False) -> None:
        frame = json.dumps({"type": "req", "id": id, "method": name, "params": {}}).encode()
        if not in_pieces:
            self.put(Frame(Opcode.TEXT, frame).serialize(mask=True), id)
            return
        half = len(frame) // 2
        self.put(Frame(Opcode.TEXT, frame[:half], fin=False).serialize(mask=True))
        self.put(Frame(Opcode.PING, b"!").serialize(mask=True))
        self.put(Frame(Opcode.CONT, frame[half:]).serialize(mask=True), id)

    def push(self, most: int) -> None:
        try:
            taken = self.sock.send(self.pending[:most]) if self.pending else 0
        except BlockingIOError:
            return
        except OSError:
            self.ended = True
            return
        self.pending = self.pending[taken:]
        self.sent += taken
        while self.whole and self.whole[0][0] <= self.sent:
            self.asked.append(self.whole.popleft()[1])

    def read(self, most: int) -> bool:
        try:
            data = self.sock.recv(most)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.ended |= not data
        self.received += data
        return bool(data)

    def frames(self) -> tuple[list[tuple[int, bytes]], bytes]:
        """What has come whole, and the rest."""
        frames, at, data = [], 0, self.received
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if len(data) - at < head + size:
                break
            assert data[at] in (0x81, 0x88, 0x89, 0x8A), data[at : at + 20]
            frames.append((data[at] & 15, data[at + head : at + head + size]))
            at += head + size
        return frames, data[at:]

    def texts(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for opcode, payload in self.frames()[0] if opcode == Opcode.TEXT]

    def answers(self) -> Counter[str]:
        return Counter(text["id"] for text in self.texts() if text["type"] == "res")

    def events(self) -> list[tuple[int, int]]:
        """Number, and what the hub had counted; presence is left out of what was counted."""
        return [(text["seq"], text["payload"].get("n", -1)) for text in self.texts() if text["type"] == "event"]

    def close(self) -> tuple[int, str] | None:
        closes = [payload for opcode, payload in self.frames()[0] if opcode == Opcode.CLOSE]
        return (int.from_bytes(closes[0][:2], "big"), closes[0][2:].decode()) if closes else None


@dataclass
class KeepingCore(FakeCore):
    keeper: Keeper | None = None

    def keep(self, connection: Connection) -> None:
        assert self.keeper is not None
        self.keeper.register(connection, connection.carrier, self.auth)  # type: ignore[arg-type]


class Image:
    """One process."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.dead = False
        self.protocols: list[Mortal] = []
        self.release = asyncio.Event()
        self.tally = Tally()
        self.unadopted: set[int] = set()
        self.keeper = Keeper(Voice(self, world.store), world.store.inherited())
        self.keeper.ledger.image = self  # type: ignore[attr-defined]
        self.core = KeepingCore(auth=world.auth, devices=world.devices, keeper=self.keeper)
        if self.keeper.inherited.has_clients:
            self.core.hub.begin_adoption()
        self.server = GatewayServer(websocket_endpoint(self.core, Registry(self._methods())), Limits)
        self.server.config.load()
        self.server.config.ws_ping_interval = None
        self.server.server_state.image = self  # type: ignore[attr-defined]

    def _methods(self) -> list[Method]:
        @method("now", msgspec.Struct, str, scope=None)
        def now(call: Call, params: Any) -> str:
            """Answer at once."""
            self.serve()
            return "now"

        @method("bulk", msgspec.Struct, str, scope=None)
        def bulk(call: Call, params: Any) -> str:
            """Answer more than the kernel takes."""
            self.serve()
            return "x" * BULK

        @method("later", msgspec.Struct, str, scope=None)
        async def later(call: Call, params: Any) -> str:
            """Answer when it may."""
            self.serve()
            await self.release.wait()
            return "later"

        return [now, bulk, later]

    def serve(self) -> None:
        if not self.dead:
            self.world.served += 1
            self.steps()

    def steps(self) -> bool:
        """One step more. False if it is not taken any more."""
        if not self.dead:
            self.world.steps += 1
            if self.world.lives and self.world.steps >= self.world.lives[0]:
                self.world.steps = 0
                del self.world.lives[0]
                self.die()
        return not self.dead

    def die(self) -> None:
        if self.dead:
            return
        self.dead = True
        self.keeper.ledger.memory.flush()
        for protocol in self.protocols:
            protocol.die()
        for fd in self.unadopted:
            os.close(fd)
        self.unadopted.clear()

    async def come(self) -> None:
        """Go on with what a predecessor has left."""
        judge, take = adoption._judge, self.server.adopt
        self.unadopted = {left.fd for left in self.keeper._websockets}

        def judged(keeper: Keeper, left: InheritedConnection) -> Any:
            if self.dead:
                raise Died
            self.unadopted.discard(left.fd)
            return judge(keeper, left)

        async def adopt(fd: int, protocol: Any) -> None:
            if self.dead:
                os.close(fd)
                raise Died
            await take(fd, protocol)

        adoption._judge = judged
        self.server.adopt = adopt  # type: ignore[method-assign]
        try:
            self.tally = await adoption.adopt(self.server, self.core, self.keeper)
        except Died:
            pass
        finally:
            adoption._judge = judge

    async def leave(self, patience: float = 0.0) -> bool:
        """On purpose, as `process.leaving` does it. False if it dies on the way."""
        self.keeper.stop_reading()
        await finish_requests(self.core.hub, patience, RESTARTING)
        for _ in range(SIGNAL_TURNS):
            await asyncio.sleep(0)
        if not self.dead:
            passed = self.keeper.hand_off(time.monotonic(), *self.server.carried())
            os.close(dict(passed)[PARTING])
            if not self.dead:
                known = sorted(name for name, _ in passed if not name.startswith(PARCEL))
                assert known == stored(self.world.store, self.keeper._parcels)
        well = not self.dead
        self.die()
        return well

    async def end(self) -> None:
        """Until nothing of it is left in the loop, which has no part in its story."""
        self.die()
        self.release.set()
        await asyncio.sleep(0)  # a task that has not begun would not close what it was given
        adoption._lingering.cancel()
        while self.server.server_state.tasks or self.server.server_state.connections or adoption._lingering._running:
            await asyncio.sleep(0)
        self.close()

    def close(self) -> None:
        self.keeper.ledger.close()
        for parcel in self.keeper._parcels._parcels:
            parcel.close()


def _waiting(fd: int, what: int) -> int:
    number = array.array("i", [0])
    fcntl.ioctl(fd, what, number)
    return number[0]


@dataclass
class World:
    store: FdStore = field(default_factory=FdStore)
    deaf: bool = False
    """The service manager has no time to listen to a process unless it is waited for."""
    auth: Any = field(default_factory=lambda: FakeCore().auth)
    devices: Any = field(default_factory=lambda: FakeCore().devices)
    clients: list[SteppedClient] = field(default_factory=list)
    served: int = 0
    told: int = 0
    """Events."""
    steps: int = 0
    lives: list[int] = field(default_factory=list)
    """For each process that will die, its number of steps before it dies."""
    crashed: bool = False
    image: Image = field(init=False)

    def begin(self, clients: int, peers: Mapping[int, Peer] | None = None) -> None:
        """A predecessor has greeted so many, and has gone while all were at rest."""
        first = Image(self)
        for number in range(clients):
            ours, theirs = connected(BUFFER)
            theirs.setblocking(False)
            self.clients.append(SteppedClient(theirs, (theirs.getsockname(), theirs.getpeername())))
            peer = replace((peers or {}).get(number, PEER), client=replace(PEER.client, instance_id=str(number)))
            who = ClientRecord(f"client-{number}", peer, 1_000, first.keeper._fingerprint(self.auth))
            entry = first.keeper.ledger.add(msgspec.json.encode(who))
            assert entry is not None
            counted = count(ours.fileno())
            write_point(entry, counted.read, counted.written, 0)
            # The version before has given each of them to the manager by itself.
            (self.store if number % 2 else first.keeper._parcels).put(f"{CONNECTION}{entry.id}", ours.fileno())
            ours.close()
        first.die()
        first.close()

    def stored(self) -> list[str]:
        return stored(self.store, self.image.keeper._parcels)

    async def succeed(self) -> None:
        self.image = Image(self)
        await self.image.come()

    async def crash(self) -> None:
        """And begin anew."""
        self.crashed = True
        await self.image.end()
        await self.succeed()
        if self.image.dead:
            await self.crash()

    async def restart(self, patience: float = 0.0) -> None:
        self.crashed |= not await self.image.leave(patience)
        await self.image.end()
        await self.succeed()

    def tell(self, size: int = 0) -> None:
        self.told += 1
        self.image.core.hub.broadcast("health", {"n": self.told, "more": "y" * size})

    async def calm(self, turns: int = 12) -> None:
        """Let everybody send and read all, and the process answer all of it."""
        self.image.release.set()
        still = 0
        while still < turns and not self.image.dead:
            await asyncio.sleep(0 if still else 0.0005)  # the kernel takes its time where buffers are small
            still += 1
            for client in self.clients:
                if not client.left and not client.ended:
                    client.push(1_000_000)
                    if client.read(1_000_000) or self._moving(client):
                        still = 0

    def _moving(self, client: SteppedClient) -> bool:
        """Whether something is on its way between it and the process."""
        if client.ended:
            return False
        known = [each for each in self.image.protocols if (each.client, each.server) == client.ends and each.fd >= 0]
        ours = known[0] if known else None
        if ours is None or client.pending or ours.transport.get_write_buffer_size() > 0:
            return True  # it has been dropped, and does not know it yet
        return any(_waiting(fd, what) for fd in (ours.fd, client.sock.fileno()) for what in (TIOCOUTQ, FIONREAD))

    async def close(self) -> None:
        await self.image.end()
        self.store.close()
        for client in self.clients:
            client.sock.close()
