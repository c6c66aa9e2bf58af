"""The built-in model that answers when none is configured: it says what it is, and repeats the question."""

import asyncio
import re
from typing import Any

from gateway.agent.turn.answer import Answer, ToolCall
from gateway.agent.turn.source import Tell
from gateway.link.spec import Message

INTRODUCTION = (
    "No model is configured: this is the gateway's built-in echo, which only repeats what you say. "
    "To talk to a model, set agents.defaults.model.primary and its provider's key in openclaw.json."
)
_WORD = re.compile(r"\S+\s*")


class Echo:
    def __init__(self, prompt: Message) -> None:
        self._prompt = prompt

    async def ask(self, answer: Answer, tell: Tell) -> None:
        """Tell a word every `pace_ms` milliseconds of the model."""
        for number, word in enumerate(_WORD.findall(f"{INTRODUCTION}\n\nYou said: {text_of(self._prompt)}")):
            if number:
                await asyncio.sleep(answer.model.pace_ms / 1000)
            for piece in answer.add_text(word):
                await tell(piece)

    def add_result(self, call: ToolCall, blocks: list[dict[str, Any]], *, ok: bool) -> None:
        raise AssertionError("the echo calls no tools")


def text_of(message: Message) -> str:
    """The text of a message, with the types of its other blocks in brackets."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] if block.get("type") == "text" else f"[{block.get('type')}]" for block in content)
