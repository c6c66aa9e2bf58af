"""What belongs on disk for this installation, compared with what is there.

Only files that begin with our mark are ever changed or removed. `install` applies it, `doctor` only compares.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import GatewayError
from gateway.units import (
    AGENT_SERVICE,
    AGENT_SOCKET,
    GONE,
    LISTEN_DROP_IN,
    MARK,
    PROGRAMS,
    SANDBOX_DROP_IN,
    SERVICE,
    SOCKET,
    UNITS,
    render,
    sandbox,
    shipped,
)
from gateway.units.addresses import Address, parse
from gateway.units.places import drop_ins, read, unit_folder
from gateway.units.syntax import environment, merged

MODULES = {SERVICE: "gateway", AGENT_SERVICE: "gateway.agent"}
"""What runs where there is no console script."""
KEPT = ("OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR")
"""Variables that say where files lie; the service gets them from the environment of `install`."""


@dataclass(frozen=True)
class UnitChange:
    path: Path
    kind: Literal["write", "update", "remove"]

    @property
    def unit(self) -> str:
        """Whose file it is: a unit's own, or its drop-in."""
        return self.path.name if self.path.name in (*UNITS, GONE) else self.path.parent.name.removesuffix(".d")


@dataclass(frozen=True)
class Wanted:
    folder: Path
    files: Mapping[str, str | None]
    """Path below the folder -> text; None for a file that must not be there."""

    def changes(self) -> list[UnitChange]:
        """What `apply` would do; empty when everything is as it should be."""
        found: list[UnitChange] = []
        for name, wanted in self.files.items():
            path = self.folder / name
            present = read(path)
            if wanted is None and present is not None and present.startswith(MARK):
                found.append(UnitChange(path, "remove"))
            elif wanted is not None and present != wanted:
                found.append(UnitChange(path, "write" if present is None else "update"))
        return found

    def refuse_directories(self) -> None:
        """A directory that lies where a file must go is nobody's unit, so it is not ours to move."""
        for change in self.changes():
            if change.path.is_dir():
                raise GatewayError(
                    f"{change.path} is a directory, and a unit file must go there; nothing was changed. Move it away "
                    f"and try again: mv {shlex.quote(str(change.path))} {shlex.quote(f'{change.path}.aside')}"
                )

    def apply(self) -> list[UnitChange]:
        """Raises before the first change if one of them cannot be made because of a directory."""
        self.refuse_directories()
        done = self.changes()
        for change in done:
            text = self.files[str(change.path.relative_to(self.folder))]
            if text is None:
                change.path.unlink()
                _remove_empty(change.path.parent)
            else:
                _write(change.path, text)
        return done


def plan(env: Mapping[str, str], addresses: Iterable[Address], sandbox_refusal: str | None = None) -> Wanted:
    """`env` decides where the service's files lie: give it `service_environment()`."""
    listen = tuple(addresses)
    return Wanted(
        unit_folder(env),
        {
            SOCKET: render.unchanged(SOCKET),
            SERVICE: _service(SERVICE, {name: env[name] for name in KEPT if env.get(name)}),
            SANDBOX_DROP_IN: sandbox.text(sandbox_refusal),
            AGENT_SOCKET: render.unchanged(AGENT_SOCKET),
            AGENT_SERVICE: _service(AGENT_SERVICE, {}),
            GONE: render.unchanged(GONE),
            LISTEN_DROP_IN: None if listen == shipped_addresses() else render.listen(listen),
        },
    )


def program(name: str) -> tuple[str, ...]:
    """What this service runs of this installation: its console script, else the module (a checkout without one)."""
    places = [Path(sys.executable)]
    if Path(sys.argv[0]).name in PROGRAMS.values():
        places.append(Path(sys.argv[0]).absolute())
    scripts = (place.with_name(PROGRAMS[name]) for place in places)
    script = next((script for script in scripts if script.exists()), None)
    # -P: a folder named `gateway` in the home directory must not become the program.
    return (str(script),) if script else (sys.executable, "-P", "-m", MODULES[name])


def _service(name: str, variables: Mapping[str, str]) -> str:
    words = program(name)
    checkout = _checkout() if words[-1] == MODULES[name] else None
    return render.service(name, words, {**variables, "PYTHONPATH": checkout} if checkout else variables)


def service_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that means the installed service: where this shell does not say where files lie,
    the service does. A variable that is set but empty says: the default."""
    present = installed_environment(unit_folder(env))
    return {name: value for name, value in present.items() if name in KEPT} | dict(env)


def installed_environment(folder: Path) -> dict[str, str]:
    text = read(folder / SERVICE)
    return environment(text) if text and text.startswith(MARK) else {}


def drop_in_environment(folder: Path) -> dict[str, str]:
    """What the user's own drop-ins give the service, such as a secret."""
    found: dict[str, str] = {}
    for path in drop_ins(folder, SERVICE):
        found |= environment(read(path) or "")
    return found


def _checkout() -> str | None:
    """The folder to put on the path when this code is not installed anywhere."""
    root = Path(__file__).resolve().parents[2]
    return None if root.name in ("site-packages", "dist-packages") else str(root)


def shipped_addresses() -> tuple[Address, ...]:
    return listening([shipped(SOCKET)])


def listening(texts: Iterable[str]) -> tuple[Address, ...]:
    """The addresses of a socket unit and its drop-ins, in their order."""
    return tuple(address for value in merged(texts, "Socket", "ListenStream") if (address := parse(value)))


def in_force(folder: Path, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Where the socket unit will listen once these are installed: the user's own drop-ins have the last word."""
    texts = (read(path) or "" for path in drop_ins(folder, SOCKET))
    return listening([render.listen(addresses), *(text for text in texts if not text.startswith(MARK))])


def listening_on_disk(folder: Path) -> tuple[Address, ...]:
    """Of the socket unit in this folder with all drop-ins in it, whoever wrote them; empty when there is none."""
    text = read(folder / SOCKET)
    texts = [text, *(read(path) for path in drop_ins(folder, SOCKET))] if text else []
    return listening(text for text in texts if text)


def open_addresses(folder: Path, listeners: Iterable[str] = ()) -> tuple[str, ...]:
    """Where others than this machine can connect, or could after a restart: of `listening_on_disk`, and of the
    `listeners` that a running gateway reports."""
    running = [address for text in listeners if (address := parse(text))]
    found = dict.fromkeys(address for address in (*running, *listening_on_disk(folder)) if not address.loopback)
    return tuple(map(str, found))


def installed_addresses(folder: Path) -> tuple[Address, ...] | None:
    """What an earlier `install` chose; None when there was none."""
    text = read(folder / SOCKET)
    if text is None or not text.startswith(MARK):
        return None
    chosen = read(folder / LISTEN_DROP_IN)
    return listening([text, chosen] if chosen and chosen.startswith(MARK) else [text])


def written_files(folder: Path) -> list[Path]:
    """Our files that are there, for `uninstall`."""
    paths = [folder / name for name in (LISTEN_DROP_IN, SANDBOX_DROP_IN, *UNITS, GONE)]
    return [path for path in paths if (read(path) or "").startswith(MARK)]


def remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    if folder.suffix == ".d":
        try:
            folder.rmdir()
        except OSError:
            pass  # the user's drop-ins are in it


def _write(path: Path, text: str) -> None:
    """Whole or not at all, so that a daemon-reload at this moment reads the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
