"""A config as the running service reads it: the service has variables and credentials that this shell lacks."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.client.control import Control
from gateway.config.files import Snapshot
from gateway.errors import GatewayError
from gateway.reload.answers import AccessPoint, SeenConfig

SHELL = "looked at in this shell's environment; no running gateway could say what its service has besides"


@dataclass(frozen=True)
class CheckedConfig:
    """A config as this shell reads it, and as the service does if one runs."""

    snapshot: Snapshot
    seen: SeenConfig | None = None
    where: str = SHELL

    @property
    def valid(self) -> bool:
        return self.seen.valid if self.seen else self.snapshot.config is not None

    def merged(self) -> Snapshot:
        """The snapshot with the service's issues and warnings instead of the shell's."""
        if self.seen is None:
            return self.snapshot
        return replace(self.snapshot, issues=self.seen.issues, warnings=self.seen.warnings, unused=self.seen.unused)


def check_config(env: Mapping[str, str], found: Snapshot, included: Mapping[str, str] | None = None) -> CheckedConfig:
    """`included`: file name -> text, for included files that are not written yet. It does not raise."""
    control = Control.from_env(env)
    try:
        report = control.status(timeout=1.0)
        seen = control.config(str(found.path), found.raw, dict(included or {}))
    except GatewayError:  # no gateway runs, or an older version does
        return CheckedConfig(found)
    who = f"{report.unit}, " if report.unit else ""
    return CheckedConfig(found, seen, f"looked at in the environment of the running gateway ({who}pid {report.pid})")


def access_point(env: Mapping[str, str]) -> AccessPoint | None:
    """Address and secret of the running gateway; None if there is none."""
    try:
        return Control.from_env(env).access_point()
    except GatewayError:
        return None
