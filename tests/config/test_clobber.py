import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.config import files
from gateway.config.clobber import MAX_REJECTED, MIN_BYTES, losses, set_aside
from gateway.config.files import Snapshot

NOW = datetime(2026, 11, 24, 23, 47, 55, 531_000, UTC)


def read(folder: Path, value: Any) -> Snapshot:
    text = value if isinstance(value, str) else json.dumps(value)
    return files.read(folder / "openclaw.json", {}, folder, text=text)


def sized(size: int, **more: Any) -> dict[str, Any]:
    """A config that is `size` bytes in OpenClaw's spelling."""
    empty = {**more, "x": ""}
    return {**more, "x": "é" + "x" * (size - len(json.dumps(empty, indent=2)) - 3)}


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (MIN_BYTES, MIN_BYTES // 2, []),
        (MIN_BYTES, MIN_BYTES // 2 - 1, ["size-drop:512->255"]),
        (MIN_BYTES - 1, 20, []),
        (2001, 1000, []),
        (2001, 999, ["size-drop:2001->999"]),
        (600, 6000, []),
    ],
)
def test_less_than_half_is_a_loss(tmp_path: Path, before: int, after: int, lost: list[str]) -> None:
    assert losses(read(tmp_path, sized(before)), read(tmp_path, sized(after))) == lost


def test_comments_are_no_loss(tmp_path: Path) -> None:
    assert losses(read(tmp_path, f"{{/* {'x' * 5000} */ a: 1}}"), read(tmp_path, "{a: 1}")) == []


def test_a_file_that_cannot_be_understood_counts_as_it_is(tmp_path: Path) -> None:
    assert losses(read(tmp_path, "{a: " + "x" * 996), read(tmp_path, "{a: 1}")) == ["size-drop:1000->13"]


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ({"gateway": {"mode": "local"}}, {"gateway": {"port": 1}}, True),
        ({"gateway": {"mode": "local"}}, {}, True),
        ({"gateway": {"mode": "local"}}, {"gateway": {"mode": " "}}, True),
        ({"gateway": {"mode": "local"}}, {"gateway": {"mode": "remote"}}, False),
        ({"gateway": {"mode": ""}}, {}, False),
        ({"gateway": 5}, {}, False),
        ({}, {"gateway": {"mode": "local"}}, False),
    ],
)
def test_the_mode_stays(tmp_path: Path, before: Any, after: Any, lost: bool) -> None:
    assert losses(read(tmp_path, before), read(tmp_path, after)) == ["gateway-mode-removed"] * lost


def test_a_mode_that_moves_into_an_include_stays(tmp_path: Path) -> None:
    (tmp_path / "part.json5").write_text("{mode: 'local'}")
    before = read(tmp_path, {"gateway": {"mode": "local"}})
    assert losses(before, read(tmp_path, {"gateway": {"$include": "part.json5"}})) == []


def test_a_first_file_loses_nothing(tmp_path: Path) -> None:
    assert losses(files.read(tmp_path / "openclaw.json", {}, tmp_path), read(tmp_path, {})) == []


def test_what_is_refused_is_kept_for_its_owner(tmp_path: Path) -> None:
    aside = set_aside(tmp_path / "openclaw.json", "{a: 1}", NOW)
    assert aside.name == "openclaw.json.rejected.2026-11-24T23-47-55-531Z"
    assert aside.read_text() == "{a: 1}" and stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "open[c]law.json"
    for name in (
        "open[c]law.json",
        "open[c]law.json.bak",
        "openclaw.json.rejected.1Z",
        "open[c]law.json.rejected.mine",
    ):
        (tmp_path / name).touch()
    kept = [set_aside(path, str(number), NOW + timedelta(seconds=number)) for number in range(MAX_REJECTED + 2)]
    assert [each.exists() for each in kept] == [False, False, *[True] * MAX_REJECTED]
    assert len(list(tmp_path.iterdir())) == 4 + MAX_REJECTED
