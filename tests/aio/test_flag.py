import asyncio

from gateway.aio.flag import Flag
from tests.slack import LIMIT_S


def test_whoever_waits_is_woken_even_when_it_is_cleared_at_once() -> None:
    async def test() -> None:
        flag = Flag()
        waiting = [asyncio.create_task(flag.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        assert not flag.is_set()
        flag.set()
        flag.clear()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [each.cancelled() for each in waiting] == [False, True, False]
        assert not flag.is_set()

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_nobody_waits_for_what_is_set() -> None:
    async def test() -> None:
        await Flag(is_set=True).wait()

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))
