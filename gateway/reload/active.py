"""The config that runs, and the choice of a start: the file's, the last known good one, or defaults."""

from typing import Literal

from msgspec import Struct

from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.config.tree import ConfigTree

Source = Literal["file", "last-good", "defaults"]


class Active(Struct, frozen=True):
    """The config that runs, and where it comes from."""

    config: Config
    tree: ConfigTree
    digest: str
    source: Source


def choose(snapshot: Snapshot, good: Snapshot | None, fallback: Config, *, suspect: bool = False) -> Active:
    """The config to start on. `suspect` says that starts on this snapshot have failed.

    A suspect config is taken if no other is kept: it is valid, and defaults would refuse every client. Without a valid
    one the `fallback` runs, which is the defaults with what the environment sets: it answers probes, and refuses
    clients that do not have the environment's secret or the generated token.
    """
    if snapshot.config is not None and not (suspect and _differs(good, snapshot)):
        return Active(snapshot.config, snapshot.tree, snapshot.digest, "file" if snapshot.exists else "defaults")
    if good is not None and good.config is not None:
        return Active(good.config, good.tree, good.digest, "last-good")
    if snapshot.config is not None:
        return Active(snapshot.config, snapshot.tree, snapshot.digest, "file")
    return Active(fallback, ConfigTree({}), "", "defaults")


def _differs(good: Snapshot | None, snapshot: Snapshot) -> bool:
    return good is not None and good.digest != snapshot.digest
