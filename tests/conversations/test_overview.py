"""How many sessions there are, without waiting for it."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.tree import ConfigTree
from gateway.conversations import overview
from gateway.conversations.overview import RECENT, AgentSessions, Overview, RecentSessions, SessionCounts
from gateway.sessions.records import Page
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable
from gateway.sessions.transcripts import patch
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


def test_recent_sessions_are_read_again_once_somebody_commits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            trees = [ConfigTree({}), ConfigTree({})]
            recent = RecentSessions(store, lambda: trees[-1])
            assert recent.current(("a",)) is None, "nothing was read yet"
            first = await recent.read(("a",))
            assert recent.current(("a",)) is first and first.pages["a"].total == 0
            assert recent.current(("a", "b")) is None, "it was not asked for this agent"
            await store.patch("agent:a:ours", "a", lambda _: {}, NOW)
            assert recent.current(("a",)) is None
            assert [each.key for each in (await recent.read(("a",))).pages["a"].sessions] == ["agent:a:ours"]
            with closing(writable(store.database.path, MIGRATIONS)) as other:
                patch("agent:a:theirs", "a", lambda _: {}, NOW + 1, None, other)
                assert recent.current(("a",)) is None
            last = await recent.read(("a",))
            assert last.pages["a"].total == 2 and recent.current(("a",)) is last
            trees.append(ConfigTree({}))
            assert recent.current(("a",)) is None, "another config is in force"

    run(scenario())


def test_those_who_ask_together_share_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            tree, reads = ConfigTree({}), 0
            recent = RecentSessions(store, lambda: tree)
            read = store.sessions

            async def counted(*asked: Any) -> Page:
                nonlocal reads
                reads += 1
                page = await read(*asked)
                if reads == 1:
                    await store.patch("agent:a:x", "a", lambda _: {}, NOW)
                return page

            monkeypatch.setattr(store, "sessions", counted)
            found = await asyncio.gather(*(recent.read(("a",)) for _ in range(8)))
            assert [each.pages["a"].total for each in found] == [0] + [1] * 7
            assert reads == 2, "one more, for those who asked before the commit and were still waiting"

    run(scenario())


async def settled(seen: Overview) -> SessionCounts:
    async with asyncio.timeout(LIMIT_S):
        while seen._counting:
            await asyncio.sleep(0.001)
    return seen._counts
