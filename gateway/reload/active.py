"""The config that runs, and which one a start takes: the file's, the last known good one, or defaults."""

from dataclasses import dataclass
from typing import Literal

from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.config.tree import ConfigTree

Source = Literal["file", "last-good", "defaults"]


@dataclass(frozen=True)
class Active:
    config: Config
    tree: ConfigTree
    digest: str
    source: Source


def choose(snapshot: Snapshot, good: Snapshot | None, fallback: Config, *, suspect: bool = False) -> Active:
    """What to start on. `suspect`: starts on this snapshot have failed.

    Such a config is taken all the same if nothing better is kept: it is valid, and defaults would lock out
    everybody. Without any, the `fallback`, which is the defaults with what the environment says, serves health and
    refuses who cannot show the environment's secret or the generated token.
    """
    if snapshot.config is not None and not (suspect and _another(good, snapshot)):
        return Active(snapshot.config, snapshot.tree, snapshot.digest, "file" if snapshot.exists else "defaults")
    if good is not None and good.config is not None:
        return Active(good.config, good.tree, good.digest, "last-good")
    if snapshot.config is not None:
        return Active(snapshot.config, snapshot.tree, snapshot.digest, "file")
    return Active(fallback, ConfigTree({}), "", "defaults")


def _another(good: Snapshot | None, snapshot: Snapshot) -> bool:
    return good is not None and good.digest != snapshot.digest
