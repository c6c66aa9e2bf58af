"""What is kept, for how long, and who waits for its end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.agent.mcp import idle as module
from gateway.agent.mcp.idle import MAX_SENTENCES, IdleServers
from tests.slack import LIMIT_S


class Closing:
    def __init__(self) -> None:
        self.closed = 0
        self.ended = asyncio.Event()

    def close(self) -> asyncio.Task[None]:
        self.closed += 1
        return asyncio.create_task(self._end())

    async def _end(self) -> None:
        await asyncio.sleep(0)
        self.ended.set()


def play(scene: Callable[[IdleServers], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(IdleServers())

    asyncio.run(asyncio.wait_for(run(), LIMIT_S))


def test_what_is_kept_can_be_taken_once() -> None:
    async def scene(idle: IdleServers) -> None:
        server = Closing()
        idle.park(("c", "s"), server)
        assert idle.reclaim(("c", "t")) is None and idle.reclaim(("d", "s")) is None
        assert idle.reclaim(("c", "s")) is server and idle.reclaim(("c", "s")) is None
        await idle.end_all()
        assert server.closed == 0, "it is not ours any more"

    play(scene)


def test_another_one_takes_its_place() -> None:
    async def scene(idle: IdleServers) -> None:
        first, second = Closing(), Closing()
        idle.park(("c", "s"), first)
        idle.park(("c", "s"), second)
        await first.ended.wait()
        assert idle.reclaim(("c", "s")) is second and second.closed == 0

    play(scene)


def test_so_many_and_no_more_and_the_one_that_has_waited_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IDLE", 2)

    async def scene(idle: IdleServers) -> None:
        servers = [Closing() for _ in range(3)]
        idle.park(("c", "0"), servers[0])
        idle.park(("c", "1"), servers[1])
        again = idle.reclaim(("c", "0"))
        assert again is servers[0]
        idle.park(("c", "0"), servers[0])
        assert len(idle) == 2
        idle.park(("c", "2"), servers[2])
        await servers[1].ended.wait()
        assert [each.closed for each in servers] == [0, 1, 0] and len(idle) == 2
        await idle.end_all()

    play(scene)


def test_what_nobody_takes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.01)

    async def scene(idle: IdleServers) -> None:
        kept, taken = Closing(), Closing()
        idle.park(("c", "s"), kept)
        idle.park(("c", "t"), taken)
        assert idle.reclaim(("c", "t")) is taken
        await kept.ended.wait()
        assert len(idle) == 0 and (kept.closed, taken.closed) == (1, 0)

    play(scene)


def test_who_leaves_waits_for_the_end_of_all() -> None:
    async def scene(idle: IdleServers) -> None:
        kept, ending = Closing(), Closing()
        idle.park(("c", "s"), kept)
        idle.track_ending(ending.close())
        idle.track_ending(None)
        await idle.end_all()
        assert kept.ended.is_set() and ending.ended.is_set() and len(idle) == 0

    play(scene)


def test_a_sentence_is_new_once_in_a_conversation() -> None:
    idle = IdleServers()
    found = [idle.is_new(*each) for each in (("c", "x"), ("c", "x"), ("d", "x"), ("c", "y"), ("", "x"), ("", "x"))]
    assert found == [True, False, True, True, True, True]


def test_what_was_said_is_known_up_to_a_bound() -> None:
    idle = IdleServers()
    for number in range(MAX_SENTENCES):
        idle.is_new("c", str(number))
    assert not idle.is_new("c", "0")
    idle.is_new("c", "one more")
    assert idle.is_new("c", "0") and not idle.is_new("c", str(MAX_SENTENCES - 1))
