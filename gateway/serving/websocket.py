"""A WebSocket connection that the application writes to directly, and that outlives this process.

The ASGI scope gets this object under the key `scopes.CONNECTION`, as a `hub.Carrier`. Accepting, receiving and closing
are ASGI's; messages to the client go through `write`, which does not wait: no client needs a task for what it is sent.

The connection of a client that has its hello is recorded: whenever it is at rest, a point is written into its entry of
the ledger. A connection that another process has accepted is adopted: it is open from its first moment.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from gateway.aio.flag import Flag
from gateway.handover.counters import count
from gateway.handover.ledger import Entry
from gateway.handover.verdict import Adoption, InFlight
from gateway.serving import frames, scopes
from gateway.serving.bounded_websocket import BoundedWebSocket
from gateway.serving.inbox import Inbox
from gateway.serving.points import Points
from gateway.serving.state import GatewayState


@dataclass(frozen=True)
class Adopted:
    """A connection that another process has accepted."""

    verdict: Adoption
    extra: dict[str, Any]
    """Entries of the extension `scopes.CONNECTION`: `{"resumed": web.socket.Resumed}`."""


class WebSocketProtocol(BoundedWebSocket):
    __slots__ = (
        *("on_write_resumed", "_adopted", "_closed", "_early", "_points", "_reading_stopped", "_release_entry"),
        "_shared",
    )

    def __init__(self, *, server_state: GatewayState, adopted: Adopted | None = None, **kwargs: Any) -> None:
        state = State.OPEN if adopted else State.CONNECTING
        super().__init__(server_state=server_state, state=state, **kwargs)
        self.queue = Inbox(self.checkpoint)  # type: ignore[assignment]
        self.writable = Flag(is_set=True)  # type: ignore[assignment]
        self.on_write_resumed: Callable[[], None] | None = None
        self._adopted = adopted
        self._closed = Flag()
        self._reading_stopped = False
        self._points = Points()
        self._early: bytearray | None = bytearray(adopted.verdict.tail) if adopted else None
        """Bytes that were read of an adopted connection, by both processes, before it is recorded; None afterwards."""
        self._release_entry: Callable[[], None] | None = None
        """Frees the entry in the ledger; None if there is none."""
        self._shared = False
        """systemd may have a duplicate of the descriptor."""

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # What the kernel does not take stays where it can be counted: in the outbox, beyond one write.
        self.transport.set_write_buffer_limits(0)
        if self._adopted is not None:
            self._resume(self._adopted)

    def _resume(self, adopted: Adopted) -> None:
        """Be open, without a handshake. Nothing is read and nothing written before `record_points`."""
        self.handshake_initiated = self.handshake_complete = True
        extensions = {scopes.CONNECTION: {"connection": self, **adopted.extra}}
        self.scope = scopes.websocket(self, self.scheme, extensions)
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)
        self.start_keepalive()

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop()
        super().connection_lost(exc)
        self._closed.set()
        self._tell_resumed()
        # No reference may lead back here: the collector would free thousands at once, while all others wait.
        self.on_write_resumed = None
        self.queue.detach()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            return
        self._points.add_read(len(data))
        super().data_received(data)
        self._points.parsed(whole=not self._is_partial)
        self.checkpoint()

    def resume_writing(self) -> None:
        self._points.flushed()
        super().resume_writing()
        self._tell_resumed()
        self.checkpoint()

    def _tell_resumed(self) -> None:
        if self.on_write_resumed:
            self.on_write_resumed()

    # -- the application's side: hub.Carrier, and ASGI ---------------------------------------------------------------

    @property
    def write_paused(self) -> bool:
        return not self.writable.is_set()

    def write(self, texts: Sequence[bytes]) -> None:
        """Write text messages with one call of the transport; nothing once the close frame has been sent."""
        if not self.close_sent and not self.transport.is_closing():
            self._write(b"".join([part for text in texts for part in (frames.head(len(text)), text)]))

    def _write(self, data: bytes) -> None:
        self._points.add_written(len(data), self._idle)
        self.transport.write(data)
        if self.transport.get_write_buffer_size():
            self._points.add_unsent(data)

    def authenticated(self, max_message: int) -> None:
        """The client has authenticated, and may send messages of so many bytes.

        The head of its first request is not needed again; without it a client takes a fifth less memory.
        """
        self._release_slot()
        self.conn.max_message_size = max_message
        self.request = self.response = None  # type: ignore[assignment]
        self.scope["headers"] = []

    async def wait_closed(self) -> None:
        """Return when the transport is gone, and with it what was still unsent."""
        await self._closed.wait()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and not self._reading_stopped and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self._forget()
        elif message["type"] == "websocket.accept" and self.transport.is_closing():
            raise ClientDisconnected  # gone, or refused, before its turn: uvicorn would log an error for each
        await super().send(message)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and self.response.status_code == 101:  # else it is refused, and there is no scope
            self.scope["extensions"][scopes.CONNECTION] = {"connection": self}

    # -- each way in which the connection begins to end: the next process must not go on with it ---------------------

    def handle_close(self, event: Frame) -> None:
        self._forget()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        self._forget()
        super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        self._forget()
        super().keepalive_timeout()

    def abort(self) -> None:
        self._forget()
        super().abort()

    def drop(self) -> None:
        """Shut the connection down now, without another turn of the loop, and free its entry."""
        self._shut_down()
        self._forget()

    def _forget(self) -> None:
        if self._release_entry is not None:
            release, self._release_entry = self._release_entry, None
            self._points.stop()
            release()

    def _shut_down(self) -> None:
        """Tell the client of the end: where systemd has a duplicate of the descriptor, closing ours would not."""
        if self._shared and self.fd >= 0:
            sock = socket.socket(fileno=self.fd)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.detach()

    # -- outliving this process: handover.KeepableConnection -------------------------------------------------------

    @property
    def keepable(self) -> bool:
        """It is a TCP connection, and neither side has begun to end it."""
        return self.client is not None and not self.close_sent and not self.transport.is_closing()

    @property
    def fd(self) -> int:
        """The connection's file descriptor; -1 once it is closed."""
        number: int = self.transport.get_extra_info("socket").fileno()
        return number

    def record_points(self, entry: Entry, seq: Callable[[], int | None], release: Callable[[], None]) -> None:
        """Write the points of the connection into `entry` from now on.

        `seq` returns the number of the last event, or None while something is under way; `release` is called when the
        connection does not outlive this process any more. Raise OSError if the kernel does not count the connection.
        """
        counted = count(self.fd)
        early, unsent = self._early or b"", self._adopted.verdict.unsent if self._adopted else b""
        self._early = self._adopted = None
        written = counted.written + self.transport.get_write_buffer_size()
        self._shared, self._release_entry = True, release
        self._points.start(entry, seq, counted.read - len(early), written)
        if unsent:  # which may begin within a message
            self._write(unsent)
        else:
            entry.note_busy(written)  # the hello of a new client is still in the outbox
        if early:
            self.data_received(bytes(early))
        self.checkpoint()

    @property
    def _idle(self) -> bool:
        """The application waits for a message, and the transport has sent all that was written."""
        # The queue is ours, not the one that uvicorn's type says.
        return self.queue.waiting and self.writable.is_set()  # type: ignore[attr-defined]

    def mark_busy(self) -> None:
        self._points.mark_busy()

    def checkpoint(self) -> None:
        self._points.checkpoint(self._idle)

    def stop_reading(self) -> None:
        """Stop for good: what comes now, and what the application has not received, is for the next process."""
        self._reading_stopped = self.read_paused = True
        self.queue.freeze()  # type: ignore[attr-defined]
        self.transport.pause_reading()

    def in_flight(self, seq: int, queued: Sequence[bytes]) -> InFlight | None:
        """Return what the next process needs beyond the last point, or None; `queued` are texts still to be written."""
        tail = b"".join(self.queue.unread()) + self._unparsed()  # type: ignore[attr-defined]
        waiting = b"".join(map(frames.text, queued))
        return self._points.in_flight(seq, self.transport.get_write_buffer_size(), tail, waiting)
