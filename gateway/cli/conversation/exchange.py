"""One message of the user's, until it is answered or the user no longer waits."""

import asyncio
import uuid
from typing import Any

from gateway.client.reconnecting import ReconnectingClient


class Exchange:
    def __init__(self, client: ReconnectingClient, key: str) -> None:
        """`key`: of the session."""
        self.run = str(uuid.uuid4())
        self._client = client
        self._key = key
        self._accepted = False
        self._interrupts = 0
        loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._abandoned: asyncio.Future[None] = loop.create_future()

    async def ask(self, text: str, thinking: str | None) -> str | None:
        """Return when the exchange is over, with a remark if there is no answer to show.

        Raises as `ReconnectingClient.call`.
        """
        params = {"sessionKey": self._key, "message": text, "idempotencyKey": self.run}
        params |= {"thinking": thinking} if thinking else {}
        sending = asyncio.ensure_future(self._client.call("chat.send", params))
        try:
            await asyncio.wait({sending, self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
            if self._abandoned.done():
                return "not sent"
            sent = sending.result()
        finally:
            sending.cancel()
        if "runId" not in sent:  # the message was a command that stops an answer
            return "stopped" if sent.get("aborted") else "nothing is going on"
        self._accepted = True
        await asyncio.wait({self._answered, self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
        return None if self._answered.done() else "not waited for any more"

    def complete(self) -> None:
        """To be called when the answer is complete."""
        if not self._answered.done():
            self._answered.set_result(None)

    def interrupt(self) -> "asyncio.Future[Any] | None":
        """Stop the answer. A second call, or one before the gateway has the message, also ends the wait in `ask`.

        The first call returns the request to the gateway. It may outlive `ask`: the gateway may be away.
        """
        self._interrupts += 1
        if (self._interrupts > 1 or not self._accepted) and not self._abandoned.done():
            self._abandoned.set_result(None)
        if self._interrupts > 1:
            return None
        return asyncio.ensure_future(self._client.call("chat.abort", {"sessionKey": self._key, "runId": self.run}))
