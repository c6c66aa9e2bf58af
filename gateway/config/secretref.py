"""SecretRef: `{source, provider, id}` where the config may have a secret, as OpenClaw has it (docs/gateway/secrets).

Pure: what lies outside of the config (files, programs) is asked of an `Ask`. What gives no secret stays in the tree as
`Unresolved`, with the reason: nothing else is tried in its place, so that no other key opens what it was to open.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.config.parse import Path, dotted
from gateway.config.secretproviders import Ask, Definition, EnvProvider, ProgramProvider, SecretRefused, definition
from gateway.config.substitute import Lookup
from gateway.config.tree import is_enabled, matches, section

DOOR = ("gateway", "auth")
"""What is below decides who may connect: a secret that is missing there is an error of the config."""
_PROVIDER, _REQUEST = ("models", "providers", "*"), ("models", "providers", "*", "request")
_SERVER = ("mcp", "servers", "*")
_TLS = ("ca", "cert", "key", "passphrase")
PLACES: tuple[tuple[str, ...], ...] = (
    (*DOOR, "token"),
    (*DOOR, "password"),
    (*_PROVIDER, "apiKey"),
    (*_PROVIDER, "headers", "*"),
    (*_PROVIDER, "models", "*", "headers", "*"),
    (*_REQUEST, "auth", "token"),
    (*_REQUEST, "auth", "value"),
    (*_REQUEST, "headers", "*"),
    *((*_REQUEST, "tls", name) for name in _TLS),
    *((*_REQUEST, "proxy", "tls", name) for name in _TLS),
    (*_SERVER, "env", "*"),
    (*_SERVER, "headers", "*"),
)
"""Where a secret may stand; `*` is any key or index. OpenClaw's list, without what is not used here."""

ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_EXEC_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,255}")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
_SHORTHAND = re.compile(rf"\$({VARIABLE.pattern})")
SOURCES = ("env", "file", "exec", "store")
SHAPE = '{source: "env" | "file" | "exec", provider: "…", id: "…"}'


@dataclass(frozen=True)
class SecretRef:
    source: str
    provider: str
    id: str


class Unresolved(dict[str, Any]):
    """A reference as it is written, which gave no secret; `problem` and `way_out` say why, without any secret."""

    def __init__(self, ref: Mapping[str, Any], problem: str, way_out: str) -> None:
        super().__init__(ref)
        self.problem, self.way_out = problem, way_out


@dataclass(frozen=True)
class SecretFailure:
    path: Path
    problem: str
    way_out: str
    stale: bool = False
    """The secret that the same reference gave before goes on being used."""
    unanswered: bool = False
    """A program gave none, and may give one at another time."""

    def __str__(self) -> str:
        rest = "; what it gave before is used" if self.stale else ""
        return f"{dotted(self.path)}: {self.problem}; {self.way_out}{rest}"


Known = Mapping[tuple[SecretRef, Definition], str]


@dataclass
class SecretsResolved:
    tree: Any
    failures: list[SecretFailure] = field(default_factory=list)
    values: dict[tuple[SecretRef, Definition], str] = field(default_factory=dict, repr=False)
    """What references to files and programs gave."""


def places(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Every place of `PLACES` that has something."""
    for pattern in PLACES:
        yield from matches(tree, pattern)


def resolve_references(
    tree: Any,
    lookup: Lookup,
    ask: Ask,
    wanted: Callable[[Path], bool] = lambda path: True,
    known: Known | None = None,
) -> SecretsResolved:
    """The tree with secrets in place of references. Never raises, whatever the tree is.

    What is not `wanted` is left as it is, and what is not in force is as if it were not there. `known` is what the same
    references gave before: it goes on being used where they give nothing now, but not for who may connect.
    """
    references = [(path, ref) for path, value in places(tree) if wanted(path) and (ref := _reference(value))]
    found = SecretsResolved(copy.deepcopy(tree) if references else tree)
    asked: dict[tuple[SecretRef, Definition], list[Path]] = {}
    for path, ref in references:
        if not in_force(tree, path):
            _put(found.tree, path, None)
            continue
        try:
            read = _read(tree, ref)
            asked.setdefault((read, definition(tree, read.source, read.provider)), []).append(path)
        except SecretRefused as refused:
            _fail(found, path, ref, refused)
    for key, answer in _answers(list(asked), lookup, ask).items():
        for path in asked[key]:
            _take(found, path, key, answer, known or {})
    return found


def in_force(tree: Any, path: Path) -> bool:
    """Whether the secret is used at all; one of a mode that is not chosen, or of a disabled server, is not."""
    if path[: len(DOOR)] == DOOR:
        auth = tree["gateway"]["auth"]
        unused = {"none": ("token", "password"), "password": ("token",), "token": ("password",)}
        return path[-1] not in unused.get(str(auth.get("mode")), ())
    if path[:2] == _SERVER[:2]:
        return is_enabled(tree["mcp"]["servers"][path[2]])
    return True


def _reference(value: Any) -> Mapping[str, Any] | None:
    """`$NAME` means the same as a reference to the environment."""
    if isinstance(value, dict):
        return value if "source" in value else None
    match = _SHORTHAND.fullmatch(value.strip()) if isinstance(value, str) else None
    return {"source": "env", "id": match[1]} if match else None


def _read(tree: Any, value: Mapping[str, Any]) -> SecretRef:
    source, id = value.get("source"), value.get("id")
    if source not in SOURCES:
        raise SecretRefused("the reference has no valid source", f"write it as {SHAPE}")
    if source == "store":
        raise SecretRefused(
            'secrets from the "store" of OpenClaw are not supported', 'use source "env", "file" or "exec"'
        )
    usual = section(tree, "secrets", "defaults").get(source, "default")
    provider = value.get("provider", usual)
    if not isinstance(provider, str) or not ALIAS.fullmatch(provider):
        raise SecretRefused("the reference has no valid provider", "name one of secrets.providers, in lower case")
    if unknown := sorted(map(str, set(value) - {"source", "provider", "id"})):
        raise SecretRefused(f'the reference has an unknown key "{unknown[0][:60]}"', f"write it as {SHAPE}")
    if not isinstance(id, str) or not _is_id(source, id.strip()):
        what = {
            "env": "the name of a variable, such as OPENAI_API_KEY",
            "file": 'a JSON pointer such as "/providers/openai/apiKey", or "value" for a file with mode singleValue',
            "exec": 'a name such as "vault/openai/api-key"',
        }[source]
        raise SecretRefused("the reference has no valid id", f"it must be {what}")
    return SecretRef(source, provider, id.strip())


def _is_id(source: str, id: str) -> bool:
    if source == "env":
        return bool(VARIABLE.fullmatch(id))
    if source == "file":
        return id == "value" or bool(_POINTER.fullmatch(id))
    return bool(_EXEC_ID.fullmatch(id)) and not {".", ".."} & set(id.split("/"))


def _answers(
    asked: list[tuple[SecretRef, Definition]], lookup: Lookup, ask: Ask
) -> dict[tuple[SecretRef, Definition], str | SecretRefused]:
    answers: dict[tuple[SecretRef, Definition], str | SecretRefused] = {}
    outside: dict[tuple[str, Definition], list[str]] = {}
    for ref, source in asked:
        if isinstance(source, EnvProvider):
            answers[ref, source] = _variable(ref, source, lookup)
        else:
            outside.setdefault((ref.provider, source), []).append(ref.id)
    given = ask(outside) if outside else {}
    for ref, source in asked:
        if not isinstance(source, EnvProvider):
            answers[ref, source] = _checked(ref, given[ref.provider, source])
    return answers


def _variable(ref: SecretRef, source: EnvProvider, lookup: Lookup) -> str | SecretRefused:
    if source.allowlist is not None and ref.id not in source.allowlist:
        allow = f"add it to secrets.providers.{ref.provider}.allowlist"
        return SecretRefused(f"the environment variable {ref.id} is not in the provider's allowlist", allow)
    where = "set it in the environment of the service, in .env beside the state, or under env.vars"
    return lookup(ref.id) or SecretRefused(f"the environment variable {ref.id} is not set", where)


def _checked(ref: SecretRef, given: Mapping[str, Any] | SecretRefused) -> str | SecretRefused:
    value = given if isinstance(given, SecretRefused) else given.get(ref.id)
    if isinstance(value, SecretRefused) or (isinstance(value, str) and value.strip()):
        return value
    what = f'the {ref.source} provider "{ref.provider}" gave no text for the id "{ref.id}"'
    return SecretRefused(what, f"put it there, or correct the id; the provider is secrets.providers.{ref.provider}")


def _take(
    found: SecretsResolved, path: Path, key: tuple[SecretRef, Definition], answer: str | SecretRefused, known: Known
) -> None:
    ref, source = key
    unanswered = isinstance(source, ProgramProvider)
    written = {"source": ref.source, "provider": ref.provider, "id": ref.id}
    stale = known.get(key) if path[: len(DOOR)] != DOOR else None
    if isinstance(answer, str):
        _put(found.tree, path, answer)
        if not isinstance(source, EnvProvider):
            found.values[key] = answer
    elif stale is not None:
        _put(found.tree, path, stale)
        found.values[key] = stale
        found.failures.append(SecretFailure(path, str(answer), answer.way_out, True, unanswered))
    else:
        _fail(found, path, written, answer, unanswered)


def _fail(
    found: SecretsResolved, path: Path, ref: Mapping[str, Any], refused: SecretRefused, unanswered: bool = False
) -> None:
    _put(found.tree, path, Unresolved(ref, str(refused), refused.way_out))
    found.failures.append(SecretFailure(path, str(refused), refused.way_out, unanswered=unanswered))


def _put(tree: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        tree = tree[step]
    tree[path[-1]] = value
