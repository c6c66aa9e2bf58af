"""The config file as a process uses it: read with all that belongs to it, guarded, and kept when it was good.

The guard looks at what the file alone does not decide: the socket unit's addresses, and `--bind`. A config that would
let others in without a secret is a config with an error, and is treated as one: it is not taken, what ran before goes
on, and the port stays where it is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config import files, lastgood
from gateway.config.files import Snapshot
from gateway.config.validate import REFUSING, guards, unguarded
from gateway.report import Issue

if TYPE_CHECKING:
    from gateway.config.secretref import KnownSecrets

log = logging.getLogger("gateway.config")


class ConfigFile:
    """Not for two threads at once."""

    def __init__(self, path: Path, env: Mapping[str, str], state_dir: Path, reachable: Sequence[str] = ()) -> None:
        self.reachable = tuple(reachable)
        """Addresses at which other machines can connect, whatever the file says."""
        self._path = path
        self._env = env
        self._state_dir = state_dir
        self._secrets: KnownSecrets = {}
        """The secrets of the last good file by their references: a program is not asked again for the same one."""

    def read(
        self, *, text: str | None = None, included: Mapping[str, str] | None = None, access_only: bool = False
    ) -> Snapshot:
        """The file, or what it would be with another `text`; the parameters are those of `files.read`. Never raises."""
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
        """Write it as the last good one. Duty: it has run. A failure is logged."""
        try:
            lastgood.save(self._state_dir, snapshot)
        except OSError as error:
            log.warning("the last known good config cannot be kept: %s", error)

    def last_good(self) -> Snapshot | None:
        """The one that was kept, as the environment completes it now; `config` is None if the guard refuses it."""
        found = lastgood.load(self._state_dir, self._path, self._env)
        return guard(found, self.reachable) if found else None


def guard(snapshot: Snapshot, reachable: Sequence[str]) -> Snapshot:
    """The snapshot itself, or with an error if others can connect to `reachable` and no secret is asked of them."""
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
