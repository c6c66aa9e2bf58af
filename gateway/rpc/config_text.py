"""Config texts from clients: their values, and faults in OpenClaw's words."""

import hashlib
from pathlib import Path
from typing import Any

from gateway.config import json5
from gateway.config.parse import MAX_BYTES, MAX_DEPTH, Document, parse, place
from gateway.protocol.frames import RpcError, WireError
from gateway.report import Issue


class Invalid(Exception):
    """The config has `issues`."""

    def __init__(self, *issues: Issue) -> None:
        super().__init__()
        self.issues = issues


def parse_raw(raw: str, path: Path, issues: tuple[Issue, ...] = ()) -> Any:
    """The value of a text. Raises RpcError or Invalid if it is no JSON5. `issues`: the faults, if they are known."""
    found = parse(raw.encode(), str(path), root_object=False)
    if isinstance(found, Document):
        return found.value
    if issues:
        raise Invalid(*issues)
    if len(raw) > MAX_BYTES:
        raise Invalid(found)
    try:
        json5.parse(raw, MAX_DEPTH)
    except json5.Json5Error as fault:
        raise RpcError(f"SyntaxError: JSON5: {_in_their_words(raw, fault)}") from None
    raise Invalid(found)


def _in_their_words(raw: str, fault: json5.Json5Error) -> str:
    where = place("", raw, fault.offset)
    if not str(fault).startswith("expected"):
        what = str(fault)
    elif fault.offset < len(raw):
        what = f"invalid character '{raw[fault.offset]}'"
    else:
        what = "invalid end of input"
    return f"{what} at {where.line}:{where.column}"


def refusal(protocol: int, issues: tuple[Issue, ...]) -> WireError:
    """The error for a config with faults, in the words of the client's protocol."""
    first = f"{issues[0].path}: {issues[0].message}" if issues[0].path else issues[0].message
    message = "invalid config" if protocol < 4 else f"invalid config: {first}"
    details = {"issues": [{"path": each.path, "message": each.message} for each in issues]}
    return WireError("INVALID_REQUEST", message, details)


def hash_on_disk(path: Path) -> str | None:
    """`Snapshot.raw_hash` as the file is now; None if there is none. Raises OSError."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    return hashlib.sha256(text.encode()).hexdigest()
