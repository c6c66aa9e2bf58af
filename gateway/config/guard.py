"""The bind guard for what the config file alone does not decide: the socket unit's addresses, `--bind`.

A config that would let others in without a secret is a config with an error, so that it gets the answer of one: it is
not taken, what ran before goes on, and the port stays where it is.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.config.files import Snapshot
from gateway.config.validate import REFUSING, guards, unguarded
from gateway.report import Issue


def guard(snapshot: Snapshot, reachable: Sequence[str]) -> Snapshot:
    """The same, or with an error if others can connect to `reachable` and nothing asks them for a secret."""
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
