"""One MCP server, from its start to its end, without a process."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from mcp.client import session as sdk

from gateway.agent.mcp import server as module
from gateway.agent.mcp.explanations import Explained
from gateway.agent.mcp.server import McpServer
from gateway.link.spec import Server
from tests.fakes.mcp_server import Unstarted, put_inside
from tests.slack import LIMIT_S


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_a_list_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 3)

    async def test() -> None:
        for count in (3, 4):
            put_inside(monkeypatch, db=Unstarted([f"t{number}" for number in range(count)]))
            running = McpServer(Server("db", command="x"), None)
            running.start()
            assert len(await running.listed) == 3
            task = running.close()
            assert task is not None
            await task

    run(test)


def test_one_that_does_not_answer_what_it_does_not_know_starts_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sdk.DISCOVER_TIMEOUT_SECONDS == module.DISCOVER_S < 10
    monkeypatch.setattr(sdk, "DISCOVER_TIMEOUT_SECONDS", 0.02)

    async def test() -> None:
        inside = Unstarted()
        inside.mute.add("server/discover")
        put_inside(monkeypatch, db=inside)
        running = McpServer(Server("db", command="x"), None)
        running.start()
        assert len(await asyncio.wait_for(running.listed, LIMIT_S)) == 2
        task = running.close()
        assert task is not None
        await task

    run(test)


def test_who_waits_goes_on_though_its_end_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        inside = Unstarted()
        inside.slow = True
        put_inside(monkeypatch, db=inside)
        running = McpServer(Server("db", command="x", connect_ms=20), None)
        running.start()
        with pytest.raises(Explained, match="did not start in 0.02 s"):
            await running.listed
        task = running.close()
        assert task is not None and not running.reusable
        await asyncio.wait({task})

    run(test)


def test_after_its_end_a_call_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        put_inside(monkeypatch, db=Unstarted())
        running = McpServer(Server("db", command="x"), None)
        running.start()
        await running.listed
        task = running.close()
        assert task is not None
        await task
        with pytest.raises(Explained, match="MCP server db has ended"):
            await running.call("query", {})

    run(test)
