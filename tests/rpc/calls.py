"""Calling methods without a wire."""

import asyncio
import json
from typing import Any

from gateway.hub import Connection
from gateway.protocol.frames import decode_request
from gateway.protocol.handshake import ClientInfo, Peer
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Method, Registry
from tests.carrier import FakeCarrier
from tests.core_fake import FakeCore


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
    who = Call(core, Connection("conn", "127.0.0.1:1", FakeCarrier(), peer=peer), peer)
    answer = Dispatcher(Registry(methods)).answer(who, decode_request(text))
    frame: dict[str, Any] = json.loads(answer if isinstance(answer, str) else asyncio.run(answer()))
    assert (frame["type"], frame["id"]) == ("res", "1")
    return frame
