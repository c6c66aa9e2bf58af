"""The paths of the config file, state folder, runtime folder, control socket and the agent's socket.

The rules for config and state are OpenClaw's, so that both gateways find the same files.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gateway.errors import GatewayError

CONFIG_NAME = "openclaw.json"
DATABASE_NAME = "conversations.sqlite"
CONTROL_NAME = "control-{}.sock"
AGENT_SOCKET = "openclaw-agent/agent.sock"
"""The path below the runtime folder of the user manager, as in `openclaw-agent.socket`."""
SUN_PATH_MAX = 107
"""The longest address of a Unix socket in bytes (unix(7))."""


class Paths(Struct, frozen=True):
    """All paths that one gateway uses. They are computed once, from the environment."""

    config: Path
    """`OPENCLAW_CONFIG_PATH`, else `<state>/openclaw.json`."""
    state: Path
    """`OPENCLAW_STATE_DIR`, else `~/.openclaw`."""
    runtime: Path
    """Private folder for sockets: `$XDG_RUNTIME_DIR/openclaw-gateway`, else `/tmp/openclaw-gateway-<uid>`."""
    agent_socket: Path | None = None
    """The socket on which systemd listens for the agent. None without a runtime folder: keys of providers are not sent
    to a socket in `/tmp`, where another user could have made it."""

    @property
    def control(self) -> Path:
        """The control socket. There is one for each state folder, because one gateway serves one state folder."""
        digest = hashlib.sha256(os.fsencode(os.path.realpath(self.state))).hexdigest()[:12]
        return self.runtime / CONTROL_NAME.format(digest)

    @property
    def lock(self) -> Path:
        """The file that is locked if the file system of the state folder does not support locks."""
        return self.control.with_suffix(".lock")

    @property
    def database(self) -> Path:
        """Sessions, transcripts and runs."""
        return self.state / "gateway" / DATABASE_NAME

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Paths":
        """Raises NoHome if a home folder is needed and there is none."""
        state = expand(env.get("OPENCLAW_STATE_DIR") or find_home(env, "OPENCLAW_HOME") / ".openclaw").absolute()
        config = expand(env.get("OPENCLAW_CONFIG_PATH") or state / CONFIG_NAME).absolute()
        base = _runtime_base(env)
        agent = base / AGENT_SOCKET if base and _fits(base / AGENT_SOCKET) else None
        return cls(config=config, state=state, runtime=_runtime(base), agent_socket=agent)


class NoHome(GatewayError):
    """This user has no home folder, as in a container that runs with an arbitrary uid."""


def find_home(env: Mapping[str, str], *before: str) -> Path:
    """The first of these variables that is set, then `HOME`, then what the user database says. Raises NoHome."""
    found = next((value for name in (*before, "HOME") if (value := env.get(name))), None) or os.path.expanduser("~")
    if found == "~":
        raise NoHome(
            f"user id {os.getuid()} has no home folder: HOME is not set, and the user database does not know it. "
            "Set HOME=DIR, or OPENCLAW_STATE_DIR=DIR"
        )
    return Path(found)


def expand(path: str | Path) -> Path:
    """The path with `~` or `~name` replaced. It is unchanged if there is no such home (Path.expanduser would raise)."""
    return Path(os.path.expanduser(path))


def _runtime_base(env: Mapping[str, str]) -> Path | None:
    """The user's runtime folder, which is made at login and only they can read."""
    if base := env.get("XDG_RUNTIME_DIR"):
        return Path(base)
    usual = Path(f"/run/user/{os.getuid()}")
    return usual if usual.is_dir() else None


def _runtime(base: Path | None) -> Path:
    folder = base / "openclaw-gateway" if base else None
    fits = folder and _fits(folder / CONTROL_NAME.format("x" * 12))
    return folder if folder and fits else Path(f"/tmp/openclaw-gateway-{os.getuid()}")


def _fits(address: Path) -> bool:
    return len(os.fsencode(address)) <= SUN_PATH_MAX
