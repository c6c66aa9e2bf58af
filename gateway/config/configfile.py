"""The config file of a process: read it, apply the bind guard, and store it once it has run.

The guard knows addresses that the file does not decide: those of the socket unit, and `--bind`. A config that would let
other machines in without a secret gets an issue, so it is not used, and the config before goes on.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.config import files, lastgood
from gateway.config.files import Snapshot
from gateway.config.validate import REFUSING, guards, unguarded
from gateway.report import Issue

if TYPE_CHECKING:
    from gateway.config.secretref import KnownSecrets

log = logging.getLogger("gateway.config")


class ConfigFile:
    """One thread may use it at a time."""

    def __init__(self, path: Path, env: Mapping[str, str], state_dir: Path, reachable: Sequence[str] = ()) -> None:
        self.reachable = tuple(reachable)
        """Addresses that other machines can reach, whatever the file says."""
        self._path = path
        self._env = env
        self._state_dir = state_dir
        self._secrets: KnownSecrets = {}
        """Reference -> secret, of the last valid file: used if a reference has no value now."""

    def read(
        self, *, text: str | None = None, included: Mapping[str, str] | None = None, access_only: bool = False
    ) -> Snapshot:
        """As `files.read`, with the guard. Never raises."""
        found = files.read(
            self._path,
            self._env,
            self._state_dir,
            text=text,
            included=included,
            known=self._secrets,
            access_only=access_only,
        )
        if found.config is not None and text is None and not included and not access_only:
            self._secrets = found.secrets
        return guard(found, self.reachable)

    def keep(self, snapshot: Snapshot) -> None:
        """Store a config that has run as the last good one. A failure is logged."""
        try:
            lastgood.save(self._state_dir, snapshot)
        except OSError as error:
            log.warning("the last known good config cannot be kept: %s", error)

    def last_good(self) -> Snapshot | None:
        """The stored config in the current environment; its `config` is None if the guard refuses it."""
        found = lastgood.load(self._state_dir, self._path, self._env)
        return guard(found, self.reachable) if found else None


def guard(snapshot: Snapshot, reachable: Sequence[str]) -> Snapshot:
    """The snapshot, with an issue if `reachable` has addresses and no secret is required."""
    auth = snapshot.config.gateway.auth if snapshot.config else None
    key = unguarded(auth) if auth and reachable else None
    if auth is None or key is None:
        return snapshot
    issue = Issue(
        f"{REFUSING} to {', '.join(reachable)} without auth",
        f"gateway.auth.{key}",
        str(snapshot.path),
        hint=f"{guards(auth)}, or listen on loopback first; under systemd: openclaw-gateway install --bind loopback",
    )
    return replace(snapshot, config=None, issues=(*snapshot.issues, issue))
