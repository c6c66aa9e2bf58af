"""What happens in a session, piece by piece, and its transcript as `chat.history` has it. Pure.

As JSON the pieces are what `chat --json` prints.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

End = Literal["final", "aborted", "error"]


class Question(Struct, frozen=True, tag_field="event", tag="question"):
    """Somebody else has said something to the assistant."""

    run: str
    text: str


class Begun(Struct, frozen=True, tag_field="event", tag="begin"):
    """From here on a run is worked at."""

    run: str


class Words(Struct, frozen=True, tag_field="event", tag="text"):
    """The next piece of a message of the assistant's."""

    run: str
    text: str


class Next(Struct, frozen=True, tag_field="event", tag="next"):
    """The message is complete; what follows is another one of the same answer."""

    run: str


class Restarted(Struct, frozen=True, tag_field="event", tag="anew"):
    """What was shown of the message is void: it is written anew, in other words."""

    run: str


class ToolUse(Struct, frozen=True, tag_field="event", tag="tool", omit_defaults=True):
    """A tool is called; or, with `error`, has failed."""

    run: str
    name: str
    args: Any = None
    error: str | None = None


class Over(Struct, frozen=True, tag_field="event", tag="end"):
    run: str
    state: End
    text: str
    """The last message, whole."""
    error: str | None = None


Piece = Question | Begun | Words | Next | Restarted | ToolUse | Over


class PastMessage(Struct, frozen=True):
    """A message of the transcript."""

    role: str
    text: str
    id: str | None = None
    run: str | None = None
    stop: str | None = None
    """Why an assistant's message ends: stop, toolUse, aborted, injected, …"""
    error: str | None = None
    tools: tuple[str, ...] = ()
    """Names of the tools that it calls."""


class FinishedRun(Struct, frozen=True):
    """A run of which is known that it is over."""

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
        text="" if text == error else text,  # a run that failed before it had any words
        id=marks.get("id"),
        run=marks.get("runId"),
        stop=message.get("stopReason"),
        error=error,
        tools=tuple(str(call.get("name", "tool")) for call in calls),
    )


def text_of(message: Any) -> str:
    """What a message says in words."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
