"""What a config asks for and does not get here: from the table in `openclaw`, with place and way out. Pure."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

from gateway.config import legacy, twins
from gateway.config.openclaw import ROWS, Fate, Row
from gateway.config.parse import Path, Place, dotted, issue
from gateway.config.providers import cut
from gateway.config.vocabulary import FIRST, LATEST, Vocabulary
from gateway.report import Issue

MAX_UNKNOWN = 20
"""Unknown keys that are named one by one."""
MAX_ASKED = 50
"""What is asked for in vain, of that which is named: each takes a look through the text for its line."""
PORT = 18_789


class Locate(Protocol):
    def __call__(self, path: Path, *, key: bool = False) -> Place: ...


def errors(tree: dict[str, Any], locate: Locate) -> list[Issue]:
    """What restricts or protects something that is done here, and is not honoured."""
    asked = [_told(tree, row, path, locate) for row, path in _asked(tree, Fate.RESTRICTS)]
    asked += [_old(each, locate) for each in legacy.found(tree) if each.name.restricts]
    return asked + [_twin(each, locate, "rename one of them") for each in islice(twins.agents(tree), MAX_ASKED)]


def warnings(tree: dict[str, Any], locate: Locate) -> list[str]:
    """What promises something that is not here, names of former days, and keys that nobody knows."""
    lacking = [str(_told(tree, row, path, locate)) for row, path in _asked(tree, Fate.LACKS)]
    former = [str(_old(each, locate)) for each in legacy.found(tree) if not each.name.restricts]
    same = [str(_twin(each, locate, "the first one counts")) for each in islice(twins.providers(tree), MAX_ASKED)]
    return [*lacking, *former, *same, *_unknown(tree, locate)]


def _asked(tree: dict[str, Any], fate: Fate) -> Iterator[tuple[Row, Path]]:
    found = (
        (row, path)
        for row in ROWS
        if row.fate is fate
        for path, value in _matches(tree, row.keys, ())
        if str(path[-1]) not in row.but and row.when(value, tree)
    )
    return islice(found, MAX_ASKED)


def _matches(value: Any, keys: Path, path: Path) -> Iterator[tuple[Path, Any]]:
    if not keys:
        yield path, value
        return
    if keys[0] == "*" and isinstance(value, list):
        for index, child in enumerate(value):
            yield from _matches(child, keys[1:], (*path, index))
    elif isinstance(value, dict):
        for key in value if keys[0] == "*" else [each for each in keys[:1] if each in value]:
            yield from _matches(value[key], keys[1:], (*path, key))


def _told(tree: dict[str, Any], row: Row, path: Path, locate: Locate) -> Issue:
    said = _words_of(tree, path)
    message, hint = (_fill(text, said) for text in (row.says, row.way_out))
    return issue(locate(path, key=True), message, dotted(path), hint=hint or None)


def _words_of(tree: dict[str, Any], path: Path) -> dict[str, str]:
    gateway = tree.get("gateway")
    gateway = gateway if isinstance(gateway, dict) else {}
    port, tailscale = gateway.get("port"), gateway.get("tailscale")
    mode = tailscale.get("mode") if isinstance(tailscale, dict) else None
    return {
        "port": str(port if isinstance(port, int) else PORT),
        "mode": mode if mode in ("serve", "funnel") else "serve",
        "name": cut(str(path[-1])),
    }


def _fill(text: str, said: dict[str, str]) -> str:
    for name, value in said.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _twin(twin: twins.Twins, locate: Locate, hint: str) -> Issue:
    path, what = twin
    return issue(locate(path, key=True), what, dotted(path), hint=hint)


def _old(old: legacy.Old, locate: Locate) -> Issue:
    return issue(locate(old.path, key=True), str(old), dotted(old.path), hint=legacy.HOW)


def _unknown(tree: dict[str, Any], locate: Locate) -> list[str]:
    known = Vocabulary(LATEST, FIRST)
    former = {each.path[:length] for each in legacy.found(tree) for length in range(1, len(each.path) + 1)}
    found = [path for path in known.strange(tree) if path not in former]  # the keys, and of none what stands there
    told = []
    for path in found[:MAX_UNKNOWN]:
        near = known.nearest(path)
        hint = f'did you mean "{near}"?' if near else None
        where = locate(path, key=True)
        told.append(str(issue(where, "no key of OpenClaw or of this gateway", dotted(path), hint=hint)))
    if len(found) > MAX_UNKNOWN:
        told.append(f"{len(found) - MAX_UNKNOWN} more keys are none of OpenClaw or of this gateway")
    return told
