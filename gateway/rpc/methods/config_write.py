"""`config.set`, `config.patch` and `config.apply`: change the config file, and say what came of it.

One writer at a time, and each runs to its end, also when its client leaves. The comments and the order of the user's
file are kept: what a client sends without secrets is edited until it has them again, never written anew.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import clobber, edit, files
from gateway.config.files import Snapshot
from gateway.config.guard import guard
from gateway.config.patch import EntriesLost, merge_careful, merge_patch
from gateway.protocol.frames import WireError
from gateway.protocol.params import Params
from gateway.protocol.scopes import ADMIN
from gateway.reload.plan import differences
from gateway.report import Issue, ReloadResult
from gateway.rpc.methods.config import shown_config
from gateway.rpc.methods.config_text import Invalid, hash_on_disk, parse_raw, refusal
from gateway.rpc.redaction import Unrestorable, restore
from gateway.rpc.registry import Call, RpcError, method

HASH_REQUIRED = "config base hash required; re-run config.get and retry"
HASH_DIFFERS = "config changed since last load; re-run config.get and retry"
EMPTY = "{\n}\n"

Text = Annotated[str, Meta(min_length=1)]


class SetParams(Params, frozen=True):
    raw: Text
    """JSON5."""
    base_hash: Text | None = None
    """The `hash` of `config.get`; needed when the file exists."""


class ApplyParams(SetParams, frozen=True):
    session_key: str | None = None
    note: str | None = None
    restart_delay_ms: Annotated[int, Meta(ge=0)] | None = None
    """Taken for compatibility: a restart begins when the gateway is idle, and `restart.delayMs` is 0."""
    delivery_context: dict[str, Any] | None = None


class PatchParams(ApplyParams, frozen=True):
    replace_paths: list[str] = []
    """Arrays, as dotted paths, that the patch replaces as a whole. Protocol 4."""


class Applied(Struct, rename="camel"):
    """What the running gateway did about the new file."""

    outcome: str
    message: str


class Written(Struct, rename="camel", omit_defaults=True):
    ok: bool
    path: str
    config: dict[str, Any]
    """As in `config.get`."""
    reload: Applied | UnsetType = UNSET
    """Absent where nothing was written."""
    hash: str | UnsetType = UNSET
    """Protocol 4, as the next two."""
    changed_paths: list[str] | UnsetType = UNSET
    noop: bool = False
    restart: dict[str, Any] | UnsetType | None = UNSET
    """Protocol 3, of `config.apply` and `config.patch`: null when none is needed."""
    sentinel: dict[str, Any] | UnsetType = UNSET


@method("config.set", SetParams, Written, scope=ADMIN)
async def config_set(call: Call, params: SetParams) -> Written:
    """Write the config file and apply it. A secret written as `__OPENCLAW_REDACTED__` stays what it is."""
    return await _Write(call, params, "config.set", partial(_taken, params.raw)).run()


@method("config.apply", ApplyParams, Written, scope=ADMIN, budgeted=True)
async def config_apply(call: Call, params: ApplyParams) -> Written:
    """As `config.set`, and tell of the restart when the change needs one."""
    return await _Write(call, params, "config.apply", partial(_taken, params.raw)).run()


@method("config.patch", PatchParams, Written, scope=ADMIN, budgeted=True)
async def config_patch(call: Call, params: PatchParams) -> Written:
    """Merge an object into the config file, comments and order kept; null deletes a key.

    From protocol 4 on, arrays of objects merge by `id`; others lose entries only where `replacePaths` names them.
    """

    def patched(before: Snapshot, patch: Any) -> str:
        restored = restore(patch, before.parsed, shown_config(before))
        if call.peer.protocol < 4:
            merged = merge_patch(before.parsed, restored)
        else:
            merged = merge_careful(before.parsed, restored, params.replace_paths)
        return edit.rewrite(EMPTY if before.raw is None else before.raw, merged)

    return await _Write(call, params, "config.patch", patched).run()


def _taken(raw: str, before: Snapshot, value: Any) -> str:
    """The raw text as it is, but for the secrets."""
    return edit.rewrite(raw, restore(value, before.parsed, shown_config(before)))


_writing = asyncio.Lock()
_running: set[asyncio.Task[Written]] = set()
"""The loop itself holds tasks only weakly."""


@dataclass(frozen=True)
class _Done:
    """The file before and after: the same when there was nothing to write."""

    before: Snapshot
    after: Snapshot


@dataclass(frozen=True)
class _Write:
    """One request to write."""

    call: Call
    params: SetParams
    name: str
    make: Callable[[Snapshot, Any], str]
    """The file's new text, of the file before and of the value of `raw`."""

    async def run(self) -> Written:
        task = asyncio.create_task(self._run(), name=self.name)
        _running.add(task)
        task.add_done_callback(_ended)
        return await asyncio.shield(task)

    async def _run(self) -> Written:
        core = self.call.core
        async with _writing:
            done = await asyncio.to_thread(self._write)
            if done.after is done.before:
                return self._answer(done, [], None)
            result = await core.reload("rpc")
        if not result.ok:
            details = {"outcome": result.outcome, "hash": done.after.raw_hash}
            message = f"{done.after.path} was written, but not applied: {result.message}"
            raise RpcError(WireError("UNAVAILABLE", message, details))
        return self._answer(done, sorted(differences(done.before.parsed, done.after.parsed)), result)

    def _write(self) -> _Done:
        """In a thread, because it waits for the disk."""
        path, state = self.call.core.snapshot.path, self.call.core.paths.state
        before = files.read(path, os.environ, state)
        try:
            text = self._text(before)
            if text == before.raw:
                return _Done(before, before)
            after = guard(files.read(path, os.environ, state, text=text), self.call.core.reachable)
            if after.issues:
                raise Invalid(*after.issues)
            if hash_on_disk(path) != (before.raw_hash if before.exists else None):
                raise RpcError(HASH_DIFFERS)
            if lost := clobber.losses(before, after):
                raise RpcError(_rejection(path, text, lost))
            files.write(path, text)
        except Invalid as fault:
            raise RpcError(refusal(self.call.peer.protocol, fault.issues)) from None
        except (Unrestorable, EntriesLost) as fault:
            raise RpcError(refusal(self.call.peer.protocol, (Issue(fault.why, fault.path),))) from None
        except edit.Refused as fault:
            raise RpcError(f"{path}: {fault}") from None
        except OSError as error:
            raise RpcError(WireError("UNAVAILABLE", f"{path} cannot be written: {error.strerror}")) from error
        return _Done(before, after)

    def _text(self, before: Snapshot) -> str:
        value = parse_raw(self.params.raw, before.path)
        if isinstance(self.params, PatchParams):
            if not isinstance(value, dict):
                raise RpcError("config.patch raw must be an object")
            if not value and before.raw is not None:
                return before.raw  # it cannot undo what another client wrote, so that it needs no hash
        if before.exists and self.params.base_hash is None:
            raise RpcError(HASH_REQUIRED)
        if before.exists and self.params.base_hash != before.raw_hash:
            raise RpcError(HASH_DIFFERS)
        if isinstance(self.params, PatchParams) and before.raw is not None:
            parse_raw(before.raw, before.path, before.issues)
        return self.make(before, value)

    def _answer(self, done: _Done, changed: list[str], result: ReloadResult | None) -> Written:
        path = str(done.after.path)
        answer = Written(True, path, shown_config(done.after))
        if result is not None:
            answer.reload = Applied(result.outcome, result.message)
        modern, restarts = self.call.peer.protocol >= 4, result is not None and result.outcome == "restart"
        if modern:
            answer.hash = done.after.raw_hash
            answer.changed_paths = changed
            answer.noop = result is None
        if not isinstance(self.params, ApplyParams):
            return answer
        stats: dict[str, Any] = {"mode": self.name, "root": path}
        kind = "config-patch" if modern and self.name == "config.patch" else "config-apply"
        payload: dict[str, Any] = {"kind": kind, "status": "ok", "ts": int(time.time() * 1000), "stats": stats}
        if self.params.session_key is not None:
            payload["sessionKey"] = self.params.session_key
        if self.params.note is not None:
            payload["message"] = self.params.note
        if modern:
            stats["requiresRestart"] = restarts
            answer.sentinel = {"persisted": False, "payload": payload}
        else:
            how = {"ok": True, "pid": os.getpid(), "signal": "SIGUSR1", "delayMs": 0, "mode": "emit"}
            answer.restart = {**how, "reason": self.name} if restarts else None
            answer.sentinel = {"path": None, "payload": payload}
        return answer


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


def _ended(task: asyncio.Task[Written]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waits gets it; if nobody does any more, it is no news
