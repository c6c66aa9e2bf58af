import io
import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.logs import files
from gateway.logs.handlers import JsonlHandler, TerminalHandler
from tests.fakes.tty import FakeTerminal

NOON = 1_795_348_800.0


def record(message: str, *args: object, level: int = logging.INFO, name: str = "gateway.reload") -> logging.LogRecord:
    made = logging.LogRecord(name, level, "file.py", 7, message, args, None)
    made.created = NOON
    made.msecs = 42
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "choose_folder", lambda state: tmp_path)
    return tmp_path


@pytest.fixture
def jsonl(folder: Path) -> Iterator[JsonlHandler]:
    handler = JsonlHandler(Path("unused"))
    yield handler
    handler.close()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_of_the_file_is_openclaws(jsonl: JsonlHandler) -> None:
    jsonl.emit(record("config hot reload applied (%s)", "gateway.auth.token", level=logging.WARNING))
    assert jsonl.path is not None and jsonl.path.name.startswith("openclaw-20")
    [line] = lines(jsonl.path)
    assert line["0"] == '{"subsystem":"gateway/reload"}'
    assert line["1"] == "config hot reload applied (gateway.auth.token)"
    assert str(line["time"]).endswith(".042Z")
    meta = line["_meta"]
    assert isinstance(meta, dict) and (meta["logLevelId"], meta["logLevelName"]) == (4, "WARN")
    assert stat.S_IMODE(jsonl.path.stat().st_mode) == 0o600


def test_a_new_day_is_a_new_file_and_old_files_go(jsonl: JsonlHandler, folder: Path) -> None:
    old = folder / "openclaw-2020-01-01.log"
    old.write_text("")
    os.utime(old, (NOON - 2 * 86400, NOON - 2 * 86400))
    other = folder / "notes.log"
    other.write_text("")
    os.utime(other, (0, 0))
    jsonl.emit(record("one"))
    first = jsonl.path
    assert first is not None
    os.utime(first, (NOON, NOON + 60))
    tomorrow = record("two")
    tomorrow.created += 86400
    jsonl.emit(tomorrow)
    assert first != jsonl.path and len(lines(first)) == 1
    assert not old.exists() and other.exists()


def test_a_file_that_was_rotated_away_is_begun_anew(jsonl: JsonlHandler) -> None:
    jsonl.emit(record("one"))
    assert jsonl.path is not None
    jsonl.path.rename(jsonl.path.with_suffix(".1"))
    jsonl.emit(record("two"))
    assert [line["1"] for line in lines(jsonl.path)] == ["two"]


def test_a_disk_that_is_full_is_said_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("gateway").propagate = True
    handler = JsonlHandler(Path("unused"), "/dev/full")
    with caplog.at_level(logging.WARNING, logger="gateway"):
        for _ in range(5):
            handler.emit(record("lost"))
    handler.close()
    assert [r.message for r in caplog.records] == ["cannot write the log file /dev/full: No space left on device"]


def test_a_link_in_the_place_of_the_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    name = time.strftime("openclaw-%Y-%m-%d.log", time.localtime(NOON))
    (folder / name).symlink_to(victim)
    handler = JsonlHandler(Path("unused"))
    handler.emit(record("x"))
    handler.close()
    assert victim.read_text() == "mine"


def test_control_characters_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    TerminalHandler(stream).emit(record("evil\x1b[2J\rname %s", "\x07"))
    assert "\x1b" not in stream.getvalue() and "\\x1b[2J\\x0dname \\x07" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [(io.StringIO, {}, False), (FakeTerminal, {}, True), (FakeTerminal, {"NO_COLOR": "1"}, False)],
)
def test_colours_only_on_a_terminal(
    stream: type[io.StringIO], environ: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    out = stream()
    TerminalHandler(out).emit(record("x", level=logging.ERROR))
    assert ("\x1b[31m" in out.getvalue()) is coloured
    assert "error gateway/reload" in out.getvalue()


def test_a_file_of_another_user_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.log"
    file.touch()
    if os.getuid():
        monkeypatch.setattr(os, "getuid", lambda: file.stat().st_uid + 1)
    else:  # root's own would do for everybody
        os.chown(file, 65534, -1)
    handler = JsonlHandler(tmp_path, str(file))
    with pytest.raises(OSError, match="another user's"):
        handler._open(NOON)
    handler.close()


def test_at_its_bound_the_file_is_begun_anew_and_the_newest_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    handler = JsonlHandler(tmp_path, str(path), 2000)
    try:
        for number in range(50):
            handler.emit(logging.LogRecord("gateway", logging.INFO, "f", 1, f"line {number}", None, None))
            assert path.stat().st_size <= 2000
    finally:
        handler.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gateway.log", "gateway.log.1"]
    lines = "".join((tmp_path / name).read_text() for name in ("gateway.log.1", "gateway.log")).splitlines()
    kept = [json.loads(line)["1"] for line in lines]
    assert kept == [f"line {number}" for number in range(50 - len(kept), 50)] and len(kept) > 5


def test_a_line_over_the_bound_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    handler = JsonlHandler(tmp_path, str(path), 10)
    try:
        handler.emit(logging.LogRecord("gateway", logging.INFO, "f", 1, "line", None, None))
    finally:
        handler.close()
    assert json.loads(path.read_text())["1"] == "line"


def test_the_log_goes_on_when_its_folder_is_cleaned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd-tmpfiles does it; later another user is there first."""
    first, second, own = (tmp_path / name for name in ("openclaw", "openclaw-1", "state/logs"))
    monkeypatch.setattr(files, "folders", lambda state: (first, second, own))
    handler = JsonlHandler(tmp_path / "state")
    for number, (there, left) in enumerate(((first, None), (first, None), (second, first), (own, second))):
        if left is not None:
            left.touch()  # what is no folder of ours
        handler.emit(record(f"line {number}"))
        assert handler.path is not None and handler.path.parent == there
        assert [line["1"] for line in lines(handler.path)] == [f"line {number}"]
        shutil.rmtree(there)
    handler.close()
