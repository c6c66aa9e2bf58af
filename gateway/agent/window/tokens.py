"""How many tokens something takes, as far as one can say without the model's own tokenizer. Pure.

What is estimated here is corrected by what providers report (`room`); until then it is rather too much than too little.
"""

import json
from collections.abc import Iterable
from typing import Any

from gateway.link.spec import COMPACTION, Message

ASCII_BYTES = 3.5
"""For a token: English has four, code three."""
OTHER_BYTES = 3.0
"""In UTF-8: one Chinese character, one and a half Cyrillic ones."""
PICTURE = 1600
"""The most that a picture takes with Anthropic; with OpenAI it is two thirds of that."""
MESSAGE = 8
"""What is around each message and block."""


def of_text(text: str) -> int:
    size = len(text.encode(errors="replace"))
    return int(size / (ASCII_BYTES if text.isascii() else OTHER_BYTES)) + 1 if size else 0


def of_blocks(blocks: Iterable[Any]) -> int:
    return sum(_of_block(block) for block in blocks if isinstance(block, dict))


def of_message(message: Message) -> int:
    if message.get("role") == COMPACTION:
        return MESSAGE + of_text(str(message.get("summary", "")))
    content = message.get("content")
    return MESSAGE + (of_text(content) if isinstance(content, str) else of_blocks(content or []))


def of_messages(messages: Iterable[Message]) -> int:
    return sum(map(of_message, messages))


def chars(tokens: float) -> int:
    """How long a text may be that is to take no more."""
    return max(int(tokens * OTHER_BYTES), 0)


def reported(message: Message) -> int:
    """What a provider has said of an answer: tokens of all that was asked. 0 without it."""
    usage = message.get("usage")
    if message.get("role") != "assistant" or not isinstance(usage, dict):
        return 0
    return sum(_number(usage.get(name)) for name in ("input", "cacheRead", "cacheWrite"))


def _of_block(block: dict[str, Any]) -> int:
    match block.get("type"):
        case "text":
            return MESSAGE + of_text(str(block.get("text", "")))
        case "image":
            return PICTURE
        case "thinking":
            return of_text(str(block.get("thinking", ""))) if block.get("thinkingSignature") else 0
        case "toolCall":
            arguments = json.dumps(block.get("arguments"), ensure_ascii=False, default=str)
            return 2 * MESSAGE + of_text(str(block.get("name", ""))) + of_text(arguments)
    return MESSAGE


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
