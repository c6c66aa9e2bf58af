"""Who asks in the soak, over one connection at a time, and hears every answer to its end."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.client.client import GatewayClient, GatewayEvent
from gateway.client.errors import CallFailed
from gateway.errors import GatewayError
from tests.soak.book import Ear, Ears, Question
from tests.soak.questions import FORGETTING, Questions

PATIENCE_S = 120.0
"""From a question to its end, those before it in its session included."""
CALL_S = 30.0
AGAIN_S = 0.1
PAUSE_S = 2.0
"""The longest before the next question."""


@dataclass
class CrowdNotes:
    """What everybody in it shares."""

    url: str
    """http://…"""
    token: str
    asked: dict[str, Question] = field(default_factory=dict)
    """By the ids of runs."""
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    silence: float = 0.0
    """The longest between two pieces of an answer with which nothing was wrong."""
    rest: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def resting(self) -> bool:
        return self.rest.is_set()

    def ask(self, question: Question) -> None:
        self.asked[question.id] = question
        self.counts[f"asked: {question.kind}"] += 1

    def blame(self, question: Question, problem: str | None) -> None:
        if problem is not None:
            who = f"{question.kind} {question.id} in {question.session or 'no session'}"
            tries = f" at the try {question.tries}" if question.tries else ""
            self.problems.append(f"{time.strftime('%X')} {who} {problem}{tries}")

    def client(self, protocol: int = 4) -> GatewayClient:
        address = self.url.replace("http", "ws", 1)
        return GatewayClient(address, token=self.token, protocols=(protocol,), timeout_s=CALL_S)


class Talker:
    def __init__(self, crowd: CrowdNotes, questions: Questions, chance: random.Random) -> None:
        self._crowd = crowd
        self._questions = questions
        self._chance = chance
        self._mine: dict[str, Question] = {}
        self._open: dict[str, Question] = {}
        """Those that have no end yet."""
        self._ended = asyncio.Event()
        self._client: GatewayClient | None = None
        self._there = asyncio.Event()
        """There is a connection."""
        self._connections = 0
        self._since: dict[str, int] = {}
        """On which connection a question was asked first."""
        self._ears = Ears()
        """The events of this connection."""
        self._heard: dict[str, float] = {}
        """When the last piece of an answer came."""

    async def shift(self) -> None:
        """Until the crowd rests, and all that was asked has ended."""
        listening = asyncio.create_task(self._stay_connected())
        try:
            while not self._crowd.resting:
                await self._ask(self._questions.some())
                await asyncio.sleep(self._chance.uniform(0, PAUSE_S))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _ask(self, questions: Iterable[Question]) -> None:
        """All at once, and wait for their ends."""
        aborts = []
        for question in questions:
            await self._send(question)
            if question.abort_s is not None:
                aborts.append(asyncio.create_task(self._abort(question)))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._open:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            for question in list(self._open.values()):
                self._crowd.blame(question, f"has no end after {PATIENCE_S:g} s")
                self._finish(question)
        await asyncio.gather(*aborts)

    async def _send(self, question: Question) -> None:
        if question.prompt in FORGETTING:
            for other in self._mine.values():
                if other.session == question.session:
                    other.lost = other.lost or question.kind
                    other.may_end("aborted")
        self._mine[question.id] = self._open[question.id] = question
        self._crowd.ask(question)
        params = {"sessionKey": question.session, "message": question.prompt, "idempotencyKey": question.id}
        if question.model is None:
            status = (await self._call("chat.send", params))["status"]
        else:
            status = (await self._call("agent", {**params, "model": question.model}))["status"]
        if status in ("ok", "error"):
            self._finish(question)

    async def _abort(self, question: Question) -> None:
        assert question.abort_s is not None
        await asyncio.sleep(question.abort_s)
        await self._call("chat.abort", {"sessionKey": question.session, "runId": question.id})

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        """Again on the next connection when this one ends: a repetition changes nothing."""
        while True:
            await self._there.wait()
            assert self._client is not None
            self._since.setdefault(params.get("idempotencyKey", ""), self._connections)
            try:
                return await self._client.call(method, params)
            except CallFailed as error:
                if isinstance(error.details, dict) and error.details.get("status") == "error":
                    return error.details
                if not error.retryable:
                    raise
                self._crowd.counts[f"told to ask again: {error.message}"] += 1
            except GatewayError as error:
                self._crowd.counts[f"{method} without an answer: {type(error).__name__}"] += 1
            await asyncio.sleep(AGAIN_S)

    # -- hearing ---------------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        while True:
            with contextlib.suppress(GatewayError):
                async with self._crowd.client() as client:
                    self._crowd.counts["connections of talkers"] += 1
                    await self._listen(client)
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, client: GatewayClient) -> None:
        self._client, self._ears = client, Ears()
        self._connections += 1
        self._there.set()
        catching_up = asyncio.create_task(self._catch_up())
        try:
            async for event in client.events():
                self._crowd.counts["events left out"] += not self._ears.count(event.seq)
                if event.name == "chat" and (question := self._mine.get(event.payload["runId"])):
                    self._hear(question, event)
        finally:
            self._there.clear()
            catching_up.cancel()
            await asyncio.gather(catching_up, return_exceptions=True)

    async def _catch_up(self) -> None:
        """What has ended while nobody listened."""
        for question in list(self._open.values()):
            found = await self._call("agent.wait", {"runId": question.id, "timeoutMs": 0})
            if found["status"] in ("ok", "error") and question.id in self._open:
                self._crowd.counts["ended while its talker was away"] += 1
                self._finish(question)

    def _hear(self, question: Question, event: GatewayEvent) -> None:
        told, now = event.payload, time.monotonic()
        if (ear := self._ears.of.get(question.id)) is None:
            heard_all = self._since.get(question.id) == self._connections
            ear = self._ears.of[question.id] = Ear(question, "" if heard_all else None)
        self._crowd.blame(question, ear.hear(told))
        if told["state"] == "delta":
            if question.kind == "plain" and question.id in self._heard:
                self._crowd.silence = max(self._crowd.silence, now - self._heard[question.id])
            self._heard[question.id] = now
        elif told["state"] != "status":
            if question.end is not None:
                self._crowd.blame(question, f"was told {told['state']} after {question.end}")
            question.end, question.error = told["state"], told.get("errorMessage")
            self._crowd.counts[f"told: {told['state']}"] += 1
            self._finish(question)

    def _finish(self, question: Question) -> None:
        question.over = True
        self._open.pop(question.id, None)
        self._ended.set()
