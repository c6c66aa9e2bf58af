"""Calling methods without a wire."""

import asyncio
import json
from typing import Any

from gateway.hub.connection import Connection
from gateway.protocol.frames import Request, decode_request
from gateway.protocol.peer import ClientInfo, Peer
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Method, Registry
from tests.carrier import FakeCarrier
from tests.fakes.core import FakeCore


def make_peer(protocol: int = 4, *scopes: str, role: str = "operator", mode: str = "backend") -> Peer:
    return Peer(protocol, role, scopes, ClientInfo("gateway-client", "1", "linux", mode, display_name="Me"))


def call(
    core: FakeCore,
    peer: Peer,
    name: str,
    params: object = None,
    methods: tuple[Method, ...] = METHODS,
) -> dict[str, Any]:
    """The response frame."""
    text = json.dumps({"type": "req", "id": "1", "method": name, "params": params or {}})
    frame = answer(core, peer, decode_request(text), methods)
    assert (frame["type"], frame["id"]) == ("res", "1")
    return frame


def answer(core: FakeCore, peer: Peer, request: Request, methods: tuple[Method, ...] = METHODS) -> dict[str, Any]:
    """The response frame of a process that lives for one request."""

    async def life() -> bytes:
        core.begin()
        who = Call(core, Connection("conn", "127.0.0.1:1", FakeCarrier(), peer=peer), peer)
        said = Dispatcher(Registry(methods)).answer(who, request)
        try:
            return said if isinstance(said, bytes) else await said()
        finally:
            await core.conversations.close()

    frame: dict[str, Any] = json.loads(asyncio.run(life()))
    return frame
