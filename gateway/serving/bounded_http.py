"""An HTTP connection: uvicorn's, with bounds on what a client may send and for how long.

A refusal is written, the sending side is closed, and what the client still sends is read and thrown away for a moment:
closing with unread data would reset the connection before the client has read why.
"""

import asyncio
import sys
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.protocol.admission.origin import is_trusted, request_origin
from gateway.serving.bounds import RequestBounds
from gateway.serving.quota import QuotaSlot, is_spare
from gateway.serving.refusal import response
from gateway.serving.state import GatewayState
from gateway.text.addresses import parse_address

SLICE = 2048
"""Bytes given to the parser at a time: the requests in them are the most that wait behind the one being served."""
MAX_HELD = 1024 * 1024
"""Bytes read and not parsed yet. A chunk is read at a time, so a client that waits for its answers never meets it."""
UNTAKEN_AGAIN_S = 0.1
"""Between two looks at an answer that is not taken yet, where `keepAliveMs` is shorter."""
TOO_MANY = "Too many connections from your address"
LINGER_S = 1.0
"""How long a refused client's further bytes are read and thrown away."""


PARENT = HttpToolsProtocol
"""What each request passes through calls it by name: `super()` takes as long as the call itself."""


class BoundedHttp(HttpToolsProtocol):
    server_state: GatewayState

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = self.server_state.limits()
        self.timeout_keep_alive = self.limits.keep_alive_ms / 1000  # type: ignore[assignment]
        self.received = 0
        """Chunks received: a measure of progress while somebody waits for this connection."""
        self.requests = 0
        """Requests begun."""
        self._slot: QuotaSlot | None = None
        self._by_proxy = False
        """The peer is a trusted proxy: it speaks for its clients on this connection."""
        self._bounds = RequestBounds(self.limits, self.server_state.apis)
        self._held = b""
        """Read, and not given to the parser yet."""
        self._own: RequestResponseCycle | None = None
        """The cycle of the request that is being received, once its head is complete."""
        self._running: RequestResponseCycle | None = None
        """The cycle of the request that is being served."""
        self._refused = False
        self._upgraded = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread_check: asyncio.TimerHandle | None = None

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def _begin(self) -> None:
        """The connection is new to this process, and so it is to the client."""
        self.server_state.waits.observe(self.transport, self.loop.time())
        if self._admit():
            self._arm(self.limits.head_timeout_ms)

    def _admit(self) -> bool:
        """Take a slot of the quota; False if the connection ends because there is none."""
        if self.client is None:
            return True
        sock = self.transport.get_extra_info("socket")
        if sock is not None and is_spare(sock.fileno()):
            self.transport.abort()
            return False
        if self._enter_quota(self.client[0]):
            return True
        self._refuse(503, TOO_MANY)
        return False

    def _enter_quota(self, address: str, *, is_free: bool = False) -> bool:
        """`is_free`: however many connections of the address there are."""
        peer = parse_address(address)
        self._by_proxy = peer is not None and is_trusted(peer, self.server_state.proxies())
        most = sys.maxsize if is_free or self._by_proxy else self.limits.max_connections_per_address  # it is no client
        self._slot = self.server_state.unauthenticated.admit(address, most, self.evict)
        return self._slot is not None

    def evict(self) -> bool:
        """Abort for another client's sake, unless an answer is being made; return whether it has."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        self._held = b""
        self.transport.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._disarm()
        if self._unread_check is not None:
            self._unread_check.cancel()
        if self._slot is not None:
            self._slot.release()
            self._slot = None

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
        bounds = self._bounds
        bounds.head_bytes += len(data)
        PARENT.data_received(self, data)
        if bounds.receiving and not self._refused and not self._upgraded:
            if bounds.head_too_large:
                self._refuse(*bounds.head_refusal)
            elif self._deadline is None:
                self._arm(self.limits.head_timeout_ms if bounds.in_head else self.limits.body_timeout_ms)
        held = bounds.head_bytes + len(self._held)
        if self._slot is not None and held != self._slot.held:
            self._slot.set_held(held)

    def on_response_complete(self) -> None:
        PARENT.on_response_complete(self)
        if self._by_proxy and self._slot is not None and self.client is not None:
            self._slot.move(self.client[0], sys.maxsize)
        if self.pipeline:
            self.flow.pause_reading()  # uvicorn has just resumed it, with requests still waiting
        elif self._held:
            self._parse()

    # -- parser callbacks ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        PARENT.on_message_begin(self)
        self.requests += 1
        self._bounds.begin()
        self._own = None

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser tells of trailers by the same callback. They are no headers (RFC 9110, 6.5.1): a proxy that decides
        # by the head who a client is passes them on unseen.
        if self._bounds.in_head:
            PARENT.on_header(self, name, value)

    def on_headers_complete(self) -> None:
        if self._deadline is not None:
            self._disarm()
        self._bounds.head(self.parser.get_http_version(), self.url, self.headers)
        if self._by_proxy:
            self._count_client()
        self._bounds.length()
        before = self.cycle
        PARENT.on_headers_complete(self)
        if self.cycle is not before:  # an upgrade has none
            self._own = self.cycle
            self._own.keep_alive &= not self.server_state.leaving

    def _count_client(self) -> None:
        """The client that a trusted proxy names has the slot, as long as its request is being served."""
        assert self.client is not None
        named = request_origin(self.client[0], self.headers, self.server_state.proxies()).remote_ip
        most = sys.maxsize if named == self.client[0] else self.limits.max_connections_per_address
        if self._slot is not None and not self._slot.move(named, most):
            raise self._bounds.refuse(503, TOO_MANY)

    def on_body(self, body: bytes) -> None:
        self._bounds.body(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bounds.end()
        self._own = None
        if self._deadline is not None:
            self._disarm()
        PARENT.on_message_complete(self)

    # -- refusing --------------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        self._refuse(*(self._bounds.refusal or (400, msg)))

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
            self._close_with(self._own, response(status, text, self._bounds.api))

    def _unanswered_before(self) -> list[RequestResponseCycle]:
        """Cycles of earlier requests without a whole answer, oldest first."""
        known = [self._running, *(cycle for cycle, _ in reversed(self.pipeline))]
        return [cycle for cycle in known if cycle and cycle is not self._own and not cycle.response_complete]

    def _close_with(self, cycle: RequestResponseCycle | None, answer: bytes) -> None:
        """Write `answer` instead of what the application says of `cycle`, if it has not begun; close gently."""
        begun = False
        if cycle is not None and not cycle.response_complete:
            begun = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        if not begun:
            self.transport.write(answer)
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
        if self._bounds.receiving:
            self._refuse(408, "The request did not arrive in time")
        elif not self.transport.is_closing():
            self.transport.close()  # it connected and said nothing: there is nothing to answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._check_unread(-1)

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.get_write_buffer_size():
            super().timeout_keep_alive_handler()
            return
        # The last answer is still being taken: it is not idle yet, and a graceful close might wait for ever.
        again = max(self.timeout_keep_alive, UNTAKEN_AGAIN_S)
        self.timeout_keep_alive_task = self.loop.call_later(again, self.timeout_keep_alive_handler)
        if self._unread_check is None:
            self._check_unread(-1)

    def _check_unread(self, before: int) -> None:
        """Abort if the client takes nothing of its answer for `bodyTimeoutMs`; a slow one has all the time it needs."""
        if self._unread_check is not None:
            self._unread_check.cancel()
            self._unread_check = None
        unread = self.transport.get_write_buffer_size()
        if unread == before:
            self.transport.abort()
        elif unread:
            self._unread_check = self.loop.call_later(self.limits.body_timeout_ms / 1000, self._check_unread, unread)
