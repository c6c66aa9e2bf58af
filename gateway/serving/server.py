"""The uvicorn server: started on given listeners, left in an order that loses nothing.

uvicorn's own shutdown closes connections whose request it has not read yet, so ours is another one. `process.leaving`
calls its parts in this order:

    drain         requests that had begun are finished; new connections are served as ever
    close         the listeners: new connections wait in the kernel's queue, which systemd or our next image holds open
    accept grace  connections accepted a moment ago are read
    finish        what has been read is answered; idle connections are passed on, or closed if no process follows
    gone          what is left is dropped

This folder alone knows uvicorn. What it uses of uvicorn is not promised, so tests/serving/test_server.py holds that
contract.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import uvicorn

from gateway.config.schema import Limits
from gateway.handover.handoff import PendingAnswer
from gateway.lifecycle.phases import Budgets
from gateway.machine.listeners import BACKLOG
from gateway.serving.http import HttpProtocol
from gateway.serving.state import GatewayState
from gateway.systemd.descriptors import HTTP

PING_INTERVAL_S = PING_TIMEOUT_S = 25.0
FIRST_POLL_S, POLL_S = 0.001, 0.01
"""Between the first two looks at what is waited for, and at most: new connections wait too, and most of it is over
soon."""
QUEUE_TURNS = 8
"""Turns of the loop in which those are answered who have waited in the listener's queue."""
ACCEPT_TURNS = 4
"""Turns of the loop after an accept: one makes the connection, one reads it, and two are to spare."""
DEFER_ACCEPT_S = 1
"""A client that connects and sends nothing is accepted all the same after about this time (tcp(7))."""
DATE_S = 1.0
"""Between two values of the `Date` header."""

WorthWaiting = Callable[[HttpProtocol, float], bool]
"""Whether to wait for a client whose turn it is to send or to read, at this time (the loop's, in seconds)."""


class GatewayServer(uvicorn.Server):
    def __init__(
        self,
        app: Callable[..., Any],
        limits: Callable[[], Limits],
        apis: Mapping[str, int] = {},
        proxies: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`apis`: paths of APIs, each with the bytes that a body may have there; see GatewayState."""
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=HttpProtocol,
            ws=_websocket_protocol,  # type: ignore[arg-type]
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_TIMEOUT_S,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.server_state: GatewayState = GatewayState(limits, apis, proxies)
        self._date: asyncio.Task[None] | None = None

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Serve on duplicates of `listeners`: leaving closes the duplicates, and the listeners stay open."""
        for sock in listeners:
            if sock.family != socket.AF_UNIX:
                # A connection is accepted when its request is there, so one that is accepted is one that can be
                # answered: the instant in which leaving, or a crash, meets an accepted silent connection is gone.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_S)
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        loop = asyncio.get_running_loop()
        await self.on_tick(0)
        self.server_state.waits.begin(loop.time())
        await self.startup([sock.dup() for sock in listeners])
        self._date = loop.create_task(self._keep_date(), name="date header")

    async def answer_queue(self) -> None:
        """Return when those are answered who have waited for this process, so that nothing holds them up."""
        for _ in range(QUEUE_TURNS):
            await asyncio.sleep(0)

    async def _keep_date(self) -> None:
        while True:
            await asyncio.sleep(DATE_S)
            await self.on_tick(0)

    @property
    def http(self) -> list[HttpProtocol]:
        return [c for c in self.server_state.connections if isinstance(c, HttpProtocol)]

    @property
    def clients(self) -> int:
        """Connections over the port; those of the control socket have no address."""
        return sum(getattr(each, "client", None) is not None for each in self.server_state.connections)

    async def drain(self, budgets: Budgets) -> None:
        """Finish the requests that have begun, while new connections are served as ever.

        Once it is known that another process comes (`server_state.carry`), answers that it can finish are left to it.
        """
        begun = {connection: connection.requests for connection in self.http if connection.begun}
        await self._wait(
            lambda: [c for c, request in begun.items() if c.busy and c.requests == request and not c.portable],
            budgets.drain,
            while_it_moves(budgets.stall_timeout),
        )

    async def adopt(self, fd: int, protocol: Callable[..., asyncio.Protocol]) -> None:
        """Serve a connection that another process has accepted."""
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        make = partial(protocol, config=self.config, server_state=self.server_state, app_state={}, _loop=loop)
        await loop.connect_accepted_socket(make, sock)

    def stop_accepting(self) -> None:
        """Close our duplicates of the listeners."""
        self.server_state.leaving = not self.server_state.carry
        for server in self.servers:
            server.close()

    async def read_newest(self, budget_s: float) -> None:
        """Read what connections have sent that were accepted a moment ago: it is in the kernel (TCP_DEFER_ACCEPT).

        One that has sent nothing, as over a Unix socket, is waited for, unless the next process goes on with it.
        """
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        worth = for_at_most(budget_s, asyncio.get_running_loop().time())
        await self._wait(lambda: [each for each in self.http if each.silent], budget_s, worth)

    async def finish(self, budgets: Budgets) -> None:
        """Answer the requests that have been read.

        With `server_state.carry` idle connections stay open and are not read any more: the next process goes on.
        """
        client_turn = for_at_most(budgets.client_turn, asyncio.get_running_loop().time())
        await self._wait(self._last_requests, budgets.finish, client_turn)

    async def give_up(self) -> None:
        """Tell the clients that still wait for an answer."""
        for connection in self.http:
            connection.give_up()
        await asyncio.sleep(0)  # uvloop writes at the end of a turn

    async def drop_the_rest(self) -> None:
        """The end of serving: give up what `finish` has left."""
        await self.give_up()
        if not self.server_state.carry:  # else what is not carried ends with the process
            for remaining in list(self.server_state.connections):
                remaining.transport.abort()
        if self._date is not None:
            self._date.cancel()

    def carried(self) -> tuple[dict[str, int], dict[str, PendingAnswer]]:
        """The HTTP connections to pass on: descriptors by name, and by name the answers that are not whole yet.

        Connections with an answer come first. Nothing may be written after this.
        """
        found = [passed for each in self.http if each.client is not None and (passed := each.pass_on()) is not None]
        named = {f"{HTTP}{number}": each for number, each in enumerate(sorted(found, key=lambda each: each[1] is None))}
        return (
            {name: fd for name, (fd, _) in named.items()},
            {name: answer for name, (_, answer) in named.items() if answer is not None},
        )

    def _last_requests(self) -> list[HttpProtocol]:
        return [connection for connection in self.http if connection.leave()]

    async def _wait(self, pending: Callable[[], list[HttpProtocol]], budget: float, worth: WorthWaiting) -> None:
        """Wait until nothing is `pending` that waits for us or is `worth` waiting for; for `budget` seconds at most."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + budget, FIRST_POLL_S
        # Polled: the kernel does not tell when a client has stopped reading. All are looked at, to see each one move.
        while (now := loop.time()) < end and True in [c.waits_for_us or worth(c, now) for c in pending()]:
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_S)


def _websocket_protocol(**kwargs: Any) -> asyncio.Protocol:
    # Imported by the first upgrade, or by web.app.warm_up, so that no start waits for it.
    from gateway.serving.websocket import WebSocketProtocol

    return WebSocketProtocol(**kwargs)


def while_it_moves(timeout: float) -> WorthWaiting:
    """A client is waited for if it has read or sent something within the last `timeout` seconds."""
    last: dict[HttpProtocol, tuple[float, tuple[int, int]]] = {}

    def worth(connection: HttpProtocol, now: float) -> bool:
        since, before = last.get(connection, (now, None))
        if connection.progress != before:
            since = now
            last[connection] = (now, connection.progress)
        return now - since < timeout

    return worth


def for_at_most(limit: float, since: float) -> WorthWaiting:
    """Any client is waited for until `limit` seconds after `since`, whether it moves or not."""
    return lambda connection, now: now - since < limit
