"""The names in folders that decide which file a path means: the file itself, and every link on the way.

Watching the folder of a file is not enough when the file, or a folder above it, is a link: an edit of the target or a
switched link (as Kubernetes does with `..data`) happens somewhere else.
"""

import os
from pathlib import Path

MAX_LINKS = 40
"""Links followed in one path, as in the kernel."""

Names = dict[str, set[str]]
"""Folder (resolved, existing) -> the names in it that matter."""


def follow(path: Path) -> Names:
    """Never raises. If a part is missing, its name in the nearest existing folder stands for the rest."""
    names: Names = {}
    folder, rest, links = "/", list(Path(os.path.abspath(path)).parts[1:]), 0
    while rest:
        name = rest.pop(0)
        here = os.path.join(folder, name)
        if name == "..":
            folder = os.path.dirname(folder)
        elif os.path.islink(here) and links < MAX_LINKS:
            links += 1
            names.setdefault(folder, set()).add(name)
            target = Path(_target(here))
            if target.is_absolute():
                folder = "/"
            rest = [part for part in target.parts if part != "/"] + rest
        elif rest and os.path.isdir(here) and not os.path.islink(here):
            folder = here
        else:
            names.setdefault(folder, set()).add(name)
            break
    return names


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # the link changed meanwhile; the next look sees it


def merge(trails: list[Names]) -> Names:
    merged: Names = {}
    for trail in trails:
        for folder, names in trail.items():
            merged.setdefault(folder, set()).update(names)
    return merged
