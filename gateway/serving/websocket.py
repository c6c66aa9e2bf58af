"""A WebSocket connection: uvicorn's on the websockets library's Sans-I/O core, with doors for the application.

The ASGI scope gets this object under `extensions["openclaw.connection"]["connection"]`, as a `hub.Carrier`. What ASGI
says of accepting, receiving and closing goes uvicorn's way; messages to the client go through `write`, which does not
wait, so that nobody needs a task for each client.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from gateway.flag import Flag
from gateway.serving.state import GatewayState, canonical

EXTENSION = "openclaw.connection"
STRANGER_MESSAGE_BYTES = 1024 * 1024
"""What a client that has not said who it is can make us buffer; the application's own bound for it is smaller."""
MAX_UNREAD_PONGS = 1024 * 1024
"""Bytes that wait for a client which sends pings; pongs do not ask whether they can be written."""
MAX_FRAGMENTS = 4096
"""Fragments of one message; empty ones cost us more than the client."""
NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
OTHER_VERSION = (
    b"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_TEXT = 0x81
"""A whole text message in one frame. What a server sends is not masked."""
_MEDIUM, _LONG = Struct("!BBH"), Struct("!BBQ")
ABORT_S = 1.0
"""From giving a silent client up to dropping its connection: a graceful close waits for ever if nothing is read."""


class _Inbox:
    """What uvicorn uses of `asyncio.Queue`, which takes 2 KB when it is empty."""

    __slots__ = ("_filled", "_messages")

    def __init__(self) -> None:
        self._messages: deque[Any] | None = None
        self._filled = Flag()

    def put_nowait(self, message: Any) -> None:
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        self._filled.set()

    async def get(self) -> Any:
        while self._messages is None:
            self._filled.clear()
            await self._filled.wait()
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
        return message

    def empty(self) -> bool:
        return self._messages is None


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = _Inbox()  # type: ignore[assignment]
        self.writable = Flag(is_set=True)  # type: ignore[assignment]
        self.on_write_resumed: Callable[[], None] | None = None
        self._state: GatewayState = kwargs["server_state"]
        self._address: str | None = None
        self._gone = Flag()
        self.conn.max_message_size = STRANGER_MESSAGE_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # What the kernel does not take stays where it can be counted: in the outbox, beyond one write.
        self.transport.set_write_buffer_limits(0)
        if self.client is not None:
            self._address = canonical(self.client[0])
            # The HTTP connection that this one was had its place already, so this one is never refused.
            self._state.admission.admit(self._address, sys.maxsize)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._leave_the_strangers()
        self._gone.set()
        self._tell_resumed()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._tell_resumed()

    def _tell_resumed(self) -> None:
        if self.on_write_resumed:
            self.on_write_resumed()

    @property
    def write_paused(self) -> bool:
        return not self.writable.is_set()

    def write(self, texts: Sequence[str]) -> None:
        """Each as a text message, with one call of the transport; nothing once the close frame has been sent."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(b"".join([_frame(text.encode()) for text in texts]))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            # uvicorn hands the whole head over at once. One that is no handshake by now (a body is announced, a line
            # or the number of lines is over the library's bound) never will be, and would wait here for ever.
            self.transport.write(NO_HANDSHAKE)
            self.transport.close()

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.abort()

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
            return
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        # uvicorn logs a traceback, with the client's bytes, for text that is no UTF-8.
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self.conn.fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
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
            self.scope["extensions"][EXTENSION] = {"connection": self}

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def authenticated(self) -> None:
        """The client has said who it is: it is no stranger any more, and may send what its protocol allows.

        Nobody looks at the head of its first request again; without it a client takes a fifth less memory.
        """
        self._leave_the_strangers()
        self.conn.max_message_size = self.config.ws_max_size
        self.request = self.response = None  # type: ignore[assignment]
        self.scope["headers"] = []

    def _leave_the_strangers(self) -> None:
        if self._address is not None:
            self._state.admission.release(self._address)
            self._address = None

    def abort(self) -> None:
        """Drop the connection at once, with what is still unsent."""
        self.transport.abort()

    async def wait_closed(self) -> None:
        """Until the transport is gone, and with it whatever was still unsent."""
        await self._gone.wait()


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (_TEXT, size, payload)
    head = _MEDIUM.pack(_TEXT, 126, size) if size < 65536 else _LONG.pack(_TEXT, 127, size)
    return head + payload


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        (frames[0] if len(frames) == 1 else b"".join(frames)).decode()
    except UnicodeDecodeError:
        return False
    return True
