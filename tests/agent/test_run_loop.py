"""Whole runs: a real provider over HTTP, real MCP servers, and what is told of them."""

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.agent import backoff, run_loop
from gateway.agent.mcp.idle import IdleServers
from gateway.agent.providers import transport
from gateway.agent.run_loop import RunLoop
from gateway.agent.turn.failed import Failed
from gateway.agent.turn.results import NO_RESULT
from gateway.link.messages import Discarded, Ended, Happening, Started, Text, ToolEnded, ToolStarted, Usage, Waiting
from gateway.link.spec import Bounds, Message, Model, Server, Spec
from tests.agent.mcp.test_tools import box
from tests.agent.peer import ECHO, Store
from tests.agent.provider import Provider
from tests.fakes.mcp_server import Unstarted, put_inside
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process


class WatchedIdleServers(IdleServers):
    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[asyncio.Task[None]] = []
        """What was told to end."""

    def track_ending(self, task: asyncio.Task[None] | None) -> None:
        super().track_ending(task)
        self.tasks += [task] if task else []


class Held:
    """A run that is at work in this loop, told to a store as the gateway's."""

    def __init__(self, spec: Spec, idle: WatchedIdleServers | None = None) -> None:
        self.store = Store()
        self.store.events["r"] = []
        self.idle = WatchedIdleServers() if idle is None else idle
        self.loop = RunLoop(spec, self._emit, self.idle)
        self._task = asyncio.create_task(self.loop.run())

    async def end(self) -> Ended:
        """As `Run` does it."""
        try:
            ended = await self._task
        except asyncio.CancelledError:
            ended = Ended("aborted", "aborted")
        except Failed as error:
            ended = Ended("failed", "error", error.failure)
        for what in self.loop.leftovers(ended):
            await self._emit(what)
        await self.idle.end_all()
        return ended

    async def abort(self) -> Ended:
        self._task.cancel()
        return await self.end()

    async def until(self, kind: type) -> None:
        while not self.found(kind):
            await asyncio.sleep(0.005)

    @property
    def kinds(self) -> list[str]:
        return [type(what).__name__ for what in self.store.events["r"] if not isinstance(what, Text)]

    def found(self, kind: type) -> list[Any]:
        return [what for what in self.store.events["r"] if isinstance(what, kind)]

    @property
    def messages(self) -> list[Message]:
        return self.store.check("r")

    async def _emit(self, what: Happening) -> None:
        self.store.events["r"].append(what)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)


def run(test: Callable[[Provider], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S), Provider() as provider:
            await test(provider)
            await transport.shared_client().aclose()

    asyncio.run(bounded())


def spec(provider: Provider, prompt: str, *servers: Server, **more: Any) -> Spec:
    model = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", "sk-secret-key")
    return Spec("s", "main", {"role": "user", "content": prompt}, [model], servers=list(servers), **more)


def text_of(message: Message) -> str:
    return "".join(block.get("text", "") for block in message["content"])


def test_a_run_with_a_tool_is_told_step_by_step() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, '!tool=look !args={"word":"dog"}', box()))
        ended = await held.end()
        assert ended.status == "done" and ended.usage == held.loop.usage
        assert held.kinds == ["Started", "Said", "ToolStarted", "ToolEnded", "Said", "Said"]
        asked, given, said = held.messages
        assert asked["stopReason"] == "toolUse" and asked["content"][-1] == {
            **{"type": "toolCall", "id": "call_1", "name": "box__look", "arguments": {"word": "dog"}}
        }
        assert (given["role"], given["toolCallId"], given["toolName"]) == ("toolResult", "call_1", "box__look")
        assert given["isError"] is False and text_of(given) == "a dog"
        assert text_of(said) == "The tool said: a dog"
        assert held.found(ToolStarted) == [ToolStarted("call_1", "box__look", {"word": "dog"})]
        assert held.found(ToolEnded) == [ToolEnded("call_1", "box__look", True, "a dog")]

    run(test)


def test_the_usage_of_all_turns_adds_up() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!tool=look", box()))
        ended = await held.end()
        each = [message["usage"] for message in held.messages if message["role"] == "assistant"]
        assert len(each) == 2 and ended.usage == Usage(
            *(sum(usage[kind] for usage in each) for kind in ("input", "output", "cacheRead", "cacheWrite"))
        )

    run(test)


def test_a_failing_tool_is_the_models_to_deal_with() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!tool=fail", box()))
        assert (await held.end()).status == "done"
        assert held.messages[1]["isError"] is True and "it did not work" in text_of(held.messages[2])

    run(test)


def test_a_tool_that_is_not_there_is_said_to_be_not_there() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!tool=nothing"))
        assert (await held.end()).status == "done"
        assert text_of(held.messages[1]) == "There is no tool nothing."

    run(test)


def test_a_model_that_goes_on_and_on_is_stopped_and_no_call_is_without_a_result() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!tool=look !loop", box(), bounds=Bounds(turns=3)))
        ended = await held.end()
        assert ended.failure and ended.failure.kind == "limit" and "in 3 turns" in ended.failure.message
        roles = [message["role"] for message in held.messages]
        assert roles == ["assistant", "toolResult"] * 3 and len(provider.requests) == 3

    run(test)


def test_a_server_that_is_missing_is_seen_by_the_user_and_known_to_the_model() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "hello", Server("gone", command="/no/such"), box(), system="Be kind."))
        assert (await held.end()).status == "done"
        sentence = "The MCP server gone could not be used: /no/such is not there."
        assert held.found(ToolEnded) == [ToolEnded("mcp-gone", "gone", False, sentence)]
        assert held.found(ToolStarted) == [ToolStarted("mcp-gone", "gone", {}, acts=False)]
        body = provider.requests[0].body
        assert body["messages"][0]["content"].startswith(f"Be kind.\n\n{sentence} If one of its tools")
        assert any(tool["function"]["name"] == "box__look" for tool in body["tools"])

    run(test)


def test_a_server_that_the_config_makes_unusable_is_told_of_once_and_the_model_knows_each_time() -> None:
    async def test(provider: Provider) -> None:
        idle = WatchedIdleServers()
        more: dict[str, Any] = {"unusable": {"far": "its transport is not supported"}, "conversation": "c"}
        runs = []
        for _ in range(2):
            runs.append(held := Held(spec(provider, "hello", **more), idle))
            assert (await held.end()).status == "done"
        sentence = "The MCP server far could not be used: its transport is not supported."
        assert runs[0].found(ToolStarted) == [ToolStarted("mcp-far", "far", {}, acts=False)]
        assert runs[0].found(ToolEnded) == [ToolEnded("mcp-far", "far", False, sentence)]
        assert not runs[1].found(ToolStarted) and not runs[1].found(ToolEnded)
        for request in provider.requests:
            assert sentence in request.body["messages"][0]["content"]

    run(test)


def test_a_slow_server_is_told_of_while_it_lasts_and_an_abort_ends_that_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = importlib.import_module("gateway.agent.mcp.tools")
    monkeypatch.setattr(tools, "SLOW_S", 0.01)

    async def test(provider: Provider) -> None:
        inside = Unstarted()
        inside.slow = True
        put_inside(monkeypatch, db=inside)
        held = Held(spec(provider, "hello", Server("db", command="x")))
        await held.until(ToolStarted)
        assert held.found(ToolStarted) == [ToolStarted("mcp-db", "db", {"waiting for": "its start"}, acts=False)]
        await held.abort()
        assert held.found(ToolEnded) == [ToolEnded("mcp-db", "db", False, NO_RESULT)]
        again = Held(spec(provider, "hello", Server("db", command="x")))
        await again.until(ToolStarted)
        inside.wait.set()
        assert (await again.end()).status == "done"
        assert again.found(ToolEnded) == [ToolEnded("mcp-db", "db", True, "The MCP server db has started after 0 s.")]

    run(test)


def test_what_was_broken_off_is_void_and_comes_again() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!words=4 !break=2 !times=2"))
        assert (await held.end()).status == "done"
        assert held.kinds == ["Started", "Discarded", "Waiting", "Started", "Discarded", "Waiting", "Started", "Said"]
        assert text_of(held.messages[0]) == "w1 w2 w3 w4 "

    run(test)


def test_a_turn_after_a_tool_can_be_retried_without_the_tool() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!tool=look !half=3 !times=1", box()))
        assert (await held.end()).status == "done"
        assert len(held.found(ToolStarted)) == 1

    run(test)


def test_another_model_takes_over() -> None:
    async def test(provider: Provider) -> None:
        refused = Model("mock", "m1+401", "openai-completions", f"{provider.url}/v1", "k")
        held = Held(Spec("s", "main", {"role": "user", "content": "hello"}, [refused, ECHO]))
        assert (await held.end()).status == "done"
        assert held.found(Started) == [Started("mock", "m1+401", 1), Started("builtin", "echo", 2)]
        assert held.found(Waiting)[0].failure.kind == "auth" and not held.found(Discarded)
        assert held.messages[0]["provider"] == "builtin"

    run(test)


def test_a_failure_keeps_what_was_said() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!words=4 !break=2", bounds=Bounds(retries=0)))
        ended = await held.end()
        (message,) = held.messages
        assert ended.failure and message["errorMessage"] == ended.failure.message
        assert text_of(message) == "w1 w2 " and message["stopReason"] == "error"

    run(test)


def test_an_abort_keeps_what_was_said() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!words=4 !hang=2"))
        while len(held.found(Text)) < 2:
            await asyncio.sleep(0.005)
        assert (await held.abort()).status == "aborted"
        (message,) = held.messages
        assert text_of(message) == "w1 w2 " and message["stopReason"] == "aborted" and "errorMessage" not in message

    run(test)


def test_an_abort_before_anything_was_said_leaves_nothing() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!silent"))
        await held.until(Started)
        await held.abort()
        assert held.messages == []

    run(test)


def test_an_abort_in_a_tool_ends_it_and_its_call_has_a_result() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "!tool=slow", box()))
        await held.until(ToolStarted)
        await held.abort()
        assert held.found(ToolEnded) == [ToolEnded("call_1", "box__slow", False, NO_RESULT)]
        assert [message["role"] for message in held.messages] == ["assistant", "toolResult"]
        assert held.messages[1]["isError"] and all(task.done() for task in held.idle.tasks)

    run(test)


def test_an_abort_while_servers_start_ends_them() -> None:
    async def test(provider: Provider) -> None:
        held = Held(spec(provider, "x", box("mute")))
        await held.until(Started)
        while not (held.loop._tools and held.loop._tools._servers):
            await asyncio.sleep(0.005)
        await held.abort()
        assert held.idle.tasks and all(task.done() for task in held.idle.tasks)

    run(test)


def test_a_run_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[float, asyncio.Timeout]] = []
    timeout = asyncio.timeout

    def recorded(seconds: float) -> asyncio.Timeout:
        limits.append((seconds, timeout(seconds)))
        return limits[-1][1]

    async def test(provider: Provider) -> None:
        monkeypatch.setattr(asyncio, "timeout", recorded)
        held = Held(spec(provider, "!words=9 !hang=2", bounds=Bounds(timeout_ms=900_000)))
        await held.until(Text)
        (patience,) = [patience for seconds, patience in limits if seconds == 900]
        patience.reschedule(asyncio.get_running_loop().time())
        ended = await held.end()
        assert ended.failure and ended.failure.kind == "timeout"
        assert ended.failure.message == "the run has taken longer than its 900 s."
        assert text_of(held.messages[0]).startswith("w1 ")

    run(test)


def test_libraries_are_imported_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def recorded(real: Callable[[], Any]) -> Callable[[], Any]:
        def record() -> Any:
            threads.append(threading.current_thread().name)
            return real()

        return record

    monkeypatch.setattr(run_loop, "_source", None)
    for name in ("_import_source", "_import_tools"):
        monkeypatch.setattr(run_loop, name, recorded(getattr(run_loop, name)))

    async def test(provider: Provider) -> None:
        await Held(spec(provider, "x", box())).end()
        assert len(threads) == 2 and "MainThread" not in threads

    run(test)


def test_no_secret_is_in_anything_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "agent")

    async def test(provider: Provider) -> None:
        for prompt in ("!401", "!500", "!html", "!break=0", "hello"):
            held = Held(spec(provider, prompt, bounds=Bounds(retries=0)))
            with contextlib.suppress(Failed):
                await held.end()
            assert "sk-secret-key" not in repr(held.store.events)

    run(test)
    assert "sk-secret-key" not in caplog.text
