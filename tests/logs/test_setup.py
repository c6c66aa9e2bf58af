import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.logs import files
from gateway.logs.setup import Logs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "choose_folder", lambda state: tmp_path)
    return tmp_path


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def process_logs(folder: Path) -> Iterator[Logs]:
    root, uvicorn = logging.getLogger("gateway"), logging.getLogger("uvicorn.error")
    saved = root.handlers[:], root.level, uvicorn.handlers[:], uvicorn.propagate, logging.raiseExceptions
    made = Logs({}, "boot")
    yield made
    made._file.close()
    root.handlers[:], uvicorn.handlers[:] = saved[0], saved[2]
    root.setLevel(saved[1])
    uvicorn.propagate, logging.raiseExceptions = saved[3], saved[4]


def test_level_and_file_change_while_running(process_logs: Logs, tmp_path: Path) -> None:
    log, file = logging.getLogger("gateway.test"), tmp_path / "elsewhere.log"
    process_logs.apply("info", "silent", None)
    log.debug("not yet")
    process_logs.apply("debug", "silent", str(file))
    log.debug("now")
    assert [line["1"] for line in lines(file)] == ["now"] and process_logs.file == str(file)


def test_the_file_is_known_before_its_first_line(process_logs: Logs, folder: Path, tmp_path: Path) -> None:
    """A client that asks for the log right after a restart gets what was written before."""
    today = f"openclaw-{time.strftime('%Y-%m-%d')}.log"
    process_logs.apply("info", "silent", None)
    assert process_logs.file == str(folder / today) and not (folder / today).exists()
    process_logs.apply("info", "silent", str(tmp_path / "own.log"))
    assert process_logs.file == str(tmp_path / "own.log")
    process_logs.apply("silent", "silent", None)
    assert process_logs.file is None


def test_a_file_that_cannot_be_opened_changes_nothing(process_logs: Logs, tmp_path: Path) -> None:
    process_logs.apply("info", "silent", str(tmp_path / "good.log"))
    with pytest.raises(OSError, match="Not a directory|File exists"):
        process_logs.apply("info", "silent", str(tmp_path / "good.log" / "bad.log"))
    logging.getLogger("gateway.test").info("still here")
    assert [line["1"] for line in lines(tmp_path / "good.log")] == ["still here"]


def test_a_fifo_is_refused_and_nobody_waits_for_its_reader(process_logs: Logs, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="FIFO|No such device"):
        process_logs.apply("info", "silent", str(fifo))
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="FIFO"):
        process_logs.apply("info", "silent", str(fifo))
    os.close(reader)
