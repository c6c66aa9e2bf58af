"""The model that is there when none is configured: it says what it is, and gives the question back word by word."""

import asyncio
import re
from collections.abc import AsyncIterator

from gateway.link.messages import Message, Model

INTRODUCTION = (
    "No model is configured: this is the gateway's built-in echo, which only repeats what you say. "
    "To talk to a model, set agents.defaults.model.primary and its provider's key in openclaw.json."
)
_WORD = re.compile(r"\s*\S+\s*")


async def answer(model: Model, prompt: Message) -> AsyncIterator[str]:
    """The answer in pieces, `pace_ms` between two of them."""
    for number, word in enumerate(_WORD.findall(f"{INTRODUCTION}\n\nYou said: {text_of(prompt)}")):
        if number:
            await asyncio.sleep(model.pace_ms / 1000)
        yield word


def text_of(message: Message) -> str:
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    pieces = (
        block.get("text", "") if block.get("type") == "text" else f"[{block.get('type', 'something')}]"
        for block in content
    )
    return "\n".join(pieces)
