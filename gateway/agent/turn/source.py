"""The source of a run's answers, as its turns see it: the echo, or models of providers."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from gateway.agent.turn.answer import Answer, ToolCall
from gateway.link.messages import Said, Text, Thinking, Waiting

Piece = Text | Thinking | Waiting | Said
Tell = Callable[[Piece], Awaitable[None]]
"""Takes a piece of an answer. It waits while too many are kept for the gateway."""


class Tool(NamedTuple):
    """A tool that a model may call."""

    name: str
    description: str
    schema: dict[str, Any]
    """JSON Schema of its arguments."""


class Source(Protocol):
    """Holds the conversation of one run, and asks models to continue it."""

    async def ask(self, answer: Answer, tell: Tell) -> None:
        """Fill in the answer of `answer.model`. Tell its pieces as they come, and events of a summary.

        Raises Failed. The answer is part of the conversation once this has returned.
        """
        ...

    def add_result(self, call: ToolCall, blocks: list[dict[str, Any]], *, ok: bool) -> None:
        """Add the result of a call of the last answer."""
        ...
