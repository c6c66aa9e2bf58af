"""The one writer of the config file: changes are made one at a time, each to its end, also when its client leaves.

A new text is read as a reload would read it before anything is on disk. The next change begins when the gateway has
applied this one, so that each client is told what became of its change.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.aio.tasks import Tasks, shielded
from gateway.config import clobber, edit, files, owners
from gateway.config.compare import same
from gateway.config.configfile import ConfigFile
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.config.patch import EntriesLost
from gateway.config.vocabulary import new_unknown_keys, unrecognized_messages
from gateway.protocol.frames import RpcError, WireError
from gateway.report import Issue, ReloadResult
from gateway.rpc.config_text import Invalid, hash_on_disk, refusal
from gateway.rpc.core import Core
from gateway.rpc.redaction import Unrestorable

log = logging.getLogger("gateway.config")

HASH_DIFFERS = "config changed since last load; re-run config.get and retry"
EMPTY = "{\n}\n"


@dataclass(frozen=True)
class Texts:
    """New texts of the config's files."""

    main: str
    included: dict[str, str] = field(default_factory=dict)
    """The files that the config includes and that change: text by path."""
    meaning: Any = None
    """The config that all files together must mean; None where it does not matter."""


Make = Callable[[Snapshot], Texts]
"""Makes the new texts of the file as it is. It runs in a thread, and may raise RpcError, Invalid, Unrestorable,
EntriesLost, edit.CannotEdit and owners.NotOwned."""


@dataclass(frozen=True)
class FileChange:
    """The file before and after a change."""

    before: Snapshot
    after: Snapshot
    """`before` itself when there was nothing to write."""
    result: ReloadResult | None = None
    """What the running gateway did about it; None when there was nothing to write."""


class ConfigWriter:
    """Writes the config file of `core`. There is one for each process."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = asyncio.Lock()
        self._tasks = Tasks(log)

    @shielded
    async def change(self, protocol: int, make: Make) -> FileChange:
        """Write what `make` makes of the file, and apply it. `protocol` is that of the client. Raises RpcError."""
        async with self._lock:
            changed = await asyncio.to_thread(_write, self._core, protocol, make)
            if changed.after is changed.before:
                return changed
            result = await self._core.reload("rpc")
        if not result.ok:
            hash = fingerprint(self._core.paths.state, changed.after.raw_hash)
            message = f"{changed.after.path} was written, but not applied: {result.message}"
            raise RpcError(WireError("UNAVAILABLE", message, {"outcome": result.outcome, "hash": hash}))
        return FileChange(changed.before, changed.after, result)


def meaning(before: Snapshot) -> dict[str, Any]:
    """The config that a change starts from: the whole of it, with its includes."""
    return before.merged if before.layers else before.parsed


def rewritten(before: Snapshot, value: Any) -> Texts:
    """The fewest edits after which the config means `value`: comments and order stay, and each key stays in its file.

    Raises edit.CannotEdit and owners.NotOwned.
    """
    if not before.layers:
        return Texts(edit.rewrite(EMPTY if before.raw is None else before.raw, value))
    texts = owners.texts(before.layers, before.merged, value)
    return Texts(texts.pop(str(before.path), before.raw or EMPTY), texts, value)


def _write(core: Core, protocol: int, make: Make) -> FileChange:
    """Blocks on the disk: call it in a thread. Raises RpcError."""
    path, state = core.snapshot.path, core.paths.state
    before = files.read(path, os.environ, state, access_only=True)
    try:
        texts = make(before)
        if texts.main == before.raw and not texts.included:
            return FileChange(before, before)
        after = ConfigFile(path, os.environ, state, core.reachable).read(text=texts.main, included=texts.included)
        _check(before, after, texts)
        if unknown := unrecognized_messages(new_unknown_keys(before.merged, after.merged, protocol)):
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


def _check(before: Snapshot, after: Snapshot, texts: Texts) -> None:
    """Refuse a change that would write a file outside the config's folder, or whose texts do not mean what was asked.

    Raises owners.NotOwned and RpcError.
    """
    for file in texts.included:
        if not files.is_beside(before.path, file):
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
