"""Errors and warnings of a config whose values are valid: keys that are not honoured, old names of keys, misspelt
keys, two agents or providers with one name. Pure.

The tables are in `openclaw` (what each key means here), `old_keys` (old names) and `vocabulary` (which keys exist).
"""

from collections.abc import Callable, Collection, Iterator
from itertools import islice

from msgspec import Struct

from gateway.config import old_keys
from gateway.config.catalog import agent_id
from gateway.config.fields import FIELDS
from gateway.config.openclaw import RULES, Fate, Rule
from gateway.config.parse import Locate, Path, dotted, issue
from gateway.config.providers import plain_name
from gateway.config.tree import ConfigTree, abbreviate, as_list, as_text, matches, section
from gateway.config.vocabulary import FIRST, LATEST, Vocabulary
from gateway.report import Issue

MAX_REPORTED = 50
"""Issues of one kind. Each costs a search of the text for its line."""
MAX_UNKNOWN = 20
"""Unknown keys that are listed; more are counted."""


class KeyReview(Struct, frozen=True):
    errors: list[Issue]
    """A restriction that is not honoured, or two agents that would share tools, models and sessions."""
    warnings: list[Issue]

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(each.path for each in (*self.errors, *self.warnings))


def review_keys(tree: ConfigTree, locate: Locate, named: Collection[str] = ()) -> KeyReview:
    """`named` are dotted paths that have an error already."""
    old = old_keys.find_old_keys(tree)
    errors = [
        *_not_honoured(tree, Fate.RESTRICTS, locate),
        *(_old(each, locate) for each in old if each.name.restricts),
        *_duplicates(_agents(tree), agent_id, "agents", "rename one of them", locate),
    ]
    warnings = [
        *_not_honoured(tree, Fate.LACKS, locate),
        *(_old(each, locate) for each in old if not each.name.restricts),
        *_duplicates(_providers(tree), plain_name, "providers", "the first one counts", locate),
        *_unknown(tree, old, locate, named),
    ]
    return KeyReview([each for each in errors if each.path not in named], warnings)


def _not_honoured(tree: ConfigTree, fate: Fate, locate: Locate) -> Iterator[Issue]:
    found = (
        (row, path)
        for row in RULES
        if row.fate is fate
        for path, value in matches(tree, row.keys)
        if str(path[-1]) not in row.but and row.when(value, tree)
    )
    for row, path in islice(found, MAX_REPORTED):
        yield _issue_of(tree, row, path, locate)
    if more := sum(1 for _ in found):
        yield Issue(f"{more} more keys ask for what is not here")


def _issue_of(tree: ConfigTree, row: Rule, path: Path, locate: Locate) -> Issue:
    gateway = section(tree, "gateway")
    port, mode = gateway.get("port", FIELDS["gateway.port"].default), section(gateway, "tailscale").get("mode")
    words = {
        "port": str(port),
        "mode": mode if mode in ("serve", "funnel") else "serve",
        "name": abbreviate(str(path[-1])),
    }
    message, hint = (_fill(said, words) for said in (row.says, row.way_out))
    return issue(locate(path, key=True), message, dotted(path), hint=hint or None)


def _fill(said: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        said = said.replace(f"{{{name}}}", value)
    return said


def _old(old: old_keys.OldKey, locate: Locate) -> Issue:
    return issue(locate(old.path, key=True), str(old), dotted(old.path), hint=old_keys.MIGRATE_COMMAND)


def _agents(tree: ConfigTree) -> Iterator[tuple[Path, str]]:
    yield from ((("agents", "entries", key), key) for key in section(tree, "agents", "entries"))
    for index, entry in enumerate(as_list(section(tree, "agents").get("list"))):
        if isinstance(entry, dict) and (id := as_text(entry.get("id"))):
            yield ("agents", "list", index), id


def _providers(tree: ConfigTree) -> Iterator[tuple[Path, str]]:
    yield from ((("models", "providers", name), name) for name in section(tree, "models", "providers"))


def _duplicates(
    named: Iterator[tuple[Path, str]], same: Callable[[str], str], what: str, hint: str, locate: Locate
) -> Iterator[Issue]:
    """An issue for each repeated name. `same` gives the name that counts."""
    first: dict[str, str] = {}
    told = 0
    for path, name in named:
        if not name.strip():
            continue
        if (id := same(name)) in first and told < MAX_REPORTED:
            told += 1
            message = f'"{abbreviate(first[id])}" and "{abbreviate(name)}" are one name for {what}, "{abbreviate(id)}"'
            yield issue(locate(path, key=True), message, dotted(path), hint=hint)
        first.setdefault(id, name)


def _unknown(tree: ConfigTree, old: list[old_keys.OldKey], locate: Locate, named: Collection[str]) -> Iterator[Issue]:
    known = Vocabulary(LATEST, FIRST)
    former = {each.path[:length] for each in old for length in range(1, len(each.path) + 1)}
    unknown = (path for path in known.unknown_keys(tree) if dotted(path) not in named)
    found = [path for path in unknown if path not in former]  # a key above an old name is known
    for path in found[:MAX_UNKNOWN]:
        near = known.nearest(path)
        hint = f'did you mean "{near}"?' if near else None
        yield issue(locate(path, key=True), "no key of OpenClaw or of this gateway", dotted(path), hint=hint)
    if len(found) > MAX_UNKNOWN:
        yield Issue(f"{len(found) - MAX_UNKNOWN} more keys are none of OpenClaw or of this gateway")
