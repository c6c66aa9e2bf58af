"""OpenClaw's sessions and messages are converted to ours. Pure. Times are milliseconds since 1970."""

import math
import re
from datetime import UTC, datetime
from typing import Any

from gateway.link.spec import Message
from gateway.sessions.records import SUMMARY, Session

_TEXTS = (
    *("label", "displayName", "subject", "chatType", "spawnedBy", "thinkingLevel", "verboseLevel", "traceLevel"),
    *("reasoningLevel", "elevatedLevel", "responseUsage", "sendPolicy", "groupActivation", "execHost", "execSecurity"),
    *("execAsk", "execNode", "icon", "color", "category", "boardFace", "boardPresentation", "statusNote"),
)
_TIMES = {"pinnedAt": "pinned", "archivedAt": "archived"}
MAX_TEXT = 4096
"""Characters of a setting; a longer one is dropped."""
ROLES = ("user", "assistant", "toolResult")
_TRANSPORT = ("idempotencyKey", "__openclaw")
"""Keys by which OpenClaw notes how a message arrived."""
_ENVELOPE = re.compile(r"\A\[(?=[^\]]*\])[^\]]*\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}[^\]]*\]\s*")
_ID_LINE = re.compile(r"\s*\[message_id:[^\]]+\]\s*", re.IGNORECASE)
LEAD = "Summary of the conversation before this:\n\n"


def session(key: str, id: str, agent: str, found: dict[str, Any], began: int, last: int, messages: int) -> Session:
    """The session of an entry. `began` and `last`: times of the transcript, for an entry without times."""
    updated = _number(found.get("updatedAt")) or last or began
    return Session(
        key,
        id,
        agent,
        min(_number(found.get("createdAt")) or began or updated, updated),
        updated,
        _settings(found),
        provider=_text(found.get("modelProvider")),
        model=_text(found.get("model")),
        aborted=found.get("abortedLastRun") is True,
        input=_number(found.get("inputTokens")),
        output=_number(found.get("outputTokens")),
        total=_number(found.get("totalTokens")),
        messages=messages,
    )


def _settings(found: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {name: text for name in _TEXTS if (text := _text(found.get(name))) is not None}
    for since, flag in _TIMES.items():
        if at := _number(found.get(since)):
            entry |= {flag: True, since: at}
    provider, model = _text(found.get("providerOverride")), _text(found.get("modelOverride"))
    if model is not None and (provider is not None or "/" in model):
        entry["model"] = model if provider is None else f"{provider}/{model}"
    return entry


def message(event: dict[str, Any], before: int) -> Message | str:
    """The message of an event, or the name of what cannot be kept. `before`: time of the message before."""
    said = event.get("message")
    if not isinstance(said, dict) or not isinstance(said.get("content"), str | list):
        return "messages without content"
    if said.get("role") not in ROLES:
        return f"messages of {said.get('role')!s:.20}"
    kept = {name: value for name, value in said.items() if name not in _TRANSPORT}
    if kept["role"] == "user":
        kept["content"] = _unwrapped(kept["content"])
    return {**kept, "timestamp": _number(said.get("timestamp")) or time_ms(event.get("timestamp")) or before}


def _unwrapped(content: str | list[Any]) -> str | list[Any]:
    """The text of the user, without the time and the id that OpenClaw has put around it."""
    if isinstance(content, list):
        return [
            {**block, "text": _unwrapped(block["text"])}
            if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)
            else block
            for block in content
        ]
    lines = _ENVELOPE.sub("", content).split("\n")
    return "\n".join(line for line in lines if not _ID_LINE.fullmatch(line))


def summary(event: dict[str, Any], before: int) -> Message | str:
    """The message with the summary of a compaction, or the name of what cannot be kept."""
    if not isinstance(event.get("summary"), str) or not event["summary"].strip():
        return "empty summaries"
    content = [{"type": "text", "text": LEAD + event["summary"]}]
    return {"role": "user", "content": content, "timestamp": time_ms(event.get("timestamp")) or before, SUMMARY: True}


def time_ms(text: Any) -> int:
    """The time of a transcript in milliseconds since 1970; 0 if it is none."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return 0
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def _number(value: Any) -> int:
    """A number that is safe to store; 0 if the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(value) if 0 <= value < 2**53 else 0
