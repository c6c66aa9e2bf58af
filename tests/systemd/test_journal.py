import io
import os
import sys
from pathlib import Path

import pytest

from gateway.systemd.journal import prefix, priority, stderr_is_journal


@pytest.mark.parametrize(("level", "number"), [(5, 7), (10, 7), (20, 6), (30, 4), (40, 3), (50, 2)])
def test_levels_are_syslogs_priorities(level: int, number: int) -> None:
    assert priority(level) == number and prefix(level) == f"<{number}>"


def test_the_journal_is_known_by_device_and_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stderr").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        found = os.fstat(file.fileno())
        own = f"{found.st_dev}:{found.st_ino}"
        assert stderr_is_journal({"JOURNAL_STREAM": own})
        for other in (f"{found.st_dev}:{found.st_ino + 1}", "garbage", "1:", ""):
            assert not stderr_is_journal({"JOURNAL_STREAM": other, "INVOCATION_ID": "a"})
        assert not stderr_is_journal({})
        assert stderr_is_journal({"INVOCATION_ID": "a"})


def test_a_terminal_and_a_stream_without_a_descriptor_are_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert not stderr_is_journal({"JOURNAL_STREAM": "1:2"})
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert not stderr_is_journal({"INVOCATION_ID": "a"})
