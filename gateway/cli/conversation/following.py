"""A session as it goes on: what happens in it, in pieces, over broken connections and restarts."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from gateway.cli.conversation.lasting import BACK, Lasting
from gateway.cli.conversation.view import Ended, Piece, Row, View, read_row
from gateway.errors import GatewayError

CAUGHT_UP = 200
"""Messages that are read again after a connection was lost."""
NEAR = 10
"""Messages in which somebody else's question is looked for."""


class Following:
    def __init__(self, line: Lasting, view: View) -> None:
        """`view`: of the session, whose canonical key it has."""
        self._line = line
        self.view = view

    async def pieces(self) -> AsyncIterator[Piece]:
        """For ever; raises what `Lasting.call` does."""
        async for event in self._line.events():
            if event == BACK:
                for piece in await self.catch_up():
                    yield piece
                continue
            if (run := self.view.unasked(event.name, event.payload)) is not None:
                for piece in self.view.introduce(run, await self.rows(NEAR)):
                    yield piece
            for piece in self.view.take(event.name, event.payload):
                yield piece

    async def catch_up(self) -> list[Piece]:
        """What has been said and not been heard."""
        rows = await self.rows(CAUGHT_UP)
        ended = {run: end for run in self.view.suspects(rows) if (end := await self._end_of(run)) is not None}
        if ended:
            rows = await self.rows(CAUGHT_UP)  # with what they said last
        return self.view.catch_up(rows, ended)

    async def rows(self, limit: int) -> Sequence[Row]:
        """The newest messages, oldest first."""
        history = await self._line.call("chat.history", {"sessionKey": self.view.key, "limit": limit})
        return [read_row(message) for message in history["messages"]]

    async def _end_of(self, run: str) -> Ended | None:
        """None while it goes on."""
        answer: dict[str, Any] = await self._line.call("agent.wait", {"runId": run, "timeoutMs": 0})
        if answer["status"] == "timeout":
            return None
        return Ended(str(answer.get("error") or "it failed") if answer["status"] == "error" else None)


async def opened(line: Lasting, key: str, limit: int) -> dict[str, Any]:
    """The connection is open; the session's `chat.history`, with its canonical key."""
    await line.open()
    history = await line.call("chat.history", {"sessionKey": key, "limit": limit})
    if not isinstance(history, dict) or "messages" not in history:
        raise GatewayError("the gateway tells nothing of that session")
    return history
