"""The server's steps of `process.leaving`, without the process around them."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.lifecycle.phases import Budgets
from gateway.serving.server import GatewayServer

AT_ONCE = Budgets(0, 0, 0, 0, 0)


async def nothing(grace_s: float) -> None: ...


async def leave(
    server: GatewayServer,
    budgets: Budgets = AT_ONCE,
    stopped_accepting: Callable[[], None] = lambda: None,
    close_websockets: Callable[[float], Awaitable[None]] = nothing,
    *,
    carry: bool = False,
) -> None:
    server.server_state.carry = carry
    server.stop_accepting()
    stopped_accepting()
    closing = asyncio.ensure_future(close_websockets(budgets.close))
    await server.read_newest(budgets.accept_grace)
    await server.finish(budgets)
    await closing
    await server.drop_the_rest()
