"""A client that connects again when its connection breaks, and repeats the requests that had no answer.

So a request must do no harm when it is carried out twice: a message needs an idempotency key.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from gateway.client.client import GatewayClient, GatewayEvent
from gateway.client.errors import CallFailed, ConnectRefused, Disconnected
from gateway.errors import GatewayError

PAUSES_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Seconds between two tries to connect; the last one repeats."""
SOON_S = 1.0
"""Seconds: a failed call is repeated if the gateway, which may be restarting, asks for no longer pause than that."""
Reconnected = Literal["reconnected"]
RECONNECTED: Reconnected = "reconnected"
"""The events that follow come from a new connection; those in between were missed."""


class ReconnectingClient:
    def __init__(
        self,
        make_client: Callable[[], GatewayClient],
        give_up_after_s: float | None = None,
        on_lost: Callable[[GatewayError], None] = lambda why: None,
        on_reconnected: Callable[[float], None] = lambda seconds: None,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        """`give_up_after_s`: seconds that a gateway may be away; None: for ever.

        `on_lost` is called when the first try to reconnect has failed, and `on_reconnected` when a later one succeeds,
        with the seconds it took.
        """
        self._make_client = make_client
        self._give_up_after_s = give_up_after_s
        self._on_lost = on_lost
        self._on_reconnected = on_reconnected
        self._pauses_s = pauses_s
        self._client = make_client()
        self._reconnecting = asyncio.Lock()

    @property
    def url(self) -> str:
        return self._client.url

    async def connect(self) -> None:
        """Raises as `GatewayClient.connect`; the first connection is tried once."""
        await self._client.connect()

    async def close(self) -> None:
        await self._client.close()

    async def call(
        self, method: str, params: object = None, timeout_s: float | None = None, *, final: bool = False
    ) -> Any:
        """As `GatewayClient.call`, over any number of connections.

        Raises CallFailed and TimedOut, ConnectRefused from a try to reconnect, and Disconnected after
        `give_up_after_s`.
        """
        while True:
            client = self._client
            try:
                return await client.call(method, params, timeout_s, final=final)
            except Disconnected as error:
                await self._reconnect(client, error)
            except CallFailed as failure:
                if not failure.retryable or failure.retry_after_s is None or failure.retry_after_s > SOON_S:
                    raise
                await asyncio.sleep(failure.retry_after_s)

    def events(self) -> AsyncIterator[GatewayEvent | Reconnected]:
        """Events as they come, and RECONNECTED where a new connection begins. Raises as `call`."""
        return self._events(self._client)

    async def _events(self, known: GatewayClient) -> AsyncIterator[GatewayEvent | Reconnected]:
        while True:
            client = self._client
            if client is not known:
                known = client
                yield RECONNECTED
                continue
            try:
                async for event in client.events():
                    yield event
            except Disconnected as error:
                await self._reconnect(client, error)

    async def _reconnect(self, broken: GatewayClient, why: GatewayError) -> None:
        """Return when `broken` has been replaced, by this call or by another one."""
        async with self._reconnecting:
            if self._client is not broken:
                return
            begun, number = time.monotonic(), 0
            while (client := await self._try_connect()) is None:
                if number == 0:
                    self._on_lost(why)
                if self._give_up_after_s is not None and time.monotonic() - begun > self._give_up_after_s:
                    raise why
                await asyncio.sleep(self._pauses_s[min(number, len(self._pauses_s) - 1)])
                number += 1
            self._client = client
            await broken.close()
            if number:
                self._on_reconnected(time.monotonic() - begun)

    async def _try_connect(self) -> GatewayClient | None:
        client = self._make_client()
        try:
            await client.connect()
        except ConnectRefused as refusal:
            if not refusal.retryable:
                raise
        except GatewayError:
            pass  # the gateway is not there, or not yet
        else:
            return client
        return None
