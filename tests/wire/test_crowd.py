"""Many clients at once, and clients that do not read: over real sockets, with the whole gateway on the same loop."""

import asyncio
import socket

import pytest

from gateway.protocol.limits import MIB
from tests.effort import share
from tests.wire.raw import CLOSE, PING, RawClient, RawScene, frame, many_files, request, run, text

CROWD = share(1000, 200)
SLOW, QUICK = share(50, 10), share(20, 5)
ROUNDS = 40
BIG = "x" * (64 * 1024)
"""Larger than what the kernel holds for a client that does not read, after a few."""


def test_a_crowd_that_comes_at_once_is_all_greeted() -> None:
    if many_files() < CROWD:
        pytest.skip("this process may not open enough files")

    async def play(it: RawScene) -> None:
        clients = await asyncio.gather(*(it.greeted(3 + number % 2) for number in range(CROWD)))
        assert it.core.hub.count == CROWD
        for client in clients:
            client.send(text(request()))
        answers = await asyncio.gather(*(client.answer() for client in clients))
        assert [answer for answer in answers if not answer["ok"]] == []

    run(play, limit=30)


async def count_events(client: RawClient, name: bytes) -> int:
    """The events of this name before the pong."""
    seen = 0
    client.send(frame(PING, b"end"))
    while (got := await client.next()) is not None and got.payload != b"end":
        assert got.opcode != CLOSE, got
        seen += name in got.payload
    return seen


@pytest.mark.parametrize("drop_if_slow", [False, True], ids=["closed", "skipped"])
def test_clients_that_do_not_read_cost_the_others_nothing(drop_if_slow: bool) -> None:
    async def play(it: RawScene) -> None:
        it.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)  # what the kernel would hold is not ours
        slow = [await it.greeted(3, receive_buffer=4096) for _ in range(SLOW)]
        for client in slow:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        quick = [await it.greeted(3) for _ in range(QUICK)]
        seen = [0] * QUICK
        for _ in range(ROUNDS):
            it.core.hub.broadcast("agent", {"text": BIG}, drop_if_slow=drop_if_slow)
            await asyncio.sleep(0)
            for number, client in enumerate(quick):
                seen[number] += await count_events(client, b'"event":"agent"')
        assert seen == [ROUNDS] * QUICK
        queued = [each.outbox.queued for each in it.core.hub.clients]
        assert max(queued, default=0) <= 2 * MIB
        if drop_if_slow:
            assert max(queued) > 0, "nobody was slow"
            assert it.core.hub.count == SLOW + QUICK
        else:
            assert it.core.hub.count == QUICK
            for client in slow:
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert {await client.end() for client in slow} <= {1008, None}

    run(play, limit=30)
