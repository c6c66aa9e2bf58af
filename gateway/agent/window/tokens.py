"""Estimates of tokens, without the model's own tokenizer. Pure.

`measure` corrects them by what providers report. Until then they are rather too high than too low.
"""

import json
from collections.abc import Iterable
from typing import Any

from gateway.link.spec import COMPACTION, Message

ASCII_BYTES = 3.5
"""Bytes a token of ASCII text: English has four, code three."""
OTHER_BYTES = 3.0
"""Bytes a token of other text in UTF-8: one Chinese character, one and a half Cyrillic ones."""
PICTURE = 1600
"""Tokens of a large picture with Anthropic. OpenAI counts two thirds of that."""
MESSAGE = 8
"""Tokens around each message and block."""


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
    """Characters that a text of so many tokens may have."""
    return max(int(tokens * OTHER_BYTES), 0)


def reported(message: Message) -> int:
    """Tokens of the request, as the provider has reported with an answer; 0 if it has not."""
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
