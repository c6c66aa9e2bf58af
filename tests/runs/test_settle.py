"""What has been told is in the transcript as soon as somebody reads it, and not only a moment later."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.link.client import Stream
from gateway.link.messages import Bounds, Event, Model, Said, Spec, Text
from gateway.runs.service import Runs
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Progress, Request, Run
from gateway.sessions.store import Store

KEY = "agent:main:main"


async def never() -> Stream:
    """An agent that is about to come."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def specify(run: Run) -> Spec:
    return Spec(run.session, run.agent, run.request.prompt, [Model("builtin", "echo", "builtin")], bounds=Bounds())


def during_a_run(folder: Path, test: Callable[[Runs, Store], Awaitable[None]]) -> None:
    async def life() -> None:
        store = Store(folder / "conversations.sqlite")
        await store.open(1)
        runs = Runs(store, never, specify)
        await runs.submit("r", KEY, "main", Request({"role": "user", "content": "?", "timestamp": 1}))
        while (live := runs.live("r")) is None:
            await asyncio.sleep(0)
        live.asked = True  # what it says is said by the tests
        await test(runs, store)
        await runs.close()
        await store.close()

    asyncio.run(life())


def say(runs: Runs, seq: int) -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": f"{seq}"}], "timestamp": 1}
    runs._owner.happened(Event("r", seq, 1, Text(f"{seq}")))
    runs._owner.happened(Event("r", seq + 1, 1, Said(message)))


async def roles(store: Store) -> list[str]:
    return [str(row.message["role"]) for row in await store.rows(KEY, 10)]


def test_what_was_told_is_stored_when_asked_for(tmp_path: Path) -> None:
    async def test(runs: Runs, store: Store) -> None:
        say(runs, 1)
        assert await roles(store) == ["user"]
        await runs.settle()
        assert await roles(store) == ["user", "assistant"]
        say(runs, 3)
        await asyncio.gather(runs.settle(), runs.settle())
        assert await roles(store) == ["user", "assistant", "assistant"]

    during_a_run(tmp_path, test)


def test_a_disk_that_takes_nothing_is_no_error_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(runs: Runs, store: Store) -> None:
        async def refuse(all: list[Progress]) -> None:
            raise StorageFailed("the database takes nothing") from sqlite3.OperationalError("disk is full")

        say(runs, 1)
        with monkeypatch.context() as broken:
            broken.setattr(store, "progress", refuse)
            await runs.settle()
        await runs.settle()
        assert await roles(store) == ["user", "assistant"]

    during_a_run(tmp_path, test)
