"""The one writer of the config file: a change at a time, each to its end, also when its client leaves.

What is written is read as a reload would read it before anything is on disk, and applied before the writer is free
again; so whoever is answered knows what came of it.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config import clobber, edit, files
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.config.guard import guard
from gateway.config.patch import EntriesLost
from gateway.config.vocabulary import brought, unrecognized
from gateway.core import Core
from gateway.protocol.frames import WireError
from gateway.report import Issue, ReloadResult
from gateway.rpc.methods.config_text import Invalid, hash_on_disk, refusal
from gateway.rpc.redaction import Unrestorable
from gateway.rpc.registry import RpcError

HASH_DIFFERS = "config changed since last load; re-run config.get and retry"
EMPTY = "{\n}\n"

Make = Callable[[Snapshot], str]
"""From the file as it is to its new text. It runs in a thread, and may raise RpcError and what refuses an edit."""

_writing = asyncio.Lock()
_running: set[asyncio.Task["Changed"]] = set()
"""The loop itself holds tasks only weakly."""


@dataclass(frozen=True)
class Changed:
    """The file before and after: the same when there was nothing to write."""

    before: Snapshot
    after: Snapshot
    result: ReloadResult | None = None
    """What the running gateway did about it; None when there was nothing to write."""


async def change_file(core: Core, protocol: int, name: str, make: Make) -> Changed:
    """Write what `make` makes of the file, and apply it. Raises RpcError. `name` is the method's."""
    task = asyncio.create_task(_run(core, protocol, make), name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def rewritten(before: Snapshot, value: Any) -> str:
    """The file's text with as few edits as make it mean `value`: comments and order stay."""
    return edit.rewrite(EMPTY if before.raw is None else before.raw, value)


async def _run(core: Core, protocol: int, make: Make) -> Changed:
    async with _writing:
        changed = await asyncio.to_thread(_write, core, protocol, make)
        if changed.after is changed.before:
            return changed
        result = await core.reload("rpc")
    if not result.ok:
        told = fingerprint(core.paths.state, changed.after.raw_hash)
        details = {"outcome": result.outcome, "hash": told}
        message = f"{changed.after.path} was written, but not applied: {result.message}"
        raise RpcError(WireError("UNAVAILABLE", message, details))
    return Changed(changed.before, changed.after, result)


def _write(core: Core, protocol: int, make: Make) -> Changed:
    """In a thread, because it waits for the disk."""
    path, state = core.snapshot.path, core.paths.state
    before = files.read(path, os.environ, state)
    try:
        text = make(before)
        if text == before.raw:
            return Changed(before, before)
        after = guard(files.read(path, os.environ, state, text=text), core.reachable)
        if unknown := unrecognized(brought(before.merged, after.merged, protocol)):
            raise Invalid(*(Issue(what, where) for where, what in unknown))
        if after.issues:
            raise Invalid(*after.issues)
        if hash_on_disk(path) != (before.raw_hash if before.exists else None):
            raise RpcError(HASH_DIFFERS)
        if lost := clobber.losses(before, after):
            raise RpcError(_rejection(path, text, lost))
        files.write(path, text)
    except Invalid as fault:
        raise RpcError(refusal(protocol, fault.issues)) from None
    except (Unrestorable, EntriesLost) as fault:
        raise RpcError(refusal(protocol, (Issue(fault.why, fault.path),))) from None
    except edit.Refused as fault:
        raise RpcError(f"{path}: {fault}") from None
    except OSError as error:
        raise RpcError(WireError("UNAVAILABLE", f"{path} cannot be written: {error.strerror}")) from error
    return Changed(before, after)


def _rejection(path: Path, text: str, lost: list[str]) -> WireError:
    details: dict[str, Any] = {"code": "CONFIG_WRITE_REJECTED", "reasons": lost}
    try:
        aside = clobber.set_aside(path, text, datetime.now(UTC))
    except OSError as error:
        saved = f"could not be saved: {error.strerror}"
    else:
        details["rejectedPath"] = str(aside)
        saved = f"saved to {aside}"
    why = f"Config write rejected: {path} ({', '.join(lost)}). Rejected payload {saved}. If it is meant, edit the file."
    return WireError("UNAVAILABLE", why, details)


def _ended(task: asyncio.Task[Changed]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waits gets it; if nobody does any more, it is no news
