"""`config.set`, `config.patch` and `config.apply`: change the config file and answer with the result.

Comments and order of the file are kept: a client's text without secrets is edited until it has them, and never
re-encoded.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import edit
from gateway.config.compare import differences
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.config.owners import flattens
from gateway.config.patch import merge_careful, merge_patch
from gateway.machine.clock import now_ms
from gateway.protocol.frames import RpcError
from gateway.protocol.params import Body, Params
from gateway.protocol.scopes import ADMIN
from gateway.rpc.config_text import parse_raw
from gateway.rpc.config_writer import HASH_DIFFERS, FileChange, Texts, meaning, rewritten
from gateway.rpc.methods.config import known_config, shown_config
from gateway.rpc.redaction import restore
from gateway.rpc.registry import Call, method

HASH_REQUIRED = "config base hash required; re-run config.get and retry"

Text = Annotated[str, Meta(min_length=1)]


class ConfigSetParams(Params, frozen=True):
    raw: Annotated[Body, Meta(min_length=1)]
    """JSON5."""
    base_hash: Text | None = None
    """The `hash` of `config.get`; needed when the file exists."""


class ApplyParams(ConfigSetParams, frozen=True):
    session_key: str | None = None
    note: str | None = None
    restart_delay_ms: Annotated[int, Meta(ge=0)] | None = None
    """Taken for compatibility: a restart begins when the gateway is idle, and `restart.delayMs` is 0."""
    delivery_context: dict[str, Any] | None = None


class ConfigPatchParams(ApplyParams, frozen=True):
    replace_paths: list[str] = []
    """Dotted paths of arrays that the patch replaces as a whole. Protocol 4."""


class Applied(Struct, rename="camel"):
    """What the running gateway did about the new file."""

    outcome: str
    message: str


class ConfigWritten(Struct, rename="camel", omit_defaults=True):
    ok: bool
    path: str
    config: dict[str, Any]
    """`config` as in `config.get`."""
    reload: Applied | UnsetType = UNSET
    """Absent if nothing was written."""
    hash: str | UnsetType = UNSET
    """Protocol 4, like the next two fields."""
    changed_paths: list[str] | UnsetType = UNSET
    noop: bool = False
    restart: dict[str, Any] | UnsetType | None = UNSET
    """In protocol 3, for `config.apply` and `config.patch`: null if no restart is needed."""
    sentinel: dict[str, Any] | UnsetType = UNSET


@method("config.set", ConfigSetParams, ConfigWritten, scope=ADMIN)
async def config_set(call: Call, params: ConfigSetParams) -> ConfigWritten:
    """Write the config file and apply it. A secret that is sent as `__OPENCLAW_REDACTED__` is kept."""
    return await _Write(call, params, "config.set", partial(_taken, params.raw)).run()


@method("config.apply", ApplyParams, ConfigWritten, scope=ADMIN, budgeted=True)
async def config_apply(call: Call, params: ApplyParams) -> ConfigWritten:
    """As `config.set`. The answer says whether the change needs a restart."""
    return await _Write(call, params, "config.apply", partial(_taken, params.raw)).run()


@method("config.patch", ConfigPatchParams, ConfigWritten, scope=ADMIN, budgeted=True)
async def config_patch(call: Call, params: ConfigPatchParams) -> ConfigWritten:
    """Merge an object into the config file. Comments and order are kept; null deletes a key.

    In protocol 4, arrays of objects merge by `id`, and other arrays lose entries only if `replacePaths` names them.
    """

    def patched(before: Snapshot, patch: Any) -> Texts:
        base = meaning(before)
        restored = restore(patch, base, known_config(before))
        if call.peer.protocol < 4:
            merged = merge_patch(base, restored)
        else:
            merged = merge_careful(base, restored, params.replace_paths)
        return rewritten(before, merged)

    return await _Write(call, params, "config.patch", patched).run()


def _taken(raw: str, before: Snapshot, value: Any) -> Texts:
    """The client's text with its secrets. If the text contains values of includes, each is written to its file."""
    if before.layers and flattens(before.parsed, value, before.merged):
        return rewritten(before, restore(value, before.merged, known_config(before)))
    return Texts(edit.rewrite(raw, restore(value, before.parsed, known_config(before))))


@dataclass(frozen=True)
class _Write:
    """One request to write."""

    call: Call
    params: ConfigSetParams
    name: str
    make: Callable[[Snapshot, Any], Texts]
    """Makes the new texts from the file and the value of `raw`."""

    async def run(self) -> ConfigWritten:
        call = self.call
        changed = await call.core.config_writer.change(call.peer.protocol, self._text)
        return self._answer(changed)

    def _text(self, before: Snapshot) -> Texts:
        value = parse_raw(self.params.raw, before.path)
        if isinstance(self.params, ConfigPatchParams):
            if not isinstance(value, dict):
                raise RpcError("config.patch raw must be an object")
            if not value and before.raw is not None:
                return Texts(before.raw)  # an empty patch overwrites nothing, so that it needs no hash
        if before.exists and self.params.base_hash is None:
            raise RpcError(HASH_REQUIRED)
        if before.exists and self.params.base_hash != self._hash(before):
            raise RpcError(HASH_DIFFERS)
        if isinstance(self.params, ConfigPatchParams) and before.raw is not None:
            parse_raw(before.raw, before.path, before.issues)
        return self.make(before, value)

    def _hash(self, found: Snapshot) -> str:
        return fingerprint(self.call.core.paths.state, found.raw_hash)

    def _answer(self, done: FileChange) -> ConfigWritten:
        path, result = str(done.after.path), done.result
        answer = ConfigWritten(True, path, shown_config(done.after))
        if result is not None:
            answer.reload = Applied(result.outcome, result.message)
        modern, restarts = self.call.peer.protocol >= 4, result is not None and result.outcome == "restart"
        if modern:
            answer.hash = self._hash(done.after)
            answer.changed_paths = sorted(differences(meaning(done.before), meaning(done.after))) if result else []
            answer.noop = result is None
        if not isinstance(self.params, ApplyParams):
            return answer
        stats: dict[str, Any] = {"mode": self.name, "root": path}
        kind = "config-patch" if modern and self.name == "config.patch" else "config-apply"
        payload: dict[str, Any] = {"kind": kind, "status": "ok", "ts": now_ms(), "stats": stats}
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
