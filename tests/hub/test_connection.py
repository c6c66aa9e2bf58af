import asyncio

import pytest

from gateway.hub.hub import Hub
from gateway.protocol.closing import (
    SLOW_CONSUMER,
)
from gateway.protocol.frames import WireError
from gateway.protocol.limits import limits
from tests.carrier import drained
from tests.hub.clients import held, peer


@pytest.mark.parametrize(("protocol", "next_seq"), [(3, 2), (4, 3)])
def test_a_slow_client_loses_what_may_be_lost(protocol: int, next_seq: int) -> None:
    hub = Hub()
    with held(hub, peer(protocol)) as (slow,):
        slow.outbox.max_bytes = 210
        hub.broadcast("first", "x" * 80)
        hub.broadcast("lost", "x" * 80, drop_if_slow=True)
        hub.broadcast("t", None, drop_if_slow=True)
        frames, _ = drained(slow)
        assert [(frame["event"], frame["seq"]) for frame in frames] == [("first", 1), ("t", next_seq)]


def test_a_slow_client_is_closed_rather_than_lied_to(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    with held(hub, peer(), peer()) as (slow, quick):
        slow.outbox.max_bytes = 150
        hub.broadcast("first", "x" * 80)
        hub.broadcast("second", "x" * 80)
        hub.broadcast("third", "x" * 80)
        assert hub.clients == [quick]
        assert drained(slow) == ([], SLOW_CONSUMER)
        assert len(drained(quick)[0]) == 3
    assert "slow consumer 0" in caplog.text


@pytest.mark.parametrize("protocol", [3, 4])
def test_each_version_has_its_bound(protocol: int) -> None:
    with held(Hub(), peer(protocol)) as (connection,):
        assert connection.outbox.max_bytes == limits(protocol).max_buffered


def test_at_rest_is_who_waits_for_nothing_from_us() -> None:
    async def scene() -> None:
        hub = Hub()
        with held(hub, peer()) as (connection,):
            connection.seq = 5
            assert connection.seq_at_rest() == 5
            connection.outbox.put(b"{}")
            assert connection.seq_at_rest() is None
            drained(connection)
            assert connection.seq_at_rest() == 5
            task = asyncio.ensure_future(asyncio.sleep(60, "answer"))
            connection.requests["r1"] = task
            assert connection.seq_at_rest() is None
            del connection.requests["r1"]
            connection.outbox.finish(SLOW_CONSUMER)
            assert connection.seq_at_rest() is None
            task.cancel()

    asyncio.run(scene())


LATE = WireError("UNAVAILABLE", "ask again", retryable=True)


def test_a_request_that_is_given_up_is_told_and_one_that_is_done_is_not() -> None:
    async def scene() -> None:
        hub = Hub()
        with held(hub, peer()) as (connection,):
            slow = asyncio.ensure_future(asyncio.sleep(60, "slow"))
            done = asyncio.ensure_future(asyncio.sleep(0, "done"))
            await asyncio.sleep(0)
            connection.requests |= {"slow": slow, "done": done}
            while not done.done():
                await asyncio.sleep(0)
            connection.fail_requests(LATE)
            assert list(connection.requests) == ["done"], "its answer comes by itself"
            (frame,) = drained(connection)[0]
            assert (frame["id"], frame["error"]["code"], frame["error"]["retryable"]) == ("slow", "UNAVAILABLE", True)

    asyncio.run(scene())
