"""Units that conflict with ours: a system-wide gateway over the port, OpenClaw's own user unit over the name too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.units import MARK, SERVICE, SOCKET, UNITS
from gateway.units.places import SYSTEM_FOLDERS, drop_ins, read, unit_folder
from gateway.units.syntax import environment, merged

_TAKEN_OVER = ("OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR")
"""Variables that `--take-over` takes from OpenClaw's unit: they name its files. Secrets stay in the backup."""

_FORMER = ("clawdbot", "moltbot", "moldbot")


@dataclass(frozen=True)
class SystemUnit:
    """A unit of the system manager with our name."""

    path: Path
    enabled: bool
    """True if a target wants it: then it starts at boot, and has the port before a user manager runs."""


@dataclass(frozen=True)
class OpenClawUnit:
    """`openclaw-gateway.service` as OpenClaw's `gateway install` wrote it."""

    path: Path
    carried: Mapping[str, str]
    dropped: tuple[str, ...]
    """Names of the variables that our unit does not get."""
    port: int | None
    """The port that it served on. None if the unit does not tell."""


def system_units(folders: Sequence[Path] = SYSTEM_FOLDERS) -> list[SystemUnit]:
    """The units of the system manager that have our names."""
    found: dict[str, SystemUnit] = {}
    for folder in folders:
        for name in (SOCKET, SERVICE):
            path = folder / name
            # A link to /dev/null is a masked unit, which never runs.
            if name not in found and path.exists() and path.resolve() != Path("/dev/null"):
                found[name] = SystemUnit(path, _wanted(name, folders))
    return list(found.values())


def _wanted(name: str, folders: Sequence[Path]) -> bool:
    return any(
        link.name == name for folder in folders for link in folder.glob("*.target.[wr]*s/*") if not link.is_dir()
    )


def openclaw_unit(env: Mapping[str, str]) -> OpenClawUnit | None:
    """OpenClaw's own user unit, if the unit of our service's name is it."""
    path = unit_folder(env) / SERVICE
    text = read(path)
    if text is None or text.startswith(MARK) or not _is_openclaw(text):
        return None
    values = environment(text)
    for extra in drop_ins(path.parent, SERVICE):
        values |= environment(read(extra) or "")
    # %h is the one specifier that users write into these variables. Our unit gets its value.
    home = env.get("HOME", "~")
    carried = {name: values[name].replace("%h", home) for name in _TAKEN_OVER if values.get(name)}
    return OpenClawUnit(path, carried, tuple(sorted(set(values) - carried.keys())), _port(text, values))


def _is_openclaw(text: str) -> bool:
    started = " ".join(merged([text], "Service", "ExecStart"))
    return (
        "OPENCLAW_SERVICE_MARKER" in environment(text)
        or any(entry in started for entry in ("dist/index.js", "dist/entry.js", "openclaw.mjs"))
        or ("node" in started and "gateway" in started)
    )


def _port(text: str, values: Mapping[str, str]) -> int | None:
    words = " ".join(merged([text], "Service", "ExecStart")).replace("--port=", "--port ").split()
    told = words[words.index("--port") + 1 : words.index("--port") + 2] if "--port" in words else []
    for candidate in (*told, values.get("OPENCLAW_GATEWAY_PORT", "")):
        if candidate.isdigit():
            return int(candidate)
    return None


def former_units(env: Mapping[str, str]) -> list[Path]:
    """User unit files of OpenClaw's gateway under its former names; they want the same port."""
    return sorted(path for name in _FORMER for path in unit_folder(env).glob(f"{name}-gateway*.service"))


def foreign_units(env: Mapping[str, str]) -> list[Path]:
    """User unit files with our names that neither we nor OpenClaw wrote."""
    known = openclaw_unit(env)
    found = []
    for name in UNITS:
        path = unit_folder(env) / name
        text = read(path)
        if text is not None and not text.startswith(MARK) and not (known and known.path == path):
            found.append(path)
    return found
