"""What a config, and a connection, are to the running gateway: the words of `/control/config` and `/control/door`.

A service has variables, credentials and files that the shell of whoever edits its config does not have.
"""

from msgspec import Struct

from gateway.reload.plan import Plan
from gateway.report import Issue


class SeenConfig(Struct, frozen=True, omit_defaults=True):
    """What the service makes of a config file."""

    valid: bool
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    plan: Plan | None = None
    """What saving it would do to what runs; None where it has errors."""


class AccessPoint(Struct, frozen=True, omit_defaults=True):
    """Where and with what secret a command of the same user connects."""

    port: int
    token: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Door({self.port})"  # a secret must not get into a log
