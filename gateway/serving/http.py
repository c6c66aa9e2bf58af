"""An HTTP connection with its ways to leave: an upgrade to a WebSocket, the end after an answer, and the next process.

The next process gets idle connections, and those with an answer to an API's request, see `serving.answering`.
"""

import asyncio
import socket
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.handover.handoff import PendingAnswer
from gateway.serving import scopes
from gateway.serving.answering import Answering
from gateway.serving.bounded_http import PARENT, BoundedHttp
from gateway.serving.quota import QuotaSlot
from gateway.serving.refusal import response


class HttpProtocol(BoundedHttp):
    def __init__(self, *args: Any, adopted: bool = False, pending: PendingAnswer | None = None, **kwargs: Any) -> None:
        """`adopted`: another process has accepted the connection, and answered what had come, except for `pending`."""
        super().__init__(*args, **kwargs)
        self._adopted = adopted
        self._pending = pending
        self._answering: Answering | None = None
        """The answer to the request that is being served, where it is one to an API."""

    # -- coming from another process -------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._adopted:
            super()._begin()
        elif self._pending is None:
            if self._admit():
                self._arm(self.limits.head_timeout_ms)
        else:
            if self.client is not None:
                self._enter_quota(self.client[0], is_free=True)  # in the middle of an answer none can be refused
            self._resume(self._pending)
            self._pending = None

    def _resume(self, pending: PendingAnswer) -> None:
        self._answering = Answering(self._resumed_cycle(pending), pending)
        self.cycle = self._answering.cycle
        self.transport.write(pending.unsent)
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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._answering is None or self._answering.cycle is not cycle:
            self._answering = Answering(cycle) if cycle.scope["path"] in self.server_state.apis else None
        if self._answering is not None:
            cycle.scope["extensions"] = {scopes.ANSWERING: {"answering": self._answering}}
        self._running = cycle
        PARENT._start_asgi_task(self, cycle, app)

    # -- what is waited for ----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """A request has begun to arrive, is being served, or its answer is still being sent."""
        if self._refused or self.transport.is_closing():
            return False
        waiting = self.pipeline or self._held
        return self._bounds.receiving or not self._is_answered or bool(waiting) or self._is_unsent

    @property
    def begun(self) -> bool:
        """Busy with more than a head that is still coming: a client that trickles it in has not asked for anything."""
        return self.busy and not (self._bounds.in_head and self._is_answered and not self._is_unsent)

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def _is_unsent(self) -> bool:
        return self.transport.get_write_buffer_size() > 0

    @property
    def progress(self) -> tuple[int, int]:
        """Changes while bytes move in either direction."""
        return self.received, self.transport.get_write_buffer_size()

    @property
    def waits_for_us(self) -> bool:
        """The request is complete and the client has taken all that there was: the application works."""
        return not self._bounds.receiving and not self._is_unsent

    # -- leaving ---------------------------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Nothing of its client has come yet, and no other process is going to read it."""
        return not (self.received or self._adopted or self._is_carried)

    def leave(self) -> bool:
        """Close if idle, else after the present request. True as long as it is worth waiting for.

        A request that has arrived but is unread is not idleness: closing now would reset it. Where the next process
        goes on with the connection, it will read it.
        """
        if self.busy and not self.portable:
            if self.cycle is not None and not self._is_carried:
                self.cycle.keep_alive = False
            return True
        if self.transport.is_closing():
            return False
        if self._is_carried:
            self.flow.pause_reading()
            # What comes now is not seen here any more, so this is no time to find that nothing came.
            self._unset_keepalive_if_required()
            self._disarm()
            return False
        if _has_unread(self.transport.get_extra_info("socket")):
            return True
        self.transport.close()
        return False

    @property
    def _is_carried(self) -> bool:
        return self.server_state.carry and self.client is not None  # the control socket's clients have no address

    @property
    def portable(self) -> bool:
        """Its answer is not whole, and the next process goes on with it."""
        if self._answering is None or not self._answering.portable or not self._is_carried:
            return False
        more = self._bounds.receiving or self.pipeline or self._held
        return not (more or self._refused or self.transport.is_closing())

    def pass_on(self) -> tuple[int, PendingAnswer | None] | None:
        """The descriptor, and the answer that is not whole; None for a connection that cannot be passed on.

        Nothing may be written after this.
        """
        if not self.portable and (self.busy or self._refused or self._upgraded or self.transport.is_closing()):
            return None
        number: int = self.transport.get_extra_info("socket").fileno()
        return number, self._answering.pending() if self._answering is not None and self.portable else None

    def give_up(self) -> None:
        """Tell a client that still waits for the beginning of its answer to try again."""
        if self.busy and not self.portable:
            self._refused = True
            self._disarm()
            if self._answering is not None and not self.transport.is_closing():
                self.transport.write(self._answering.give_up())
            self._close_with(self._running, response(503, "The gateway is restarting", self._answering is not None))

    # -- becoming a WebSocket --------------------------------------------------------------------------------------

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
        # `connection_lost` is the WebSocket's now, and a circle would wait for the collector.
        self.parser = None  # type: ignore[assignment]

    def take_slot(self) -> QuotaSlot | None:
        """The slot is the caller's from here on: the WebSocket that this connection becomes."""
        slot, self._slot = self._slot, None
        return slot


def _has_unread(sock: socket.socket | None) -> bool:
    """Whether the kernel has bytes of the client that were not read."""
    if sock is None:
        return False
    try:
        # uvloop's pseudo-socket has no recv(): peek through a duplicate of the descriptor.
        with socket.socket(fileno=socket.dup(sock.fileno())) as peeked:
            return bool(peeked.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except (BlockingIOError, ConnectionError):
        return False
