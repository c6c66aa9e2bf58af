import asyncio
import logging

import pytest

from gateway.aio.tasks import Tasks, shielded
from gateway.errors import GatewayError
from tests.slack import LIMIT_S

log = logging.getLogger("gateway.test")


class Shop:
    def __init__(self) -> None:
        self._tasks = Tasks(log)
        self.done: list[str] = []

    @shielded
    async def work(self, what: str, *, seconds: float = 0.01) -> str:
        """Do it."""
        await asyncio.sleep(seconds)
        if what == "break":
            raise KeyError(what)
        self.done.append(what)
        return what.upper()


def test_what_is_whole_is_done_although_nobody_waits() -> None:
    async def test() -> None:
        shop = Shop()
        assert await shop.work("a") == "A"
        waiting = asyncio.create_task(shop.work("b"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert shop.done == ["a"]
        await shop._tasks.join()
        assert shop.done == ["a", "b"]

    asyncio.run(test())
    assert Shop.work.__doc__ == "Do it."


def test_its_errors_are_told_to_who_waits_and_to_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        shop = Shop()
        with pytest.raises(KeyError):
            await shop.work("break")
        waiting = asyncio.create_task(shop.work("break"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await shop._tasks.join()

    asyncio.run(test())
    assert caplog.text == ""


def test_what_is_cancelled_is_waited_for_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        tasks, ended = Tasks(log), list[str]()

        async def wait(name: str) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(name)

        for name in ("a", "b"):
            tasks.spawn(wait(name), name)
        await asyncio.sleep(0)
        tasks.cancel()
        await asyncio.wait_for(tasks.join(), LIMIT_S)
        assert sorted(ended) == ["a", "b"]
        tasks.cancel()

    asyncio.run(test())
    assert caplog.text == ""


async def fail(error: Exception) -> None:
    raise error


def test_what_nobody_waits_for_fails_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        tasks = Tasks(log)
        tasks.spawn(fail(GatewayError("the disk is full")), "ending a run")
        tasks.spawn(fail(KeyError("oh")), "thinking")
        tasks.spawn(asyncio.sleep(60), "sleeping").cancel()
        await tasks.join()

    asyncio.run(test())
    assert "ending a run failed: the disk is full\n" in caplog.text and "thinking failed\nTraceback" in caplog.text
    assert caplog.text.count("Traceback") == 1 and "sleeping" not in caplog.text


def test_finishing_waits_for_what_begins_meanwhile() -> None:
    async def test() -> None:
        tasks, done = Tasks(log), []

        async def first() -> None:
            await asyncio.sleep(0)
            tasks.spawn(second(), "second")

        async def second() -> None:
            await asyncio.sleep(0)
            done.append(2)

        tasks.spawn(first(), "first")
        await tasks.join()
        assert done == [2]

    asyncio.run(test())
