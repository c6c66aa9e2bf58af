"""Results of tools as blocks of a transcript: text and pictures, each up to a bound."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.link.messages import MAX_TOOL_RESULT

MAX_PICTURES = 8 * 1024 * 1024
"""Characters of base64 in one result."""

NO_RESULT = "There is no result: the run ended before."


class Result(NamedTuple):
    ok: bool
    text: str
    blocks: list[dict[str, Any]]


def error(text: str) -> Result:
    """A failed result, with a text from which the model learns to do better."""
    return Result(False, text, [{"type": "text", "text": text}])


def from_content(content: Iterable[dict[str, Any]], structured: Any, *, ok: bool) -> Result:
    """The result for the content blocks of an MCP result, which are dicts as in MCP's JSON."""
    texts: list[str] = []
    pictures: list[dict[str, Any]] = []
    room = MAX_PICTURES
    for block in content:
        if block.get("type") == "image" and len(block.get("data", "")) <= room:
            room -= len(block["data"])
            pictures.append({"type": "image", "data": block["data"], "mimeType": block.get("mimeType", "image/png")})
        else:
            texts.append(_describe(block))
    if not texts and not pictures:
        texts.append("" if structured is None else json.dumps(structured, ensure_ascii=False))
    text = cut("\n".join(texts))
    return Result(ok, text, [*([{"type": "text", "text": text}] if text or not pictures else []), *pictures])


def cut(text: str) -> str:
    """The text cut to `MAX_TOOL_RESULT` bytes; a note at its end says that it is cut."""
    data = text.encode(errors="replace")
    if len(data) <= MAX_TOOL_RESULT:
        return text
    note = f"\n[This result is cut: it has {len(data)} bytes, and a model gets at most {MAX_TOOL_RESULT}.]"
    return data[: MAX_TOOL_RESULT - len(note)].decode(errors="ignore") + note


def _describe(block: dict[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "resource":
            resource = block.get("resource", {})
            return str(resource["text"]) if "text" in resource else f"[a file: {resource.get('uri')}]"
        case "resource_link":
            return f"[a link to {block.get('name')}: {block.get('uri')}]"
        case kind:
            return f"[{kind} of {len(block.get('data', ''))} characters, which is not passed on]"
