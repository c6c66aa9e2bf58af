"""Messages for models that take text only (`models[].input`): a picture is left out, and what stands there says so."""

from typing import Any

from gateway.link.spec import Message

LEFT_OUT = "[An image is left out: this model takes text only.]"


def for_text_only(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [words_for(block) for block in content]}


def words_for(block: Any) -> Any:
    """A block, or what stands for it."""
    is_picture = isinstance(block, dict) and block.get("type") == "image"
    return {"type": "text", "text": LEFT_OUT} if is_picture else block
