"""What a model says in one turn, put together while it comes in."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.link.messages import Message, Model, Usage

PER = 1_000_000
"""Tokens that a model's `cost` is for."""


class Call(NamedTuple):
    """Of a tool. `args` is None when what the model wrote is not a JSON object."""

    id: str
    name: str
    args: dict[str, Any] | None


@dataclass
class Answer:
    model: Model
    blocks: list[dict[str, Any]] = field(default_factory=list)
    """Of text and thinking, in the order in which they came."""
    calls: list[Call] = field(default_factory=list)
    usage: Usage = Usage()
    stop_reason: str = "stop"

    def add_text(self, delta: str) -> None:
        self._block("text")["text"] += delta

    def add_thinking(self, delta: str) -> None:
        self._block("thinking")["thinking"] += delta

    def sign_thinking(self, signature: str) -> None:
        """The provider's seal on the thinking that came last, without which it would not take it back."""
        self._block("thinking")["thinkingSignature"] = signature

    @property
    def text(self) -> str:
        return "".join(block["text"] for block in self.blocks if block["type"] == "text")

    def message(self, *, error: str | None = None) -> Message:
        calls = [
            {"type": "toolCall", "id": call.id, "name": call.name, "arguments": call.args or {}} for call in self.calls
        ]
        message: Message = {
            "role": "assistant",
            "content": [*self.blocks, *calls],
            "api": self.model.api,
            "provider": self.model.provider,
            "model": self.model.id,
            "usage": spell_usage(self.usage, self.model.cost),
            "stopReason": self.stop_reason,
            "timestamp": int(time.time() * 1000),
        }
        return message if error is None else {**message, "errorMessage": error}

    def _block(self, kind: str) -> dict[str, Any]:
        """The block that is being written, a new one if the last is of another kind."""
        if not self.blocks or self.blocks[-1]["type"] != kind:
            self.blocks.append({"type": kind, kind: ""})
        return self.blocks[-1]


def spell_usage(usage: Usage, cost: dict[str, float]) -> dict[str, Any]:
    """As OpenClaw's transcripts have it: tokens, and dollars by the model's prices."""
    tokens = {
        "input": usage.input,
        "output": usage.output,
        "cacheRead": usage.cache_read,
        "cacheWrite": usage.cache_write,
    }
    dollars = {kind: count * cost.get(kind, 0) / PER for kind, count in tokens.items()}
    return {**tokens, "totalTokens": usage.total, "cost": {**dollars, "total": sum(dollars.values())}}


def add(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.input + other.input,
        one.output + other.output,
        one.cache_read + other.cache_read,
        one.cache_write + other.cache_write,
    )
