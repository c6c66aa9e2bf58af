"""A merge patch (RFC 7396) on a config's value, with OpenClaw's rules for arrays. Pure."""

from collections.abc import Collection
from typing import Any

from gateway.config.compare import same

_NO_ARRAY: list[Any] = []


class EntriesLost(ValueError):
    """The patch removes entries of the array at `path`, which `replacePaths` does not name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.why = f"the patch removes entries of {path}; name it in replacePaths if that is meant"
        super().__init__(self.why)


def merge_patch(base: Any, patch: Any) -> Any:
    """null deletes, an object merges, everything else replaces. Neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def merge_careful(base: Any, patch: Any, replace_paths: Collection[str] = (), path: str = "") -> Any:
    """Merge as OpenClaw 2026.9: arrays of objects merge by `id`, and no array loses an entry. Raises EntriesLost.

    An array in `replace_paths` (dotted) is replaced as a whole; null deletes an array.
    """
    if isinstance(base, list) and path not in replace_paths:
        return _merge_array(base, patch, replace_paths, path)
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            here = f"{path}.{key}" if path else key
            merged[key] = merge_careful(merged.get(key), value, replace_paths, here)
    return merged


def _merge_array(base: list[Any], patch: Any, replace_paths: Collection[str], path: str) -> Any:
    entries = patch if isinstance(patch, list) else _NO_ARRAY
    if base and entries and all(map(_has_id, (*base, *entries))):
        merged = list(base)
        places = {each["id"]: index for index, each in enumerate(base)}
        for entry in entries:
            index = places.setdefault(entry["id"], len(merged))
            if index == len(merged):
                merged.append(merge_patch(None, entry))
            else:
                merged[index] = merge_careful(merged[index], entry, replace_paths, path)
        return merged
    left = list(entries)
    for each in base:
        found = next((index for index, entry in enumerate(left) if same(each, entry)), None)
        if found is None:
            raise EntriesLost(path)
        del left[found]
    return patch if isinstance(patch, list) else merge_patch(None, patch)


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), str)
