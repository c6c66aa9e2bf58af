"""One line of OpenClaw's log file: `{"0": …, "1": message?, "_meta": {…}, "time": ISO}`. Pure."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Line:
    message: str
    time: datetime | None = None
    """None for what is not a log line."""
    level: str = ""
    subsystem: str = ""


def parse(text: str) -> Line:
    """Never raises: what is not one of OpenClaw's lines is its own message."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return Line(text)
    if not isinstance(entry, dict):
        return Line(text)
    meta = _object(entry.get("_meta"))
    moment = _time(entry.get("time") or meta.get("date"))
    if moment is None:
        return Line(text)
    first, subsystem = _subsystem(entry.get("0"), meta.get("name"))
    numbered = sorted((key for key in entry if key.isdigit() and key != "0"), key=int)
    parts = [first, *(_word(entry[key]) for key in numbered)]
    level = str(meta.get("logLevelName") or "info").lower()
    return Line(" ".join(part for part in parts if part) or _word(entry.get("message", "")), moment, level, subsystem)


def _subsystem(first: Any, name: Any) -> tuple[str, str]:
    """`"0"` is the message, or JSON that names the subsystem when the message is in `"1"`."""
    for candidate, is_message in ((first, True), (name, False)):
        found = _object(candidate).get("subsystem") or _object(candidate).get("module")
        if isinstance(found, str):
            return ("" if is_message else _word(first)), found
    return _word(first), ""


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
