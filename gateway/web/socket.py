"""The WebSocket application: ASGI messages on one side, the Sans-I/O protocol, the dispatcher and the hub on the other.

Each client has one coroutine that reads. Messages to the client go from its outbox straight to the carrier: as ASGI
messages they would need a task for each client. A connection is closed through its outbox: the queue is sent, then the
close frame, the peer has `CLOSE_S` to answer, then the transport is dropped.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.aio.flag import Flag
from gateway.hub.connection import Carrier, Connection
from gateway.logs.rate_limit import RateLimitedLog
from gateway.machine.clock import now_ms
from gateway.protocol.admission.handshake import HandshakeContext, HandshakeRefused, challenge, receive_connect
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.closing import SILENT, TEXT_ONLY, TOO_MANY_VALUES, Close
from gateway.protocol.frames import Request
from gateway.protocol.peer import Peer, describe
from gateway.protocol.session import Ignored, PeerSession, Reply, max_payload
from gateway.protocol.values import SMALL, crowded
from gateway.rpc.connect import attach, greet
from gateway.rpc.core import Core
from gateway.rpc.dispatch import Dispatcher, MethodSource
from gateway.rpc.registry import Call
from gateway.serving import scopes
from gateway.web.admission.terms import origin_and_user, terms

log = logging.getLogger("gateway.ws")

_refusals = RateLimitedLog(log, "refusals")
"""The ASGI extension under which the server offers the client's `Carrier`, as `connection`.

`resumed` is there, as a `Resumed`, for a client whose connection another process has accepted: it is open already.
"""
CLOSE_S = 5.0
"""Seconds from the decision to close until the transport is dropped."""
FAIR = 32
"""Frames that a client may pipeline before other clients get their turn."""
_PEER_LEFT: Final = Close(1000)
_FAILED: Final = Close(1011, "internal error")


@dataclass(frozen=True)
class Resumed:
    """A client whose connection another process has accepted. `take` is called with the connection once it is
    adopted."""

    id: str
    peer: Peer
    since_ms: int
    """When it was greeted; milliseconds since 1970."""
    seq: int
    """The number of its last event."""
    take: Callable[[Connection], None]


def websocket_endpoint(core: Core, registry: MethodSource, lockout: Lockout | None = None) -> ASGIApp:
    """An ASGI application for `websocket` scopes; every path is the same to it."""
    dispatcher = Dispatcher(registry)
    guesses = Lockout(time.monotonic) if lockout is None else lockout
    attach(core)

    def websocket(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return ClientSession(core, dispatcher, guesses, scope, receive, send).run()

    return websocket


class ClientSession:
    """One client from its handshake to its end."""

    __slots__ = (
        *("_core", "_dispatcher", "_lockout", "_scope", "_nonce", "_receive", "_send", "_loop", "_carrier"),
        *("_connection", "_outbox", "_session", "_call", "_slot", "_handshake", "_abort", "_closer", "_resumed"),
        *("_ignored", "_served", "_reading"),
    )

    def __init__(
        self, core: Core, dispatcher: Dispatcher, lockout: Lockout, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._lockout = lockout
        self._scope = scope
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        offered = scope["extensions"][scopes.CONNECTION]
        self._carrier: Carrier = offered.pop("connection")  # which has the scope
        self._resumed: Resumed | None = offered.pop("resumed", None)
        id = self._resumed.id if self._resumed else str(uuid.uuid4())
        self._nonce = "" if self._resumed else str(uuid.uuid4())
        self._connection = Connection(id, _remote(scope), self._carrier)
        self._outbox = self._connection.outbox
        self._outbox.on_close = self._limit_closing
        self._outbox.on_end = self._start_closing
        self._session: PeerSession | None = None
        self._call: Call | None = None
        self._slot = Flag()
        self._handshake: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._closer: asyncio.Task[None] | None = None
        self._ignored = 0
        self._served = 0
        self._reading: asyncio.Task[bytes] | None = None
        """The request whose answer is being built, if the answer may be large."""

    async def run(self) -> None:
        if self._resumed is None:
            if (await self._receive())["type"] != "websocket.connect":
                return
            await self._send({"type": "websocket.accept"})
        with self._core.hub.registered(self._connection):
            try:
                self._open() if self._resumed is None else self._resume(self._resumed)
                await self._read()
            except Exception:
                log.exception("client %s failed", self._connection.id)
                self._outbox.cut(_FAILED)
                self._outbox.flush()
            finally:
                await self._clean_up()

    def _open(self) -> None:
        if self._outbox.closing:
            return  # the process is about to leave
        timeout_s = self._core.config.gateway.http.limits.handshake_timeout_ms / 1000
        self._handshake = self._loop.call_later(timeout_s, self._outbox.finish, SILENT)
        self._outbox.put(challenge(self._nonce, now_ms()))

    def _resume(self, client: Resumed) -> None:
        self._resumed = None
        self._begin(client.peer)
        self._core.hub.adopt(self._connection, client.peer, client.since_ms, client.seq)
        client.take(self._connection)
        self._core.hub.offer_missed(self._connection)

    def _begin(self, peer: Peer) -> None:
        self._carrier.authenticated(max_payload(peer))
        self._session = PeerSession(peer, self._connection.requests)
        self._call = Call(self._core, self._connection, peer)

    async def _read(self) -> None:
        """Read until the transport ends, as it does after our own close too."""
        while (message := await self._receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if self._outbox.closing:
                continue
            if text is None:
                self._outbox.finish(TEXT_ONLY)
            elif self._session is None:
                self._greet(text)
            elif len(text) > SMALL and await _is_crowded(text):
                self._outbox.finish(TOO_MANY_VALUES)
            else:
                await self._serve(text, self._session)

    def _greet(self, text: bytes) -> None:
        outcome = receive_connect(text, self._handshake_context())
        if isinstance(outcome, HandshakeRefused):
            close, why = outcome.close, outcome.why and f" ({outcome.why})"
            _refusals.info("refused %s: %d %r%s", self._connection.remote, close.code, close.reason, why)
            if outcome.text is not None:
                self._outbox.put(outcome.text)
            self._outbox.finish(outcome.close)
            return
        if self._handshake:
            self._handshake.cancel()
        self._begin(outcome.peer)
        greet(self._core, self._dispatcher.registry, self._connection, outcome)
        self._core.keep(self._connection)
        log.debug("client %s connected: %s", self._connection.id, describe(outcome.peer))

    def _handshake_context(self) -> HandshakeContext:
        source, identity = origin_and_user(self._core, self._scope)
        return HandshakeContext(
            terms=terms(self._core),
            source=source,
            devices=self._core.devices,
            lockout=self._lockout,
            identity=identity,
            challenge=self._nonce,
            now_ms=now_ms(),
        )

    async def _serve(self, text: bytes, session: PeerSession) -> None:
        """Serve one message. Returns when the next one may be read: a slot is free, and the client takes its
        answers."""
        outcome = session.receive(text)
        match outcome:
            case Request():
                self._start(outcome)
            case Reply():
                self._outbox.put(outcome.text)
            case Close():
                self._outbox.finish(outcome)
            case Ignored():
                self._ignore(outcome.why)
        # Answers that may be large are built one at a time, each when the one before is taken: otherwise 32 of 6 MiB
        # would be in memory. Meanwhile the client's next frames stay unread, so that another process can read them.
        while (session.full or self._reading is not None) and not self._outbox.closing:
            self._slot.clear()
            await self._slot.wait()
        await self._outbox.room()
        self._served += 1
        if self._served % FAIR == 0:
            await asyncio.sleep(0)

    def _start(self, request: Request) -> None:
        assert self._call is not None
        answer = self._dispatcher.answer(self._call, request)
        if isinstance(answer, bytes):
            self._connection.answered = True
            self._outbox.put(answer)
            return
        self._core.hub.begin_request()
        task = self._loop.create_task(answer())
        if answer.reads:
            self._reading = task
        self._connection.requests[request.id] = task
        task.add_done_callback(partial(self._answered, request.id))

    def _answered(self, id: str, task: asyncio.Task[bytes]) -> None:
        given_up = self._connection.requests.get(id) is not task
        if not given_up:
            del self._connection.requests[id]
        if self._reading is task:
            self._reading = None
        self._slot.set()
        if not given_up and not task.cancelled():
            self._connection.answered = True
            self._outbox.put(task.result())
            if not self._outbox.has_room:
                self._core.hub.bound_unread()
        self._core.hub.end_request()

    def _ignore(self, why: str) -> None:
        """Log the first ignored frame of a client, and no other."""
        self._ignored += 1
        if self._ignored == 1:
            log.info("client %s: frame ignored: %s; further ones are not logged", self._connection.id, why)

    def _start_closing(self, close: Close) -> None:
        self._closer = self._loop.create_task(self._close(close))

    async def _close(self, close: Close) -> None:
        try:
            await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        except (OSError, RuntimeError):
            # ASGI raises OSError for a client that has gone; uvicorn raises RuntimeError after a ping timed out.
            self._carrier.abort()

    def _limit_closing(self) -> None:
        self._abort = self._loop.call_later(CLOSE_S, self._carrier.abort)
        self._slot.set()

    async def _clean_up(self) -> None:
        """The client has gone, or has our close frame: end its requests, and wait for the transport's end."""
        if self._handshake:
            self._handshake.cancel()
        self._outbox.on_end = None
        self._outbox.cut(_PEER_LEFT)
        requests = list(self._connection.requests.values())
        for task in requests:
            task.cancel()
        await asyncio.gather(*requests, *([self._closer] if self._closer else []), return_exceptions=True)
        await self._carrier.wait_closed()
        if self._abort:
            self._abort.cancel()
        self._outbox.on_close = None


async def _is_crowded(text: bytes) -> bool:
    """Whether a message has too many values. Other clients get their turn while a large one is looked at."""
    for found in crowded(text):
        if found:
            return True
        await asyncio.sleep(0)
    return False


def _remote(scope: Scope) -> str:
    client: Any = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "unknown"
