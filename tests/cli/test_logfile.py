import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.logfile import BLOCK, Follower, find, last_lines
from gateway.config.secretsources import Sources
from gateway.files.paths import Paths
from gateway.report import StatusReport

Report = Callable[..., StatusReport]


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


def test_the_running_gateways_file_is_the_one(home: Path, gateway: Any, report: Report) -> None:
    gateway.report = report(log_file="/var/x.log")
    assert find(os.environ, []) == Path("/var/x.log")


def test_of_folders_in_tmp_only_what_is_ours(home: Path, gateway: Any, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, mode in ((ours, 0o700), (theirs, 0o777)):
        folder.mkdir()
        (folder / "openclaw-2999-01-01.log").touch()
        folder.chmod(mode)
    os.utime(ours / "openclaw-2999-01-01.log", (1, 1))
    assert find(os.environ, [theirs, ours, tmp_path / "none"]) == ours / "openclaw-2999-01-01.log"
    (ours / "openclaw-2999-01-01.log").chmod(0o666)
    assert find(os.environ, [theirs, ours]) is None
    (ours / "openclaw-2999-01-02.log").symlink_to("/etc/hostname")
    os.mkfifo(ours / "openclaw-2999-01-03.log", 0o600)
    assert find(os.environ, [theirs, ours]) is None


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


def test_the_log_of_another_user_that_an_answer_names_is_not_opened(
    home: Path,
    gateway: Any,
    report: Report,
    invoke: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    theirs = tmp_path / "theirs.log"
    theirs.write_text("evil\n")
    gateway.report = report(log_file=str(theirs))
    assert invoke("logs").stdout == "evil\n"
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    result = invoke("logs")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert f"{theirs}: not read: it belongs to another user (uid {owner})" in result.stderr


def test_else_the_configs_else_the_newest(home: Path, gateway: Any, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    assert find(os.environ, [folder]) is None
    for name, age in (("openclaw-2026-11-22.log", 100), ("openclaw-2026-11-21.log", 50), ("other.log", 1)):
        (folder / name).touch()
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    assert find(os.environ, [folder]) == folder / "openclaw-2026-11-21.log"
    own = tmp_path / "own.log"
    own.touch()
    (home / ".openclaw").mkdir()
    (home / ".openclaw/openclaw.json").write_text(f'{{"logging": {{"file": "{own}"}}}}')
    assert find(os.environ, [folder]) == own


def test_no_program_is_asked_for_secrets_of_models(
    home: Path, gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.log").touch()
    text = "{models: {providers: {p: {apiKey: {source: 'exec', provider: 'v', id: 'a'}}}}, secrets: {providers: {v: "
    text += "{source: 'exec', command: '/bin/true'}}}, logging: {file: '" + str(tmp_path / "x.log") + "'}}"
    config = Paths.from_env(os.environ).config
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    monkeypatch.setattr(Sources, "_program", None)
    assert find(os.environ, []) == tmp_path / "x.log"
