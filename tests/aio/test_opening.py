"""What is opened once, however many ask and however often it fails."""

import asyncio
import logging

import pytest

from gateway.aio import opening
from gateway.aio.opening import RetriedOpening

log = logging.getLogger("test")


class Hatch:
    def __init__(self, *fails: str) -> None:
        self.tries = 0
        self._fails = list(fails)
        self.opening = RetriedOpening(self._open, "a hatch", log)

    async def _open(self) -> None:
        self.tries += 1
        await asyncio.sleep(0)
        if self._fails:
            raise OSError(self._fails.pop(0))


def test_it_is_opened_once_for_all_who_wait_and_whoever_is_cancelled() -> None:
    async def test() -> None:
        hatch = Hatch()
        gone = asyncio.create_task(hatch.opening.wait())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(*(hatch.opening.wait() for _ in range(3)))
        assert hatch.opening.is_open and hatch.opening.problem is None and hatch.tries == 1
        assert await hatch.opening.stop()

    asyncio.run(test())


def test_who_asks_next_tries_again() -> None:
    async def test() -> None:
        hatch = Hatch("locked")
        with pytest.raises(OSError, match="locked"):
            await hatch.opening.wait()
        assert not hatch.opening.is_open and hatch.opening.problem == "locked"
        await hatch.opening.wait()
        assert hatch.opening.is_open and hatch.opening.problem is None and hatch.tries == 2

    asyncio.run(test())


def test_it_is_tried_again_until_it_is_open_or_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "RETRY_S", 0)

    async def test() -> None:
        hatch, other = Hatch("locked", "locked"), Hatch(*["locked"] * 1000)
        hatch.opening.start()
        other.opening.start()
        while not hatch.opening.is_open:
            await asyncio.sleep(0)
        assert hatch.tries == 3 and await other.opening.stop()
        tries = other.tries
        await asyncio.sleep(0.01)
        assert other.tries == tries

    asyncio.run(test())


def test_what_nobody_has_asked_for_ends_at_once() -> None:
    async def test() -> None:
        assert not await Hatch().opening.stop()

    asyncio.run(test())
