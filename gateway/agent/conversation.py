"""One run, from its prompt to its end."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.agent import echo
from gateway.link.messages import Ended, Failure, Happening, Message, Model, Said, Spec, Started, Text, Usage

Emit = Callable[[Happening], Awaitable[None]]


class Failed(Exception):
    """A run cannot go on."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Conversation:
    def __init__(self, spec: Spec, emit: Emit) -> None:
        self._spec = spec
        self._emit = emit
        self._text = ""
        self._model: Model | None = None
        self.usage = Usage()

    async def hold(self) -> Ended:
        """Raises Failed."""
        for model in self._spec.models:
            self._model = model
            if model.api == "builtin":
                await self._emit(Started(model.provider, model.id, 1))
                async for piece in echo.answer(model, self._spec.prompt):
                    self._text += piece
                    await self._emit(Text(piece))
                message = self.partial("stop")
                assert message is not None
                self._text = ""
                await self._emit(Said(message))
                return Ended("done")
        raise Failed(Failure("config", "no model: set agents.defaults.model.primary in openclaw.json"))

    def partial(self, stop_reason: str) -> Message | None:
        """What has been said of the message that is not complete, None if nothing."""
        if not self._text or self._model is None:
            return None
        usage: dict[str, Any] = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 0}
        usage["cost"] = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}
        return {
            "role": "assistant",
            "content": [{"type": "text", "text": self._text}],
            "api": self._model.api,
            "provider": self._model.provider,
            "model": self._model.id,
            "usage": usage,
            "stopReason": stop_reason,
            "timestamp": int(time.time() * 1000),
        }
