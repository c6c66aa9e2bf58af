"""A WebSocket connection: uvicorn's on the websockets library's Sans-I/O core, with doors for the application.

The ASGI scope gets this object under the key `scopes.CONNECTION`, as a `hub.Carrier`. What ASGI
says of accepting, receiving and closing goes uvicorn's way; messages to the client go through `write`, which does not
wait, so that nobody needs a task for each client.

A connection that shall outlive this process is `kept`: when it is at rest, that is written down (`handover.ledger`).
A connection that outlived another process is adopted: it is open from the beginning, and nobody accepts it.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.aio.flag import Flag
from gateway.handover.counters import count
from gateway.handover.ledger import Entry
from gateway.handover.verdict import Adopt, Held
from gateway.protocol.limits import MAX_HANDSHAKE_FRAME
from gateway.serving import frames, scopes
from gateway.serving.http import HttpProtocol
from gateway.serving.inbox import Inbox
from gateway.serving.points import Points
from gateway.serving.reader import FrameReader
from gateway.serving.state import GatewayState

if TYPE_CHECKING:
    from gateway.serving.quota import QuotaSlot

MAX_UNREAD_PONGS = 1024 * 1024
"""Bytes that wait for a client which sends pings; pongs do not ask whether they can be written."""
MAX_FRAGMENTS = 4096
"""Fragments of one message that are held one by one. What comes behind them is held in one piece if it carries bytes,
which a message's size bounds, and ends the connection if it carries none: these cost us more than the client."""
FRAGMENT_BYTES = 128
"""What a fragment takes beside its payload."""
NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
OTHER_VERSION = (
    b"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
ABORT_S = 1.0
"""From giving a silent client up to dropping its connection: a graceful close waits for ever if nothing is read."""


@dataclass(frozen=True)
class Adopted:
    """What a connection begins with that another process has accepted; `extra` is for the application's scope."""

    verdict: Adopt
    extra: dict[str, Any]


class FrameProtocol(ServerProtocol):
    """The library's, but a close frame may come in the middle of a fragmented message (RFC 6455, 5.4), and is answered
    as any other: it would call that a protocol error (1002), which no client expects that has changed its mind."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    __slots__ = (  # beside uvicorn's, which fill a dictionary
        *("on_write_resumed", "_adopted", "_slot", "_gone", "_holding", "_shared", "_points", "_reader"),
        *("_early", "_partials", "_on_forget"),
    )

    def __init__(self, *, server_state: GatewayState, adopted: Adopted | None = None, **kwargs: Any) -> None:
        super().__init__(server_state=server_state, **kwargs)
        self._partials = server_state.partials
        self.queue = Inbox(self.checkpoint)  # type: ignore[assignment]
        self.writable = Flag(is_set=True)  # type: ignore[assignment]
        self.on_write_resumed: Callable[[], None] | None = None
        self._adopted = adopted
        self._slot: QuotaSlot | None = None
        """None once the client has authenticated."""
        self._gone = Flag()
        self._holding = False
        self._points = Points()
        self._early: bytearray | None = None
        """Of an adopted connection, until it is kept: what has been read, by us and by the predecessor."""
        self._on_forget: Callable[[], None] | None = None
        """Called when the connection is kept no more; None while it is not kept."""
        self._shared = False
        """systemd may have a duplicate of the descriptor."""
        self._take_frames_from(FrameProtocol(max_size=MAX_HANDSHAKE_FRAME, logger=self.logger))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # What the kernel does not take stays where it can be counted: in the outbox, beyond one write.
        self.transport.set_write_buffer_limits(0)
        if self._adopted is not None:
            self._go_on(self._adopted)
        elif self.client is not None:
            before = self.transport.get_protocol()
            self._slot = before.take_slot() if isinstance(before, HttpProtocol) else None
            if self._slot is not None:
                self._slot.evict = self.evict

    def _take_frames_from(self, conn: FrameProtocol) -> None:
        self.conn = conn
        self._reader = conn.reader = FrameReader()
        conn.parser = conn.parse()
        next(conn.parser)  # the one before waits at the other reader

    def _go_on(self, adopted: Adopted) -> None:
        """Be what the predecessor's connection was. Nothing is read of it and written to it before it is kept."""
        self._early = bytearray(adopted.verdict.tail)
        self._take_frames_from(FrameProtocol(state=State.OPEN, max_size=MAX_HANDSHAKE_FRAME, logger=self.logger))
        self.handshake_initiated = self.handshake_complete = True
        extensions = {scopes.CONNECTION: {"connection": self, **adopted.extra}}
        self.scope = scopes.websocket(self, self.scheme, extensions)
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)
        self.start_keepalive()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shut()
        self._forget()
        super().connection_lost(exc)
        self._release_slot()
        self._partials.set_held(self, 0)
        self._gone.set()
        self._tell_resumed()
        self._fall_apart()

    def _fall_apart(self) -> None:
        """Hold nothing that holds us: what thousands leave behind would be collected at once, and all would wait."""
        self.on_write_resumed = None
        self.conn.parser.close()
        self.queue.end()  # type: ignore[attr-defined]

    def resume_writing(self) -> None:
        self._points.flushed()
        super().resume_writing()
        self._tell_resumed()
        self.checkpoint()

    def _tell_resumed(self) -> None:
        if self.on_write_resumed:
            self.on_write_resumed()

    @property
    def write_paused(self) -> bool:
        return not self.writable.is_set()

    def write(self, texts: Sequence[str]) -> None:
        """Each as a text message, with one call of the transport; nothing once the close frame has been sent."""
        if not self.close_sent and not self.transport.is_closing():
            self._write(b"".join([frames.text(text.encode()) for text in texts]))

    def _write(self, data: bytes) -> None:
        self._points.add_written(len(data), self._idle)
        self.transport.write(data)
        if self.transport.get_write_buffer_size():
            self._points.add_unsent(data)

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            return
        self._points.add_read(len(data))
        super().data_received(data)
        self._points.parsed(whole=not (self.frames or self._reader.partial))
        self._count_half()
        self.checkpoint()
        if not self.handshake_initiated and not self.transport.is_closing():
            # uvicorn hands the whole head over at once. One that is no handshake by now (a body is announced, a line
            # or the number of lines is over the library's bound) never will be, and would wait here for ever.
            self.transport.write(NO_HANDSHAKE)
            self.transport.close()

    def _count_half(self) -> None:
        """What is held of a message that is not whole yet."""
        half = self._reader.partial + (self.conn.current_size or 0) + len(self.frames) * FRAGMENT_BYTES
        if self._slot is not None:
            self._slot.set_held(half)
        else:
            self._partials.set_held(self, 0 if self.transport.is_closing() else half)

    def stop_sending(self) -> None:
        self.conn.fail(CloseCode.TRY_AGAIN_LATER, "too much is being sent")
        self.handle_parser_exception()

    def handle_events(self) -> None:
        for event in self.conn.events_received():
            if isinstance(event, Request):
                self.handle_connect(event)
            elif isinstance(event, Frame):
                self._handle_frame(event)

    def _handle_frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT:
                self.handle_text(frame)
            case Opcode.BINARY:
                self.handle_bytes(frame)
            case Opcode.CONT:
                self.handle_cont(frame)
            case Opcode.PING:
                self.handle_ping()
            case Opcode.PONG:
                self.handle_pong(frame)
            case Opcode.CLOSE:
                self.handle_close(frame)

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self._forget()
        elif message["type"] == "websocket.accept" and self.transport.is_closing():
            raise ClientDisconnected  # gone, or refused, before its turn: uvicorn would log an error for each
        await super().send(message)

    def handle_close(self, event: Frame) -> None:
        self._forget()
        super().handle_close(event)

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and not self._holding and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()
        return message

    def handle_ping(self) -> None:
        self._write(b"".join(self.conn.data_to_send()))
        if self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.abort()

    def send_keepalive_ping(self) -> None:
        # As uvicorn does it, but for the way of the bytes.
        self.ping_timer = None
        if self.close_sent or self.transport.is_closing():
            return
        self.pending_ping_payload = random.randbytes(4)
        self.ping_sent_at = self.loop.time()
        self.conn.send_ping(self.pending_ping_payload)
        self._write(b"".join(self.conn.data_to_send()))
        assert self.ping_timeout is not None
        self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
            return
        if not (event.data or event.fin):
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many empty fragments")
            self.handle_parser_exception()
            return
        if len(self.frames) == MAX_FRAGMENTS:
            self.frames.append(bytearray())  # type: ignore[arg-type]
        self.frames[-1] += event.data
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """A text is given as its UTF-8: as `str` it would take up to four times as much."""
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        message: Any = {"type": "websocket.receive", self.curr_msg_data_type: data}
        if "text" in message and not frames.is_utf8(data):
            self.conn.fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            self.handle_parser_exception()
            return
        self.queue.put_nowait(message)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_parser_exception(self) -> None:
        self._forget()
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        # A wrong frame from a client that did not wait for our 101: no close frame may go before that.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.ABNORMAL_CLOSURE, "reason": ""})
        self.transport.close()

    def handle_connect(self, event: Request) -> None:
        if event.headers.get_all("Sec-WebSocket-Version") != ["13"]:
            self.transport.write(OTHER_VERSION)
            self.transport.close()
            return
        super().handle_connect(event)
        if self.response.status_code == 101:  # otherwise it has been refused, and there is no scope
            self.scope["extensions"][scopes.CONNECTION] = {"connection": self}

    def keepalive_timeout(self) -> None:
        self._forget()
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def authenticated(self, max_message: int) -> None:
        """The client has said who it is: it is no stranger any more, and may send messages of so many bytes.

        Nobody looks at the head of its first request again; without it a client takes a fifth less memory.
        """
        self._release_slot()
        self.conn.max_message_size = max_message
        self.request = self.response = None  # type: ignore[assignment]
        self.scope["headers"] = []

    # -- outliving this process ------------------------------------------------------------------------------------

    @property
    def keepable(self) -> bool:
        """It is a TCP connection, and nobody has begun to end it."""
        return self.client is not None and not self.close_sent and not self.transport.is_closing()

    @property
    def fd(self) -> int:
        """Of the connection; -1 after its end."""
        number: int = self.transport.get_extra_info("socket").fileno()
        return number

    def _shut(self) -> None:
        """End the connection itself: where systemd has it too, closing our descriptor would tell the client nothing."""
        if self._shared and self.fd >= 0:
            sock = socket.socket(fileno=self.fd)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.detach()

    def drop(self) -> None:
        """End it now, without another turn of the loop, and forget it."""
        self._shut()
        self._forget()

    def keep(self, entry: Entry, seq: Callable[[], int | None], forget: Callable[[], None]) -> None:
        """From now on write down when the connection is at rest.

        `seq` is asked for the number of the last event, and says None when something is under way; `forget` is called
        when the connection shall not outlive this process any more. Raise OSError if the kernel does not count it.
        """
        counted = count(self.fd)
        early, unsent = self._early or b"", self._adopted.verdict.unsent if self._adopted else b""
        self._early = self._adopted = None
        written = counted.written + self.transport.get_write_buffer_size()
        self._shared, self._on_forget = True, forget
        self._points.start(entry, seq, counted.read - len(early), written)
        if unsent:  # which may begin within a message
            self._write(unsent)
        else:
            entry.busy(written)  # a newcomer's hello, for one, is still in the queue
        if early:
            self.data_received(bytes(early))
        self.checkpoint()

    @property
    def _idle(self) -> bool:
        """The application waits for a message, and the transport has sent all that was written."""
        # The queue is ours, not the one that uvicorn's type says.
        return self.queue.waiting and self.writable.is_set()  # type: ignore[attr-defined]

    def _behind(self) -> bytes:
        """What was read behind the last whole message, as a client may have sent it: fragments are masked again."""
        first = Opcode.TEXT if self.curr_msg_data_type == "text" else Opcode.BINARY
        parts = [frames.masked(part, Opcode.CONT if n else first, fin=False) for n, part in enumerate(self.frames)]
        return b"".join(parts) + self._reader.behind()

    def mark_busy(self) -> None:
        self._points.mark_busy()

    def checkpoint(self) -> None:
        self._points.checkpoint(self._idle)

    def _forget(self) -> None:
        if self._on_forget is not None:
            forget, self._on_forget = self._on_forget, None
            self._points.stop()
            forget()

    def stop_reading(self) -> None:
        """For good: what comes now is for the successor, and what has come and is not taken yet."""
        self._holding = self.read_paused = True
        self.queue.hold()  # type: ignore[attr-defined]
        self.transport.pause_reading()

    def part(self, seq: int, queued: Sequence[str]) -> Held | None:
        """What the successor needs beyond the last point; None if that says all. `queued`: what is not written yet."""
        tail = b"".join(self.queue.unread()) + self._behind()  # type: ignore[attr-defined]
        frames_queued = b"".join(frames.text(text.encode()) for text in queued)
        return self._points.leave(seq, self.transport.get_write_buffer_size(), tail, frames_queued)

    def _release_slot(self) -> None:
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def evict(self) -> bool:
        """Go, for another client's sake, with what was held for it: the rest goes when it is collected."""
        self._reader.discard()
        self.frames = []
        self.abort()
        return True

    def abort(self) -> None:
        """Drop the connection at once, with what is still unsent."""
        self._forget()
        self.transport.abort()

    async def wait_closed(self) -> None:
        """Until the transport is gone, and with it whatever was still unsent."""
        await self._gone.wait()
