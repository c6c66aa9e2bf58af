"""Refuse a write that looks like an accident, by the rules of OpenClaw 2026.9.6. A refused text is stored beside.

Sizes are those of the values alone, so that removing comments is no loss.
"""

import glob
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config.files import Snapshot
from gateway.files.atomic import replace_text

MIN_BYTES = 512
"""Bytes; a smaller config may shrink to any size."""
MAX_REJECTED = 5
"""Number of refused texts that are kept; the oldest is removed."""


def losses(before: Snapshot, after: Snapshot) -> list[str]:
    """OpenClaw's names of the reasons not to write `after`; [] allows it."""
    if not before.exists:
        return []
    reasons = []
    was, new = _size(before), _size(after)
    if was >= MIN_BYTES and new < was // 2:
        reasons.append(f"size-drop:{was}->{new}")
    if _mode(before) and not _mode(after):
        reasons.append("gateway-mode-removed")
    return reasons


def set_aside(path: Path, text: str, now: datetime) -> Path:
    """Store a refused text as `<path>.rejected.<time>`, readable by its owner only. Raises OSError."""
    mark = f"{path.name}.rejected."
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S-") + f"{now.microsecond // 1000:03}Z"
    aside = path.with_name(mark + time)
    replace_text(aside, text)
    for old in sorted(path.parent.glob(f"{glob.escape(mark)}*Z"))[:-MAX_REJECTED]:
        old.unlink(missing_ok=True)
    return aside


def _size(snapshot: Snapshot) -> int:
    text = json.dumps(snapshot.parsed, indent=2, ensure_ascii=False) + "\n"
    if snapshot.issues and not snapshot.parsed:
        text = snapshot.raw or ""  # its values are not known
    return len(text.encode("utf-8", "surrogatepass"))


def _mode(snapshot: Snapshot) -> str:
    gateway: Any = snapshot.tree.get("gateway")
    mode = gateway.get("mode") if isinstance(gateway, dict) else None
    return mode.strip() if isinstance(mode, str) else ""
