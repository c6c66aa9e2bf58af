"""The answer of a model in one turn, collected while it comes in."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.agent.turn.failed import Failed
from gateway.link.messages import Failure, Text, Thinking, Usage
from gateway.link.spec import Message, Model
from gateway.machine.clock import now_ms
from gateway.text.unicode import SurrogateJoiner

MAX_TEXT = 8 * 1024 * 1024
"""Characters of one answer, thinking included."""
COST_UNIT = 1_000_000
"""Tokens to which a model's `cost` applies."""


class ToolCall(NamedTuple):
    """A call of a tool. `args` is None when the model has not written a JSON object."""

    id: str
    name: str
    args: dict[str, Any] | None


@dataclass
class _Block:
    kind: str
    pieces: list[str]
    signature: str | None = None

    def spell(self) -> dict[str, Any]:
        block = {"type": self.kind, self.kind: "".join(self.pieces)}
        return block if self.signature is None else {**block, "thinkingSignature": self.signature}


@dataclass
class Answer:
    model: Model
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = Usage()
    stop_reason: str = "stop"
    _blocks: list[_Block] = field(default_factory=list)
    _size: int = 0
    _text: SurrogateJoiner = field(default_factory=SurrogateJoiner)
    _thinking: SurrogateJoiner = field(default_factory=SurrogateJoiner)

    @property
    def begun(self) -> bool:
        return bool(self._blocks)

    @property
    def text(self) -> str:
        return "".join(piece for block in self._blocks if block.kind == "text" for piece in block.pieces)

    def add_text(self, delta: str) -> list[Text | Thinking]:
        """Add text, and return the pieces that can be told: none for half a character. Raises Failed when the answer
        becomes too long."""
        return self._say("text", self._text.feed(delta))

    def add_thinking(self, delta: str) -> list[Text | Thinking]:
        """Add thinking, as `add_text` adds text."""
        return self._say("thinking", self._thinking.feed(delta))

    def finish(self) -> list[Text | Thinking]:
        """Return the rest of the pieces: nothing more comes. Raises Failed as `add_text` does."""
        return [*self._say("thinking", self._thinking.flush()), *self._say("text", self._text.flush())]

    def sign_thinking(self, signature: str) -> None:
        """Store the provider's signature of the latest thinking, without which it does not take the thinking back."""
        self._add("thinking", "")
        self._blocks[-1].signature = signature

    def message(self, *, error: str | None = None) -> Message:
        calls = [
            {"type": "toolCall", "id": call.id, "name": call.name, "arguments": call.args or {}} for call in self.calls
        ]
        message: Message = {
            "role": "assistant",
            "content": [*(block.spell() for block in self._blocks), *calls],
            "api": self.model.api,
            "provider": self.model.provider,
            "model": self.model.id,
            "usage": spell_usage(self.usage, self.model.cost),
            "stopReason": self.stop_reason,
            "timestamp": now_ms(),
        }
        return message if error is None else {**message, "errorMessage": error}

    def _say(self, kind: str, text: str) -> list[Text | Thinking]:
        if not text:
            return []
        self._add(kind, text)
        return [Text(text) if kind == "text" else Thinking(text)]

    def _add(self, kind: str, delta: str) -> None:
        """Append to the current block, or to a new one if the current block is of another kind."""
        self._size += len(delta)
        if self._size > MAX_TEXT:
            name = f"{self.model.provider}/{self.model.id}"
            raise Failed(Failure("limit", f"the answer of {name} is longer than {MAX_TEXT} characters."))
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(_Block(kind, []))
        self._blocks[-1].pieces.append(delta)


def spell_usage(usage: Usage, cost: dict[str, float]) -> dict[str, Any]:
    """Usage as in OpenClaw's transcripts: tokens, and dollars by the model's prices."""
    tokens = {
        "input": usage.input,
        "output": usage.output,
        "cacheRead": usage.cache_read,
        "cacheWrite": usage.cache_write,
    }
    dollars = {kind: count * cost.get(kind, 0) / COST_UNIT for kind, count in tokens.items()}
    return {**tokens, "totalTokens": usage.total, "cost": {**dollars, "total": sum(dollars.values())}}


def add_usage(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.input + other.input,
        one.output + other.output,
        one.cache_read + other.cache_read,
        one.cache_write + other.cache_write,
    )
