"""A session as it goes on: what happens in it, in pieces, over broken connections and restarts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from gateway.cli.conversation.events import FinishedRun, PastMessage, Piece, read_row
from gateway.cli.conversation.view import View
from gateway.client.client import CallFailed
from gateway.client.reconnecting import BACK, ReconnectingClient
from gateway.errors import TimedOut

CAUGHT_UP = 200
"""Messages that are read again after a connection was lost."""
NEAR = 10
"""Messages in which somebody else's question is looked for."""
AGAIN_S = 1.0
"""After a gateway that is back could not read its transcripts."""


class SessionFeed:
    def __init__(self, line: ReconnectingClient, view: View) -> None:
        """`line` is open. `view`: of the session, whose canonical key it has."""
        self._line = line
        self._events = line.events()
        self.view = view

    async def pieces(self) -> AsyncIterator[Piece]:
        """For ever; raises what `ReconnectingClient.call` does."""
        async for event in self._events:
            if event == BACK:
                for piece in await self._missed():
                    yield piece
                continue
            if (run := self.view.unasked(event.name, event.payload)) is not None:
                for piece in self.view.introduce(run, await self._near()):
                    yield piece
            for piece in self.view.take(event.name, event.payload):
                yield piece

    async def _missed(self) -> list[Piece]:
        while True:
            try:
                return (await self.catch_up())[1]
            except (CallFailed, TimedOut) as error:
                if isinstance(error, CallFailed) and not error.retryable:
                    raise
                await asyncio.sleep(AGAIN_S)

    async def _near(self) -> Sequence[PastMessage]:
        try:
            return await self.rows(NEAR)
        except (CallFailed, TimedOut):
            return []  # the answer is there all the same

    async def catch_up(self, limit: int = CAUGHT_UP) -> tuple[Sequence[PastMessage], list[Piece]]:
        """The newest messages, and what of them has been said and not been heard."""
        rows = await self.rows(limit)
        ended = {run: end for run in self.view.suspects(rows) if (end := await self._end_of(run)) is not None}
        if ended:
            rows = await self.rows(limit)  # with what they said last
        return rows, self.view.catch_up(rows, ended)

    async def rows(self, limit: int) -> Sequence[PastMessage]:
        """The newest messages, oldest first."""
        history = await self._line.call("chat.history", {"sessionKey": self.view.key, "limit": limit})
        return [read_row(message) for message in history["messages"]]

    async def _end_of(self, run: str) -> FinishedRun | None:
        """None while it goes on."""
        answer: dict[str, Any] = await self._line.call("agent.wait", {"runId": run, "timeoutMs": 0})
        if answer["status"] == "timeout":
            return None
        return FinishedRun(str(answer.get("error") or "it failed") if answer["status"] == "error" else None)
