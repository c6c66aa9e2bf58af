"""One connection to the agent: the welcome is read from it, and what is written to it must be taken in time."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import msgspec

from gateway.link.messages import Welcome, decode_to_gateway

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Awaitable[Stream]]
"""Connects to the agent. Raises OSError or GatewayError when no agent can be reached."""

log = logging.getLogger("gateway.agent")


async def drain_within(writer: asyncio.StreamWriter, limit_s: float) -> None:
    """Wait until the agent has taken what was written; abort the connection after `limit_s` seconds."""
    try:
        async with asyncio.timeout(limit_s):
            await writer.drain()
    except TimeoutError:
        log.warning("the agent takes nothing of what it is told")
        writer.transport.abort()
    except ConnectionError:
        return  # who reads from the connection sees it too


async def read_welcome(reader: asyncio.StreamReader) -> Welcome:
    """Messages before the welcome were meant for an earlier image of this process, and are skipped.

    Raises EOFError if the agent closes the connection before.
    """
    while line := await reader.readline():
        with contextlib.suppress(msgspec.DecodeError):
            if isinstance(message := decode_to_gateway(line), Welcome):
                return message
    raise EOFError("it went before it said welcome")
