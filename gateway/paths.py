"""Where things lie: config file, state folder, run-time folder, control socket.

The rules for config and state are OpenClaw's, so that both gateways find the same files.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG_NAME = "openclaw.json"
DATABASE_NAME = "conversations.sqlite"
CONTROL_NAME = "control-{}.sock"
SUN_PATH_MAX = 107
"""Bytes in the address of a Unix socket (unix(7))."""


@dataclass(frozen=True)
class Paths:
    """All places one gateway uses; computed once from the environment."""

    config: Path
    """`OPENCLAW_CONFIG_PATH`, else `<state>/openclaw.json`."""
    state: Path
    """`OPENCLAW_STATE_DIR`, else `~/.openclaw`."""
    runtime: Path
    """Private folder for sockets: `$XDG_RUNTIME_DIR/openclaw-gateway`, else `/tmp/openclaw-gateway-<uid>`."""

    @property
    def control(self) -> Path:
        """The control socket: one for each state folder, because one gateway serves one state folder."""
        digest = hashlib.sha256(os.fsencode(os.path.realpath(self.state))).hexdigest()[:12]
        return self.runtime / CONTROL_NAME.format(digest)

    @property
    def database(self) -> Path:
        """Sessions, transcripts and runs."""
        return self.state / "gateway" / DATABASE_NAME

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Paths":
        home = Path(env.get("OPENCLAW_HOME") or env.get("HOME") or os.path.expanduser("~"))
        state = Path(env.get("OPENCLAW_STATE_DIR") or home / ".openclaw").expanduser().absolute()
        config = Path(env.get("OPENCLAW_CONFIG_PATH") or state / CONFIG_NAME).expanduser().absolute()
        return cls(config=config, state=state, runtime=_runtime(env))


def _runtime(env: Mapping[str, str]) -> Path:
    uid = os.getuid()
    base = env.get("XDG_RUNTIME_DIR")
    if not base and os.path.isdir(f"/run/user/{uid}"):
        base = f"/run/user/{uid}"
    folder = Path(base or "") / "openclaw-gateway"
    too_long = len(os.fsencode(folder / CONTROL_NAME.format("x" * 12))) > SUN_PATH_MAX
    return folder if base and not too_long else Path(f"/tmp/openclaw-gateway-{uid}")
