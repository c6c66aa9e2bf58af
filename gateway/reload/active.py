"""The config that runs, and which one a start takes: the file's, the last known good one, or defaults."""

from dataclasses import dataclass
from typing import Any, Literal

from gateway.config.files import Snapshot
from gateway.config.schema import Config

Source = Literal["file", "last-good", "defaults"]


@dataclass(frozen=True)
class Active:
    config: Config
    tree: dict[str, Any]
    digest: str
    source: Source


def choose(snapshot: Snapshot, good: Snapshot | None, avoid: str = "") -> Active:
    """What to start on. `avoid` is the digest of a config that failed when it was applied.

    A config that failed is taken all the same if nothing better is kept: it is valid, and defaults would lock out
    everybody. Without any, the defaults serve health and refuse who cannot show the generated token.
    """
    if snapshot.config is not None and (not avoid or snapshot.digest != avoid or _same(good, snapshot)):
        return Active(snapshot.config, snapshot.tree, snapshot.digest, "file" if snapshot.exists else "defaults")
    if good is not None and good.config is not None:
        return Active(good.config, good.tree, good.digest, "last-good")
    if snapshot.config is not None:
        return Active(snapshot.config, snapshot.tree, snapshot.digest, "file")
    return Active(Config(), {}, "", "defaults")


def _same(good: Snapshot | None, snapshot: Snapshot) -> bool:
    return good is None or good.digest == snapshot.digest
