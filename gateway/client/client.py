"""A client for this gateway, and for OpenClaw's: connect, call methods, iterate over events.

    async with GatewayClient("ws://127.0.0.1:18789", token="…") as gateway:
        print(await gateway.call("health"))
        async for event in gateway.events():
            print(event.name, event.payload)

A gateway on another machine gives rights only to devices that it has paired. Hand in an `identity`: the first attempt
is Refused with the id of a request, and when that is approved there, the next one gets in, later without the secret.

Secrets and device proofs go over TLS, or to a socket on this machine that is the user's own or root's; see `peer`.

GatewayError
├── NotRunning          nothing listens there
├── TimedOut            no answer in the time given
├── Untrusted           nothing was sent: in clear to another machine, or to another user's socket
├── Refused             it did not let us in; carries the wire's code
├── CallFailed          a method answered with an error; carries the wire's code
└── Disconnected        the connection ended; carries the close code
"""

import asyncio
import json
import platform
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gateway import __version__
from gateway.client.handshake import ClientHandshake, remedy
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.lifecycle import peer

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from gateway.client.identity import Identity

TIMEOUT_S = 10.0
MAX_EVENTS = 1000
"""Events kept for `events()`; who does not iterate, or waits between two of them, loses the oldest: `seq` shows it."""
MAX_FRAME = 64 * 1024 * 1024
CLOSE_S = 1.0
"""For the other side to answer the close frame."""
CHALLENGE = "connect.challenge"
PRELIMINARY = ("accepted", "in_flight")
"""The `status` of an answer that another one follows."""


class WireFailure(GatewayError):
    """An error object from the wire."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.code = str(error.get("code", "UNKNOWN"))
        self.message = str(error.get("message", ""))
        self.details = error.get("details")
        self.retryable = bool(error.get("retryable", False))
        after = error.get("retryAfterMs")
        self.retry_after_s = after / 1000 if isinstance(after, int) else None
        super().__init__(f"{self.message} ({self.code})")


class ConnectRefused(WireFailure):
    """Its text ends with what a person can do about it."""

    def __str__(self) -> str:
        way_out = remedy(self.code, self.message, self.details)
        return super().__str__() + (f"; {way_out}" if way_out else "")


class CallFailed(WireFailure):
    pass


class Disconnected(GatewayError):
    """`code` is None when the connection broke without a close frame."""

    def __init__(self, code: int | None, reason: str) -> None:
        self.code = code
        self.reason = reason
        how = f"closed the connection: {code} {reason}".rstrip() if code else "broke the connection off"
        super().__init__(f"the gateway {how}")


@dataclass(frozen=True)
class GatewayEvent:
    name: str
    payload: Any
    seq: int | None


class GatewayClient:
    """Use it as an async context manager, or `connect` and `close` it. One connection; it does not reconnect."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        password: str | None = None,
        identity: "Identity | None" = None,
        protocols: Sequence[int] = (4, 3),
        scopes: Sequence[str] = ("operator.admin",),
        caps: Sequence[str] = (),
        client_id: str = "gateway-client",
        mode: str = "backend",
        timeout_s: float = TIMEOUT_S,
        plaintext: bool = False,
    ) -> None:
        """`timeout_s` bounds connecting and, unless a call says otherwise, each call.

        `identity` is shown to a gateway on another machine, and to one that asks for it. Of the `protocols`, the first
        that the gateway speaks is used. With `tool-events` among the `caps`, `agent` events tell of tools. `plaintext`
        lets secrets go in clear through a private network, and to another user's gateway on this machine.
        """
        self.url = url
        self.hello: dict[str, Any] = {}
        """The hello-ok payload: version, methods, snapshot, limits."""
        client = {"id": client_id, "mode": mode, "version": __version__, "platform": platform.system().lower()}
        shared = {key: value for key, value in (("token", token), ("password", password)) if value}
        self._approach = ClientHandshake(url, client, scopes, shared, identity, protocols, caps)
        self._timeout_s = timeout_s
        self._plaintext = plaintext
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._finals: set[str] = set()
        """Requests whose answer is the one that comes when their run is over."""
        self._events: deque[GatewayEvent] = deque(maxlen=MAX_EVENTS)
        self._news = asyncio.Event()
        self._end: Disconnected | None = None
        self._last_id = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Raise NotRunning, TimedOut, Refused, Disconnected, or GatewayError if no gateway is what answers."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while (hello := await self._shake_hands()) is None:
                    await self.close()
                self.hello = hello
        except TimeoutError:
            await self.close()
            raise TimedOut(f"no answer from {self.url} within {self._timeout_s:g} s") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader

    async def call(
        self, method: str, params: object = None, timeout_s: float | None = None, *, final: bool = False
    ) -> Any:
        """The payload of the answer. Raise CallFailed, TimedOut or Disconnected.

        `agent` answers twice: that its run is accepted, and what came of it. With `final` the second is meant.
        """
        limit = self._timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit):
                answer = await self._request(method, {} if params is None else params, final)
        except TimeoutError:
            raise TimedOut(f"{method}: no answer within {limit:g} s") from None
        if not answer.get("ok"):
            raise CallFailed(answer.get("error") or {})
        return answer.get("payload")

    async def events(self) -> AsyncIterator[GatewayEvent]:
        """Events as they come, those before the first call included; raise Disconnected at the end, also our own."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._end is not None:
                raise self._end
            self._news.clear()
            await self._news.wait()

    async def _open(self) -> "ClientConnection":
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidURI

        class Direct(connect):
            """Whoever may not have the secret may not say who gets it either."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        peer.refuse_user_info(self.url)
        try:
            # A proxy in the environment is for the world outside, not for a gateway on this machine.
            return await Direct(
                self.url, compression=None, max_size=MAX_FRAME, open_timeout=None, close_timeout=CLOSE_S, proxy=None
            )
        except InvalidURI:
            raise GatewayError(f"{self.url} is not a WebSocket address; one looks like ws://127.0.0.1:18789") from None
        except TimeoutError:
            raise
        except OSError as error:
            raise NotRunning(f"no gateway answers at {self.url}: {error.strerror or error}") from None
        except (InvalidHandshake, EOFError) as error:
            raise GatewayError(f"what answers at {self.url} is no gateway: {error}") from None

    async def _shake_hands(self) -> dict[str, Any] | None:
        """The payload of hello-ok; None: to be tried again otherwise."""
        self._end, signs = None, self._approach.key is not None
        if signs:
            self._answers[CHALLENGE] = asyncio.get_running_loop().create_future()
        self._socket = await self._open()
        self._reader = asyncio.create_task(self._read(self._socket))
        challenge = await self._answers[CHALLENGE] if signs else {}
        params = self._approach.params(challenge, int(time.time() * 1000))
        if "auth" in params or "device" in params:
            self._refuse_untrusted(self._socket)
        answer = await self._request("connect", params)
        if answer.get("ok"):
            hello: dict[str, Any] = answer.get("payload") or {}
            self._approach.accepted(hello)
            return hello
        refusal = ConnectRefused(answer.get("error") or {})
        if not self._approach.refused(refusal.message, refusal.details):
            raise refusal
        return None

    def _refuse_untrusted(self, socket: "ClientConnection") -> None:
        if socket.transport.get_extra_info("ssl_object") is None:
            peer.refuse_untrusted(self.url, socket.local_address[:2], socket.remote_address[:2], self._plaintext)

    async def _request(self, method: str, params: object, final: bool = False) -> dict[str, Any]:
        if self._socket is None:
            raise GatewayError("not connected: call connect() first")
        if self._end is not None:
            raise self._end
        from websockets.exceptions import ConnectionClosed

        self._last_id += 1
        id = str(self._last_id)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        if final:
            self._finals.add(id)
        try:
            await self._socket.send(json.dumps({"type": "req", "id": id, "method": method, "params": params}))
            return await answer
        except ConnectionClosed:
            return await answer  # the reader says how it ended
        finally:
            self._answers.pop(id, None)
            self._finals.discard(id)

    async def _read(self, socket: "ClientConnection") -> None:
        try:
            async for text in socket:
                self._take(text)
                if len(self._events) > MAX_EVENTS // 2:
                    await asyncio.sleep(0)  # what has come already comes without a pause: let whoever iterates take it
        except Exception:
            # ConnectionClosedError, or a frame that no gateway sends: either way the connection is over.
            await socket.close(1002)
        self._end = Disconnected(socket.close_code if socket.close_code != 1006 else None, socket.close_reason or "")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._end)
        self._news.set()

    def _take(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "event" and frame["event"] != CHALLENGE:
            self._events.append(GatewayEvent(frame["event"], frame.get("payload"), frame.get("seq")))
            self._news.set()
        elif frame["type"] == "event":
            nonce, at = frame["payload"]["nonce"], frame["payload"].get("ts")
            self._answer(CHALLENGE, {"nonce": "" + nonce, "ts": at})
        elif frame["type"] == "res" and not (frame["id"] in self._finals and _is_preliminary(frame)):
            self._answer(frame["id"], frame)

    def _answer(self, id: str, what: dict[str, Any]) -> None:
        answer = self._answers.get(id)
        if answer is not None and not answer.done():
            answer.set_result(what)


def _is_preliminary(frame: dict[str, Any]) -> bool:
    payload = frame.get("payload")
    return bool(frame.get("ok")) and isinstance(payload, dict) and payload.get("status") in PRELIMINARY
