"""What the gateway's WebSocket is compared with, under the gateway's own server and settings, on descriptor 3.

`echo`: a bare ASGI function that sends back what it gets, and to `all <n>` sends everybody n events of a tick's size.
`hub`: the gateway's endpoint with one method more, which broadcasts n events; needs the source tree in PYTHONPATH.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from gateway.config.schema import Limits
from gateway.serving.server import GatewayServer

EVENT = '{"type":"event","event":"tick","payload":{"ts":1790000000000},"seq":1000}'
BURST = 20
"""Events between two turns of the loop: what a busy moment has, and what an outbox takes."""
Sends = set[Callable[[dict[str, Any]], Awaitable[None]]]


def echo() -> Callable[..., Awaitable[None]]:
    everybody: Sends = set()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        everybody.add(send)
        while (message := await receive())["type"] != "websocket.disconnect":
            text = bytes(message["text"]).decode()  # the gateway's server class leaves it as it came
            if text.startswith("all "):
                await _all(everybody, int(text[4:]))
            else:
                await send({"type": "websocket.send", "text": text})
        everybody.discard(send)

    return app


async def _all(everybody: Sends, count: int) -> None:
    for number in range(count):
        for send in everybody:
            await send({"type": "websocket.send", "text": EVENT})
        if number % BURST == 0:
            await asyncio.sleep(0)


def hub() -> Callable[..., Awaitable[None]]:
    from gateway.protocol.admission.auth import AuthPolicy
    from gateway.protocol.params import Params
    from gateway.rpc.methods import METHODS
    from gateway.rpc.registry import Call, Registry, method
    from gateway.web.socket import websocket_endpoint
    from tests.fakes.core import FakeCore

    class Burst(Params, frozen=True):
        count: int

    @method("bench.all", Burst, None, scope=None)
    async def bench_all(call: Call, params: Burst) -> None:
        for number in range(params.count):
            call.core.hub.broadcast("tick", {"ts": 1790000000000})
            if number % BURST == 0:
                await asyncio.sleep(0)

    core = FakeCore(auth=AuthPolicy("token", token="bench", generation=1))
    return websocket_endpoint(core, Registry([*METHODS, bench_all]))


async def main(kind: str) -> None:
    await GatewayServer({"echo": echo, "hub": hub}[kind](), Limits).start([socket.socket(fileno=3)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
