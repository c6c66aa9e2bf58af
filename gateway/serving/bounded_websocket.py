"""A WebSocket connection: uvicorn's on the websockets library's Sans-I/O core, with bounds on what clients may send."""

import asyncio
import random
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from gateway.protocol.limits import MAX_HANDSHAKE_FRAME
from gateway.serving import frames
from gateway.serving.frame_parser import FrameParser
from gateway.serving.http import HttpProtocol
from gateway.serving.state import GatewayState

if TYPE_CHECKING:
    from gateway.serving.quota import QuotaSlot

MAX_UNREAD_PONGS = 1024 * 1024
"""Bytes that wait for a client which sends pings; pongs do not ask whether they can be written."""
MAX_FRAGMENTS = 4096
"""Fragments of one message that are held one by one. What comes behind them is held in one piece if it carries bytes,
which a message's size bounds, and ends the connection if it carries none: these cost us more than the client."""
FRAGMENT_BYTES = 128
"""Memory that a fragment takes beside its payload."""
NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
OTHER_VERSION = (
    b"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
ABORT_S = 1.0
"""From giving a silent client up to dropping its connection: a graceful close waits for ever if nothing is read."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    __slots__ = ("_partials", "_slot")  # beside uvicorn's, which fill a dictionary

    conn: FrameParser

    def __init__(self, *, server_state: GatewayState, state: State = State.CONNECTING, **kwargs: Any) -> None:
        super().__init__(server_state=server_state, **kwargs)
        self._partials = server_state.partials
        self._slot: QuotaSlot | None = None
        """The share of the quota; None once the client has authenticated."""
        self.conn = FrameParser(self.conn, state, MAX_HANDSHAKE_FRAME)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        before = self.transport.get_protocol()
        self._slot = before.take_slot() if isinstance(before, HttpProtocol) else None
        if self._slot is not None:
            self._slot.evict = self.evict

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._release_slot()
        self._partials.set_held(self, 0)
        self.conn.parser.close()  # a circle of it, the reader and the connection would wait for the collector

    def abort(self) -> None:
        """Drop the connection at once, with what is still unsent."""
        self.transport.abort()

    def _write(self, data: bytes) -> None:
        """Write what goes to an open connection, except the close frame."""
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._report_held()
        if not self.handshake_initiated and not self.transport.is_closing():
            # uvicorn hands the whole head over at once. One that is no handshake by now (a body is announced, a line
            # or the number of lines is over the library's bound) never will be, and would wait here for ever.
            self.transport.write(NO_HANDSHAKE)
            self.transport.close()

    @property
    def _is_partial(self) -> bool:
        """Something has been read behind the last whole message."""
        return bool(self.frames or self.conn.reader.partial)

    def _unparsed(self) -> bytes:
        """The bytes read behind the last whole message, as a client may send them: fragments get new masks."""
        first = Opcode.TEXT if self.curr_msg_data_type == "text" else Opcode.BINARY
        parts = [frames.masked(part, Opcode.CONT if n else first, fin=False) for n, part in enumerate(self.frames)]
        return b"".join(parts) + self.conn.reader.unparsed()

    def _report_held(self) -> None:
        """Tell the quota how many bytes are held of a message that is not whole yet."""
        held = self.conn.reader.partial + (self.conn.current_size or 0) + len(self.frames) * FRAGMENT_BYTES
        if self._slot is not None:
            self._slot.set_held(held)
        else:
            self._partials.set_held(self, 0 if self.transport.is_closing() else held)

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
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        # A wrong frame from a client that did not wait for our 101: no close frame may go before that.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.ABNORMAL_CLOSURE, "reason": ""})
        self.transport.close()

    def handle_connect(self, event: Request) -> None:
        if event.headers.get_all("Sec-WebSocket-Version") == ["13"]:
            super().handle_connect(event)
        else:
            self.transport.write(OTHER_VERSION)
            self.transport.close()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def _release_slot(self) -> None:
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def evict(self) -> bool:
        """Go, for another client's sake, with what was held for it: the rest goes when it is collected."""
        self.conn.reader.discard()
        self.frames = []
        self.abort()
        return True
