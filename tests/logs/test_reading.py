import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.logs.reading import BLOCK, MAX_LINE, Follower, last_lines, read_page
from tests.effort import examples


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, ["c"]), (2, ["b", "c"]), (3, ["a", "b", "c"]), (9, ["a", "b", "c"]), (None, ["a", "b", "c"])],
)
def test_the_last_lines(tmp_path: Path, count: int | None, expected: list[str]) -> None:
    path = tmp_path / "x.log"
    path.write_text("a\nb\nc\n")
    assert last_lines(path, count, path.stat().st_size) == expected


def test_lines_over_several_blocks(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    lines = [str(number) * (BLOCK // 3) for number in range(10)]
    path.write_text("\n".join(lines) + "\n")
    assert last_lines(path, 7, path.stat().st_size) == lines[-7:]


def test_what_comes_after_the_end_is_left_for_the_follower(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("a\nb\n")
    assert last_lines(path, 5, 2) == ["a"]


class Steps:
    """Does one prepared thing in each pause, and ends the following after the last."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)

    def __call__(self) -> None:
        if not self.steps:
            raise StopFollowing
        self.steps.pop(0)()


class StopFollowing(Exception):
    pass


def followed(path: Path, *steps: Callable[[], object]) -> list[str]:
    found: list[str] = []
    with closing(Follower(path)) as follower, pytest.raises(StopFollowing):
        for line in follower.lines(Steps(*steps)):
            found.append(line)  # noqa: PERF402 - the loop ends with an exception
    return found


def append(path: Path, text: str) -> Callable[[], object]:
    def do() -> None:
        with path.open("a") as file:
            file.write(text)

    return do


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "openclaw-2026-11-22.log"
    path.write_text("old\n")
    return path


def test_new_lines_only_and_whole_ones(log: Path) -> None:
    assert followed(log, append(log, "a\nhal"), append(log, "f\nb\n")) == ["a", "half", "b"]


def test_truncated(log: Path) -> None:
    assert followed(log, lambda: log.write_text(""), append(log, "a\n")) == ["a"]


def test_rotated_with_what_was_written_before(log: Path) -> None:
    def rotate() -> None:
        append(log, "last\n")()
        log.rename(log.with_suffix(".1"))
        log.write_text("first\n")

    assert followed(log, rotate, lambda: None) == ["last", "first"]


def test_moved_away_and_only_later_made_anew(log: Path) -> None:
    assert followed(log, lambda: log.rename(log.with_suffix(".1")), append(log, "new\n"), lambda: None) == ["new"]


def test_the_next_day(log: Path) -> None:
    tomorrow = log.with_name("openclaw-2026-11-23.log")
    earlier = log.with_name("openclaw-2026-11-21.log")
    earlier.write_text("yesterday\n")
    assert followed(log, append(log, "evening\n"), append(tomorrow, "morning\n"), lambda: None) == [
        "evening",
        "morning",
    ]


@pytest.mark.parametrize("mode", [0o622, 0o602])
def test_what_others_may_write_is_not_read(log: Path, mode: int) -> None:
    log.chmod(mode)
    with pytest.raises(PermissionError, match="others may write it"):
        Follower(log)
    with pytest.raises(PermissionError):
        last_lines(log, 1, 1)


def test_a_successor_that_is_not_ours_is_not_followed(log: Path) -> None:
    def plant() -> None:
        later = log.with_name("openclaw-2999-01-01.log")
        later.write_text("evil\n")
        later.chmod(0o666)

    assert followed(log, plant, append(log, "a\n"), lambda: None) == ["a"]


def test_a_line_without_end_comes_in_pieces(log: Path) -> None:
    assert followed(log, append(log, "x" * (MAX_LINE + 1)), append(log, "y\n"), lambda: None) == ["x" * MAX_LINE, "xy"]


def test_truncated_below_an_unfinished_line(log: Path) -> None:
    assert followed(log, append(log, "unfinished"), lambda: log.write_text("new\nx\n"), lambda: None) == ["new", "x"]


def test_never_more_than_max_bytes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "x.log"
    with log.open("wb") as file:
        file.truncate(10_000_000_000)  # a hole, no disk
    asked: list[int] = []
    pread = os.pread

    def watch(fd: int, count: int, offset: int) -> bytes:
        asked.append(count)
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", watch)
    for cursor in (None, 0, 9_999_999_000):
        read_page(str(log), cursor, 500, 4096)
    assert max(asked) == 4096


@settings(max_examples=examples(200), deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\x00", b"\n")), max_size=8),
    limit=st.integers(1, 4),
)
def test_whoever_comes_back_often_enough_gets_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    log = tmp_path_factory.mktemp("log") / "x.log"
    log.touch()
    cursor, got = 0, []
    for chunk in [*chunks, b""]:
        with log.open("ab") as file:
            file.write(chunk)
        while True:
            page, _ = read_page(str(log), cursor, limit, 250_000)
            assert page is not None and not page.reset and not page.truncated
            got += page.lines
            cursor = page.end
            if not page.lines:
                break
    assert got == b"".join(chunks).decode("utf-8", "replace").split("\n")[:-1]
