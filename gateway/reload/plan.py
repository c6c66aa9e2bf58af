"""What an edit of the config changes in meaning, and what that needs. Pure; `config plan` and the reload share it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.config.compare import differences, same
from gateway.config.fields import FIELDS
from gateway.config.openclaw import is_read
from gateway.config.schema import Config
from gateway.config.setting import ACTIONS
from gateway.config.tree import ConfigTree
from gateway.report import Change

MAX_PATHS_SHOWN = 20
"""Paths that one log line names."""

Fate = Literal["none", "hot", "restart", "unit", "ignored"]
Outcome = Literal["nothing", "hot", "restart", "ignored", "off"]


@dataclass(frozen=True)
class Plan:
    """What a reload will do, decided before anything is touched."""

    changes: tuple[Change, ...]
    """Every path that differs, once, sorted."""
    restart: bool
    unit: tuple[str, ...]
    """Paths that only the socket unit can take over: `openclaw-gateway install` does."""
    actions: tuple[str, ...]
    """Hot actions, each once, in the order of ACTIONS. With a restart too, since that may wait for an idle moment."""
    ignored: tuple[str, ...]
    """Paths that need a restart which mode hot does not allow."""
    outcome: Outcome
    """ignored: nothing can be applied now; `ignored` and `unit` say what waits for whom."""
    hot: tuple[str, ...] = ()
    """Paths that are taken without a restart."""

    def fate(self, change: Change) -> Fate:
        """What becomes of one change, here and now."""
        if change.effect == "none" or self.outcome == "off":
            return "none"
        if change.path in self.unit:
            return "unit"
        return "ignored" if change.path in self.ignored else "hot" if change.path in self.hot else "restart"


def make_plan(
    old_tree: ConfigTree, new_tree: ConfigTree, old: Config, new: Config, mode: str, socket_by_systemd: bool
) -> Plan:
    """`mode` is `gateway.reload.mode` of the new config. The trees are resolved: includes and `${VAR}` replaced."""
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
    """OpenClaw's log line. Paths only, never values."""
    shown = ", ".join(change.path for change in changes[:MAX_PATHS_SHOWN])
    more = len(changes) - MAX_PATHS_SHOWN
    return f"config change detected; evaluating reload ({shown}{f', +{more} more' if more > 0 else ''})"


def _changes(old_tree: ConfigTree, new_tree: ConfigTree, old: Config, new: Config) -> Iterator[Change]:
    # What the environment or a default decides can change what a field means without a change in the tree, and a change
    # in the tree can mean nothing: the typed values say which.
    meant = {path for path, rule in FIELDS.items() if not same(rule.of(old), rule.of(new))}
    for path in sorted({*differences(old_tree, new_tree), *meant}):
        rule = FIELDS.get(path)
        if rule and path in meant:
            yield Change(path, rule.effect.value, rule.action)
        else:
            yield Change(path, "hot" if is_read(path) else "none")  # a run, or whoever asks, reads it as it is then
