"""Config values without their secrets, for clients that may write them.

A value is a secret by the name of its key, or by its place (`config/secretref`). Where names say nothing (`env`,
`headers`) every text is one, and so is any text with a URL that has a user or a query. A reference such as `${TOKEN}`
is none and stays readable. For clients that may only read, `visibility` does not rely on names.
"""

import re
from typing import Any

from gateway.config import secretref
from gateway.config.tree import value_at

REDACTED = "__OPENCLAW_REDACTED__"

_SECRET_KEY = re.compile(
    r"token|passw(or)?d|passphrase|secret|credential|cookie|bearer|authorization|(api|access|private|encrypt(ion|ed)?)[_-]?key",
    re.IGNORECASE,
)
_SECRET_WORDS = {
    *("dsn", "hmac", "mnemonic", "nsec", "otp", "pass", "passcode", "pat", "pin", "signing", "webhook"),
}
"""Words in a key that mark a secret; `webhookUrl` has two words."""
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_COUNTS = re.compile(
    r"^(max|min)|(tokens|chars|bytes|limit|count|size|ms|seconds|minutes|hours|days|port)$", re.IGNORECASE
)
"""Keys whose numbers are no secrets, although their names may have such a word."""
_ALL_SECRET = frozenset({"env", "vars", "headers"})
_FLAG = re.compile(r"--?[\w-]+")
_PLAIN_KEY = re.compile(r"(file|path|mode|provider|source)$", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")


def redact(value: Any) -> Any:
    """A copy in which each secret is `REDACTED`; equal to `value` if there is none."""
    shown = _redact(value, secret=False)
    for path, found in list(secretref.places(shown)):
        if isinstance(found, str) and found and not is_reference(found):
            value_at(shown, path[:-1])[path[-1]] = REDACTED
    return shown


def _redact(value: Any, *, secret: bool) -> Any:
    if isinstance(value, dict):
        return {
            key: _redact_args(child) if key == "args" and isinstance(child, list) else _redact_at(key, child, secret)
            for key, child in value.items()
        }
    if isinstance(value, list):
        return [_redact(child, secret=secret) for child in value]
    if isinstance(value, str) and value and _is_secret(value, secret):
        return REDACTED
    if secret and isinstance(value, int | float) and not isinstance(value, bool):
        return REDACTED
    return value


def _redact_at(key: str, child: Any, inherited: bool) -> Any:
    if isinstance(child, int | float) and _COUNTS.search(key):
        return child
    return _redact(child, secret=_hides(key, child, inherited))


def _redact_args(args: list[Any]) -> list[Any]:
    """Arguments of a command without the values of flags with a secret's name, in the same argument or in the next."""
    shown: list[Any] = []
    secret = False
    for each in args:
        flag, equals, _ = each.partition("=") if isinstance(each, str) else ("", "", "")
        named = bool(_FLAG.fullmatch(flag)) and _names_secret(flag.lstrip("-"))
        shown.append(_redact(each, secret=secret or (named and bool(equals))))
        secret = named and not equals
    return shown


def _hides(key: str, child: Any, inherited: bool) -> bool:
    """Whether values below `key` are secrets. An object under a secret's name is a reference (`{source, id}`), and its
    own keys decide."""
    if key in _ALL_SECRET and isinstance(child, dict):
        return True
    return _names_secret(key) and not isinstance(child, dict) or inherited


def _names_secret(key: str) -> bool:
    if _PLAIN_KEY.search(key):
        return False
    words = {word.lower() for word in _WORD.findall(key)}
    return bool(_SECRET_KEY.search(key)) or key.lower() == "key" or not words.isdisjoint(_SECRET_WORDS)


def is_reference(text: str) -> bool:
    return bool(_REFERENCE.fullmatch(text))


def _is_secret(text: str, named: bool) -> bool:
    return not is_reference(text) and (named or tells_of_url(text))


def tells_of_url(text: str) -> bool:
    """Whether a URL in it has a user, a query or a fragment, where keys stand. Linear in the length of the text."""
    for behind in text.split("://")[1:]:
        address = behind.split(maxsplit=1)[0] if behind[:1].strip() else ""
        if "?" in address or "#" in address or "@" in address.partition("/")[0]:
            return True
    return False


class Unrestorable(ValueError):
    """A placeholder stands at `path`, where there was no secret."""

    def __init__(self, path: tuple[str | int, ...]) -> None:
        self.path = ".".join(map(str, path))
        self.why = f"{REDACTED} stands for a secret, and there is none here to keep"
        super().__init__(f"{self.path}: {self.why}")


def restore(value: Any, file: Any, shown: Any = None) -> Any:
    """`value` from a client, with each `REDACTED` replaced by the secret that the `file` has there.

    `shown`: the redacted config that the client may have seen. A secret that it has and the file has not comes from an
    include or the environment, so that its placeholder is left out. Raises Unrestorable.
    """
    return _restore(value, file, (redact(file), shown), ())


_ELSEWHERE = object()


def _restore(value: Any, file: Any, views: tuple[Any, Any], path: tuple[str | int, ...]) -> Any:
    if isinstance(value, dict):
        found = {
            key: _restore(child, _at(file, key), (_at(views[0], key), _at(views[1], key)), (*path, key))
            for key, child in value.items()
        }
        return {key: child for key, child in found.items() if child is not _ELSEWHERE}
    if isinstance(value, list):
        return [_restore_item(value, index, file, views, path) for index in range(len(value))]
    if not isinstance(value, str) or REDACTED not in value:
        return value
    if value == REDACTED and REDACTED in views and file != REDACTED:
        return file if isinstance(file, str | int | float) and file != "" else _ELSEWHERE
    raise Unrestorable(path)


def _restore_item(value: list[Any], index: int, file: Any, views: tuple[Any, Any], path: tuple[str | int, ...]) -> Any:
    here = (*path, index)
    was = _counterpart(value, index, views[0])
    if was is None:
        restored = _restore(value[index], None, (None, None), here)
    else:
        restored = _restore(value[index], file[was], (views[0][was], None), here)
    if restored is _ELSEWHERE:
        raise Unrestorable(here)
    return restored


def _counterpart(value: list[Any], index: int, shown: Any) -> int | None:
    """The index that this item had in the array that was shown; None if that is not certain. A secret must not be given
    to another item."""
    item = value[index]
    if not isinstance(shown, list):
        return None
    if isinstance(item, dict) and "id" in item:
        same_id = [at for at, each in enumerate(shown) if isinstance(each, dict) and each.get("id") == item["id"]]
        return same_id[0] if len(same_id) == 1 else None
    alike = [at for at, each in enumerate(shown) if each == item]
    if len(alike) == 1:
        return alike[0]
    return index if len(value) == len(shown) else None


def _at(tree: Any, key: str) -> Any:
    return tree.get(key) if isinstance(tree, dict) else None
