"""The agent's end of the link (`link/messages`): the connection that said hello last is the gateway's.

Nothing is queued for a gateway that does not read: events stay in their run's backlog until the connection takes them,
and while an answer waits to be taken, nothing more is read.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable

import msgspec

from gateway import __version__
from gateway.agent.runs import AgentRun, AgentRuns, TooManyRuns
from gateway.agent.turn.failed import quote
from gateway.link.messages import (
    MAX_LINE,
    MAX_RUNS,
    VERSION,
    Abort,
    Ack,
    Failure,
    Hello,
    Lost,
    Start,
    StartRefused,
    ToAgent,
    ToGateway,
    Welcome,
    asked_run_of,
    decode_to_agent,
    encode,
)
from gateway.text.lines import LineSplitter, LineTooLong

log = logging.getLogger("agent.link")

READ_BYTES = 256 * 1024
"""Bytes of one read."""
BATCH_BYTES = 64 * 1024
"""Bytes of one run's events that are written before the next run has its turn."""
HELLO_S = 10.0
"""Seconds within which a new connection must say hello."""


class LinkServer:
    """Serves connections, one after another or several at a time; one of them is the gateway's.

    `on_hello` is called with the version of the program that says hello. `accepts_runs` says whether a new run begins
    here; before it says no, it closes the link.
    """

    def __init__(
        self,
        runs: AgentRuns,
        on_hello: Callable[[str], None] = lambda version: None,
        accepts_runs: Callable[[], bool] = lambda: True,
    ) -> None:
        self.runs = runs
        self.on_hello = on_hello
        self.accepts_runs = accepts_runs
        self.gateway: GatewayConnection | None = None
        self._connections: set[GatewayConnection] = set()
        self._closed = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        connection = GatewayConnection(self, reader, writer)
        if self._closed:
            connection.cut()
            return
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            if self.gateway is connection:
                self.gateway = None

    def take_over(self, connection: "GatewayConnection") -> None:
        before, self.gateway = self.gateway, connection
        if before is not None and before is not connection:
            log.info("another gateway connection has said hello; the one before it is cut")
            before.cut()

    def on_event(self, run: AgentRun) -> None:
        if self.gateway is not None:
            self.gateway.on_event(run)

    def cut_all(self) -> None:
        """Cut every connection at once. Nothing that arrives later is handled."""
        self._closed = True
        for connection in self._connections:
            connection.cut()


class GatewayConnection:
    def __init__(self, link: LinkServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._reader = reader
        self._writer = writer
        self._lines = LineSplitter(MAX_LINE)
        self._version: int | None = None
        """Version of the link that the peer speaks; None before its hello."""
        self._sent: dict[str, int] = {}
        """For each run that this gateway waits for, the number of the last event written."""
        self._waiting: deque[str] = deque()
        """Runs with events to write, each once."""
        self._wake = asyncio.Event()
        self._open = True

    def cut(self) -> None:
        self._open = False
        self._writer.transport.abort()

    def on_event(self, run: AgentRun) -> None:
        if run.id in self._sent:
            if run.id not in self._waiting:
                self._waiting.append(run.id)
            self._wake.set()

    async def serve(self) -> None:
        sender = asyncio.create_task(self._send())
        sender.add_done_callback(self._on_sender_end)
        try:
            await self._receive()
        except (LineTooLong, msgspec.DecodeError) as error:
            log.warning("a connection is cut: %s", error)
        except TimeoutError:
            log.warning("a connection is cut: no hello within %g s", HELLO_S)
        except ConnectionError as error:
            log.debug("a connection has ended: %s", error)
        except Exception:
            log.exception("a connection is cut")
        finally:
            self.cut()
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _on_sender_end(self, sender: asyncio.Task[None]) -> None:
        """Cut the connection when nothing can be sent any more: its runs would wait for ever."""
        if not sender.cancelled() and (error := sender.exception()) is not None:
            if not isinstance(error, ConnectionError):
                log.error("a connection is cut: what it is to be told cannot be said", exc_info=error)
            self.cut()

    # -- receiving -------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        async with asyncio.timeout(HELLO_S) as patience:
            while data := await self._reader.read(READ_BYTES):
                for line in self._lines.feed(data):
                    if not self._open:
                        return
                    await self._handle_line(line)
                    if self._version is not None:
                        patience.reschedule(None)

    async def _handle_line(self, line: bytes) -> None:
        try:
            message = decode_to_agent(line)
        except msgspec.DecodeError as error:
            if self._version is None or (run := asked_run_of(line)) is None:
                raise
            why = f"the agent ({__version__}) cannot read what it is asked for: {quote(str(error))}. "
            why += "Restart openclaw-agent.service."
            log.error("run %s: %s", run, why)
            await self._write(StartRefused(run, Failure("internal", why, retryable=True)))
        else:
            await self._handle(message)

    async def _handle(self, message: ToAgent) -> None:
        match message:
            case Hello():
                await self._hello(message)
            case _ if self._version is None:
                raise msgspec.DecodeError(f"{type(message).__name__} came before Hello")
            case Start():
                await self._start(message)
            case _ if self._version != VERSION:
                pass  # the meaning of another version's message is unknown
            case Ack(run=run, seq=seq):
                self._link.runs.ack(run, seq)
                if self._link.runs.get(run) is None:
                    self._sent.pop(run, None)
            case Abort(run=run):
                self._abort(run)

    async def _hello(self, hello: Hello) -> None:
        runs = self._link.runs
        self._version = hello.version
        self._link.take_over(self)
        self._link.on_hello(hello.program)
        self._sent.clear()
        self._waiting.clear()
        await self._write(Welcome(VERSION, os.getpid(), __version__, runs.ids()))
        if hello.version != VERSION:
            log.warning("the gateway speaks version %d of the link, this agent %d", hello.version, VERSION)
            return
        for name, seq in hello.runs.items():
            run = runs.get(name)
            if run is not None and run.backlog.acked <= seq <= run.backlog.last:
                runs.ack(name, seq)
                if not run.backlog.done:
                    self._queue_events_of(run)
                continue
            if run is not None:
                kept = f"{run.backlog.acked + 1} to {run.backlog.last}"
                log.error("run %s is lost: the gateway asks for event %d, kept are %s", name, seq + 1, kept)
                runs.discard(name)
            await self._write(Lost(name))

    async def _start(self, start: Start) -> None:
        if self._version != VERSION:
            why = f"the gateway speaks version {self._version} of the link and the agent {VERSION}: restart both"
            await self._write(StartRefused(start.run, Failure("internal", why)))
            return
        if self._link.runs.get(start.run) is None and not self._link.accepts_runs():
            return
        try:
            run = self._link.runs.start(start.run, start.spec)
        except TooManyRuns:
            why = f"the agent has {MAX_RUNS} runs, which is as many as it takes"
            await self._write(StartRefused(start.run, Failure("limit", why, retryable=True)))
            return
        except Exception as error:
            why = f"the agent broke on {type(error).__name__}; its log says where."
            log.exception("run %s cannot be begun", start.run)
            await self._write(StartRefused(start.run, Failure("internal", why)))
            return
        if start.run not in self._sent:
            self._queue_events_of(run)

    def _abort(self, name: str) -> None:
        run = self._link.runs.get(name)
        if run is None:
            return
        if name in self._sent:
            run.abort()
        else:
            self._link.runs.discard(name)

    def _queue_events_of(self, run: AgentRun) -> None:
        self._sent[run.id] = run.backlog.acked
        self.on_event(run)

    # -- sending ---------------------------------------------------------------------------------------------------

    async def _write(self, message: ToGateway) -> None:
        self._writer.write(encode(message))
        await self._writer.drain()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            if not self._waiting:
                self._wake.clear()
                continue
            self._writer.write(self._batch(self._waiting.popleft()))
            await self._writer.drain()

    def _batch(self, name: str) -> bytes:
        """The next events of a run. A run with more events is queued again."""
        run = self._link.runs.get(name)
        if run is None or name not in self._sent:
            return b""
        lines, size, backlog = [], 0, run.backlog
        backlog.seal()
        seq = max(self._sent[name], backlog.acked)
        while seq < backlog.last and size < BATCH_BYTES:
            seq += 1
            lines.append(backlog.line(seq))
            size += len(lines[-1])
        self._sent[name] = seq
        if seq < backlog.last:
            self._waiting.append(name)
        return b"".join(lines)
