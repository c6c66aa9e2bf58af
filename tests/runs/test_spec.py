"""Sessions that outgrow their model: a gateway, an agent and a provider with a window, all in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.agent.providers import clients, transport
from gateway.agent.window import measure, source
from gateway.agent.window.measure import LearnedLimits
from gateway.conversations.slash import Slash
from gateway.link.spec import COMPACTION
from gateway.sessions.records import Run, RunRequest
from tests.agent.provider import Provider, Window
from tests.conversing import agents
from tests.rpc.methods.talking import Caller, talking
from tests.runs.world import Agents, user
from tests.sessions.talk import MAIN

DAYS = 40
UNUSABLE = {"mcp": {"servers": {"far": {"url": "http://127.0.0.1:9", "auth": "oauth"}}}}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = LearnedLimits()
    monkeypatch.setattr(measure, "learned", known)
    monkeypatch.setattr(source, "learned", known)
    yield


def config(provider: Provider, window: int | None, **compaction: Any) -> dict[str, Any]:
    model = {"id": "m1"} | ({"contextWindow": window} if window else {})
    there = {"baseUrl": f"{provider.url}/v1", "apiKey": "key", "models": [model]}
    defaults = {"model": "mock/m1", "workspace": "/nowhere", "compaction": compaction}
    return {"models": {"providers": {"mock": there}}, "agents": {"defaults": defaults}}


@contextlib.asynccontextmanager
async def living(window: Window) -> AsyncIterator[tuple[Provider, Agents]]:
    async with Provider(window=window) as provider, agents() as there:
        try:
            yield provider, there
        finally:
            await transport.shared_client().aclose()
            clients.forget_clients()


def run(scenario: Awaitable[None]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(120):
            await scenario

    asyncio.run(whole())


async def say(talk: Caller, id: str, text: str) -> Run:
    conversations = talk.core.conversations
    await conversations.submit(id, MAIN, RunRequest(user(text)))
    ended = await conversations.runs.wait(id, 60)
    assert ended is not None and ended.state == "done", ended
    return ended


async def entries(talk: Caller) -> list[dict[str, Any]]:
    return [row.message for row in await talk.store.rows(MAIN, 10_000) if row.message["role"] == COMPACTION]


@pytest.mark.parametrize("window", [16_000, None], ids=["known", "unknown"])
def test_forty_days_of_talk_in_one_session_never_end_in_an_error(tmp_path: Path, window: int | None) -> None:
    """The gateway is another one each tenth day, the agent each fifteenth."""
    takes = Window(16_000)

    async def scenario() -> None:
        async with living(takes) as (provider, there):
            for month in range(0, DAYS, 10):
                async with talking(tmp_path, config(provider, window, keepRecentTokens=800), there.dial) as talk:
                    for day in range(month, month + 10):
                        if day % 15 == 14:
                            await there.crash()
                        answer = (await say(talk, f"r{day}", f"day {day}: " + "lorem-ipsum-" * 170)).answer
                        assert answer.startswith(f"You said: day {day}:")
            async with talking(tmp_path, config(provider, window), there.dial) as talk:
                assert (await say(talk, "last", "hello")).answer == "You said: hello"
                found = await entries(talk)
                session = await talk.store.session(MAIN)
                assert session is not None and session.compactions == len(found) and 3 <= len(found) <= 12
                said = [row for row in await talk.store.rows(MAIN, 10_000) if row.message["role"] == "user"]
                assert len(said) == DAYS + 1, "nothing is forgotten"
                status = await talk.core.conversations.commands.do(
                    "st", MAIN, RunRequest(user("/status")), Slash("status")
                )
                assert f"Compactions: {len(found)}" in status[0].answer

    run(scenario())


def test_compact_sums_up_with_what_the_user_wants_and_keeps_everything(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            living(Window(100_000)) as (provider, there),
            talking(tmp_path, config(provider, 100_000) | UNUSABLE, there.dial) as talk,
        ):
            for number in range(4):
                await say(talk, f"r{number}", f"number {number} " + "x" * 400)
            conversations = talk.core.conversations
            told = RunRequest(user("/compact the numbers"))
            await conversations.commands.do("c", MAIN, told, Slash("compact", "the numbers"))
            ended = await conversations.runs.wait("c", 30)
            (entry,) = await entries(talk)
            assert ended is not None and ended.state == "done"
            assert ended.answer == f"Compacted: {entry['tokensBefore']} → {entry['tokensAfter']} tokens."
            assert "The user asks for this in particular: the numbers" in str(provider.requests[-1].body)
            assert len(await talk.store.rows(MAIN, 100)) == 4 * 2 + 3
            await say(talk, "after", "hello")
            messages = str(provider.requests[-1].body["messages"])
            assert "Summary of the conversation before this:" in messages and "number 3" in messages
            assert "/compact" not in messages and "Compacted" not in messages

    run(scenario())


def test_a_picture_that_is_too_large_does_not_take_what_was_before_it_along(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            living(Window(10**7)) as (provider, there),
            talking(tmp_path, config(provider, None), there.dial) as talk,
        ):
            await say(talk, "r0", "my name is Ada")
            picture = {"type": "image", "data": "A" * 5_000_000, "mimeType": "image/png"}
            prompt = {**user("see"), "content": [{"type": "text", "text": "see"}, picture]}
            await talk.core.conversations.submit("r1", MAIN, RunRequest(prompt))
            await talk.core.conversations.runs.wait("r1", 30)
            await say(talk, "r2", "who am I?")
            assert "my name is Ada" in str(provider.requests[-1].body)

    run(scenario())
