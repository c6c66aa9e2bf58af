"""A terminal between two prompts."""

import asyncio
import os
import pty
import signal
import termios
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gateway.cli.conversation.keys import signal_handlers, without_echo
from tests.slack import LIMIT_S

SHOWN = termios.ECHO | termios.ICANON


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def mode(terminal: int) -> int:
    flags: int = termios.tcgetattr(terminal)[3]
    return flags


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():
            await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_what_is_typed_does_not_show_and_signals_stay_signals(terminal: int) -> None:
    before = mode(terminal)
    assert before & SHOWN == SHOWN

    async def test() -> None:
        with without_echo(terminal):
            assert mode(terminal) & SHOWN == 0
            assert mode(terminal) & termios.ISIG
        assert mode(terminal) == before

    run(test)


def test_it_is_silent_again_after_a_stop(terminal: int) -> None:
    async def test() -> None:
        with without_echo(terminal):
            flags = termios.tcgetattr(terminal)
            flags[3] |= SHOWN
            termios.tcsetattr(terminal, termios.TCSANOW, flags)
            os.kill(os.getpid(), signal.SIGCONT)
            await until(lambda: mode(terminal) & SHOWN == 0)

    run(test)


def test_who_hears_of_which_signal() -> None:
    heard: list[str] = []

    async def test() -> None:
        with signal_handlers(lambda: heard.append("interrupted"), lambda: heard.append("ended")):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(os.getpid(), number)
                count = len(heard)
                await until(lambda count=count: len(heard) > count)  # type: ignore[misc]

    run(test)
    assert heard == ["interrupted", "ended", "ended"]
