"""The inputs that the repository keeps: few, small, named by their content, each for something only it reaches."""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import gateway

MAX_FILES = 64
"""Files of one target."""
MAX_BYTES = 4096
"""Bytes of one file."""
FOLDER = Path(__file__).parent / "corpus"
PRODUCT = str(Path(gateway.__file__).parent)

Edge = tuple[str, int, int]
"""File, and two lines that ran one after the other; 0 for the beginning of a function."""


def inputs(folder: Path) -> dict[str, bytes]:
    """Files that are small enough to keep, by the names they have here."""
    found = (path.read_bytes() for path in sorted(folder.glob("*")) if path.stat().st_size <= MAX_BYTES)
    return {name(data): data for data in found}


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def keep(target: str, one: Callable[[bytes], None], found: Path) -> list[str]:
    """Add what reaches something new, as long as there is room. Returns the names of the files that are new."""
    folder = FOLDER / target
    kept, new = inputs(folder), inputs(found)
    reached = [edges(one, data) for data in kept.values()]
    known = set[Edge]().union(*reached)
    fresh = {each: edges(one, data) for each, data in new.items() if each not in kept}
    names = choose(known, fresh, MAX_FILES - len(kept), {each: len(data) for each, data in new.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for each in names:
        (folder / each).write_bytes(new[each])
    return names


def choose(known: set[Edge], fresh: dict[str, set[Edge]], room: int, sizes: dict[str, int]) -> list[str]:
    """So many at most: again and again the one that reaches most that none before it does, the smaller of two."""
    chosen: list[str] = []
    left = {each: reached - known for each, reached in fresh.items()}
    while len(chosen) < room and (left := {each: rest for each, rest in left.items() if rest}):
        best = min(left, key=lambda each: (-len(left[each]), sizes[each], each))
        chosen.append(best)
        taken = left.pop(best)
        left = {each: rest - taken for each, rest in left.items()}
    return chosen


def edges(one: Callable[[bytes], None], data: bytes) -> set[Edge]:
    with watched() as seen:
        one(data)
    return seen


@contextmanager
def watched() -> Iterator[set[Edge]]:
    """What of the product runs, in this thread and in those that it begins."""
    seen: set[Edge] = set()

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        file, before = frame.f_code.co_filename, 0
        if not file.startswith(PRODUCT):
            return None

        def step(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal before
            if event == "line":
                seen.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return step

        return step

    others = sys.gettrace()
    sys.settrace(enter)
    threading.settrace(enter)
    try:
        yield seen
    finally:
        sys.settrace(others)
        threading.settrace(others)  # type: ignore[arg-type]
