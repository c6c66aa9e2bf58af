"""The plan of a reload: what an edit changes in meaning, and what that needs. `config plan` and the reload share it."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from gateway.config.compare import differences, same
from gateway.config.fields import FIELDS
from gateway.config.openclaw import is_read
from gateway.config.schema import Config
from gateway.config.setting import ACTIONS
from gateway.config.tree import ConfigTree
from gateway.report import Change

MAX_PATHS_SHOWN = 20
"""The most paths that one log line names."""

Fate = Literal["none", "hot", "restart", "unit", "ignored"]
Outcome = Literal["nothing", "hot", "restart", "ignored", "off"]


class Plan(Struct, frozen=True):
    """The effects of a reload, decided before anything changes."""

    changes: tuple[Change, ...]
    """Every path that differs, once, sorted."""
    restart: bool
    """Whether a path needs a restart, and the mode allows it."""
    unit: tuple[str, ...]
    """Paths that only the socket unit can apply: `openclaw-gateway install` writes it."""
    actions: tuple[str, ...]
    """Names of appliers, each once, in the order of ACTIONS. Also if there is a restart: that may have to wait."""
    ignored: tuple[str, ...]
    """Paths that need a restart, which mode hot does not allow."""
    outcome: Outcome
    """`ignored` if nothing can be applied now: the fields `ignored` and `unit` say what waits for what."""
    hot: tuple[str, ...] = ()
    """Paths that are applied without a restart."""

    def fate(self, change: Change) -> Fate:
        """The effect of one change under this plan."""
        if change.effect == "none" or self.outcome == "off":
            return "none"
        if change.path in self.unit:
            return "unit"
        return "ignored" if change.path in self.ignored else "hot" if change.path in self.hot else "restart"


def make_plan(
    old_tree: ConfigTree, new_tree: ConfigTree, old: Config, new: Config, mode: str, socket_by_systemd: bool
) -> Plan:
    """The plan from the config that runs (`old`) to the one that was read (`new`). The trees are resolved.

    `mode` is `gateway.reload.mode` of the new config. With `socket_by_systemd` the unit holds the port.
    """
    changes = tuple(_changes(old_tree, new_tree, old, new))
    if mode == "off":
        return Plan(changes, False, (), (), (), "off" if changes else "nothing")
    unit = tuple(c.path for c in changes if c.effect == "unit") if socket_by_systemd else ()
    used = [c for c in changes if c.effect != "none" and c.path not in unit]
    hot = [c for c in used if c.effect == "hot" and mode != "restart"]
    heavy = tuple(c.path for c in used if c not in hot)
    restart = bool(heavy) and mode != "hot"
    wanted = {c.action for c in hot}
    actions = tuple(action for action in ACTIONS if action in wanted)
    ignored = () if restart else heavy
    outcome: Outcome = "restart" if restart else "hot" if hot else "ignored" if ignored or unit else "nothing"
    return Plan(changes, restart, unit, actions, ignored, outcome, tuple(c.path for c in hot))


def describe(changes: tuple[Change, ...]) -> str:
    """OpenClaw's log line. It has paths and no values, which may be secrets."""
    shown = ", ".join(change.path for change in changes[:MAX_PATHS_SHOWN])
    more = len(changes) - MAX_PATHS_SHOWN
    return f"config change detected; evaluating reload ({shown}{f', +{more} more' if more > 0 else ''})"


def _changes(old_tree: ConfigTree, new_tree: ConfigTree, old: Config, new: Config) -> Iterator[Change]:
    # The environment or a default can change a field's value without a change in the tree, and a change in the tree can
    # leave the value as it was: the typed values decide.
    meant = {path for path, rule in FIELDS.items() if not same(rule.of(old), rule.of(new))}
    for path in sorted({*differences(old_tree, new_tree), *meant}):
        rule = FIELDS.get(path)
        if rule and path in meant:
            yield Change(path, rule.effect.value, rule.action)
        else:
            yield Change(path, "hot" if is_read(path) else "none")  # read at each use
