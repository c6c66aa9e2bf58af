"""The real agent as a child at the other end of a socket pair."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.link.child import NAME, Child
from gateway.link.messages import VERSION, Event, Hello, Start, ToGateway, Welcome, decode_to_gateway, encode
from gateway.link.stream import Stream
from tests.link.ends import SPEC, run, until
from tests.processes import alive, gone

pytestmark = pytest.mark.process


async def hear(stream: Stream, kind: type[Any]) -> Any:
    while line := await stream[0].readline():
        message: ToGateway = decode_to_gateway(line)
        if isinstance(message, kind):
            return message
    raise EOFError(kind.__name__)


async def greet(stream: Stream, **runs: int) -> Welcome:
    stream[1].write(b"\n" + encode(Hello(VERSION, runs)))
    welcome: Welcome = await hear(stream, Welcome)
    return welcome


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def environ(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@asynccontextmanager
async def child(inherited: Mapping[str, int] | None = None, **more: str) -> AsyncIterator[Child]:
    made = Child(dict(os.environ) | more, inherited or {})
    try:
        yield made
    finally:
        if made._sock is not None:
            made._sock.close()
            kill(made._pid)


def test_it_is_started_when_it_is_asked_for_and_answers() -> None:
    async def test() -> None:
        async with child(OPENCLAW_GATEWAY_TOKEN="s3cret", KEPT="yes") as made:
            assert made.passed == []
            stream = await made.dial()
            welcome = await greet(stream)
            ((name, _),) = made.passed
            assert name == f"{NAME}{welcome.pid}"
            assert b"KEPT=yes" in environ(welcome.pid) and b"s3cret" not in environ(welcome.pid)
            stream[1].write(encode(Start("r", SPEC)))
            assert (await hear(stream, Event)).run == "r"
            stream[1].close()

    run(test)


def test_it_outlives_the_image_that_has_started_it_with_its_runs() -> None:
    async def test() -> None:
        async with child() as made:
            stream = await made.dial()
            welcome = await greet(stream)
            stream[1].write(encode(Start("r", SPEC)))
            await hear(stream, Event)
            stream[1].write(b'{"type":"ack","run":"r"')  # the image has gone in the middle of a word: not quite
            await stream[1].drain()
            ((name, fd),) = made.passed
            stream[1].write(b',"seq":0}\n')
            stream[1].close()
            after = Child(os.environ, {name: os.dup(fd), "lease": 1})
            again = await after.dial()
            assert (await greet(again, r=0)).pid == welcome.pid
            assert (await hear(again, Event)).seq == 1
            again[1].close()
            after._sock.close()  # type: ignore[union-attr]

    run(test)


def test_the_end_of_the_pair_is_its_end() -> None:
    async def test() -> None:
        made = Child(os.environ, {})
        stream = await made.dial()
        pid = (await greet(stream)).pid
        stream[1].close()
        made._sock.close()  # type: ignore[union-attr]
        await until(lambda: not alive(pid))
        kill(pid)

    run(test)


def test_one_that_has_died_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with child() as made:
            stream = await made.dial()
            pid = (await greet(stream)).pid
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(EOFError):
                await hear(stream, Event)
            stream[1].close()
            again = await made.dial()
            assert (await greet(again)).pid != pid and gone(pid)
            again[1].close()

    run(test)
    assert "ended with -9" in caplog.text and "killed" not in caplog.text


@pytest.mark.parametrize("inherited", [False, True])
def test_one_that_leaves_leaves_no_zombie(inherited: bool) -> None:
    async def test() -> None:
        async with child() as made:
            stream = await made.dial()
            pid = (await greet(stream)).pid
            after = made
            if inherited:
                ((name, fd),) = made.passed
                made._children.clear()  # the image that has started it is not there any more
                after = Child(os.environ, {name: os.dup(fd)})
            os.kill(pid, signal.SIGTERM)
            await until(lambda: gone(pid))
            stream[1].close()
            after._sock.close()  # type: ignore[union-attr]

    run(test)


def test_one_that_does_not_answer_is_killed_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with child() as made:
            stream = await made.dial()
            pid = (await greet(stream)).pid
            os.kill(pid, signal.SIGSTOP)
            stream[1].close()
            again = await made.dial()
            assert (await greet(again)).pid != pid
            await until(lambda: gone(pid))
            again[1].close()

    run(test)
    assert "does not answer as it should; it is killed" in caplog.text


def test_one_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async def test() -> None:
        made = Child(os.environ, {})
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="temporarily"):
            await made.dial()
        assert len(os.listdir("/proc/self/fd")) == before and made.passed == []

    monkeypatch.setattr(subprocess, "Popen", refuse)
    run(test)


def test_a_folder_named_like_us_is_not_taken_for_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)

    async def test() -> None:
        async with child() as made:
            stream = await made.dial()
            await greet(stream)
            stream[1].close()

    run(test)


def test_the_pair_is_close_on_exec() -> None:
    async def test() -> None:
        async with child() as made:
            stream = await made.dial()
            ((_, fd),) = made.passed
            assert not os.get_inheritable(fd)
            stream[1].close()

    run(test)
