"""`config.get`: the config file as it was last read, without its secrets."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.config.fields import overlay
from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.protocol.params import NoParams
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.redaction import redact
from gateway.rpc.registry import Call, method
from gateway.rpc.visibility import visible

UNSAID = "said to operator.admin, by config check and in the log"
"""In place of a fault's message, which may repeat a value."""


class ConfigSnapshot(Struct, rename="camel"):
    path: str
    exists: bool
    raw: str | None
    """The file's text; null if there is no file, or the text contains or may contain a secret."""
    parsed: dict[str, Any]
    """The value of the file alone, without includes."""
    valid: bool
    config: dict[str, Any]
    """The value with includes and without defaults: clients send it back as the new file."""
    hash: str
    """A keyed hash of the file's text: the `baseHash` of a write."""
    issues: list[dict[str, str]]
    warnings: list[dict[str, str]]
    legacy_issues: list[dict[str, str]]
    included_paths: list[str] | UnsetType = UNSET
    source_config: dict[str, Any] | UnsetType = UNSET
    resolved: dict[str, Any] | UnsetType = UNSET
    runtime_config: dict[str, Any] | UnsetType = UNSET


@method("config.get", NoParams, ConfigSnapshot, scope=READ)
def config_get(call: Call, params: NoParams) -> ConfigSnapshot:
    """The config file: text, values, faults and hash. Secrets are `__OPENCLAW_REDACTED__` for all clients.

    Without `operator.admin`, so are all values that are not known to be harmless, and there are no text and no messages
    of faults.
    """
    found, is_admin = call.core.snapshot, ADMIN in call.peer.scopes
    show = redact if is_admin else visible
    parsed = show(found.parsed)
    answer = ConfigSnapshot(
        path=str(found.path),
        exists=found.exists,
        raw=found.raw if is_admin and found.parsed and parsed == found.parsed else None,
        parsed=parsed,
        valid=not found.issues,
        config=show(found.merged),
        hash=fingerprint(call.core.paths.state, found.raw_hash),
        issues=[{"path": each.path, "message": each.message if is_admin else UNSAID} for each in found.issues],
        warnings=[{"path": "", "message": text if is_admin else UNSAID} for text in found.warnings],
        legacy_issues=[],
    )
    if call.peer.protocol >= 4:
        answer.included_paths = [str(file) for file in found.files if file != found.path]
        answer.source_config = show(found.merged)
        answer.resolved = answer.config
        answer.runtime_config = show(_built(call.core.config))
    return answer


def shown_config(found: Snapshot) -> dict[str, Any]:
    """The config with includes and without secrets, for clients that may write it.

    `${VAR}` is not substituted: values of the environment are not shown.
    """
    shown: dict[str, Any] = redact(found.merged)
    return shown


def known_config(found: Snapshot) -> dict[str, Any]:
    """The config as clients may have seen it, with a placeholder for each secret, also for those of the environment."""
    used = {} if found.config is None else _built(found.config)
    known: dict[str, Any] = redact(overlay(found.merged, used))
    return known


def _built(config: Any) -> dict[str, Any]:
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(config))
    return plain


def _without_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_none(child) for key, child in value.items() if child is not None}
