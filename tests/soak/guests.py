"""Who comes and goes in the soak: onlookers, who hear what others are answered, and readers, who ask over HTTP."""

import asyncio
import contextlib
import random

import httpx
from openai import APIError, AsyncOpenAI

from gateway.client.client import GatewayClient
from gateway.errors import GatewayError
from tests.soak.book import LOST, Ear, Ears, End, Question
from tests.soak.questions import Questions
from tests.soak.talker import AGAIN_S, PATIENCE_S, CrowdNotes

STAY_S = 10.0
"""The longest that an onlooker stays."""
PROTOCOLS = (4, 4, 3)
ABRUPTLY = 0.5
"""The share of onlookers who leave without a word."""
LEAVING = 0.2
"""The share of answers in the middle of which a reader leaves."""
AS_A_WHOLE = 0.3
"""The share of answers that are read without a stream."""
PAUSE_S = 2.0


class Onlooker:
    def __init__(self, crowd: CrowdNotes, chance: random.Random) -> None:
        self._crowd = crowd
        self._chance = chance

    async def shift(self) -> None:
        while not self._crowd.resting:
            staying = asyncio.create_task(self._stay())
            resting = asyncio.create_task(self._crowd.rest.wait())
            patience = self._chance.uniform(0, STAY_S)
            await asyncio.wait((staying, resting), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            staying.cancel()
            resting.cancel()
            with contextlib.suppress(GatewayError, asyncio.CancelledError):
                await staying
            await asyncio.sleep(AGAIN_S)

    async def _stay(self) -> None:
        client = self._crowd.client(self._chance.choice(PROTOCOLS))
        await client.connect()
        self._crowd.counts["connections of onlookers"] += 1
        try:
            await self._look(client)
        finally:
            if self._chance.random() < ABRUPTLY and client._socket is not None:
                client._socket.transport.abort()
            await client.close()

    async def _look(self, client: GatewayClient) -> None:
        ears = Ears()
        async for event in client.events():
            self._crowd.counts["events left out"] += not ears.count(event.seq)
            if event.name == "chat" and (question := self._crowd.asked.get(event.payload["runId"])):
                ear = ears.of.setdefault(question.id, Ear(question))
                self._crowd.blame(question, ear.hear(event.payload))


class Reader:
    """With OpenAI's own client. Whose connection ends asks again under the same key."""

    def __init__(self, crowd: CrowdNotes, questions: Questions, chance: random.Random) -> None:
        self._crowd = crowd
        self._questions = questions
        self._chance = chance
        self._client = AsyncOpenAI(base_url=f"{crowd.url}/v1", api_key=crowd.token, max_retries=0)

    async def shift(self) -> None:
        while not self._crowd.resting:
            await self._ask(self._questions.over_http())
            await asyncio.sleep(self._chance.uniform(0, PAUSE_S))

    async def _ask(self, question: Question) -> None:
        whole, leaves = self._chance.random() < AS_A_WHOLE, self._chance.random() < LEAVING
        if leaves:
            question.may_end("aborted")
        self._crowd.ask(question)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not question.over:
                    await self._try(question, whole, leaves)
        except TimeoutError:
            self._crowd.blame(question, f"has no end after {PATIENCE_S:g} s")
            question.over = True

    async def _try(self, question: Question, whole: bool, leaves: bool) -> None:
        question.tries += 1
        try:
            if whole:
                await self._read_whole(question)
            else:
                await self._read_stream(question, leaves)
        except (APIError, httpx.HTTPError) as error:
            if LOST in str(error):
                self._finish(question, "error", "", str(error))
            else:
                self._crowd.counts[f"HTTP: {type(error).__name__}: {error}"] += 1
                await asyncio.sleep(AGAIN_S)

    async def _read_whole(self, question: Question) -> None:
        answer = await self._client.chat.completions.create(
            model="openclaw",
            messages=[{"role": "user", "content": question.prompt}],
            extra_headers={"Idempotency-Key": question.id},
        )
        self._finish(question, "final", answer.choices[0].message.content or "", None)

    async def _read_stream(self, question: Question, leaves: bool) -> None:
        text = ""
        stream = await self._client.chat.completions.create(
            model="openclaw",
            messages=[{"role": "user", "content": question.prompt}],
            stream=True,
            extra_headers={"Idempotency-Key": question.id},
        )
        async with stream:
            async for chunk in stream:
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
                if not question.is_part(text):
                    self._crowd.blame(question, f"was told {text!r} in the middle of {question.says!r}")
                if leaves and text:
                    self._crowd.counts["readers who left"] += 1
                    question.over = True
                    return
        self._finish(question, "final", text, None)

    def _finish(self, question: Question, end: End, text: str, error: str | None) -> None:
        self._crowd.blame(question, question.problem(end, text, error))
        self._crowd.counts[f"told over HTTP: {end}"] += 1
        question.end, question.error, question.over = end, error, True
