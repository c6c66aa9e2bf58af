"""One run, from its prompt to its end: answers of models, and the tools that they call between them."""

import asyncio
import importlib
from typing import TYPE_CHECKING

from gateway.agent.answer import add
from gateway.agent.asking import Asking, Emit
from gateway.agent.echo import Echo
from gateway.agent.failed import Failed, Secrets
from gateway.agent.source import Source
from gateway.link.messages import Ended, Failure, Message, Model, Said, Spec, Usage

if TYPE_CHECKING:
    from gateway.agent import models


class Conversation:
    def __init__(self, spec: Spec, emit: Emit) -> None:
        self._spec = spec
        self._emit = emit
        self._asking = Asking(spec, emit, self._source)
        self._models: models.Models | None = None
        self.secrets = Secrets(spec)
        self.usage = Usage()

    async def hold(self) -> Ended:
        """Raises Failed."""
        seconds = self._spec.bounds.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds) as patience:
                return await self._take_turns()
        except TimeoutError:
            assert patience.expired(), "every other time-out is a failure of its own"
            raise Failed(Failure("timeout", f"the run has taken longer than its {seconds:g} s")) from None

    def partial(self, stop_reason: str, error: str | None) -> Message | None:
        """What has been said of an answer that is not complete, None if nothing."""
        answer = self._asking.partial
        if answer is None or not answer.blocks:
            return None
        answer.stop_reason = stop_reason
        return answer.message(error=error)

    async def _take_turns(self) -> Ended:
        for _ in range(self._spec.bounds.turns):
            answer = await self._asking.answer()
            self.usage = add(self.usage, answer.usage)
            await self._emit(Said(answer.message()))
            if not answer.calls:
                return Ended("done", answer.stop_reason, usage=self.usage)
        raise Failed(Failure("limit", f"the model has not come to an end in {self._spec.bounds.turns} turns"))

    async def _source(self, model: Model) -> Source:
        if model.api == "builtin":
            return Echo(self._spec.prompt)
        if self._models is None:
            # Seconds of work on a small machine, in which the link must stay alive.
            module = await asyncio.to_thread(importlib.import_module, "gateway.agent.models")
            self._models = module.Models(self._spec, self._spec.system, [], self.secrets)
        return self._models
