"""A client for this gateway, and for OpenClaw's: connect, call methods, iterate over events.

    async with GatewayClient("ws://127.0.0.1:18789", token="…") as gateway:
        print(await gateway.call("health"))
        async for event in gateway.events():
            print(event.name, event.payload)

A gateway on another machine gives rights only to devices that it has paired. Pass an `identity`: the first attempt
raises ConnectRefused with the id of a pairing request. When that is approved there, the next attempt succeeds. Later
ones do not need the secret.

Secrets and device proofs are sent over TLS, or to a socket of this user or root on this machine; see `lifecycle/peer`.
docs/client.md has examples.

GatewayError
├── NotRunning          nothing listens there
├── TimedOut            no answer in the time given
├── Untrusted           no secret was sent: no TLS to another machine, or another user's socket
├── ConnectRefused      the gateway refused `connect`; carries the wire's error
├── CallFailed          the gateway answered a method with an error; carries the wire's error
└── Disconnected        the connection ended; carries the close code
"""

import asyncio
import json
import platform
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gateway import __version__
from gateway.client.errors import CallFailed, ConnectRefused, Disconnected
from gateway.client.handshake import ClientHandshake
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.lifecycle import peer
from gateway.machine.clock import now_ms

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from gateway.client.identity import Identity

TIMEOUT_S = 10.0
"""Seconds for connecting and for each call, by default."""
MAX_EVENTS = 1000
"""Events kept for `events()`. A caller that iterates too slowly loses the oldest, which shows in `seq`."""
MAX_FRAME = 64 * 1024 * 1024
"""Bytes of the largest frame that is read."""
CLOSE_S = 1.0
"""Seconds for the gateway to answer the close frame."""
CHALLENGE = "connect.challenge"
PRELIMINARY = ("accepted", "in_flight")
"""Values of `status` in an answer that another one follows."""


@dataclass(frozen=True)
class GatewayEvent:
    """docs/methods.md lists the names."""

    name: str
    payload: Any
    seq: int | None


class GatewayClient:
    """One connection, which is not renewed when it ends. Use it with `async with`, or `connect` and `close` it."""

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
        """`timeout_s` bounds connecting, and each call that has no timeout of its own.

        `identity` is used for a gateway on another machine, and for one that asks for a device. The first of the
        `protocols` that the gateway speaks is used. With `tool-events` in `caps`, `agent` events report tools.
        `plaintext` allows secrets without TLS in a private network, and to another user's gateway on this machine.
        """
        self.url = url
        self.hello: dict[str, Any] = {}
        """The payload of hello-ok: version, methods, snapshot, limits. {} before `connect`."""
        client = {"id": client_id, "mode": mode, "version": __version__, "platform": platform.system().lower()}
        shared = {key: value for key, value in (("token", token), ("password", password)) if value}
        self._handshake = ClientHandshake(url, client, scopes, shared, identity, protocols, caps)
        self._timeout_s = timeout_s
        self._plaintext = plaintext
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._finals: set[str] = set()
        """Ids of requests that wait for the second answer, which comes when their run has ended."""
        self._events: deque[GatewayEvent] = deque(maxlen=MAX_EVENTS)
        self._event_arrived = asyncio.Event()
        self._disconnected: Disconnected | None = None
        self._last_id = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Raises NotRunning, TimedOut, Untrusted, ConnectRefused, Disconnected; GatewayError if no gateway answers."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while (hello := await self._connect()) is None:
                    await self.close()
                self.hello = hello
        except TimeoutError:
            await self.close()
            raise TimedOut(f"no answer from {self.url} within {self._timeout_s:g} s") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection. It may be called at any time, and more than once."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader

    async def call(
        self, method: str, params: object = None, timeout_s: float | None = None, *, final: bool = False
    ) -> Any:
        """The payload of the answer. Raises CallFailed, TimedOut or Disconnected.

        `agent` answers twice: when its run is accepted, and when it has ended. With `final`, the second is returned.
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
        """Events as they come, those before the first call included. Raises Disconnected at the end."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._disconnected is not None:
                raise self._disconnected
            self._event_arrived.clear()
            await self._event_arrived.wait()

    async def _open(self) -> "ClientConnection":
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidURI

        class Direct(connect):
            """Redirects are not followed: the one who redirects could choose who gets the secret."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        peer.refuse_user_info(self.url)
        try:
            # A proxy in the environment is meant for other hosts than the gateway's.
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

    async def _connect(self) -> dict[str, Any] | None:
        """The payload of hello-ok; None: try again with the next params."""
        self._disconnected, is_signed = None, self._handshake.key is not None
        if is_signed:
            self._answers[CHALLENGE] = asyncio.get_running_loop().create_future()
        self._socket = await self._open()
        self._reader = asyncio.create_task(self._read(self._socket))
        challenge = await self._answers[CHALLENGE] if is_signed else {}
        params = self._handshake.params(challenge, now_ms())
        if "auth" in params or "device" in params:
            self._refuse_untrusted(self._socket)
        answer = await self._request("connect", params)
        if answer.get("ok"):
            hello: dict[str, Any] = answer.get("payload") or {}
            self._handshake.accepted(hello)
            return hello
        refusal = ConnectRefused(answer.get("error") or {})
        if not self._handshake.refused(refusal.message, refusal.details):
            raise refusal
        return None

    def _refuse_untrusted(self, socket: "ClientConnection") -> None:
        if socket.transport.get_extra_info("ssl_object") is None:
            peer.refuse_untrusted(self.url, socket.local_address[:2], socket.remote_address[:2], self._plaintext)

    async def _request(self, method: str, params: object, final: bool = False) -> dict[str, Any]:
        if self._socket is None:
            raise GatewayError("not connected: call connect() first")
        if self._disconnected is not None:
            raise self._disconnected
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
            return await answer  # `_read` sets the exception
        finally:
            self._answers.pop(id, None)
            self._finals.discard(id)

    async def _read(self, socket: "ClientConnection") -> None:
        try:
            async for text in socket:
                self._receive(text)
                if len(self._events) > MAX_EVENTS // 2:
                    await asyncio.sleep(0)  # frames that have arrived come without a pause: let `events()` run
        except Exception:
            # ConnectionClosedError, or a frame that no gateway sends.
            await socket.close(1002)
        self._disconnected = Disconnected(
            socket.close_code if socket.close_code != 1006 else None, socket.close_reason or ""
        )
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._disconnected)
        self._event_arrived.set()

    def _receive(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "event" and frame["event"] != CHALLENGE:
            self._events.append(GatewayEvent(frame["event"], frame.get("payload"), frame.get("seq")))
            self._event_arrived.set()
        elif frame["type"] == "event":
            nonce, at = frame["payload"]["nonce"], frame["payload"].get("ts")
            self._resolve(CHALLENGE, {"nonce": "" + nonce, "ts": at})
        elif frame["type"] == "res" and not (frame["id"] in self._finals and _is_preliminary(frame)):
            self._resolve(frame["id"], frame)

    def _resolve(self, id: str, what: dict[str, Any]) -> None:
        answer = self._answers.get(id)
        if answer is not None and not answer.done():
            answer.set_result(what)


def _is_preliminary(frame: dict[str, Any]) -> bool:
    payload = frame.get("payload")
    return bool(frame.get("ok")) and isinstance(payload, dict) and payload.get("status") in PRELIMINARY
