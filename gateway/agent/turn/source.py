"""Where answers come from, as the turns of a run see it: the echo, or a provider's model."""

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple, Protocol

from gateway.agent.turn.answer import Answer, ToolCall
from gateway.link.messages import Said, Text, Thinking, Waiting


class Tool(NamedTuple):
    """What a model may call."""

    name: str
    description: str
    schema: dict[str, Any]
    """JSON Schema of its arguments."""


class Source(Protocol):
    """Knows the conversation of one run so far."""

    def ask(self, answer: Answer) -> AsyncGenerator[Text | Thinking | Waiting | Said, None]:
        """Fill in the answer of `answer.model`; yield its pieces as they come, and what becomes of the conversation.

        Raises Failed. The answer is part of the conversation once the generator has come to its end.
        """
        ...

    def add_result(self, call: ToolCall, blocks: list[dict[str, Any]], *, ok: bool) -> None:
        """What a call of the last answer has given."""
        ...
