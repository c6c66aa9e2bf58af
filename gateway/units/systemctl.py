"""`systemctl --user`, which connects to the manager's private socket: it needs XDG_RUNTIME_DIR and no D-Bus.

`show` starts nothing. Without a user manager, `version()` is None and the other methods raise NoManager or
SystemctlFailed.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError

ASK_LIMIT = 10
"""Seconds for a question to the manager."""
JOB_LIMIT = 120
"""Seconds for a start or a stop: above the unit's own TimeoutStartSec and TimeoutStopSec."""


class NoManager(GatewayError):
    """No systemd user manager answers."""


class SystemctlFailed(GatewayError):
    """systemctl refused, or did not answer in time. The message has its words."""


@dataclass(frozen=True)
class JobResult:
    """Exit code and output of a command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[[Sequence[str], Mapping[str, str], float], JobResult]
"""A function that runs a command: its words, its environment, and its limit in seconds.

Raises TimeoutExpired, and FileNotFoundError if there is no such program.
"""


def run(words: Sequence[str], env: Mapping[str, str], limit: float) -> JobResult:
    """Run a command without standard input, so that it cannot ask. Raises TimeoutExpired and FileNotFoundError."""
    done = subprocess.run(
        words, env=dict(env), timeout=limit, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    return JobResult(done.returncode, done.stdout, done.stderr)


class Systemctl:
    """`env` is the environment of the commands; XDG_RUNTIME_DIR has a default."""

    def __init__(self, env: Mapping[str, str], run: Run = run) -> None:
        self.env = {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", **env}
        self._run = run

    @classmethod
    def available(cls, env: Mapping[str, str]) -> "Systemctl | None":
        """None if no user manager answers: in a container, after `su` without a session, with another init."""
        systemctl = cls(env)
        return systemctl if systemctl.version() is not None else None

    def version(self) -> int | None:
        """The manager's major version. None if no manager answers."""
        try:
            outcome = self._call("show", "--property=Version", limit=ASK_LIMIT)
        except NoManager:
            return None
        digits = outcome.out.removeprefix("Version=").split(".")[0].split("~")[0].split("-")[0].strip()
        return int(digits) if outcome.code == 0 and digits.isdigit() else None

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit in the manager. The lines of one that has several are joined by line feeds.

        Raises NoManager and SystemctlFailed.
        """
        outcome = self._call("show", unit, f"--property={','.join(properties)}", limit=ASK_LIMIT)
        if outcome.code != 0:
            raise NoManager(_no_manager(outcome.err))
        found: dict[str, str] = {}
        for line in outcome.out.splitlines():
            name, equals, value = line.partition("=")
            if equals:
                found[name] = f"{found[name]}\n{value}" if name in found else value
        return found

    def do(self, *words: str, limit: float = JOB_LIMIT) -> None:
        """Run a command such as `start UNIT`, for at most `limit` seconds.

        Raises SystemctlFailed with systemd's reason, and NoManager if there is no systemctl.
        """
        outcome = self._call(*words, limit=limit)
        if outcome.code != 0:
            reason = outcome.err.strip() or f"exit code {outcome.code}"
            raise SystemctlFailed(f"systemctl --user {' '.join(words)}: {reason}")

    def try_out(self, properties: Iterable[str], command: Sequence[str]) -> bool:
        """True if a transient unit with these properties can run a command."""
        options = ("--quiet", "--collect", "--property=Type=oneshot", "--property=StandardOutput=null")
        # Not --wait: that needs D-Bus. Starting a oneshot takes until it has ended.
        words = ["systemd-run", "--user", *options, *(f"--property={each}" for each in properties), "--", *command]
        try:
            return self._run(words, self.env, ASK_LIMIT).code == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _call(self, *words: str, limit: float) -> JobResult:
        command = ["systemctl", "--user", "--no-pager", "--no-ask-password", *words]
        try:
            return self._run(command, self.env, limit)
        except FileNotFoundError:
            raise NoManager("there is no systemctl here: this machine does not run systemd") from None
        except subprocess.TimeoutExpired:
            raise SystemctlFailed(f"systemctl --user {' '.join(words)}: no answer within {limit:g} s") from None


def _no_manager(reason: str) -> str:
    return (
        f"no systemd user manager answers ({reason.strip() or 'no reason given'}); log in as this user, or keep the "
        "manager running without a login: sudo loginctl enable-linger $USER"
    )


def enable_linger(env: Mapping[str, str], user: str, run: Run = run) -> str | None:
    """Let the user manager start at boot and outlive logout. None if it does, else why that was not possible."""
    if shutil.which("loginctl", path=env.get("PATH")) is None:
        return "there is no loginctl here"
    try:
        outcome = run(["loginctl", "--no-ask-password", "enable-linger", user], env, ASK_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if outcome.code == 0:
        return None
    return next(iter(outcome.err.strip().splitlines()), f"loginctl ended with {outcome.code}")
