import asyncio
import socket

import pytest

from gateway.link.messages import Lost, Welcome, encode
from gateway.link.stream import drain_within, read_welcome
from tests.link.ends import run

WELCOME = Welcome(1, 7, "test")


def fed(*lines: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join(lines))
    reader.feed_eof()
    return reader


def test_what_comes_before_the_welcome_is_skipped() -> None:
    async def test() -> None:
        assert await read_welcome(fed(b'"half a line\n', b"\n", encode(Lost("r")), encode(WELCOME))) == WELCOME

    run(test)


@pytest.mark.parametrize("lines", [(), (b"nonsense\n",), (encode(Lost("r")),)])
def test_one_that_goes_without_a_welcome(lines: tuple[bytes, ...]) -> None:
    async def test() -> None:
        with pytest.raises(EOFError, match="before it said welcome"):
            await read_welcome(fed(*lines))

    run(test)


def test_one_that_takes_nothing_is_not_waited_for() -> None:
    async def test() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            _, writer = await asyncio.open_connection(sock=ours)
            writer.transport.set_write_buffer_limits(0)
            writer.write(b"x" * 8 * 1024 * 1024)
            await drain_within(writer, 0.0)
            assert writer.transport.is_closing()

    run(test)


def test_one_that_takes_all_stays() -> None:
    async def test() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            _, writer = await asyncio.open_connection(sock=ours)
            writer.write(b"x")
            await drain_within(writer, 5.0)
            assert theirs.recv(2) == b"x" and not writer.transport.is_closing()
            writer.close()

    run(test)
