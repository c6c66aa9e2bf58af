"""Pictures of a transcript, as a provider takes them: judged by their bytes, not by their label. Pure.

A picture that a model does not get is replaced by words.
"""

import base64
import binascii
import re
from typing import Any

from gateway.link.spec import Api, Message

UNREADABLE = "[an image that cannot be read]"
TEXT_ONLY = "[An image is left out: this model takes text only.]"
"""For a model whose `models[].input` has no images."""
REFUSED = "[an image that was shown here before, and which is left out]"
"""For a provider that has refused the conversation with the picture."""
OLD = "[an old image, left out because the conversation is long, or has many]"
_COMMON = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
TAKEN: dict[Api, frozenset[str]] = {
    "anthropic-messages": _COMMON,
    "openai-completions": _COMMON,
    "openai-responses": _COMMON,
    "google-generative-ai": frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}),
}
MEBI = 1024 * 1024
MAX_CHARS: dict[Api, int] = {
    "anthropic-messages": 5 * MEBI,
    "openai-completions": 20 * MEBI,
    "openai-responses": 20 * MEBI,
    "google-generative-ai": 15 * MEBI,
}
"""Characters of one picture in base64."""
MAX_PICTURES = 20
"""Pictures of one request; the newest are kept. With more, Anthropic wants smaller ones."""
MAX_TOTAL = 20 * MEBI
"""Bytes of all pictures of one request."""
_HEIF = {b"heic": "heic", b"heix": "heic", b"hevc": "heic", b"mif1": "heif", b"msf1": "heif", b"avif": "avif"}
_BLANK = re.compile(rb"[\s=]+")


def read(block: dict[str, Any], api: Api) -> tuple[bytes, str] | str:
    """The bytes of a picture and their media type, or the words that replace it."""
    data = decode(block.get("data"))
    if not data:
        return UNREADABLE
    kind = kind_of(data)
    if kind is None:
        return UNREADABLE
    if not is_whole(data, kind):
        return "[an image that is cut off]"
    if kind not in TAKEN.get(api, _COMMON):
        return f"[an image of the kind {kind}, which this model does not take]"
    if (size := len(data) * 4 // 3) > MAX_CHARS.get(api, 5 * MEBI):
        return f"[an image of {size} characters, which is too large for this model]"
    return data, kind


def decode(text: Any) -> bytes | None:
    """Decode base64 as Node does: with white space, without padding, in the URL-safe alphabet, or in a data URL."""
    if not isinstance(text, str):
        return None
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        plain = _BLANK.sub(b"", text.encode("ascii")).replace(b"-", b"+").replace(b"_", b"/")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def kind_of(data: bytes) -> str | None:
    """The media type, by the first bytes; None if it is unknown."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and (kind := _HEIF.get(data[8:12])):
        return f"image/{kind}"
    if data.startswith(b"BM"):
        return "image/bmp"
    return "image/tiff" if data.startswith((b"II*\0", b"MM\0*")) else None


def is_whole(data: bytes, kind: str) -> bool:
    """Whether the picture has its end, as far as its kind has one. Bytes after the end do no harm."""
    match kind:
        case "image/png":
            return b"IEND" in data
        case "image/jpeg":
            return data.rfind(b"\xff\xd9") > 0
        case "image/gif":
            return data.rstrip(b"\0").endswith(b";")
        case "image/webp":
            return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return True


def has_picture(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(map(_is_picture, content))


def replace_pictures(message: Message, words: str) -> Message:
    """A message with words in the place of each picture."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [replace_picture(block, words) for block in content]}


def replace_picture(block: Any, words: str) -> Any:
    """A block; a text block with these words if it is a picture. `history` replaces documents and the like."""
    return {"type": "text", "text": words} if _is_picture(block) else block


def _is_picture(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "image"
