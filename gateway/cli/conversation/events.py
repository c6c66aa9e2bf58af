"""Chat events, of which a conversation in a terminal consists, and the messages of `chat.history`. Pure.

`chat --json` prints chat events as JSON.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

EndState = Literal["final", "aborted", "error"]


class Question(Struct, frozen=True, tag_field="event", tag="question"):
    """Another client has asked the assistant something."""

    run: str
    text: str


class RunBegun(Struct, frozen=True, tag_field="event", tag="begin"):
    """The agent has begun to work on a run."""

    run: str


class TextDelta(Struct, frozen=True, tag_field="event", tag="text"):
    """The next piece of the assistant's message."""

    run: str
    text: str


class NextMessage(Struct, frozen=True, tag_field="event", tag="next"):
    """The message is complete, and the next events are about another message of the same answer."""

    run: str


class MessageRestarted(Struct, frozen=True, tag_field="event", tag="anew"):
    """The text shown of the message is void: the model writes the message once more, in other words."""

    run: str


class ToolUse(Struct, frozen=True, tag_field="event", tag="tool", omit_defaults=True):
    """A tool is called, or has failed if there is an `error`."""

    run: str
    name: str
    args: Any = None
    error: str | None = None


class RunEnded(Struct, frozen=True, tag_field="event", tag="end"):
    run: str
    state: EndState
    text: str
    """The whole last message."""
    error: str | None = None


ChatEvent = Question | RunBegun | TextDelta | NextMessage | MessageRestarted | ToolUse | RunEnded


class PastMessage(Struct, frozen=True):
    """A message of the transcript."""

    role: str
    text: str
    id: str | None = None
    run: str | None = None
    stop: str | None = None
    """The reason that an assistant's message ended: stop, toolUse, aborted, injected, …"""
    error: str | None = None
    tools: tuple[str, ...] = ()
    """Names of the tools that the message calls."""


class FinishedRun(Struct, frozen=True):
    """The outcome of a run that has ended."""

    error: str | None = None


def read_row(message: Any) -> PastMessage:
    """A message as `chat.history` has it."""
    marks = message.get("__openclaw")
    marks = marks if isinstance(marks, Mapping) else {}
    content = message.get("content")
    calls = [block for block in content if block.get("type") == "toolCall"] if isinstance(content, list) else []
    text, error = text_of(message), message.get("errorMessage")
    return PastMessage(
        role=str(message.get("role", "")),
        text="" if text == error else text,  # the run failed before it had any text
        id=marks.get("id"),
        run=marks.get("runId"),
        stop=message.get("stopReason"),
        error=error,
        tools=tuple(str(call.get("name", "tool")) for call in calls),
    )


def text_of(message: Any) -> str:
    """The text of a message, "" if it has none."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
