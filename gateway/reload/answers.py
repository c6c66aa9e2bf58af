"""The answers of `/control/config` and `/control/door`: how the running gateway reads a config, and how to connect.

The service has variables, credentials and files that the shell in which somebody edits the config does not have.
"""

from msgspec import Struct

from gateway.reload.plan import Plan
from gateway.report import Issue


class SeenConfig(Struct, frozen=True, omit_defaults=True):
    """A config file as the service reads it."""

    valid: bool
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    plan: Plan | None = None
    """The plan of the reload that saving it would cause; None if it has errors."""


class AccessPoint(Struct, frozen=True, omit_defaults=True):
    """The port and the secret with which a command of the same user connects."""

    port: int
    token: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"AccessPoint({self.port})"  # a secret must not get into a log
