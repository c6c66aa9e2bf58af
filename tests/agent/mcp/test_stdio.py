"""Processes of MCP servers: what they get, what comes of what they write, and that nothing of them is left."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest

from gateway.agent.mcp import stdio
from gateway.agent.mcp.explanations import Explained
from gateway.agent.mcp.stdout import FRAMED
from gateway.link.spec import Server
from tests.processes import alive
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process


PING = SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"))


def shell(script: str, **more: Any) -> Server:
    return Server("box", command="sh", args=["-c", script], **more)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(bounded())


async def conversation(server: Server, workspace: str | None = None) -> tuple[list[Any], stdio.ServerOutput]:
    """Everything that a server says until it ends, on stdout and on stderr."""
    words = stdio.ServerOutput()
    async with stdio.connect(server, workspace, words) as (incoming, _):
        return [message async for message in incoming], words


async def until_gone(*pids: int) -> None:
    while any(map(alive, pids)):
        await asyncio.sleep(0.005)


def test_messages_go_there_and_back() -> None:
    async def test() -> None:
        async with stdio.connect(Server("cat", command="cat"), None, stdio.ServerOutput()) as (incoming, outgoing):
            await outgoing.send(PING)
            answer = await incoming.receive()
            assert isinstance(answer, SessionMessage) and answer.message == PING.message

    run(test)


def test_stderr_gets_into_the_log_with_a_bound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stdio, "MAX_STDERR_LINES", 3)
    monkeypatch.setattr(stdio, "MAX_STDERR_LINE", 10)
    caplog.set_level("INFO")

    async def test() -> None:
        _, words = await conversation(
            shell("for n in 1 2 3 4 5; do echo a line of some length $n >&2; done; sleep 0.05")
        )
        assert words == ["a line of"] * 3
        assert caplog.messages == ["MCP server box: a line of"] * 3 + [
            "MCP server box: what it writes now is not logged"
        ]

    run(test)


def test_what_it_was_given_secretly_is_hidden_before_it_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stdio, "MAX_STDERR_LINE", 20)
    caplog.set_level("INFO")

    async def test() -> None:
        given = {"PATH": os.environ["PATH"], "KEY": "sk-secret-secret"}
        _, words = await conversation(shell("echo it takes $KEY now >&2; sleep 0.05", env=given))
        assert words == ["it takes *** now"]
        assert caplog.messages == ["MCP server box: it takes *** now"]

    run(test)


def test_it_gets_its_own_variables_and_little_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "LISTEN_FDS", "NOTIFY_SOCKET"):
        monkeypatch.setenv(name, "secret")
    network = (
        "HTTPS_PROXY",
        "http_proxy",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "XDG_CACHE_HOME",
        "NVM_DIR",
    )
    for name in network:
        monkeypatch.setenv(name, "inherited")

    async def test() -> None:
        script = "env >&2; pwd >&2; sleep 0.05"
        _, words = await conversation(shell(script, env={"TOKEN": "t", "HTTPS_PROXY": ""}), str(tmp_path))
        names = {word.partition("=")[0] for word in words}
        assert set(network) <= names and "HTTPS_PROXY=" in words and "NO_PROXY=inherited" in words
        assert "TOKEN" in names and "PATH" in names and str(tmp_path) in words
        assert not names & {"OPENAI_API_KEY", "LISTEN_FDS", "NOTIFY_SOCKET"}

    run(test)


def test_its_own_folder_comes_before_the_workspace(tmp_path: Path) -> None:
    async def test() -> None:
        _, words = await conversation(shell("pwd >&2; sleep 0.05", cwd=str(tmp_path)), "/")
        assert words == [str(tmp_path)]

    run(test)


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (Server("x", command="/no/such"), "/no/such is not there"),
        (
            Server("x", command="/usr/bin/npx -y y"),
            "/usr/bin/npx -y y is not there; if /usr/bin/npx is the command, put the rest into mcp.servers.x.args",
        ),
        (Server("x", command="~/srv"), "/home/me/srv is not there"),
        (Server("x", command="/etc/passwd"), "/etc/passwd cannot be started: Permission denied"),
        (Server("x", command="cat", cwd="/no/folder"), "its folder /no/folder is not there; see mcp.servers.x.cwd"),
        (
            Server("x", command="npx", env={"PATH": "/a:/b"}),
            "npx is in no folder of the agent's PATH (/a:/b); give its whole path, set PATH in mcp.servers.x.env, or "
            "for all: systemctl --user edit openclaw-agent, with Environment=PATH=… below [Service]",
        ),
    ],
)
def test_what_is_not_there_is_named(server: Server, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    async def test() -> None:
        with pytest.raises(Explained) as error:
            await conversation(server)
        assert str(error.value) == sentence

    run(test)


def test_the_home_is_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "srv").write_text("#!/bin/sh\npwd >&2; sleep 0.05\n")
    (tmp_path / "srv").chmod(0o700)

    async def test() -> None:
        _, words = await conversation(Server("x", command="~/srv", cwd="~"))
        assert words == [str(tmp_path)]

    run(test)


def test_a_server_that_leaves_when_its_stdin_ends_is_not_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        script = "trap 'echo terminated >&2' TERM; cat; echo left by itself >&2; sleep 0.02"
        words = stdio.ServerOutput()
        async with stdio.connect(shell(script), None, words):
            pass
        assert words == ["left by itself"]

    run(test)


async def pids_of(incoming: Any, words: list[str], count: int) -> list[int]:
    while len(words) < count:
        await asyncio.sleep(0.005)
    return [int(word) for word in words[:count]]


def test_what_a_server_leaves_behind_is_ended_with_it() -> None:
    async def test() -> None:
        words = stdio.ServerOutput()
        script = "sleep 1000 & echo $! >&2; setsid sleep 1000 & echo $! >&2; echo $$ >&2; cat"
        async with stdio.connect(shell(script), None, words) as (incoming, _):
            pids = await pids_of(incoming, words, 3)
        await until_gone(*pids)
        assert not stdio._groups

    run(test)


@pytest.mark.parametrize(
    ("end", "how"), [("exit 3", "status 3"), ("kill -9 $$", "SIGKILL"), ("kill -35 $$", "signal 35")]
)
def test_a_server_that_ends_and_leaves_others_in_its_pipes_has_ended(end: str, how: str) -> None:
    async def test() -> None:
        words = stdio.ServerOutput()
        async with stdio.connect(shell(f"sleep 1000 & echo $! >&2; {end}"), None, words) as (incoming, _):
            assert [message async for message in incoming] == []
            (child,) = await pids_of(incoming, words, 1)
        assert words.explain("x").startswith(f"the MCP server has ended ({how}); its last words: ")
        await until_gone(child)

    run(test)


def test_one_that_frames_its_messages_is_not_listened_to() -> None:
    async def test() -> None:
        said, words = await conversation(shell("printf 'Content-Length: 2\\r\\n\\r\\n{}'; cat"))
        assert said == [] and words.fault == FRAMED

    run(test)


def test_who_ignores_everything_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "EXIT_S", 0.05)
    monkeypatch.setattr(stdio, "TERM_S", 0.05)

    async def test() -> None:
        words = stdio.ServerOutput()
        script = "trap '' TERM; sleep 1000 & echo $! >&2; echo $$ >&2; while :; do sleep 1000; done"
        async with stdio.connect(shell(script), None, words) as (incoming, _):
            pids = await pids_of(incoming, words, 2)
        await until_gone(*pids)

    run(test)


def test_a_server_that_is_stuck_in_writing_can_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "EXIT_S", LIMIT_S)  # a busy machine needs more than a second for what it writes

    async def test() -> None:
        words = stdio.ServerOutput()
        async with stdio.connect(shell("yes '{}' | head -c 5000000; cat; echo left >&2"), None, words):
            await asyncio.sleep(0.05)
        assert words == ["left"]

    run(test)


def test_an_abort_ends_the_process_all_the_same() -> None:
    async def test() -> None:
        words = stdio.ServerOutput()

        async def hold() -> None:
            async with stdio.connect(shell("echo $$ >&2; cat"), None, words):
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        (pid,) = await pids_of(None, words, 1)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() and not alive(pid)

    run(test)


def test_without_time_all_are_killed_at_once() -> None:
    async def test() -> None:
        words = stdio.ServerOutput()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(stdio.connect(shell("trap '' TERM; echo $$ >&2; cat"), None, words))
            (pid,) = await pids_of(None, words, 1)
            stdio.kill_all()
            await until_gone(pid)

    run(test)


def test_no_descriptor_of_ours_is_passed_on() -> None:
    async def test() -> None:
        reading, writing = os.pipe()
        os.set_inheritable(reading, True)
        try:
            _, words = await conversation(shell("ls -l /proc/$$/fd >&2; sleep 0.05"))
            assert len(words) >= 4 and os.readlink(f"/proc/self/fd/{reading}") not in "".join(words)
        finally:
            os.close(reading)
            os.close(writing)

    run(test)
