"""Every method, with params nearly as its schema has them, on a core with a database: an answer, never our fault."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from gateway.access.devices import Devices
from gateway.hub.connection import Connection
from gateway.protocol.frames import Malformed, NotJson, Request, decode_request
from gateway.protocol.scopes import ADMIN
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Registry
from tests.carrier import FakeCarrier
from tests.fuzz.source import WORDS, Source, compact
from tests.fuzz.stage import Stage
from tests.rpc.calls import make_peer
from tests.rpc.methods.configured import CONFIG, configured

BY_NAME = sorted(METHODS, key=lambda each: each.name)
MAX_ANSWER = 256 * 1024
"""Bytes of an answer of a core that is nearly empty."""
MAX_REQUESTS = 4
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A new database for each input is nothing to wait for a disk for."""


def one(data: bytes) -> None:
    source = Source(data, words=(*WORDS, "mock/m1", "1", "dark", "AGENTS.md"))
    with tempfile.TemporaryDirectory(prefix="oc-fuzz-", dir=MEMORY) as folder, Stage(strict=False) as stage:
        stage.play(converse(source, Path(folder)))


async def converse(source: Source, folder: Path) -> None:
    here = {"defaults": CONFIG["agents"]["defaults"] | {"workspace": str(folder / "ws")}}
    core = configured(CONFIG | {"agents": here}, folder)  # nothing is made but below the folder
    core.devices = Devices(folder)
    peer = make_peer(4 if source.byte() % 2 == 0 else 3, ADMIN)
    dispatcher = Dispatcher(Registry(METHODS))
    try:
        for number in range(MAX_REQUESTS):
            if not source.more:
                break
            who = Call(core, Connection("conn", "127.0.0.1:1", FakeCarrier(), peer=peer), peer)
            text = asked(source, str(number), folder)
            try:
                request = decode_request(text)
            except (NotJson, Malformed):
                continue
            said = dispatcher.answer(who, request)
            check(request, said if isinstance(said, bytes) else await said())
    finally:
        await core.conversations.close()


def asked(source: Source, id: str, folder: Path) -> str:
    if source.chance(16):
        return source.bytes(400).decode(errors="replace")
    method = source.pick(BY_NAME)
    params = source.of(method.params)
    if isinstance(params, dict) and "workspace" in params:
        params["workspace"] = str(folder / "workspace")
    return compact({"type": "req", "id": id, "method": method.name, "params": params}).decode()


def check(request: Request, answer: str) -> None:
    frame: dict[str, Any] = json.loads(answer)
    assert (frame["type"], frame["id"]) == ("res", request.id)
    assert len(answer) <= MAX_ANSWER, f"{request.method} answers {len(answer)} bytes"
    if not frame["ok"]:
        error = frame["error"]
        assert not error["message"].startswith("internal error"), request
        assert len(error["message"]) <= 1000, f"{request.method} refuses with {len(error['message'])} characters"
