from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.reload.active import choose

FILE = Snapshot(Path("/c"), True, (), digest="file", tree={"from": "file"}, config=Config())
BAD = replace(FILE, config=None)
ABSENT = replace(FILE, exists=False, digest="", tree={})
GOOD = replace(FILE, digest="good", tree={"from": "good"})


@pytest.mark.parametrize(
    ("snapshot", "good", "avoid", "source", "digest"),
    [
        (FILE, None, "", "file", "file"),
        (FILE, GOOD, "", "file", "file"),
        (BAD, GOOD, "", "last-good", "good"),
        (BAD, None, "", "defaults", ""),
        (ABSENT, None, "", "defaults", ""),
        (ABSENT, GOOD, "", "defaults", ""),
        (FILE, GOOD, "file", "last-good", "good"),
        (FILE, GOOD, "another", "file", "file"),
        (FILE, None, "file", "file", "file"),
        (FILE, replace(GOOD, digest="file"), "file", "file", "file"),
        (BAD, replace(GOOD, config=None), "", "defaults", ""),
    ],
)
def test_a_start_takes(snapshot: Snapshot, good: Snapshot | None, avoid: str, source: str, digest: str) -> None:
    active = choose(snapshot, good, avoid)
    assert (active.source, active.digest) == (source, digest)
