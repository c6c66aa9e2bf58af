import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.link.messages import Event, Text
from gateway.runs.active import ActiveRun
from gateway.runs.storing import Patience, Storing, StoringTimes
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Progress, Run, RunRequest
from tests.runs.world import until

TIMES = StoringTimes(store=0.01, again=0.02)


class Commits:
    def __init__(self) -> None:
        self.commits: list[list[Progress]] = []
        self.full = False
        self.hung: asyncio.Event | None = None

    async def progress(self, all: Sequence[Progress]) -> None:
        if self.hung is not None:
            await self.hung.wait()
        if self.full:
            raise StorageFailed("the disk is full")
        self.commits.append(list(all))


class Desk:
    def __init__(self) -> None:
        self.store = Commits()
        self.acked: dict[str, int] = {}
        store: Any = self.store
        self.broken: list[str] = []
        self.storing = Storing(store, self.acked.__setitem__, lambda live: self.broken.append(live.run.id), TIMES)

    def live(self, id: str) -> ActiveRun:
        return ActiveRun(Run(id, "s", "main", "running", RunRequest({}), 1, attempts=1), asked=True)

    def say(self, live: ActiveRun, text: str) -> None:
        live.apply(Event(live.run.id, live.seq + 1, 1, Text(text)))
        self.storing.soon(live)


def test_what_runs_say_in_a_moment_is_one_commit() -> None:
    async def test() -> None:
        desk = Desk()
        lives = [desk.live(f"r{number}") for number in range(3)]
        for live in lives:
            desk.say(live, "a")
            desk.say(live, "b")
        await until(lambda: desk.acked)
        (commit,) = desk.store.commits
        assert [(each.run, each.text) for each in commit] == [("r0", "ab"), ("r1", "ab"), ("r2", "ab")]
        assert desk.acked == {"r0": 2, "r1": 2, "r2": 2}
        desk.say(lives[0], "c")
        await until(lambda: desk.storing._task is None)
        assert len(desk.store.commits) == 2

    asyncio.run(test())


def test_what_the_disk_refuses_is_kept_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        desk = Desk()
        live = desk.live("r")
        desk.store.full = True
        desk.say(live, "a")
        await until(lambda: "the disk is full" in caplog.text)
        assert desk.acked == {}
        desk.say(live, "b")
        desk.store.full = False
        await until(lambda: desk.acked)
        assert desk.acked == {"r": 2}

    asyncio.run(test())
    assert caplog.text.count("the disk is full") == 1


def test_what_is_over_is_not_stored_as_progress() -> None:
    async def test() -> None:
        desk = Desk()
        over, ending, lost = (desk.live(name) for name in ("over", "ending", "lost"))
        for live in (over, ending, lost):
            desk.say(live, "a")
        over.over = ending.ending = True
        lost.asked = False
        await desk.storing.flush()
        assert desk.store.commits == [] and desk.acked == {}
        desk.storing.stop()

    asyncio.run(test())


def test_who_is_cancelled_leaves_it_to_others() -> None:
    async def test() -> None:
        desk = Desk()
        desk.storing.stop()
        live = desk.live("r")
        desk.say(live, "a")
        desk.store.hung = asyncio.Event()
        reading = asyncio.create_task(desk.storing.flush())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        desk.store.hung.set()
        await desk.storing.flush()
        assert desk.acked == {"r": 1}

    asyncio.run(test())


def test_what_was_said_in_an_attempt_that_is_over_is_not_acknowledged() -> None:
    async def test() -> None:
        desk = Desk()
        desk.storing.stop()
        live = desk.live("r")
        desk.say(live, "a")
        desk.store.hung = asyncio.Event()
        writing = asyncio.create_task(desk.storing.flush())
        await asyncio.sleep(0)
        live.restart(Run("r", "s", "main", "running", RunRequest({}), 1, attempts=2))
        desk.store.hung.set()
        await writing
        assert desk.acked == {} and live.stored == 0

    asyncio.run(test())


def test_patience() -> None:
    async def test() -> None:
        patience, tries = Patience(0.001), 0

        async def work() -> str:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise StorageFailed("the disk is full")
            return "done"

        assert await patience(work) == "done" and tries == 4

    asyncio.run(test())


def test_patience_ends_after_one_more_try(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        patience, tries = Patience(60), 0

        async def work() -> None:
            nonlocal tries
            tries += 1
            raise StorageFailed("the disk is full")

        trying = asyncio.create_task(patience(work))
        await asyncio.sleep(0.01)
        patience.end()
        with pytest.raises(StorageFailed):
            await trying
        assert tries == 2

    asyncio.run(test())
    assert caplog.text.count("it is tried again until it can be stored") == 1
