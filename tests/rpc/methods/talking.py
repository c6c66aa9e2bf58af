"""A core that holds conversations on a real database, and clients that hear of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateway.config.files import Snapshot
from gateway.hub.connection import Connection
from gateway.link.stream import Dial
from gateway.protocol.frames import decode_request
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import ADMIN
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Registry
from gateway.sessions.store import Store
from tests.carrier import FakeCarrier, drained
from tests.fakes.core import PATHS, FakeCore, nobody
from tests.rpc.calls import make_peer
from tests.rpc.methods.configured import CONFIG
from tests.slack import LIMIT_S

OLD, NEW = make_peer(3, ADMIN), make_peer(4, ADMIN)


@dataclass
class Caller:
    core: FakeCore
    stack: ExitStack

    @property
    def store(self) -> Store:
        return self.core.conversations.store

    async def ask(self, name: str, params: object = None, peer: Peer = NEW) -> dict[str, Any]:
        """The response frame."""
        text = json.dumps({"type": "req", "id": "1", "method": name, "params": params or {}})
        who = Call(self.core, Connection("conn", "127.0.0.1:1", FakeCarrier(), peer=peer), peer)
        answer = Dispatcher(Registry(METHODS)).answer(who, decode_request(text))
        frame: dict[str, Any] = json.loads(answer if isinstance(answer, bytes) else await answer())
        return frame

    async def get(self, name: str, params: object = None, peer: Peer = NEW) -> dict[str, Any]:
        frame = await self.ask(name, params, peer)
        assert frame["ok"], frame
        payload: dict[str, Any] = frame["payload"]
        return payload

    async def refusal(self, name: str, params: object = None, peer: Peer = NEW) -> str:
        frame = await self.ask(name, params, peer)
        assert not frame["ok"], frame
        message: str = frame["error"]["message"]
        return message

    def listen(self, peer: Peer) -> Connection:
        """A client for as long as the test lasts."""
        connection = Connection("ear", "127.0.0.1:2", FakeCarrier())
        self.stack.enter_context(self.core.hub.registered(connection))
        self.core.hub.greet(connection, peer, 0)
        return connection

    async def told(self, connection: Connection) -> list[dict[str, Any]]:
        """Events that the client has got, once there are no more to come."""
        while (telling := self.core.conversations.session_events.telling) is not None and not telling.done():
            await telling
        return drained(connection)[0]


@asynccontextmanager
async def talking(folder: Path, tree: dict[str, Any] | None = None, dial: Dial = nobody) -> AsyncIterator[Caller]:
    paths = replace(PATHS, config=folder / "openclaw.json", state=folder)
    found = CONFIG if tree is None else tree
    core = FakeCore(paths=paths, snapshot=Snapshot(paths.config, True, (), merged=found, tree=found), dial=dial)
    await core.conversations.ready()
    with ExitStack() as stack:
        try:
            yield Caller(core, stack)
        finally:
            await core.conversations.close(5.0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, LIMIT_S))
