"""Answers of the models of a run: a model that fails is retried, then the next one is asked.

A complete answer is never asked for again. A model that was given up is not asked again in this run.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from gateway.agent.backoff import pause_s
from gateway.agent.turn.answer import Answer
from gateway.agent.turn.failed import Failed
from gateway.agent.turn.source import Source
from gateway.link.messages import Discarded, Failure, Happening, Started, Waiting
from gateway.link.spec import Model, Spec

Emit = Callable[[Happening], Awaitable[None]]


class ModelAttempts:
    def __init__(self, spec: Spec, emit: Emit, source: Callable[[Model], Awaitable[Source]]) -> None:
        self._models = list(spec.models)
        self._retries = spec.bounds.retries
        self._emit = emit
        self._source = source
        self._tries = 0
        self._announced = False
        """Whether the next try asks the model that has answered before. Such a try needs no Started event."""
        self._given_up: list[tuple[Model, Failure]] = []
        self.partial: Answer | None = None
        """The answer that is being written; None between two answers."""

    async def answer(self) -> Answer:
        """Return the next complete answer. Raises Failed when no model is left.

        `partial` is then the begun answer of the last model.
        """
        if not self._models:
            raise Failed(Failure("config", "no model is given: set agents.defaults.model.primary in openclaw.json"))
        while True:
            model = self._models[0]
            try:
                return await self._ask_with_retries(model)
            except Failed as error:
                self._given_up.append((model, error.failure))
                if len(self._models) == 1:
                    raise Failed(_sum_up(self._given_up)) from error
                del self._models[0]
                await self._announce_next_try(error.failure, 0)

    async def _ask_with_retries(self, model: Model) -> Answer:
        failed = 0
        while True:
            try:
                return await self._ask(model)
            except Failed as error:
                failed += 1
                pause = pause_s(failed, error.retry_after, random.random())
                if not error.failure.retryable or failed > self._retries or pause is None:
                    raise
                await self._announce_next_try(error.failure, pause)

    async def _ask(self, model: Model) -> Answer:
        self._tries += 1
        if not self._announced:
            await self._emit(Started(model.provider, model.id, self._tries))
        self._announced = False
        source = await self._source(model)
        self.partial = answer = Answer(model)
        await source.ask(answer, self._emit)
        self._announced, self.partial = True, None
        return answer

    async def _announce_next_try(self, failure: Failure, pause: float) -> None:
        if self.partial is not None and self.partial.begun:
            await self._emit(Discarded(failure.message))
        self.partial = None
        if failure.kind != "context":  # a Waiting of that kind announces a summary
            await self._emit(Waiting(int(pause * 1000), failure))
        await asyncio.sleep(pause)


def _sum_up(given_up: list[tuple[Model, Failure]]) -> Failure:
    """The last failure, with the messages of all models."""
    _, last = given_up[-1]
    if len(given_up) == 1:
        return last
    said = " ".join(f"{model.provider}/{model.id}: {failure.message}" for model, failure in given_up)
    retryable = any(failure.retryable for _, failure in given_up)
    return Failure(last.kind, f"None of {len(given_up)} models has answered. {said}", retryable, last.status)
