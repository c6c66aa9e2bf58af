"""An MCP server that is a process: its pipes as streams of the SDK, and its end.

The SDK's own `stdio_client` leaves alive what a server has started, if the server exits when it is told to. Here all
descendants are ended, in less time than the agent has for leaving. What the server writes to stderr is logged, up to a
bound. The length of a line has a bound too.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from gateway.agent.mcp import descendants
from gateway.agent.mcp.explanations import Explained
from gateway.agent.mcp.stdout import MAX_LINE, NotMcp, Stdout
from gateway.agent.mcp.tool_lists import MendedStream
from gateway.agent.turn.failed import Secrets
from gateway.link.spec import Server
from gateway.machine.inherited import NAMES
from gateway.text.lines import LineSplitter

log = logging.getLogger("agent.tools")

READ_BYTES = 64 * 1024
"""Bytes of one read."""
EXIT_S = 1.0
"""Seconds for an exit after stdin is closed, which is how MCP ends a server."""
TERM_S = 1.0
"""Seconds for the exit of the server and its descendants after SIGTERM."""
LAST_WORDS_S = 0.5
"""Seconds for reading the pipes after the server has exited. Its descendants may hold them for ever."""
POLL_S = 0.01
"""Seconds between two looks at a condition."""
MAX_STDERR_LINES = 200
"""Lines of one server that are logged. Later ones are read and dropped."""
MAX_STDERR_LINE = 500
"""Characters of one line that are logged."""
MAX_PATH = 300
"""Characters of PATH in a message."""

Streams = tuple[MendedStream, MemoryObjectSendStream[SessionMessage]]
_groups: dict[int, str] = {}
"""Process groups of servers that have not been ended yet, with the marks of their descendants."""


class ServerOutput(list[str]):
    """The logged lines of a server's stderr, how its process has ended, and why its stdout is not read any more."""

    def __init__(self) -> None:
        super().__init__()
        self.exit_message: str | None = None
        self.fault: str | None = None
        self._exited = asyncio.Event()

    def record_exit(self, how: str) -> None:
        self.exit_message = f"the MCP server has ended{how}"
        self._exited.set()

    async def wait_for_exit(self) -> None:
        """Wait up to LAST_WORDS_S for the exit of the process. Call it when its pipes are closed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), LAST_WORDS_S)

    def explain(self, otherwise: str) -> str:
        """Why the server cannot be used, with its last line of stderr. `otherwise` is used if nothing else is known."""
        why = self.fault or self.exit_message or otherwise
        return f"{why}; its last words: {self[-1]}" if self else why


@asynccontextmanager
async def connect(server: Server, workspace: str | None, said: ServerOutput) -> AsyncIterator[Streams]:
    """Start the server's process; at the end, end it and its descendants. Raises Explained if it cannot be started."""
    mark = secrets.token_hex(8)
    process = await _start(server, workspace, mark)
    _groups[process.pid] = mark
    received, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, to_send = anyio.create_memory_object_stream[SessionMessage](0)
    assert process.stdin and process.stdout and process.stderr
    listening = asyncio.create_task(_receive(process.stdout, received, server, said))
    logging_stderr = asyncio.create_task(_log(process.stderr, server, said))
    pumps = [
        listening,
        logging_stderr,
        asyncio.create_task(_send(to_send, process.stdin)),
        asyncio.create_task(_watch(process, said, listening)),
    ]
    try:
        yield MendedStream(incoming), outgoing
    finally:
        if listening.done():
            await said.wait_for_exit()
        incoming.close()
        outgoing.close()
        await _end(process)
        # What it wrote as it left may still be in the pipe.
        await asyncio.wait({logging_stderr}, timeout=LAST_WORDS_S)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]  # a process that has left the group may hold a pipe


def kill_all() -> None:
    """Kill all servers and their descendants, for an agent that has no more time."""
    for group, mark in tuple(_groups.items()):
        _signal(group, signal.SIGKILL)
        descendants.signal_marked(mark, signal.SIGKILL)


async def _start(server: Server, workspace: str | None, mark: str) -> asyncio.subprocess.Process:
    assert server.command is not None
    inherited = {name: os.environ[name] for name in NAMES if name in os.environ}
    environment = inherited | server.env | {descendants.MARK: mark}
    command, cwd = _expand_home(server.command), _expand_home(server.cwd) if server.cwd else workspace
    try:
        return await asyncio.create_subprocess_exec(
            command,
            *server.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise Explained(_why_not(error, server, command, cwd, environment.get("PATH", os.defpath))) from error
    except ValueError as error:  # a NUL character
        raise Explained(f"it cannot be started: {error}") from error


def _expand_home(path: str) -> str:
    return os.path.expanduser(path)


def _why_not(error: OSError, server: Server, command: str, cwd: str | None, path: str) -> str:
    key = f"mcp.servers.{server.name}"
    if cwd and not os.path.isdir(cwd):
        return f"its folder {cwd} is not there; see {key}.cwd"
    if not isinstance(error, FileNotFoundError):
        return f"{command} cannot be started: {error.strerror}"
    if os.path.exists(command):
        return f"{command} cannot be started: the interpreter in its first line is not there"
    if len(words := command.split()) > 1 and "/" in words[0]:
        return f"{command} is not there; if {words[0]} is the command, put the rest into {key}.args"
    if "/" in command:
        return f"{command} is not there"
    shown = path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}…"
    return (
        f"{command} is in no folder of the agent's PATH ({shown}); give its whole path, set PATH in {key}.env, or for "
        "all: systemctl --user edit openclaw-agent, with Environment=PATH=… below [Service]"
    )


async def _watch(process: asyncio.subprocess.Process, said: ServerOutput, listening: "asyncio.Task[None]") -> None:
    """Record how the process has exited, then stop reading pipes that its descendants still hold."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        descriptor = None
    if descriptor is not None:
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    await _wait_until(lambda: process.returncode is not None, EXIT_S)
    code = process.returncode
    said.record_exit("" if code is None else f" (status {code})" if code >= 0 else f" ({_signal_name(-code)})")
    await asyncio.wait({listening}, timeout=LAST_WORDS_S)
    listening.cancel()


def _signal_name(number: int) -> str:
    """The name of a signal. Real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin
    process.stdin.close()
    # Not wait(): it also waits until every other process has closed the pipes.
    await _wait_until(lambda: process.returncode is not None, EXIT_S)
    mark, group = _groups[process.pid], process.pid
    others = await asyncio.to_thread(descendants.signal_marked, mark, signal.SIGTERM, group)
    if _signal(group, signal.SIGTERM) or others:
        await _wait_until(lambda: not _signal(group, 0) and not any(map(_is_there, others)), TERM_S)
        if others:
            await asyncio.to_thread(descendants.signal_marked, mark, signal.SIGKILL)
        if _signal(group, signal.SIGKILL):
            await _wait_until(lambda: process.returncode is not None, TERM_S)
    _groups.pop(process.pid)


async def _wait_until(true: Callable[[], bool], within_s: float) -> None:
    for _ in range(int(within_s / POLL_S)):
        if true():
            return
        await asyncio.sleep(POLL_S)


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _signal(group: int, number: int) -> bool:
    """Signal all processes of a group; False if there is none. The group's id is not reused while it has a member."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        log.warning("process group %d cannot be ended: it has become somebody else's", group)
        return False
    return True


async def _receive(
    stdout: asyncio.StreamReader,
    received: MemoryObjectSendStream[SessionMessage | Exception],
    server: Server,
    said: ServerOutput,
) -> None:
    messages = Stdout(server.name, Secrets.of_server(server).hide)
    async with received:
        try:
            while (data := await stdout.read(READ_BYTES)) and received.statistics().open_receive_streams:
                for message in messages.feed(data):
                    await received.send(SessionMessage(message))
        except NotMcp as error:
            said.fault = str(error)
            log.warning("MCP server %s is not listened to any more: %s", server.name, error)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            messages.end()
    while await stdout.read(READ_BYTES):
        pass  # unparsed: nobody listens, and a server that is blocked in a write would not exit


async def _send(to_send: MemoryObjectReceiveStream[SessionMessage], stdin: asyncio.StreamWriter) -> None:
    async with to_send:
        async for message in to_send:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            stdin.write(line.encode() + b"\n")
            try:
                await stdin.drain()
            except ConnectionError:
                return  # the end of stdout tells the session


async def _log(stderr: asyncio.StreamReader, server: Server, said: ServerOutput) -> None:
    lines, hidden, name = LineSplitter(MAX_LINE, skip=True), Secrets.of_server(server), server.name
    while data := await stderr.read(READ_BYTES):
        complete = lines.feed(data)
        lines.skipped.clear()
        for line in complete[: MAX_STDERR_LINES - len(said)]:
            said.append(hidden.hide(line.decode(errors="replace"))[:MAX_STDERR_LINE].strip())
            log.info("MCP server %s: %s", name, said[-1])
            if len(said) == MAX_STDERR_LINES:
                log.info("MCP server %s: what it writes now is not logged", name)
