"""The differences of two config values, compared as JSON. Pure."""

from collections.abc import Iterator
from typing import Any

_ABSENT = object()


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Dotted paths that differ: objects key by key, also added and removed ones; arrays as a whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(old, dict) and old and new is _ABSENT:
        yield from differences(old, {}, path)
    elif isinstance(new, dict) and new and old is _ABSENT:
        yield from differences({}, new, path)
    elif not same(old, new):
        yield path


def same(old: Any, new: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are the same number, true is no number."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    return bool(old == new)
