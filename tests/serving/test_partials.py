import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving import partials
from gateway.serving.partials import MAX_PARTIAL_BYTES, PartialMessages
from tests.wire.raw import TEXT as TEXT_FRAME
from tests.wire.raw import RawScene, frame, request, run, text


class Half:
    def __init__(self, all: PartialMessages) -> None:
        self.all = all
        self.stopped = False

    def hold(self, size: int) -> None:
        self.all.set_held(self, size)

    def stop_sending(self) -> None:
        self.stopped = True
        self.all.set_held(self, 0)  # as its connection does at its end


def test_at_the_bound_nobody_is_stopped_and_beyond_it_who_has_sent_most() -> None:
    all = PartialMessages()
    little, much, more = Half(all), Half(all), Half(all)
    little.hold(1)
    much.hold(MAX_PARTIAL_BYTES // 2)
    more.hold(MAX_PARTIAL_BYTES // 2 - 1)
    assert (all.bytes, little.stopped, much.stopped, more.stopped) == (MAX_PARTIAL_BYTES, False, False, False)
    little.hold(2)
    assert (all.bytes, little.stopped, much.stopped, more.stopped) == (MAX_PARTIAL_BYTES // 2 + 1, False, True, False)


def test_who_has_sent_whole_messages_costs_nothing() -> None:
    all = PartialMessages()
    one = Half(all)
    one.hold(0)
    assert len(all) == 0
    one.hold(5)
    one.hold(0)
    assert (len(all), all.bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=60))
def test_the_bound_holds_and_the_sum_is_true(steps: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partials, "MAX_PARTIAL_BYTES", 100)
        all = PartialMessages()
        halves = [Half(all) for _ in range(5)]
        for number, size in steps:
            if not halves[number].stopped:
                halves[number].hold(size)
            assert all.bytes == sum(all._held.values()) <= 100
            assert not any(half.stopped and half in all._held for half in halves)


def test_whoever_has_sent_most_by_halves_is_closed_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partials, "MAX_PARTIAL_BYTES", 300_000)

    async def play(scene: RawScene) -> None:
        much, little = await scene.greeted(), await scene.greeted()
        much.send(frame(TEXT_FRAME, b"x" * 250_000)[:-1])
        while scene.server.server_state.partials.bytes < 249_000:
            await asyncio.sleep(0)
        whole = text(request("1", "last-heartbeat", {}) | {"padding": "x" * 100_000})
        little.send(whole[:-1])
        assert await much.end() == 1013
        little.send(whole[-1:])
        assert (await little.answer("1"))["id"] == "1"
        little.send(text(request("2", "last-heartbeat")))
        assert (await little.answer("2"))["ok"] is True
        assert (len(scene.server.server_state.partials), scene.server.server_state.partials.bytes) == (0, 0)

    run(play)
