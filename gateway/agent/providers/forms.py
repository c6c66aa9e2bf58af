"""Plainer forms of a past conversation, for a provider that has refused it. Pure."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from gateway.agent.providers import pictures
from gateway.link.spec import Message

Form = Callable[[Sequence[Message]], list[Message]]
"""Rewrites messages. FORMS lists all of them, the plainest last."""


def unchanged(messages: Sequence[Message]) -> list[Message]:
    return list(messages)


def without_pictures(messages: Sequence[Message]) -> list[Message]:
    return [pictures.replace_pictures(each, pictures.REFUSED) for each in messages]


def as_text(messages: Sequence[Message]) -> list[Message]:
    """The messages without pictures and thinking, with calls of tools and their results as text."""
    return [_spell(each) for each in without_pictures(messages)]


def next_form(form: Form, messages: Sequence[Message]) -> Form | None:
    """The next form that changes these messages further; None if there is none."""
    for other in FORMS[FORMS.index(form) + 1 :]:
        if other(messages) != form(messages):
            return other
    return None


FORMS: tuple[Form, ...] = (unchanged, without_pictures, as_text)
OMITTED: dict[Form, str] = {
    without_pictures: "old pictures",
    as_text: "old pictures, thinking and calls of tools",
}
"""What a form leaves out, in words for the user."""


def _spell(message: Message) -> Message:
    words = [block for block in _blocks(message) if block.get("type") != "thinking"]
    if message.get("role") == "toolResult":
        text = "\n".join(str(block.get("text", "")) for block in words)
        named = f"[result of {message.get('toolName')}]\n{text}"
        return {"role": "user", "content": named, "timestamp": message.get("timestamp")}
    if message.get("role") != "assistant":
        return message
    spelled = [_call(block) if block.get("type") == "toolCall" else block for block in words]
    return {**message, "content": spelled}


def _call(block: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(block.get("arguments"), ensure_ascii=False, default=str)
    return {"type": "text", "text": f"[called {block.get('name')} with {arguments}]"}


def _blocks(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content or [] if isinstance(block, dict)]
