"""How many sessions there are, without waiting for it."""

import asyncio
from pathlib import Path

import pytest

from gateway.conversations import overview
from gateway.conversations.overview import RECENT, AgentSessions, Overview, SessionCounts
from tests.rpc.methods.talking import run
from tests.sessions.talk import NOW, opened
from tests.slack import LIMIT_S


def test_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            for number in range(RECENT + 1):
                await store.patch(f"agent:a:s{number}", "a", lambda _: {}, NOW + number)
            seen = Overview(store, lambda: ("a", "b"))
            assert seen.latest() == SessionCounts(), "the first asker does not wait"
            picture = await settled(seen)
            assert picture.of("a").count == RECENT + 1
            assert picture.of("a").recent[0] == ("agent:a:s5", NOW + 5) and len(picture.of("a").recent) == RECENT
            assert picture.of("b") == picture.of("nobody") == AgentSessions()
            await store.patch("agent:b:x", "b", lambda _: {}, NOW)
            assert seen.latest() is picture, "it is fresh"
            monkeypatch.setattr(overview, "FRESH_S", 0)
            seen.latest()
            assert (await settled(seen)).of("b").count == 1

    run(scenario())


def test_a_database_that_fails_leaves_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "FRESH_S", 0)

    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await store.patch("agent:a:x", "a", lambda _: {}, NOW)
            seen = Overview(store, lambda: ("a",))
            seen.latest()
            await settled(seen)
        seen.latest()
        await settled(seen)
        seen.close()
        assert seen.latest().of("a").count == 1
        assert not seen._counting, "nobody looks after the end"

    run(scenario())


async def settled(seen: Overview) -> SessionCounts:
    async with asyncio.timeout(LIMIT_S):
        while seen._counting:
            await asyncio.sleep(0.001)
    return seen._counts
