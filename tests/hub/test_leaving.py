import asyncio

import pytest

from gateway.hub.hub import Hub
from gateway.hub.leaving import close_all, finish_requests, serve_newcomers
from gateway.protocol.closing import (
    Close,
)
from gateway.protocol.frames import WireError
from tests.carrier import FakeCarrier, drained
from tests.hub.clients import carrier_of, held, peer
from tests.slack import LIMIT_S


def test_close_all_waits_for_those_who_go() -> None:
    async def test() -> None:
        hub = Hub()
        with held(hub, peer(), None) as connections:
            closing = asyncio.create_task(close_all(hub, 1012, "service restart", 5))
            await asyncio.sleep(0)
            hub.broadcast("late", {})
            for connection in connections:
                assert drained(connection) == ([], Close(1012, "service restart"))
            assert not closing.done()
        await asyncio.wait_for(closing, LIMIT_S)
        assert not any(isinstance(each.carrier, FakeCarrier) and each.carrier.aborted for each in connections)

    asyncio.run(test())


def test_close_all_drops_those_who_do_not() -> None:
    async def test() -> None:
        hub = Hub()
        with held(hub, peer(), None) as connections:
            await close_all(hub, 1012, "service restart", 0.01)
            assert all(isinstance(each.carrier, FakeCarrier) and each.carrier.aborted for each in connections)

    asyncio.run(test())


LATE = WireError("UNAVAILABLE", "ask again", retryable=True)


def test_a_newcomer_gets_its_first_answer_before_the_end() -> None:
    async def test() -> None:
        hub = Hub()
        with held(hub, peer(), peer()) as (old, young):
            old.opened -= 60
            serving = asyncio.create_task(serve_newcomers(hub, 30))
            await asyncio.sleep(0.02)
            assert not serving.done()
            young.answered = True
            await asyncio.wait_for(serving, LIMIT_S)

    asyncio.run(test())


def test_a_newcomer_that_asks_nothing_is_waited_for_no_longer_than_the_limit() -> None:
    async def test() -> None:
        hub = Hub()
        with held(hub, None, peer()):
            await asyncio.wait_for(serve_newcomers(hub, 0.02), LIMIT_S)

    asyncio.run(test())


def test_close_all_of_nobody_is_done_at_once() -> None:
    hub = Hub()
    asyncio.run(asyncio.wait_for(close_all(hub, 1012, "", 60), LIMIT_S))
    assert hub.count == 0


def test_an_adopted_client_is_no_newcomer_to_be_waited_for() -> None:
    async def scene() -> None:
        hub = Hub()
        with held(hub, None) as (connection,):
            hub.adopt(connection, peer(), 0, 0)
            await asyncio.wait_for(serve_newcomers(hub, 60), LIMIT_S)

    asyncio.run(scene())


def test_who_is_kept_is_neither_waited_for_nor_closed() -> None:
    async def scene() -> None:
        hub = Hub()
        with held(hub, peer(), peer(), None) as (kept, other, stranger):
            kept.kept = True
            other.answered = True
            stranger.answered = True
            await asyncio.wait_for(serve_newcomers(hub, 60), LIMIT_S)
            await close_all(hub, 1012, "restart", 0, but_kept=True)
            assert (kept.outbox.closing, other.outbox.closing, stranger.outbox.closing) == (False, True, True)
            assert not carrier_of(kept).aborted and carrier_of(other).aborted and carrier_of(stranger).aborted
            assert hub.clients == [kept]
            hub.broadcast("still", {})
            assert [frame["event"] for frame in drained(kept)[0]] == ["still"]
            with held(hub, None) as (late,):
                assert late.outbox.closing
            await close_all(hub, 1012, "stop", 0)  # a stop came in the middle of the restart
            assert kept.outbox.closing and carrier_of(kept).aborted

    asyncio.run(scene())


@pytest.mark.parametrize("late", [False, True])
def test_requests_of_the_kept_are_waited_for_so_long(late: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        hub = Hub()
        with held(hub, peer(), peer()) as (kept, other):
            kept.kept = True
            carrier_of(kept).write_paused = False
            task = asyncio.ensure_future(asyncio.sleep(0 if not late else 60, "answer"))
            task.add_done_callback(lambda _: kept.requests.pop("r1", None))
            kept.requests["r1"] = task
            forever = asyncio.ensure_future(asyncio.sleep(60, "answer"))
            other.requests["r2"] = forever
            await asyncio.wait_for(finish_requests(hub, 0.02 if late else 60, LATE), LIMIT_S)
            assert not kept.requests and other.requests
            assert (b"r1" in b"".join(carrier_of(kept).texts)) is late
            assert ("1 clients took too long" in caplog.text) is late
            forever.cancel()

    asyncio.run(scene())
