"""The listeners of the process: those of the socket unit, or its own, and the control socket."""

import logging
import os
import socket
from pathlib import Path

from gateway.config.validate import REFUSING
from gateway.errors import ConfigInvalid
from gateway.machine.listeners import bind_listeners, hosts_of
from gateway.process.configuration import Configuration
from gateway.process.startup import Startup
from gateway.report import Degradation

log = logging.getLogger("gateway")


def listen(start: Startup, configuration: Configuration) -> tuple[socket.socket, ...]:
    """Raises ConfigInvalid if `--bind` would let others in without a secret, PortBusy if the port is taken."""
    inherited, options = start.inherited, start.options
    if inherited.held_by_systemd:
        if options.port or options.bind:
            log.warning("--port and --bind are not used: openclaw-gateway.socket holds the port")
        return inherited.listeners
    gateway = configuration.config.gateway
    bind = options.bind or gateway.bind
    if configuration.nobody_can_connect and configuration.reachable and not inherited.listeners:
        # Only what the command line asks for comes here: a config file that asks for it is one with an error.
        raise ConfigInvalid(
            f"{REFUSING} gateway to {bind} without auth. Set gateway.auth.token in {start.paths.config} or "
            f"OPENCLAW_GATEWAY_TOKEN, or leave --bind away."
        )
    custom = gateway.custom_bind_host
    if bind not in ("auto", "loopback", "lan", "custom", "tailnet"):
        bind, custom = "custom", bind
    hosts = hosts_of(bind, custom)
    return bind_listeners(hosts, options.port or gateway.port, inherited.listeners)


def listen_for_commands(path: Path, problems: dict[Degradation, str]) -> list[socket.socket]:
    """The control socket; none if it cannot be made, which is then one of the `problems`."""
    try:
        return [_control_socket(path)]
    except OSError as error:
        problems["control"] = f"no control socket at {path}: {error.strerror}"
        log.warning("no control socket at %s: %s; status, reload and restart cannot reach us", path, error.strerror)
        return []


def _control_socket(path: Path) -> socket.socket:
    """The lease makes this process the only one, so a file in its place was left behind by a process that is dead."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid() or path.parent.stat().st_mode & 0o077:
        raise PermissionError(1, "the folder is not private to this user", str(path.parent))
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    path.chmod(0o600)  # a drop-in may have another UMask=
    sock.listen()
    return sock
