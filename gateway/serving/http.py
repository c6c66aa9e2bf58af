"""An HTTP connection: uvicorn's, with bounds on what a client may send and for how long, and a way to leave.

httptools parses whatever it is fed, so the bounds on head, header count and body are counted here, from the same
callbacks. A refusal is written, the sending side is closed, and what the client still sends is read and thrown away
for a moment: closing with unread data would reset the connection before the client has read why.
"""

import asyncio
import json
import socket
import sys
from collections import deque
from http import HTTPStatus
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.handover.handoff import PendingAnswer
from gateway.protocol.admission.origin import is_trusted, visitor
from gateway.serving import heads, scopes
from gateway.serving.answering import Answering
from gateway.serving.quota import QuotaSlot, is_spare
from gateway.serving.state import GatewayState
from gateway.text.addresses import parse_address

SLICE = 2048
"""Bytes given to the parser at a time: the requests in them are the most that wait behind the one being served."""
MAX_HELD = 1024 * 1024
"""Bytes read and not parsed yet; a chunk is read at a time, so this is met by nobody who waits for answers."""
UNTAKEN_AGAIN_S = 0.1
"""Between two looks at an answer that is not taken yet, where `keepAliveMs` is shorter."""
TOO_MANY = "Too many connections from your address"
LINGER_S = 1.0
"""How long a refused client's further bytes are read and thrown away."""


class _Refused(Exception):
    """Raised in a parser callback; `data_received` answers with the status that was noted."""


class HttpProtocol(HttpToolsProtocol):
    server_state: GatewayState

    def __init__(self, *args: Any, adopted: bool = False, left: PendingAnswer | None = None, **kwargs: Any) -> None:
        """`adopted`: another process has accepted it, and answered what had come, but for what it has `left`."""
        super().__init__(*args, **kwargs)
        self._adopted = adopted
        self._left = left
        self.limits = self.server_state.limits()
        self.timeout_keep_alive = self.limits.keep_alive_ms / 1000  # type: ignore[assignment]
        self.received = 0
        """Chunks received: a measure of progress for the one who waits for this connection."""
        self.requests = 0
        """Requests begun."""
        self._slot: QuotaSlot | None = None
        self._by_proxy = False
        """A trusted proxy speaks for its clients on this connection."""
        self._receiving = False
        """A request has begun and is not complete."""
        self._in_head = False
        self._head_bytes = 0
        self._body_bytes = 0
        self._api = False
        """The request that is being received is one to an API, as far as its head has said so."""
        self._max_body = self.limits.max_body_bytes
        self._held = b""
        self._own: RequestResponseCycle | None = None
        """Of the request that is being received, once its head is complete."""
        self._running: RequestResponseCycle | None = None
        """Of the request that is being served."""
        self._answering: Answering | None = None
        """The same, where it is one to an API."""
        self._refusal: tuple[int, str] | None = None
        self._refused = False
        self._upgraded = False
        self._deadline: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._adopted:
            self.server_state.waits.observe(transport, self.loop.time())
        if self.client is not None and not self._admit(self.client[0]):
            return
        if self._left is None:
            self._arm(self.limits.head_timeout_ms)
        else:
            self._go_on(self._left)

    def _admit(self, address: str) -> bool:
        sock = self.transport.get_extra_info("socket")
        if self._left is None and sock is not None and is_spare(sock.fileno()):
            self.transport.abort()
            return False
        peer = parse_address(address)
        self._by_proxy = peer is not None and is_trusted(peer, self.server_state.proxies())
        # A proxy is no client; and in the middle of an answer none is in a state to be refused.
        free = self._by_proxy or self._left is not None
        most = sys.maxsize if free else self.limits.max_connections_per_address
        self._slot = self.server_state.unauthenticated.admit(address, most, self.evict)
        if self._slot is None and self._left is None:
            self._refuse(503, TOO_MANY)
            return False
        return True

    def evict(self) -> bool:
        """Go, for another client's sake; not where an answer is being made."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        self._held = b""
        self.transport.abort()
        return True

    def _go_on(self, left: PendingAnswer) -> None:
        self._left = None
        self._answering = Answering(self._resumed_cycle(left), left)
        self.cycle = self._answering.cycle
        self.transport.write(left.unsent)
        self._start_asgi_task(self.cycle, self.app)

    def _resumed_cycle(self, pending: PendingAnswer) -> RequestResponseCycle:
        """The cycle as if the request had come to this process."""
        cycle = RequestResponseCycle(
            scope=scopes.request(self, pending.path),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=pending.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        cycle.response_started = pending.begun
        cycle.chunked_encoding = True if pending.begun else None
        return cycle

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._disarm()
        if self._reader is not None:
            self._reader.cancel()
        self._release()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.received += 1
        if self._held or self.pipeline or len(data) > SLICE:
            self._held += data
            self._parse()
        else:
            self._feed(data)  # nearly every request comes whole and alone

    def _parse(self) -> None:
        """Feed the parser as long as the request before is being served and no further one waits behind it.

        uvicorn parses whatever comes and queues the requests; a client that sends without end and never reads would
        fill the memory with them. What is not parsed is held, and the client is not read until it is.
        """
        held, start = self._held, 0
        while start < len(held) and not (
            self.pipeline or self._refused or self._upgraded or self.transport.is_closing()
        ):
            self._feed(held[start : start + SLICE])
            start += SLICE
        self._held = held[start:]
        if self._held:
            self.flow.pause_reading()
            if len(self._held) > MAX_HELD:
                self.transport.abort()

    def _feed(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._receiving and not self._refused and not self._upgraded:
            self._check_progress()
        if self._slot is not None:
            self._slot.set_held(self._head_bytes + len(self._held))

    def _check_progress(self) -> None:
        # Bytes that led to no callback are a head that goes on, or a trailer, which is one.
        if self._head_bytes > self.limits.max_head_bytes:
            self._refuse(431, f"Request head over {self.limits.max_head_bytes} bytes")
        elif self._deadline is None:
            self._arm(self.limits.head_timeout_ms if self._in_head else self.limits.body_timeout_ms)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._by_proxy and self._slot is not None and self.client is not None:
            self._slot.move(self.client[0], sys.maxsize)
        if self.pipeline:
            self.flow.pause_reading()  # uvicorn has just resumed it, with requests still waiting
        elif self._held:
            self._parse()

    # -- parser callbacks ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.requests += 1
        self._receiving = self._in_head = True
        self._api = False
        self._max_body = self.limits.max_body_bytes
        self._own = None
        self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser tells of trailers by the same callback. They are no headers (RFC 9110, 6.5.1): a proxy that decides
        # by the head who a client is passes them on unseen.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._disarm()
        if len(self.headers) > self.limits.max_headers:
            self._give_up(431, f"More than {self.limits.max_headers} header lines")
        if self._head_bytes > self.limits.max_head_bytes and self._head_size() > self.limits.max_head_bytes:
            self._give_up(431, f"Request head over {self.limits.max_head_bytes} bytes")
        self._head_bytes = 0
        path = self.url.partition(b"?")[0].decode("latin-1")
        self._api = path in self.server_state.apis
        self._max_body = max(self.limits.max_body_bytes, self.server_state.apis.get(path, 0))
        if (fault := heads.fault(self.parser.get_http_version(), self.headers)) is not None:
            self._give_up(400, fault)
        if self._by_proxy:
            self._count_client()
        for name, value in self.headers:
            if name == b"content-length" and int(value) > self._max_body:
                self._give_up(413, f"Request body over {self._max_body} bytes")
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # an upgrade has none
            self._own = self.cycle
            self._own.keep_alive &= not self.server_state.leaving

    def _count_client(self) -> None:
        """The client that a trusted proxy names has the place, as long as its request is being served."""
        assert self.client is not None
        named = visitor(self.client[0], self.headers, self.server_state.proxies()).remote_ip
        most = sys.maxsize if named == self.client[0] else self.limits.max_connections_per_address
        if self._slot is not None and not self._slot.move(named, most):
            self._give_up(503, TOO_MANY)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if self._answering is None or self._answering.cycle is not cycle:
            self._answering = Answering(cycle) if cycle.scope["path"] in self.server_state.apis else None
        if self._answering is not None:
            cycle.scope["extensions"] = {scopes.ANSWERING: {"answering": self._answering}}
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body:
            self._give_up(413, f"Request body over {self._max_body} bytes")
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._receiving = False
        self._own = None
        self._head_bytes = 0
        if self._deadline is not None:
            self._disarm()
        super().on_message_complete()

    # -- refusing --------------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        status, text = self._refusal or (400, msg)
        self._refuse(status, text)

    def _give_up(self, status: int, text: str) -> None:
        self._refusal = (status, text)
        raise _Refused(text)

    def _refuse(self, status: int, text: str) -> None:
        """Refuse the request that is being received, and everything after it.

        Answers come in the order of their requests, so where earlier ones are still unanswered, they are answered and
        the connection is closed after them, without a word on this one.
        """
        self._refused = True
        self._disarm()
        if earlier := self._unanswered_before():
            self.pipeline = deque(item for item in self.pipeline if item[0] is not self._own)
            earlier[-1].keep_alive = False
            self.flow.pause_reading()
        else:
            self._close_with(self._own, status, text, self._api)

    def _unanswered_before(self) -> list[RequestResponseCycle]:
        """Cycles of earlier requests without a whole answer, oldest first."""
        known = [self._running, *(cycle for cycle, _ in reversed(self.pipeline))]
        return [cycle for cycle in known if cycle and cycle is not self._own and not cycle.response_complete]

    def _close_with(self, cycle: RequestResponseCycle | None, status: int, text: str, api: bool) -> None:
        """Answer `status` instead of what the application says of `cycle`, if it has not begun; close gently."""
        begun = False
        if cycle is not None and not cycle.response_complete:
            begun = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        if not begun:
            self.transport.write(_response(status, text, api))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.abort)

    # -- time ------------------------------------------------------------------------------------------------------

    def _arm(self, milliseconds: int) -> None:
        self._deadline = self.loop.call_later(milliseconds / 1000, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._receiving:
            self._refuse(408, "The request did not arrive in time")
        elif not self.transport.is_closing():
            self.transport.close()  # it connected and said nothing: nobody to answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(-1)

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.get_write_buffer_size():
            super().timeout_keep_alive_handler()
            return
        # The last answer is still being taken: it is not idle yet, and a graceful close might wait for ever.
        again = max(self.timeout_keep_alive, UNTAKEN_AGAIN_S)
        self.timeout_keep_alive_task = self.loop.call_later(again, self.timeout_keep_alive_handler)
        if self._reader is None:
            self._watch_reader(-1)

    def _watch_reader(self, before: int) -> None:
        """Drop a client that takes nothing of its answer for `bodyTimeoutMs`; a slow one has all the time it needs."""
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        unread = self.transport.get_write_buffer_size()
        if unread == before:
            self.transport.abort()
        elif unread:
            self._reader = self.loop.call_later(self.limits.body_timeout_ms / 1000, self._watch_reader, unread)

    # -- leaving ---------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """A request has begun to arrive, is being served, or its answer is still being sent."""
        if self._refused or self.transport.is_closing():
            return False
        served = self.cycle is None or self.cycle.response_complete
        waiting = self.pipeline or self._held
        return self._receiving or not served or bool(waiting) or self.transport.get_write_buffer_size() > 0

    @property
    def begun(self) -> bool:
        """Busy with more than a head that is still coming: whoever trickles one in has not asked for anything yet."""
        idle = self.cycle is None or self.cycle.response_complete
        return self.busy and not (self._in_head and idle and self.transport.get_write_buffer_size() == 0)

    @property
    def progress(self) -> tuple[int, int]:
        """Changes while bytes move in either direction."""
        return self.received, self.transport.get_write_buffer_size()

    @property
    def waits_for_us(self) -> bool:
        """The request is complete and the client has taken all that there was: the application works."""
        return not self._receiving and self.transport.get_write_buffer_size() == 0

    def leave(self) -> bool:
        """Close if idle, else after the present request. True as long as it is worth waiting for.

        A request that has arrived but is unread is not idleness: closing now would reset it. Where the next process
        goes on with the connection, it will read it.
        """
        if self.busy and not self.portable:
            if self.cycle is not None and not self._carried:
                self.cycle.keep_alive = False
            return True
        if self.transport.is_closing():
            return False
        if self._carried:
            self.flow.pause_reading()
            # What comes now is not seen here any more, so this is no time to find that nothing came.
            self._unset_keepalive_if_required()
            self._disarm()
            return False
        if self._unread():
            return True
        self.transport.close()
        return False

    @property
    def _carried(self) -> bool:
        return self.server_state.carry and self.client is not None  # the control socket's clients have no address

    @property
    def portable(self) -> bool:
        """Its answer is not whole, and the next process goes on with it."""
        if self._answering is None or not self._answering.portable or not self._carried:
            return False
        return not (self._receiving or self.pipeline or self._held or self._refused or self.transport.is_closing())

    def part(self) -> tuple[int, PendingAnswer | None] | None:
        """The descriptor, and what is to be passed on beside it; None for a connection that cannot be."""
        if not self.portable and (self.busy or self._refused or self._upgraded or self.transport.is_closing()):
            return None
        number: int = self.transport.get_extra_info("socket").fileno()
        return number, self._answering.left() if self._answering is not None and self.portable else None

    def give_up_on(self) -> None:
        """The budget is spent: whoever still waits for the beginning of an answer is told to try again."""
        if self.busy and not self.portable:
            self._refused = True
            self._disarm()
            if self._answering is not None and not self.transport.is_closing():
                self.transport.write(self._answering.give_up())
            self._close_with(self._running, 503, "The gateway is restarting", self._answering is not None)

    def _unread(self) -> bool:
        sock: socket.socket | None = self.transport.get_extra_info("socket")
        if sock is None:
            return False
        try:
            # uvloop's pseudo-socket has no recv(): peek through a duplicate of the descriptor.
            with socket.socket(fileno=socket.dup(sock.fileno())) as peeked:
                return bool(peeked.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except (BlockingIOError, ConnectionError):
            return False

    # -- hand-over to the WebSocket protocol -----------------------------------------------------------------------

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        if self._unanswered_before():
            self._refuse(400, "An upgrade must be the first request that waits for an answer")
            return
        if self.scope["http_version"] != "1.1":
            self._refuse(400, "An upgrade needs HTTP/1.1")
            return
        self._upgraded = True
        super().handle_websocket_upgrade()
        # Nobody tells us of the connection's end, and a circle would wait for the collector.
        self.parser = None  # type: ignore[assignment]

    def take_slot(self) -> QuotaSlot | None:
        """To the WebSocket that this connection becomes."""
        slot, self._slot = self._slot, None
        return slot

    def _release(self) -> None:
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)


def _response(status: int, text: str, api: bool) -> bytes:
    body, kind = f"{HTTPStatus(status).phrase}: {text}\n".encode(), b"text/plain; charset=utf-8"
    if api:
        why = {"message": text, "type": "invalid_request_error" if status < 500 else "api_error"}
        body, kind = json.dumps({"error": why}).encode(), b"application/json"
    head = [
        STATUS_LINE[status],
        b"content-type: %b\r\n" % kind,
        b"content-length: %d\r\n" % len(body),
        b"retry-after: 1\r\n" if status == 503 else b"",
        b"connection: close\r\n\r\n",
    ]
    return b"".join(head) + body
