"""An MCP server that is a process: its pipes as the SDK's streams, and its end.

Not the SDK's own `stdio_client`, because of the end: there, what a server has started itself outlives a server that
leaves when it is told to. Here the whole process group is ended, in less time than the agent has for leaving; what the
server writes to stderr gets into the log, with a bound; and a line has a bound too.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from gateway.agent.failed import Secrets
from gateway.agent.lines import Lines, LineTooLong
from gateway.link.messages import Server

log = logging.getLogger("agent.tools")

MAX_LINE = 32 * 1024 * 1024
"""Bytes of one message of a server."""
READ = 64 * 1024
EXIT_S = 1.0
"""For leaving when its stdin is closed, which is how MCP tells it to."""
TERM_S = 1.0
"""For leaving on SIGTERM, all that it has started included."""
POLL_S = 0.01
MAX_STDERR_LINES = 200
"""Of one server; what comes then is read and forgotten."""
MAX_STDERR_LINE = 500
"""Characters."""
INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""Of the agent's environment; the rest may hold what is none of the server's business."""

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
_groups: set[int] = set()
"""Of servers that have not been ended yet."""


@asynccontextmanager
async def connect(server: Server, workspace: str | None, words: list[str]) -> AsyncIterator[Streams]:
    """Start the server's process, and end its group. `words` gets what the log gets of its stderr.

    Raises OSError if it cannot be started.
    """
    assert server.command is not None
    process = await asyncio.create_subprocess_exec(
        server.command,
        *server.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in INHERITED if name in os.environ} | server.env,
        cwd=server.cwd or workspace,
        start_new_session=True,
    )
    _groups.add(process.pid)
    received, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, to_send = anyio.create_memory_object_stream[SessionMessage](0)
    assert process.stdin and process.stdout and process.stderr
    pumps = [
        asyncio.create_task(_receive(process.stdout, received, server.name)),
        asyncio.create_task(_send(to_send, process.stdin)),
        asyncio.create_task(_log(process.stderr, server, words)),
    ]
    try:
        yield incoming, outgoing
    finally:
        incoming.close()
        outgoing.close()
        await _end(process)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]  # somebody who has left the group may hold a pipe


def kill_all() -> None:
    """For an agent that has no more time."""
    for group in tuple(_groups):
        _signal(group, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin
    process.stdin.close()
    # Not wait(), which would wait for whoever else holds the pipes as well.
    await _become(lambda: process.returncode is not None, EXIT_S)
    if _signal(process.pid, signal.SIGTERM):
        await _become(lambda: not _signal(process.pid, 0), TERM_S)
        if _signal(process.pid, signal.SIGKILL):
            await _become(lambda: process.returncode is not None, TERM_S)
    _groups.discard(process.pid)


async def _become(true: Callable[[], bool], within_s: float) -> None:
    for _ in range(int(within_s / POLL_S)):
        if true():
            return
        await asyncio.sleep(POLL_S)


def _signal(group: int, number: int) -> bool:
    """Signal all processes of a group; False if there is none. A group keeps its number as long as it has a member."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        log.warning("process group %d cannot be ended: it has become somebody else's", group)
        return False
    return True


async def _receive(
    stdout: asyncio.StreamReader, received: MemoryObjectSendStream[SessionMessage | Exception], name: str
) -> None:
    lines = Lines(MAX_LINE)
    async with received:
        while data := await stdout.read(READ):
            try:
                for line in lines.feed(data):
                    await received.send(_parse(line, name))
            except LineTooLong as error:
                log.warning("MCP server %s has sent %s; it is not listened to any more", name, error)
                break
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                break
    while await stdout.read(READ):
        pass  # one that is stuck in writing would not leave


def _parse(line: bytes, name: str) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        log.warning("MCP server %s writes to stdout what is no message: %r", name, line[:MAX_STDERR_LINE])
        return error


async def _send(to_send: MemoryObjectReceiveStream[SessionMessage], stdin: asyncio.StreamWriter) -> None:
    async with to_send:
        async for message in to_send:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            stdin.write(line.encode() + b"\n")
            try:
                await stdin.drain()
            except ConnectionError:
                return  # the end of stdout tells the session


async def _log(stderr: asyncio.StreamReader, server: Server, words: list[str]) -> None:
    lines, secrets, name = Lines(MAX_LINE), Secrets.of_server(server), server.name
    while data := await stderr.read(READ):
        try:
            complete = lines.feed(data)
        except LineTooLong:
            continue
        for line in complete[: MAX_STDERR_LINES - len(words)]:
            words.append(secrets.hide(line.decode(errors="replace"))[:MAX_STDERR_LINE].strip())
            log.info("MCP server %s: %s", name, words[-1])
            if len(words) == MAX_STDERR_LINES:
                log.info("MCP server %s: what it writes now is not logged", name)
