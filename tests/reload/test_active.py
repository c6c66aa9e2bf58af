from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.reload.active import choose

FILE = Snapshot(Path("/c"), True, (), digest="file", tree={"from": "file"}, config=Config())
BAD = replace(FILE, config=None)
ABSENT = replace(FILE, exists=False, digest="", tree={})
FALLBACK = Config()
GOOD = replace(FILE, digest="good", tree={"from": "good"})


@pytest.mark.parametrize(
    ("snapshot", "good", "suspect", "source", "digest"),
    [
        (FILE, None, False, "file", "file"),
        (FILE, GOOD, False, "file", "file"),
        (BAD, GOOD, False, "last-good", "good"),
        (BAD, None, False, "defaults", ""),
        (ABSENT, None, False, "defaults", ""),
        (ABSENT, GOOD, False, "defaults", ""),
        (FILE, GOOD, True, "last-good", "good"),
        (FILE, None, True, "file", "file"),
        (FILE, replace(GOOD, digest="file"), True, "file", "file"),
        (BAD, replace(GOOD, config=None), False, "defaults", ""),
    ],
)
def test_a_start_takes(snapshot: Snapshot, good: Snapshot | None, suspect: bool, source: str, digest: str) -> None:
    active = choose(snapshot, good, FALLBACK, suspect=suspect)
    assert (active.source, active.digest) == (source, digest)
    assert (active.config is FALLBACK) == (source == "defaults" and snapshot is not ABSENT)
