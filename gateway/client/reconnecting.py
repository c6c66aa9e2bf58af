"""A connection that comes back: what breaks is made anew, and what was asked is asked again.

So nothing may be asked here that does harm when it is done twice: a message goes with an idempotency key.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from gateway.client.client import CallFailed, ConnectRefused, Disconnected, GatewayClient, GatewayEvent
from gateway.errors import GatewayError

PAUSES_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Between two tries to connect; the last one again and again."""
SOON_S = 1.0
"""A refusal that asks for a pause of no more than this is no answer; a gateway that restarts gives one."""
Back = Literal["back"]
BACK: Back = "back"
"""The connection is another one: what was told meanwhile has been missed."""


class ReconnectingClient:
    def __init__(
        self,
        make: Callable[[], GatewayClient],
        patience_s: float | None = None,
        lost: Callable[[GatewayError], None] = lambda why: None,
        found: Callable[[float], None] = lambda seconds: None,
        pauses: tuple[float, ...] = PAUSES_S,
    ) -> None:
        """`patience_s`: how long a gateway may be away, None for ever.

        `lost` is called when the first try to come back has failed, `found` when one has succeeded after that, with
        the seconds it took.
        """
        self._make = make
        self._patience_s = patience_s
        self._lost = lost
        self._found = found
        self._pauses = pauses
        self._client = make()
        self._connecting = asyncio.Lock()

    @property
    def url(self) -> str:
        return self._client.url

    async def open(self) -> None:
        """Raises what GatewayClient.connect does: a gateway that was never there is not waited for."""
        await self._client.connect()

    async def close(self) -> None:
        await self._client.close()

    async def call(
        self, method: str, params: object = None, timeout_s: float | None = None, *, final: bool = False
    ) -> Any:
        """As GatewayClient.call; raises what ended the patience, and Refused, instead of Disconnected."""
        while True:
            client = self._client
            try:
                return await client.call(method, params, timeout_s, final=final)
            except Disconnected as error:
                await self._again(client, error)
            except CallFailed as failure:
                if not failure.retryable or failure.retry_after_s is None or failure.retry_after_s > SOON_S:
                    raise
                await asyncio.sleep(failure.retry_after_s)

    def events(self) -> AsyncIterator[GatewayEvent | Back]:
        """Events as they come, and BACK for each time that the connection has become another one from here on."""
        return self._events(self._client)

    async def _events(self, told: GatewayClient) -> AsyncIterator[GatewayEvent | Back]:
        while True:
            client = self._client
            if client is not told:
                told = client
                yield BACK
                continue
            try:
                async for event in client.events():
                    yield event
            except Disconnected as error:
                await self._again(client, error)

    async def _again(self, broken: GatewayClient, why: GatewayError) -> None:
        """Return when there is another connection than the broken one, whoever has made it."""
        async with self._connecting:
            if self._client is not broken:
                return
            begun, number = time.monotonic(), 0
            while (client := await self._try()) is None:
                if number == 0:
                    self._lost(why)
                if self._patience_s is not None and time.monotonic() - begun > self._patience_s:
                    raise why
                await asyncio.sleep(self._pauses[min(number, len(self._pauses) - 1)])
                number += 1
            self._client = client
            await broken.close()
            if number:
                self._found(time.monotonic() - begun)

    async def _try(self) -> GatewayClient | None:
        client = self._make()
        try:
            await client.connect()
        except ConnectRefused as refusal:
            if not refusal.retryable:
                raise
        except GatewayError:
            pass  # it is not there, or not yet
        else:
            return client
        return None
