"""The files that this installation must have on disk, compared with those that are there.

Only files that begin with our mark are changed or removed. `install` applies the difference, `doctor` only reports it.
"""

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import GatewayError
from gateway.files.atomic import replace_text
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
from gateway.units.addresses import ListenAddress, parse
from gateway.units.places import drop_ins, read, unit_folder
from gateway.units.syntax import environment, merged

MODULES = {SERVICE: "gateway", AGENT_SERVICE: "gateway.agent"}
"""Service -> the module that runs if there is no console script."""
FILE_VARIABLES = ("OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR")
"""Variables that name files. The service gets them from the environment of `install`."""


@dataclass(frozen=True)
class UnitChange:
    """One difference between the wanted files and those on disk."""

    path: Path
    kind: Literal["write", "update", "remove"]

    @property
    def unit(self) -> str:
        """The unit that the file belongs to. The file is the unit itself or a drop-in."""
        return self.path.name if self.path.name in (*UNITS, GONE) else self.path.parent.name.removesuffix(".d")


@dataclass(frozen=True)
class WantedFiles:
    """The files of an installation."""

    folder: Path
    files: Mapping[str, str | None]
    """Path below the folder -> text. None for a file that must not be there."""

    def changes(self) -> list[UnitChange]:
        """The changes that `apply` would make. There are none if the files on disk are the wanted ones."""
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
        """Raises GatewayError if a directory is in the place of a file: it is not ours to move."""
        for change in self.changes():
            if change.path.is_dir():
                raise GatewayError(
                    f"{change.path} is a directory, and a unit file must go there; nothing was changed. Move it away "
                    f"and try again: mv {shlex.quote(str(change.path))} {shlex.quote(f'{change.path}.aside')}"
                )

    def apply(self) -> list[UnitChange]:
        """Make the changes, and return them. Raises GatewayError before the first one if a directory is in the way."""
        self.refuse_directories()
        done = self.changes()
        for change in done:
            text = self.files[str(change.path.relative_to(self.folder))]
            if text is None:
                change.path.unlink()
                _remove_empty(change.path.parent)
            else:
                change.path.parent.mkdir(parents=True, exist_ok=True)
                replace_text(change.path, text, 0o644)
        return done


def plan(env: Mapping[str, str], addresses: Iterable[ListenAddress], sandbox_refusal: str | None = None) -> WantedFiles:
    """The files for these addresses. `env` is `service_environment()`, which tells where the service's files are."""
    listen = tuple(addresses)
    return WantedFiles(
        unit_folder(env),
        {
            SOCKET: render.unchanged(SOCKET),
            SERVICE: _service(SERVICE, {name: env[name] for name in FILE_VARIABLES if env.get(name)}),
            SANDBOX_DROP_IN: sandbox.text(sandbox_refusal),
            AGENT_SOCKET: render.unchanged(AGENT_SOCKET),
            AGENT_SERVICE: _service(AGENT_SERVICE, {}),
            GONE: render.unchanged(GONE),
            LISTEN_DROP_IN: None if listen == shipped_addresses() else render.listen(listen),
        },
    )


def program(name: str) -> tuple[str, ...]:
    """The command of this service in this installation: its console script, or in a checkout its module."""
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
    """The environment of a command about the installed service.

    It has those of `FILE_VARIABLES` that only the service has. One that is empty in `env` means the default.
    """
    present = installed_environment(unit_folder(env))
    return {name: value for name, value in present.items() if name in FILE_VARIABLES} | dict(env)


def installed_environment(folder: Path) -> dict[str, str]:
    """The variables in the service that `install` has written. There are none if it has not."""
    text = read(folder / SERVICE)
    return environment(text) if text and text.startswith(MARK) else {}


def drop_in_environment(folder: Path) -> dict[str, str]:
    """The variables in the drop-ins of the service, such as a secret."""
    found: dict[str, str] = {}
    for path in drop_ins(folder, SERVICE):
        found |= environment(read(path) or "")
    return found


def _checkout() -> str | None:
    """The folder for PYTHONPATH, if this code is not installed."""
    root = Path(__file__).resolve().parents[2]
    return None if root.name in ("site-packages", "dist-packages") else str(root)


def shipped_addresses() -> tuple[ListenAddress, ...]:
    """The addresses of the socket unit in the wheel."""
    return listening([shipped(SOCKET)])


def listening(texts: Iterable[str]) -> tuple[ListenAddress, ...]:
    """The addresses in the texts of a socket unit and its drop-ins, in their order."""
    return tuple(address for value in merged(texts, "Socket", "ListenStream") if (address := parse(value)))


def in_force(folder: Path, addresses: Iterable[ListenAddress]) -> tuple[ListenAddress, ...]:
    """The addresses of the socket unit once these are installed. The user's own drop-ins have the last word."""
    texts = (read(path) or "" for path in drop_ins(folder, SOCKET))
    return listening([render.listen(addresses), *(text for text in texts if not text.startswith(MARK))])


def listening_on_disk(folder: Path) -> tuple[ListenAddress, ...]:
    """The addresses of the socket unit in this folder with all its drop-ins. There are none if there is no unit."""
    text = read(folder / SOCKET)
    texts = [text, *(read(path) for path in drop_ins(folder, SOCKET))] if text else []
    return listening(text for text in texts if text)


def open_addresses(folder: Path, listeners: Iterable[str] = ()) -> tuple[str, ...]:
    """The addresses that are not loopback, on which other machines can connect, now or after a restart.

    They are those of `listening_on_disk`, and of the `listeners` that a running gateway reports.
    """
    running = [address for text in listeners if (address := parse(text))]
    found = dict.fromkeys(address for address in (*running, *listening_on_disk(folder)) if not address.is_loopback)
    return tuple(map(str, found))


def installed_addresses(folder: Path) -> tuple[ListenAddress, ...] | None:
    """The addresses that an earlier `install` has written. None if there was none."""
    text = read(folder / SOCKET)
    if text is None or not text.startswith(MARK):
        return None
    chosen = read(folder / LISTEN_DROP_IN)
    return listening([text, chosen] if chosen and chosen.startswith(MARK) else [text])


def written_files(folder: Path) -> list[Path]:
    """The files on disk that `install` has written, for `uninstall`."""
    paths = [folder / name for name in (LISTEN_DROP_IN, SANDBOX_DROP_IN, *UNITS, GONE)]
    return [path for path in paths if (read(path) or "").startswith(MARK)]


def remove(paths: Iterable[Path]) -> None:
    """Remove the files, and drop-in folders that are empty then."""
    for path in paths:
        path.unlink(missing_ok=True)
        _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    if folder.suffix == ".d":
        try:
            folder.rmdir()
        except OSError:
            pass  # it has the user's drop-ins
