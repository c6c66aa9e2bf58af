"""What the running service says of a config: it has variables and credentials that this shell has not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.client.control import Control
from gateway.config.files import Snapshot
from gateway.errors import GatewayError
from gateway.reload.seen import AccessPoint, SeenConfig

SHELL = "looked at in this shell's environment; no running gateway could say what its service has besides"


@dataclass(frozen=True)
class Judged:
    """A config as this shell reads it, with what the service says of it where one runs."""

    snapshot: Snapshot
    seen: SeenConfig | None = None
    where: str = SHELL

    @property
    def valid(self) -> bool:
        return self.seen.valid if self.seen else self.snapshot.config is not None

    def told(self) -> Snapshot:
        """The snapshot with what the service says in place of what the shell does."""
        if self.seen is None:
            return self.snapshot
        return replace(self.snapshot, issues=self.seen.issues, warnings=self.seen.warnings, unused=self.seen.unused)


def judge(env: Mapping[str, str], found: Snapshot, included: Mapping[str, str] | None = None) -> Judged:
    control = Control.from_env(env)
    try:
        report = control.status(timeout=1.0)
        seen = control.config(str(found.path), found.raw, dict(included or {}))
    except GatewayError:  # none runs, or one of an older version
        return Judged(found)
    who = f"{report.unit}, " if report.unit else ""
    return Judged(found, seen, f"looked at in the environment of the running gateway ({who}pid {report.pid})")


def door(env: Mapping[str, str]) -> AccessPoint | None:
    try:
        return Control.from_env(env).door()
    except GatewayError:
        return None
