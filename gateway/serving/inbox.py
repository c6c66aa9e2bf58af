"""Messages that a WebSocket client has sent and the application has not received yet."""

from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.frames import Opcode

from gateway.aio.flag import Flag
from gateway.serving import frames


class Inbox:
    """The part of `asyncio.Queue` that uvicorn uses; the queue itself takes 2 KB when it is empty."""

    __slots__ = ("_filled", "_frozen", "_messages", "_on_wait", "waiting")

    def __init__(self, on_wait: Callable[[], None]) -> None:
        """`on_wait` is called when the application begins to wait."""
        self.waiting = False
        """The application has received everything and waits for more."""
        self._frozen = False
        self._messages: deque[Any] | None = None
        self._filled = Flag()
        self._on_wait = on_wait

    def put_nowait(self, message: Any) -> None:
        self.waiting = False  # now, and not when the application gets its turn
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        self._filled.set()

    async def get(self) -> Any:
        while (message := self._next()) is None:
            self._filled.clear()
            self.waiting = self._messages is None
            self._on_wait()
            try:
                await self._filled.wait()
            finally:
                self.waiting = False
        return message

    def _next(self) -> Any:
        if self._messages is None:
            return None
        if self._frozen:
            last = self._messages[-1]
            return last if last["type"] == "websocket.disconnect" else None
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
        return message

    def empty(self) -> bool:
        return self._messages is None

    def freeze(self) -> None:
        """Give out no message but the disconnect; the others are for the next process."""
        self._frozen = True

    def detach(self) -> None:
        """Call `on_wait` no more, and hold it no more."""
        self._on_wait = _nothing

    def unread(self) -> list[bytes]:
        """The messages that the application has not received, as the client's frames."""
        received = [message for message in self._messages or () if message["type"] == "websocket.receive"]
        return [
            frames.masked(message["text"]) if "text" in message else frames.masked(message["bytes"], Opcode.BINARY)
            for message in received
        ]


def _nothing() -> None: ...
