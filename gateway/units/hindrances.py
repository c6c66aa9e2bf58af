"""Settings in the user's own drop-ins that deny a service what it needs.

systemd does not warn of them: the service starts, and fails later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.units import AGENT_SERVICE, MARK, SERVICE
from gateway.units.places import drop_ins, read
from gateway.units.syntax import parse

_ON = frozenset(("yes", "true", "on", "1"))
_STATE = "the state folder, which lies in the home, cannot be written; name it in ReadWritePaths="
_RULES: Mapping[str, tuple[frozenset[str], str, tuple[str, ...]]] = {
    "ProtectHome": (_ON | {"read-only", "tmpfs"}, _STATE, (SERVICE,)),
    "ProtectSystem": (frozenset(("strict",)), _STATE, (SERVICE,)),
    "PrivateTmp": (_ON | {"disconnected"}, "the log file in /tmp is another one than `logs` reads", (SERVICE,)),
    "PrivateNetwork": (_ON, "no provider of models can be reached", (AGENT_SERVICE,)),
    "CapabilityBoundingSet": (
        frozenset(("",)),
        "a user manager may not give capabilities away: some versions end with 218/CAPABILITIES",
        (SERVICE, AGENT_SERVICE),
    ),
    "Type": (
        frozenset(("simple", "exec", "forking", "oneshot", "idle")),
        "systemd does not hear that it is ready, and keeps no connection over a restart",
        (SERVICE, AGENT_SERVICE),
    ),
    "NotifyAccess": (frozenset(("none",)), "systemd does not hear that it is ready", (SERVICE, AGENT_SERVICE)),
    "Restart": (frozenset(("no",)), "a crash is not mended until the next client comes", (SERVICE,)),
    "FileDescriptorStoreMax": (frozenset(("0",)), "connections do not outlive a restart", (SERVICE,)),
    "MemoryDenyWriteExecute": (_ON, "tools that are written in JavaScript do not start", (AGENT_SERVICE,)),
}
"""Setting -> the values that hinder, the reason, and the services that they hinder."""
_LIFTED_BY = {"ProtectHome": ("ReadWritePaths", "BindPaths"), "ProtectSystem": ("ReadWritePaths", "BindPaths")}


@dataclass(frozen=True)
class Hindrance:
    """A setting that hinders, and the drop-in that has it."""

    path: Path
    setting: str
    """The line of the drop-in, such as `ProtectHome=yes`."""
    why: str
    unit: str


def find(folder: Path, units: Iterable[str] = (SERVICE, AGENT_SERVICE)) -> list[Hindrance]:
    """The settings that hinder these services, of those that have the last word in the user's drop-ins in `folder`."""
    return [found for unit in units for found in _of(unit, folder)]


def _of(unit: str, folder: Path) -> Iterable[Hindrance]:
    said: dict[str, tuple[str, Path]] = {}
    for path in drop_ins(folder, unit):
        text = read(path) or ""
        for setting in () if text.startswith(MARK) else parse(text):
            if setting.section == "Service":
                said[setting.key] = (setting.value, path)
    for key, (values, why, where) in _RULES.items():
        if unit not in where or key not in said:
            continue
        value, path = said[key]
        lifted = any(said.get(other, ("", None))[0] for other in _LIFTED_BY.get(key, ()))
        if value.lower() in values and not lifted:
            yield Hindrance(path, f"{key}={value}", why, unit)
