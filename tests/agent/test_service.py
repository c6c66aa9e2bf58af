"""The agent as a process: how it is started, when it leaves, and that nothing is lost or left behind."""

import asyncio
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.agent.service import IDLE_S, LEAVE_S, Service, idle_s
from gateway.link.messages import VERSION, Ended, Hello, Lost, Text, ToolStarted
from gateway.link.spec import Model
from gateway.systemd.notify import Notifier
from tests.agent.mcp.test_tools import box
from tests.agent.peer import ECHO, Peer, spec
from tests.agent.process import PROJECT, Agent, activate, as_child, listening
from tests.agent.provider import Provider
from tests.processes import alive
from tests.slack import LIMIT_S, slack

pytestmark = pytest.mark.process


SLOW_ECHO = Model("builtin", "echo", "builtin", pace_ms=1000)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(bounded())


@asynccontextmanager
async def activated(folder: Path, **options: Any) -> AsyncIterator[tuple[Agent, socket.socket]]:
    async with listening(folder / "agent.sock") as listener:
        agent = await activate(listener, **options)
        try:
            yield agent, listener
        finally:
            await end(agent)


async def end(agent: Agent) -> None:
    if agent.process.returncode is None:
        agent.process.kill()
        await agent.exit_code()
    if agent._manager is not None:
        agent._manager.close()


# -- activated by a socket ------------------------------------------------------------------------------------------


def test_it_is_ready_and_serves_whoever_waited(tmp_path: Path) -> None:
    async def test() -> None:
        async with listening(tmp_path / "agent.sock") as listener:
            with socket.socket(socket.AF_UNIX) as early:
                early.setblocking(False)
                early.connect(listener.getsockname())
                agent = await activate(listener)
                assert await agent.told() == "READY=1\nSTATUS=0 runs"
                peer = Peer(early)
                assert (await peer.greet()).pid == agent.process.pid
                await peer.start("r", spec("hello"))
                assert (await peer.until_ended("r")).status == "done"
                assert peer.store.check("r")[0]["content"][0]["text"].endswith("You said: hello")
            await end(agent)

    run(test)


def test_it_tells_how_many_runs_it_has_and_feeds_the_watchdog(tmp_path: Path) -> None:
    async def test() -> None:
        async with activated(tmp_path, watchdog=True) as (agent, _):
            said = [await agent.told()]
            peer = await agent.connect()
            await peer.greet()
            await peer.start("r", spec("x", SLOW_ECHO))
            await peer.start("s", spec("x", SLOW_ECHO))
            while "STATUS=2 runs" not in said or said.count("WATCHDOG=1") < 3:
                said.append(await agent.told())
            peer.sock.close()

    run(test)


def test_runs_outlive_the_gateway(tmp_path: Path) -> None:
    async def test() -> None:
        async with activated(tmp_path) as (agent, _):
            peer = await agent.connect()
            await peer.greet()
            await peer.start("r", spec("one two three", Model("builtin", "echo", "builtin", pace_ms=5)))
            await peer.until(Text)
            for _ in range(5):
                peer.sock.close()
                peer = await agent.connect(peer.store)
                await peer.greet()
                await peer.until(Text, 3)
            assert (await peer.until_ended("r")).status == "done"
            peer.store.check("r")
            peer.sock.close()

    run(test)


# -- leaving --------------------------------------------------------------------------------------------------------


def test_it_leaves_when_it_has_nothing_to_do_even_if_a_gateway_is_connected(tmp_path: Path) -> None:
    async def test() -> None:
        async with activated(tmp_path, idle_s=0.2) as (agent, listener):
            peer = await agent.connect()
            await peer.greet()
            await peer.until_closed()
            assert await agent.exit_code() == 0 and "nothing to do for 0.2 s" in agent.log
            # The socket is not its own: it is still there, and who connects now waits for the next agent.
            later = await agent.connect()
            successor = await activate(listener)
            await later.greet()
            await end(successor)
            peer.sock.close()
            later.sock.close()

    run(test)


def test_it_stays_as_long_as_a_run_is_not_acknowledged(tmp_path: Path) -> None:
    async def test() -> None:
        async with activated(tmp_path, idle_s=0.5) as (agent, _):
            peer = await agent.connect()
            await peer.greet()
            await peer.start("r", spec("x"))
            await peer.until_ended("r")
            await asyncio.sleep(0.8)
            assert agent.process.returncode is None
            await peer.ack("r")
            await peer.until_closed()
            assert await agent.exit_code() == 0
            peer.sock.close()

    run(test)


def test_a_start_that_comes_while_it_leaves_is_found_lost_and_served_by_the_next(tmp_path: Path) -> None:
    """In this process, where the start can be made to arrive in the very moment in which the time is over."""

    async def test() -> None:
        async with listening(tmp_path / "agent.sock") as listener:
            first = asyncio.create_task(Service(Notifier({}), idle_s=0.05).serve(listener=listener.dup()))
            peer = await Agent.connect(_Path(listener))
            await peer.greet()
            await peer.start("r", spec("hello"))
            time.sleep(0.1)  # noqa: ASYNC251  # both are due when the loop goes on
            await peer.until_closed()
            assert not peer.store.events["r"]
            await first
            second = asyncio.create_task(Service(Notifier({}), idle_s=0.05).serve(listener=listener.dup()))
            again = await Agent.connect(_Path(listener), peer.store)
            await again.send(again.store.hello())
            await again.until(Lost)
            await again.start("r", spec("hello"))
            assert (await again.until_ended("r")).status == "done"
            await again.ack("r")
            await again.until_closed()
            await second
            for each in (peer, again):
                each.sock.close()

    run(test)


class _Path:
    """What `Agent.connect` needs of an agent."""

    def __init__(self, listener: socket.socket) -> None:
        self._path = listener.getsockname()


def test_told_to_stop_it_says_nothing_of_the_end_and_is_gone(tmp_path: Path) -> None:
    async def test() -> None:
        async with activated(tmp_path) as (agent, _):
            await agent.told()
            peer = await agent.connect()
            await peer.greet()
            await peer.start("r", spec("x", SLOW_ECHO))
            await peer.until(Text)
            agent.process.send_signal(signal.SIGTERM)
            await peer.until_closed()
            assert await agent.exit_code() == 0
            assert not any(isinstance(what, Ended) for what in peer.store.events["r"])
            told = ""
            while not told.startswith("STOPPING=1"):
                told = await agent.told()
            assert told == "STOPPING=1\nSTATUS=Ending 1 run"
            peer.sock.close()

    run(test)


@pytest.mark.serial
def test_told_to_stop_it_takes_its_tools_with_it_within_five_seconds(tmp_path: Path) -> None:
    async def test() -> None:
        async with Provider() as provider, activated(tmp_path) as (agent, _):
            peer = await agent.connect()
            await peer.greet()
            model = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", "k")
            servers = [box("stubborn"), box("child", name="other")]
            await peer.start("r", spec("!tool=slow", model, servers=servers))
            await peer.until(ToolStarted)
            pids = children(agent.process.pid)
            assert len(pids) >= 4, "two servers, and a child of each"
            begun = time.monotonic()
            agent.process.send_signal(signal.SIGTERM)
            assert await agent.exit_code() == 0
            assert time.monotonic() - begun < slack(5) and LEAVE_S < 5
            assert not [pid for pid in pids if alive(pid)]
            peer.sock.close()

    run(test)


def children(pid: int) -> list[int]:
    """All that a process has started, and what that has started."""
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(inner for child in found for inner in children(child))]


def installed_in(folder: Path) -> Path:
    """This program as if pip had installed it there."""
    site = folder / "site"
    (site / "openclaw_gateway-0.1.0.dist-info").mkdir(parents=True)
    (site / "gateway").symlink_to(PROJECT / "gateway")
    return site


def replace(site: Path) -> None:
    (site / "openclaw_gateway-0.1.0.dist-info").rename(site / "openclaw_gateway-0.2.0.dist-info")


@pytest.mark.parametrize(
    ("asked", "why"),
    [("signal", "SIGUSR1 was received"), ("hello", "the program was replaced"), ("run", "the program was replaced")],
)
def test_who_shall_be_replaced_leaves_when_no_run_is_left(tmp_path: Path, asked: str, why: str) -> None:
    async def test() -> None:
        site = installed_in(tmp_path)
        async with activated(tmp_path, program=site) as (agent, _):
            peer = await agent.connect()
            await peer.greet()
            await peer.start("r", spec("x", Model("builtin", "echo", "builtin", pace_ms=5)))
            await peer.until(Text)
            if asked == "signal":
                agent.process.send_signal(signal.SIGUSR1)
            else:
                replace(site)
            if asked == "hello":
                await peer.send(Hello(VERSION, {"r": len(peer.store.events["r"])}, "9.9"))
            if asked == "run":  # it waits for nobody's end: what it needs is here already
                await peer.start("another", spec("y", ECHO))
                assert (await peer.until_ended("another")).status == "done"
                await peer.ack("another")
            assert (await peer.until_ended("r")).status == "done"
            assert agent.process.returncode is None
            await peer.ack("r")
            await peer.until_closed()
            assert await agent.exit_code() == 0 and agent.log.count(why) == 1
            peer.sock.close()

    run(test)


def test_a_first_run_is_left_to_the_program_that_is_installed_now(tmp_path: Path) -> None:
    async def test() -> None:
        site = installed_in(tmp_path)
        async with activated(tmp_path, program=site) as (agent, listener):
            peer = await agent.connect()
            await peer.greet()
            replace(site)
            await peer.start("r", spec("x", ECHO))
            await peer.until_closed()
            assert await agent.exit_code() == 0 and not peer.store.events.get("r")
            peer.sock.close()
            next_one = await activate(listener, program=site)
            peer = await next_one.connect()
            await peer.greet()
            await peer.start("r", spec("x", ECHO))
            assert (await peer.until_ended("r")).status == "done"
            peer.sock.close()
            await end(next_one)

    run(test)


def test_an_agent_that_is_what_is_installed_stays_for_a_gateway_that_is_not(tmp_path: Path) -> None:
    """It would be followed by one like it, again and again."""

    async def test() -> None:
        async with activated(tmp_path) as (agent, _):
            peer = await agent.connect()
            await peer.send(Hello(VERSION, {}, "0.0.9"))
            await peer.start("r", spec("x", ECHO))
            assert (await peer.until_ended("r")).status == "done"
            await peer.ack("r")
            await peer.start("s", spec("x", ECHO))
            assert (await peer.until_ended("s")).status == "done"
            assert f"the gateway is of version 0.0.9 and this agent of {__version__}" in agent.log
            peer.sock.close()

    run(test)


# -- without systemd ------------------------------------------------------------------------------------------------


def test_as_a_child_it_serves_its_parent() -> None:
    async def test() -> None:
        agent, peer = await as_child()
        await peer.greet()
        await peer.start("r", spec("hello", ECHO))
        assert (await peer.until_ended("r")).status == "done"
        peer.sock.close()
        assert await agent.exit_code() == 0 and "the gateway has closed the connection" in agent.log

    run(test)


def test_as_a_child_it_ends_its_runs_and_tools_with_its_parent() -> None:
    async def test() -> None:
        async with Provider() as provider:
            agent, peer = await as_child()
            await peer.greet()
            model = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", "k")
            await peer.start("r", spec("!tool=slow", model, servers=[box("child")]))
            await peer.until(ToolStarted)
            pids = children(agent.process.pid)
            peer.sock.close()
            assert await agent.exit_code() == 0
            assert len(pids) >= 2 and not [pid for pid in pids if alive(pid)]

    run(test)


def test_as_a_child_it_leaves_a_terminals_interrupt_to_its_parent() -> None:
    async def test() -> None:
        agent, peer = await as_child()
        await peer.greet()
        agent.process.send_signal(signal.SIGINT)
        await peer.start("r", spec("hello"))
        assert (await peer.until_ended("r")).status == "done"
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.exit_code() == 0
        peer.sock.close()

    run(test)


def test_as_a_child_it_leaves_when_idle_and_when_it_hears_nonsense() -> None:
    async def test() -> None:
        agent, peer = await as_child(idle_s=0.1)
        await peer.greet()
        await peer.until_closed()
        assert await agent.exit_code() == 0
        peer.sock.close()
        agent, peer = await as_child()
        await peer.send(b"nonsense\n")
        await peer.until_closed()
        assert await agent.exit_code() == 0 and "a connection is cut" in agent.log
        peer.sock.close()

    run(test)


# -- while a model is loaded ----------------------------------------------------------------------------------------


@pytest.mark.serial
def test_the_link_is_alive_while_the_models_are_imported(tmp_path: Path) -> None:
    async def test() -> None:
        async with Provider() as provider, activated(tmp_path) as (agent, _):
            peer = await agent.connect()
            await peer.greet()
            model = Model("mock", "m1", "anthropic-messages", provider.url, "k")
            await peer.start("slow", spec("hello", model))
            longest = 0.0
            while not peer.store.ended("slow"):
                begun = time.monotonic()
                await peer.send(Hello(1, {"slow": len(peer.store.events["slow"])}))
                welcomes = len([message for message in peer.messages if type(message).__name__ == "Welcome"])
                while welcomes == len([message for message in peer.messages if type(message).__name__ == "Welcome"]):
                    await peer.read()
                longest = max(longest, time.monotonic() - begun)
                await asyncio.sleep(0.01)
            assert longest < slack(1.0), "an import in the loop takes longer than this"
            peer.sock.close()

    run(test)


def test_a_run_leaves_its_lines_in_the_log(tmp_path: Path) -> None:
    async def test() -> None:
        async with activated(tmp_path, idle_s=0.1) as (agent, _):
            peer = await agent.connect()
            await peer.greet()
            await peer.start("r", spec("hello"))
            await peer.until_ended("r")
            await peer.ack("r")
            await agent.exit_code()
            assert re.search(r"run r begins: session agent:main:main, Model\(builtin/echo\)", agent.log)
            assert "run r asks builtin/echo, try 1" in agent.log
            assert re.search(r"run r done after 0\.\d s, 0 tokens", agent.log)
            peer.sock.close()

    run(test)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0.5", 0.5), ("", IDLE_S), ("soon", IDLE_S), ("-1", IDLE_S), ("inf", IDLE_S), ("nan", IDLE_S)],
)
def test_the_idle_time_is_a_number_of_seconds(value: str, seconds: float) -> None:
    assert idle_s({"OPENCLAW_AGENT_IDLE_S": value}) == seconds and idle_s({}) == IDLE_S == 300
