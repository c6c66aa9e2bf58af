"""Adopts the connections that the process before has passed on or left behind, and closes those that cannot be adopted.

`handover.verdict` decides which; nothing is guessed.
"""

import asyncio
import contextlib
import logging
import os
import select
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import msgspec
from msgspec.structs import replace
from websockets.frames import Close, Frame, Opcode

from gateway.aio.tasks import Tasks
from gateway.handover.counters import count
from gateway.handover.keeper import ClientRecord, InheritedConnection, Keeper
from gateway.handover.verdict import Adoption, Point, Rejection, judge
from gateway.hub.connection import Connection
from gateway.protocol.admission.admission import DEVICE_TOKEN
from gateway.protocol.closing import DEVICE_CHANGED, SECRET_CHANGED, SERVICE_RESTART
from gateway.rpc.core import Core
from gateway.serving.http import HttpProtocol
from gateway.serving.server import GatewayServer
from gateway.serving.websocket import Adopted, WebSocketProtocol
from gateway.web.socket import Resumed

log = logging.getLogger("gateway.handover")

LINGER_S = 1.0
"""The time in which a closed client may answer; closing at once would reset what it has not read yet."""
TURN = 200
"""The number of connections that are adopted between two looks at which clients wait: about 20 ms."""
_lingering = Tasks(log)
_GOODBYE = Frame(Opcode.CLOSE, Close(SERVICE_RESTART.code, SERVICE_RESTART.reason).serialize()).serialize(mask=False)


@dataclass
class Tally:
    """The counts of one adoption."""

    websockets: int = 0
    http: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    """WebSockets that could not be adopted, by reason."""
    silence_ms: float | None = None
    """The time in which no process read what clients sent; None after a crash."""

    def __str__(self) -> str:
        quiet = "" if self.silence_ms is None else f" after {self.silence_ms:.0f} ms"
        ended = ", ".join(f"{count} {reason}" for reason, count in sorted(self.closed.items()))
        closed = f"; {self.closed.total()} closed ({ended})" if ended else ""
        return f"connections adopted{quiet}: {self.websockets} WebSocket, {self.http} HTTP{closed}"


async def adopt(server: GatewayServer, core: Core, keeper: Keeper) -> Tally:
    """Adopt all connections that this process has inherited."""
    tally, hub = Tally(), core.hub
    known = hub.state_version.presence
    if keeper.gone:
        tally.closed["gone"] = keeper.gone
    for left in _urgent_first(keeper.take_websockets()):
        client, verdict = _judge(keeper, left)
        if client is not None and left.found is not None and isinstance(verdict, Adoption):
            take = partial(_resume, core, keeper, left, client, tally)
            # `_resume` checks its secret; from then on it belongs to this process's generation.
            peer = replace(client.peer, auth_generation=core.auth.generation)
            resumed = Resumed(client.id, peer, client.since_ms, verdict.seq, take)
            adopted = Adopted(verdict, {"resumed": resumed})
            await server.adopt(left.fd, partial(WebSocketProtocol, adopted=adopted))
        elif isinstance(verdict, Rejection):
            tally.closed[verdict.reason] += 1
            # Before it is discarded: a process that died in between would leave a connection that is in no ledger.
            _dismiss(left.fd, verdict.closable)
            if left.found is not None:
                keeper.discard(left.found.entry)
    for fd, answer in keeper.take_http():
        await server.adopt(fd, partial(HttpProtocol, adopted=True, pending=answer))
        tally.http += 1
    asyncio.get_running_loop().call_later(LINGER_S, keeper.shut_down_removed)
    await asyncio.sleep(0)  # the turn of the loop in which `_resume` is called
    hub.end_adoption()
    if tally.closed or hub.state_version.presence != known:
        # No client knows yet which ones were closed, and one that came meanwhile knows only some of the others.
        hub.presence_changed()
    if keeper.handoff is not None:
        tally.silence_ms = round((time.monotonic() - keeper.handoff.left_at) * 1000, 1)
    return tally


def _urgent_first(left: Iterable[InheritedConnection]) -> Iterator[InheritedConnection]:
    """The connections, first those whose client has sent something: it waits, and the others notice nothing.

    Checked again after each `TURN`, so that a client that asks meanwhile does not wait for a thousand silent ones.
    """
    rest = {each.fd: each for each in left}
    poll = select.poll()
    for fd in rest:
        poll.register(fd, select.POLLIN)
    while rest:
        asking = [fd for fd, _ in poll.poll(0)]
        others = (fd for fd in list(rest) if fd not in asking)
        for fd in [*asking, *islice(others, max(0, TURN - len(asking)))]:
            poll.unregister(fd)
            yield rest.pop(fd)


def _judge(keeper: Keeper, left: InheritedConnection) -> tuple[ClientRecord | None, Adoption | Rejection]:
    # A process that left on purpose has written whole messages, and has noted the exceptions.
    unreadable = Rejection(
        "unreadable", closable=keeper.handoff is not None and not (left.in_flight and left.in_flight.unsent)
    )
    if left.found is None:
        return None, unreadable
    try:
        client = msgspec.json.decode(left.found.client, type=ClientRecord)
    except msgspec.MsgspecError:
        return None, unreadable
    try:
        counted = count(left.fd)
    except OSError:
        return client, Rejection("gone", closable=False)
    verdict = judge(counted, left.found.points, left.in_flight)
    if isinstance(verdict, Adoption) and left.in_flight is None:
        left.found.entry.set_point(Point(counted.read, counted.written, verdict.seq))
    return client, verdict


def _resume(
    core: Core, keeper: Keeper, left: InheritedConnection, client: ClientRecord, tally: Tally, connection: Connection
) -> None:
    """Make it a client again; close it if its device or its secret has been refused meanwhile."""
    assert left.found is not None and isinstance(connection.carrier, WebSocketProtocol)
    keeper.register_inherited(connection, connection.carrier, left.found.entry)
    peer = client.peer
    if not connection.kept:  # it has ended meanwhile, and what was read of it is lost
        connection.carrier.abort()
        tally.closed["gone"] += 1
        return
    if peer.device_id is not None and not core.devices.still_admits(peer.device_id, peer.role):
        connection.outbox.finish(DEVICE_CHANGED)
    elif peer.auth_mode != DEVICE_TOKEN and not keeper.knows_secret(client, core.auth):
        connection.outbox.finish(SECRET_CHANGED)
    else:
        tally.websockets += 1
        log.debug("connection adopted: %s", connection.id)
        return
    tally.closed["auth"] += 1


def _dismiss(fd: int, closable: bool) -> None:
    """Close a rejected connection: with the close frame if `closable`, else without a word."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        if closable:
            sock.send(_GOODBYE)
        sock.shutdown(socket.SHUT_WR if closable else socket.SHUT_RDWR)
    if closable:
        _lingering.spawn(_linger(sock), "lingering")
    else:
        sock.close()


async def _linger(sock: socket.socket) -> None:
    """Read what the client still sends, until it closes, for `LINGER_S` at most."""
    loop = asyncio.get_running_loop()
    with sock, contextlib.suppress(OSError):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while await loop.sock_recv(sock, 65536):
                    pass
        sock.shutdown(socket.SHUT_RDWR)
