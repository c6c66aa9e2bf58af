"""The gateway and two ways of running uvicorn, each as a unit of one `systemd --user`, on ports of their own.

The rivals' units are the gateway's with as few lines changed as they need, so that the difference is the program's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.programs import BENCH, PROJECT, UVICORN_OPTIONS
from tests.e2e.gateway import PORT, SERVICE, SOCKET, Gateway
from tests.e2e.manager import VENV, UserManager, until

FOLDER = "bench"
"""Path of the programs that run inside, below the user's home."""
UNITS = PROJECT / "gateway" / "units"
KILL = "kill -9"
BY_SOCKET_PORT, BY_ITSELF_PORT = PORT + 1, PORT + 2


@dataclass(frozen=True)
class Server:
    name: str
    service: str
    port: int
    kinds: Mapping[str, Callable[[UserManager], float]]
    """How it is restarted: does it, and returns the monotonic second at which it began."""
    rest: Callable[[UserManager], None] = lambda manager: None
    """Called before a new batch of restarts."""


def set_up(manager: UserManager) -> list[Server]:
    """All servers, started."""
    for script in ("app.py", "newcomers.py"):
        manager.write(f"{FOLDER}/{script}", (BENCH / script).read_text(), mode=0o644)
    gateway = install_gateway(manager)
    _install_rival(manager, "bench-by-socket", BY_SOCKET_PORT, "--fd 3", with_socket=True)
    _install_rival(manager, "bench-by-itself", BY_ITSELF_PORT, f"--port {BY_ITSELF_PORT}", with_socket=False)
    manager.systemctl("daemon-reload")
    manager.systemctl("start", "bench-by-socket.socket", "bench-by-socket.service", "bench-by-itself.service")
    return [
        gateway,
        Server(
            "uvicorn --fd 3, same socket unit",
            "bench-by-socket.service",
            BY_SOCKET_PORT,
            _from_outside("bench-by-socket.service"),
        ),
        Server(
            "uvicorn on its own port",
            "bench-by-itself.service",
            BY_ITSELF_PORT,
            _from_outside("bench-by-itself.service"),
        ),
    ]


def pace(manager: UserManager, service: str) -> float:
    """RestartSec= in seconds, as systemd reads it."""
    text = manager.show(service, "RestartUSec")["RestartUSec"]
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


def started(manager: UserManager, service: str) -> float:
    """The monotonic second at which systemd forked the service's present process."""
    name = "ExecMainStartTimestampMonotonic"
    return int(manager.show(service, name)[name]) / 1e6


def install_gateway(manager: UserManager, config: str | None = None) -> Server:
    """Started; `config` is the text of its file, else the smallest one."""
    gateway = Gateway(manager)
    gateway.configure(config)
    gateway.command("install")
    gateway.start()
    manager.systemctl("start", SERVICE)
    return Server("gateway", SERVICE, PORT, {"hot": _hot, **_from_outside(SERVICE)}, _forget_restarts)


def _install_rival(manager: UserManager, name: str, port: int, listen: str, *, with_socket: bool) -> None:
    command = f"{VENV}/bin/python -m uvicorn --app-dir %h/{FOLDER} {listen} {' '.join(UVICORN_OPTIONS)} app:app"
    service = {
        "Description": f"uvicorn with {listen}",
        "Type": "simple",
        "ExecStart": command,
        "SyslogIdentifier": name,
        "Requires": f"{name}.socket" if with_socket else None,
        "After": f"{name}.socket" if with_socket else None,
        "Wants": None,
        "Also": None,
        **dict.fromkeys(("NotifyAccess", "ExecReload", "WatchdogSec", "FileDescriptorStoreMax", "ExecStopPost")),
        **dict.fromkeys(("RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve")),
    }
    folder = ".config/systemd/user"
    manager.write(f"{folder}/{name}.service", _changed((UNITS / SERVICE).read_text(), service), mode=0o644)
    if with_socket:
        # One address, because `--fd` takes one descriptor.
        socket = {"Service": f"{name}.service", "ListenStream": f"127.0.0.1:{port}", "FileDescriptorName": name}
        manager.write(f"{folder}/{name}.socket", _changed((UNITS / SOCKET).read_text(), socket), mode=0o644)


def _changed(unit: str, values: Mapping[str, str | None]) -> str:
    """The unit's text with these assignments once each, or not at all for None."""
    lines: list[str] = []
    for line in unit.splitlines():
        name = line.partition("=")[0]
        new = f"{name}={values[name]}" if values.get(name) else None
        if name not in values:
            lines.append(line)
        elif new and new not in lines:
            lines.append(new)
    return "\n".join(lines) + "\n"


def _hot(manager: UserManager) -> float:
    began = time.monotonic()
    manager.run("openclaw-gateway", "restart")
    return began


def _forget_restarts(manager: UserManager) -> None:
    """Hot restarts are rationed against loops; a stop of the service begins a new ration."""
    manager.systemctl("stop", SERVICE)
    manager.systemctl("start", SERVICE)


def _from_outside(service: str) -> dict[str, Callable[[UserManager], float]]:
    def cold(manager: UserManager) -> float:
        began = time.monotonic()
        manager.systemctl("restart", service)
        return began

    def kill(manager: UserManager) -> float:
        pid = until(lambda: int(manager.show(service, "MainPID")["MainPID"]), f"a process of {service}")
        began = time.monotonic()
        manager.kill(pid)
        return began

    return {"cold": cold, KILL: kill}
