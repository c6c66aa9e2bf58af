"""One message of the user's, until it is answered or he does not want to wait any more."""

import asyncio
import uuid
from typing import Any

from gateway.client.reconnecting import ReconnectingClient


class Exchange:
    def __init__(self, line: ReconnectingClient, key: str) -> None:
        self.run = str(uuid.uuid4())
        self._line = line
        self._key = key
        self._accepted = False
        self._interrupts = 0
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        self._left: asyncio.Future[None] = loop.create_future()

    async def hold(self, text: str, thinking: str | None) -> str | None:
        """Return when it is over, with a remark if there is no answer to be seen.

        Raises as `ReconnectingClient.call`.
        """
        params = {"sessionKey": self._key, "message": text, "idempotencyKey": self.run}
        params |= {"thinking": thinking} if thinking else {}
        sending = asyncio.ensure_future(self._line.call("chat.send", params))
        try:
            await asyncio.wait({sending, self._left}, return_when=asyncio.FIRST_COMPLETED)
            if self._left.done():
                return "not sent"
            sent = sending.result()
        finally:
            sending.cancel()
        if "runId" not in sent:  # it was a command that stops an answer
            return "stopped" if sent.get("aborted") else "nothing is going on"
        self._accepted = True
        await asyncio.wait({self._over, self._left}, return_when=asyncio.FIRST_COMPLETED)
        return None if self._over.done() else "not waited for any more"

    def end(self) -> None:
        """The answer is complete."""
        if not self._over.done():
            self._over.set_result(None)

    def interrupt(self) -> "asyncio.Future[Any] | None":
        """End the answer. Once more, or as long as the gateway does not have the question: do not wait for it.

        The first time, what tells the gateway: it goes on when nobody waits, because the gateway may be away.
        """
        self._interrupts += 1
        if (self._interrupts > 1 or not self._accepted) and not self._left.done():
            self._left.set_result(None)
        if self._interrupts > 1:
            return None
        return asyncio.ensure_future(self._line.call("chat.abort", {"sessionKey": self._key, "runId": self.run}))
