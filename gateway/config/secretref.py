"""SecretRef: `{source, provider, id}` where the config may have a secret, as OpenClaw has it (docs/gateway/secrets).

Pure: an `AskProviders` reads files and runs programs. A reference without a secret stays in the tree as `Unresolved`,
with the reason. No other key is used instead, so that no client gets in with a secret that was not meant.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from gateway.config.parse import Path, dotted
from gateway.config.secretproviders import (
    AskProviders,
    Definition,
    EnvProvider,
    ProgramProvider,
    SecretRefused,
    definition,
)
from gateway.config.substitute import Lookup
from gateway.config.tree import is_enabled, matches, section

ACCESS = ("gateway", "auth")
"""The keys below decide who may connect: a missing secret there is an error of the config."""
_PROVIDER, _REQUEST = ("models", "providers", "*"), ("models", "providers", "*", "request")
_SERVER = ("mcp", "servers", "*")
_TLS = ("ca", "cert", "key", "passphrase")
PLACES: tuple[tuple[str, ...], ...] = (
    (*ACCESS, "token"),
    (*ACCESS, "password"),
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
"""Where a reference may be; `*` is any key or index. It is OpenClaw's list without the keys that are not used here."""

ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_SHORTHAND = re.compile(rf"\$({VARIABLE.pattern})")
SOURCES = ("env", "file", "exec", "store")
SHAPE = '{source: "env" | "file" | "exec", provider: "…", id: "…"}'


class SecretRef(Struct, frozen=True):
    """`source` is `env`, `file` or `exec`."""

    source: str
    provider: str
    id: str


class Unresolved(dict[str, Any]):
    """A reference as it is written, without a secret; `problem` and `way_out` say why, and quote no secret."""

    def __init__(self, ref: Mapping[str, Any], problem: str, way_out: str) -> None:
        super().__init__(ref)
        self.problem, self.way_out = problem, way_out


class SecretFailure(Struct, frozen=True):
    path: Path
    problem: str
    way_out: str
    stale: bool = False
    """The secret that the same reference gave before is still used."""
    unanswered: bool = False
    """A program gave none: another try may succeed."""

    def __str__(self) -> str:
        rest = "; what it gave before is used" if self.stale else ""
        return f"{dotted(self.path)}: {self.problem}; {self.way_out}{rest}"


KnownSecrets = Mapping[tuple[SecretRef, Definition], str]


class SecretsResolved(Struct):
    tree: Any
    failures: list[SecretFailure] = []
    values: dict[tuple[SecretRef, Definition], str] = {}
    """The values of references to files and programs."""

    def __repr__(self) -> str:
        """Without secrets: those of the tree, and `values`."""
        return f"SecretsResolved(failures={self.failures!r})"


def places(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Every path that matches `PLACES`, with its value."""
    for pattern in PLACES:
        yield from matches(tree, pattern)


def resolve_references(
    tree: Any,
    lookup: Lookup,
    ask: AskProviders,
    wanted: Callable[[Path], bool] = lambda path: True,
    known: KnownSecrets | None = None,
) -> SecretsResolved:
    """The tree with secrets in place of references. Never raises, whatever the tree is.

    References that are not `wanted` stay; those that are not used become None. `known` are the values of the references
    before: they are used where a reference has no value now, except below `ACCESS`.
    """
    references = [(path, ref) for path, value in places(tree) if wanted(path) and (ref := _reference(value))]
    found = SecretsResolved(copy.deepcopy(tree) if references else tree)
    asked: dict[tuple[SecretRef, Definition], list[Path]] = {}
    for path, ref in references:
        if not is_used(tree, path):
            _set(found.tree, path, None)
            continue
        try:
            read = _parse(tree, ref)
            asked.setdefault((read, definition(tree, read.source, read.provider)), []).append(path)
        except SecretRefused as refused:
            _fail(found, path, ref, refused)
    for key, answer in _resolve(list(asked), lookup, ask).items():
        for path in asked[key]:
            _apply_answer(found, path, key, answer, known or {})
    return found


def is_used(tree: Any, path: Path) -> bool:
    """Whether the secret at `path` is used: not for an auth mode that is not chosen, or a disabled server."""
    if path[: len(ACCESS)] == ACCESS:
        auth = tree["gateway"]["auth"]
        unused = {"none": ("token", "password"), "password": ("token",), "token": ("password",)}
        return path[-1] not in unused.get(str(auth.get("mode")), ())
    if path[:2] == _SERVER[:2]:
        return is_enabled(tree["mcp"]["servers"][path[2]])
    return True


def _reference(value: Any) -> Mapping[str, Any] | None:
    """The reference in a value, if it is one; `$NAME` is a reference to the environment."""
    if isinstance(value, dict):
        return value if "source" in value else None
    match = _SHORTHAND.fullmatch(value.strip()) if isinstance(value, str) else None
    return {"source": "env", "id": match[1]} if match else None


def _parse(tree: Any, value: Mapping[str, Any]) -> SecretRef:
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
        return id == "value" or bool(re.fullmatch(r"(/([^~/]|~[01])*)+", id))
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,255}", id)) and not {".", ".."} & set(id.split("/"))


def _resolve(
    asked: list[tuple[SecretRef, Definition]], lookup: Lookup, ask: AskProviders
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
            answers[ref, source] = _checked_text(ref, given[ref.provider, source])
    return answers


def _variable(ref: SecretRef, source: EnvProvider, lookup: Lookup) -> str | SecretRefused:
    if source.allowlist is not None and ref.id not in source.allowlist:
        allow = f"add it to secrets.providers.{ref.provider}.allowlist"
        return SecretRefused(f"the environment variable {ref.id} is not in the provider's allowlist", allow)
    where = "set it in the environment of the service, in .env beside the state, or under env.vars"
    return lookup(ref.id) or SecretRefused(f"the environment variable {ref.id} is not set", where)


def _checked_text(ref: SecretRef, given: Mapping[str, Any] | SecretRefused) -> str | SecretRefused:
    value = given if isinstance(given, SecretRefused) else given.get(ref.id)
    if isinstance(value, SecretRefused) or (isinstance(value, str) and value.strip()):
        return value
    what = f'the {ref.source} provider "{ref.provider}" gave no text for the id "{ref.id}"'
    return SecretRefused(what, f"put it there, or correct the id; the provider is secrets.providers.{ref.provider}")


def _apply_answer(
    found: SecretsResolved,
    path: Path,
    key: tuple[SecretRef, Definition],
    answer: str | SecretRefused,
    known: KnownSecrets,
) -> None:
    ref, source = key
    unanswered = isinstance(source, ProgramProvider)
    written = {"source": ref.source, "provider": ref.provider, "id": ref.id}
    stale = known.get(key) if path[: len(ACCESS)] != ACCESS else None
    if isinstance(answer, str):
        _set(found.tree, path, answer)
        if not isinstance(source, EnvProvider):
            found.values[key] = answer
    elif stale is not None:
        _set(found.tree, path, stale)
        found.values[key] = stale
        found.failures.append(SecretFailure(path, str(answer), answer.way_out, True, unanswered))
    else:
        _fail(found, path, written, answer, unanswered)


def _fail(
    found: SecretsResolved, path: Path, ref: Mapping[str, Any], refused: SecretRefused, unanswered: bool = False
) -> None:
    _set(found.tree, path, Unresolved(ref, str(refused), refused.way_out))
    found.failures.append(SecretFailure(path, str(refused), refused.way_out, unanswered=unanswered))


def _set(tree: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        tree = tree[step]
    tree[path[-1]] = value
