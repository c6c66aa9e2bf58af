"""The one writer of the config file: a change at a time, each to its end, also when its client leaves.

What is written is read as a reload would read it before anything is on disk, and applied before the writer is free
again; so whoever is answered knows what came of it.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config import clobber, edit, files, owners
from gateway.config.compare import same
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.config.guard import guard
from gateway.config.patch import EntriesLost
from gateway.config.vocabulary import brought, unrecognized
from gateway.protocol.frames import RpcError, WireError
from gateway.report import Issue, ReloadResult
from gateway.rpc.core import Core
from gateway.rpc.methods.config_text import Invalid, hash_on_disk, refusal
from gateway.rpc.redaction import Unrestorable

HASH_DIFFERS = "config changed since last load; re-run config.get and retry"
EMPTY = "{\n}\n"


@dataclass(frozen=True)
class Texts:
    """New texts of the config's files."""

    main: str
    included: dict[str, str] = field(default_factory=dict)
    """By file: those that change."""
    meaning: Any = None
    """What all of them together must mean; None where it does not matter."""


Make = Callable[[Snapshot], Texts]
"""From the file as it is to new texts. It runs in a thread, and may raise RpcError and what refuses an edit."""

_writing = asyncio.Lock()
_running: set[asyncio.Task["FileChange"]] = set()
"""The loop itself holds tasks only weakly."""


@dataclass(frozen=True)
class FileChange:
    """The file before and after: the same when there was nothing to write."""

    before: Snapshot
    after: Snapshot
    result: ReloadResult | None = None
    """What the running gateway did about it; None when there was nothing to write."""


async def change_file(core: Core, protocol: int, name: str, make: Make) -> FileChange:
    """Write what `make` makes of the file, and apply it. Raises RpcError. `name` is the method's."""
    task = asyncio.create_task(_run(core, protocol, make), name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def meaning(before: Snapshot) -> dict[str, Any]:
    """What a change begins with: the whole of the config, its includes counted."""
    return before.merged if before.layers else before.parsed


def rewritten(before: Snapshot, value: Any) -> Texts:
    """As few edits as make the config mean `value`: comments and order stay, and each key stays in its file."""
    if not before.layers:
        return Texts(edit.rewrite(EMPTY if before.raw is None else before.raw, value))
    texts = owners.texts(before.layers, before.merged, value)
    return Texts(texts.pop(str(before.path), before.raw or EMPTY), texts, value)


async def _run(core: Core, protocol: int, make: Make) -> FileChange:
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
    return FileChange(changed.before, changed.after, result)


def _write(core: Core, protocol: int, make: Make) -> FileChange:
    """In a thread, because it waits for the disk."""
    path, state = core.snapshot.path, core.paths.state
    before = files.read(path, os.environ, state, door_only=True)
    try:
        texts = make(before)
        if texts.main == before.raw and not texts.included:
            return FileChange(before, before)
        after = guard(files.read(path, os.environ, state, text=texts.main, included=texts.included), core.reachable)
        _require(before, after, texts)
        if unknown := unrecognized(brought(before.merged, after.merged, protocol)):
            raise Invalid(*(Issue(what, where) for where, what in unknown))
        if after.issues:
            raise Invalid(*after.issues)
        if hash_on_disk(path) != (before.raw_hash if before.exists else None):
            raise RpcError(HASH_DIFFERS)
        if lost := clobber.losses(before, after):
            raise RpcError(_rejection(path, texts.main, lost))
        for file, text in texts.included.items():
            files.write(Path(file), text)
        if texts.main != before.raw:
            files.write(path, texts.main)
    except Invalid as fault:
        raise RpcError(refusal(protocol, fault.issues)) from None
    except (Unrestorable, EntriesLost) as fault:
        raise RpcError(refusal(protocol, (Issue(fault.why, fault.path),))) from None
    except edit.CannotEdit as fault:
        raise RpcError(f"{path}: {fault}") from None
    except owners.NotOwned as fault:
        raise RpcError(f"{fault}; edit it there") from None
    except OSError as error:
        raise RpcError(WireError("UNAVAILABLE", f"{path} cannot be written: {error.strerror}")) from error
    return FileChange(before, after)


def _require(before: Snapshot, after: Snapshot, texts: Texts) -> None:
    """That all is written which was asked for, and nothing into the files of others. Raises NotOwned, RpcError."""
    for file in texts.included:
        if not files.is_own(before.path, file):
            raise owners.NotOwned(f"what changes stands in {file}, which does not lie in the folder of the config")
        text = next(document.text for _, _, document in before.layers if document.file == file)
        if Path(file).read_bytes().decode().removeprefix("\ufeff") != text:
            raise RpcError(HASH_DIFFERS)
    if texts.meaning is not None and not same(after.merged, texts.meaning):
        named = ", ".join([*texts.included, *([str(before.path)] if texts.main != before.raw else [])])
        raise owners.NotOwned(f"what changes stands in {named}, and would not mean that there")


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


def _ended(task: asyncio.Task[FileChange]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waits gets it; if nobody does any more, it is no news
