"""The chat events of one session without gaps, over broken connections and restarts of the gateway."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from gateway.cli.conversation.events import ChatEvent, FinishedRun, PastMessage, read_row
from gateway.cli.conversation.view import View
from gateway.client.errors import CallFailed
from gateway.client.reconnecting import RECONNECTED, ReconnectingClient
from gateway.errors import TimedOut

CATCH_UP_ROWS = 200
"""Messages that are read again after the connection was lost."""
QUESTION_ROWS = 10
"""Messages among which the question of another client is looked for."""
RETRY_S = 1.0
"""Seconds before another try, when a gateway that is back could not read its transcripts."""


class SessionFeed:
    def __init__(self, client: ReconnectingClient, view: View) -> None:
        """`client` is connected; `view` has the session's canonical key."""
        self._client = client
        self._gateway_events = client.events()
        self.view = view

    async def events(self) -> AsyncIterator[ChatEvent]:
        """The events, without an end. Raises as `ReconnectingClient.call`."""
        async for event in self._gateway_events:
            if event == RECONNECTED:
                for missed in await self._missed():
                    yield missed
                continue
            if (run := self.view.lacks_question(event.name, event.payload)) is not None:
                for question in self.view.add_question(run, await self._rows_with_question()):
                    yield question
            for news in self.view.apply(event.name, event.payload):
                yield news

    async def _missed(self) -> list[ChatEvent]:
        while True:
            try:
                return (await self.catch_up())[1]
            except (CallFailed, TimedOut) as error:
                if isinstance(error, CallFailed) and not error.retryable:
                    raise
                await asyncio.sleep(RETRY_S)

    async def _rows_with_question(self) -> Sequence[PastMessage]:
        try:
            return await self.rows(QUESTION_ROWS)
        except (CallFailed, TimedOut):
            return []  # the answer can be shown without its question

    async def catch_up(self, limit: int = CATCH_UP_ROWS) -> tuple[Sequence[PastMessage], list[ChatEvent]]:
        """The newest `limit` messages, and the events of them that were missed. Raises as `ReconnectingClient.call`."""
        rows = await self.rows(limit)
        ended = {run: end for run in self.view.uncertain_runs(rows) if (end := await self._end_of(run)) is not None}
        if ended:
            rows = await self.rows(limit)  # the first ones may lack the last messages of those runs
        return rows, self.view.catch_up(rows, ended)

    async def rows(self, limit: int) -> Sequence[PastMessage]:
        """The newest messages, oldest first. Raises as `ReconnectingClient.call`."""
        history = await self._client.call("chat.history", {"sessionKey": self.view.key, "limit": limit})
        return [read_row(message) for message in history["messages"]]

    async def _end_of(self, run: str) -> FinishedRun | None:
        """None while the run goes on."""
        answer: dict[str, Any] = await self._client.call("agent.wait", {"runId": run, "timeoutMs": 0})
        if answer["status"] == "timeout":
            return None
        return FinishedRun(str(answer.get("error") or "it failed") if answer["status"] == "error" else None)
