import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from gateway.lifecycle.phases import RESTART_BURST, RESTART_REFILL_S
from gateway.lifecycle.record import Record
from gateway.lifecycle.served import NAME, leave_mark


def after(record: Record, ended: str) -> Record:
    record.update(ended=ended)
    return Record(os.dup(record.fd))


def marked(folder: Path, record: Record, now: float) -> bool:
    """The mark is left at once."""
    (folder / NAME).unlink(missing_ok=True)
    with contextlib.suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(leave_mark(folder, record, now), 0.01))
    return (folder / NAME).exists() and (folder / NAME).stat().st_size > 0


def test_crashes_that_follow_each_other_quickly_are_told_by_a_mark_that_is_late(tmp_path: Path) -> None:
    record, now = Record(), 1000.0
    assert marked(tmp_path, record, now), "a first start"
    for _ in range(RESTART_BURST):
        record = after(record, "running")
        assert marked(tmp_path, record, now)
    record = after(record, "starting")
    assert not marked(tmp_path, record, now)
    for ended in ("restart", "stop"):
        record = after(record, ended)
        assert marked(tmp_path, record, now), "nothing is wrong with a program that leaves"
    record = after(record, "running")
    assert not marked(tmp_path, record, now + RESTART_REFILL_S / 2), "restarts on purpose forgive no crash"
    record = after(record, "running")
    assert marked(tmp_path, record, now + 2 * RESTART_REFILL_S)


def test_a_mark_that_is_late_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    record = Record()
    record.update(crash_tokens=0.5, crash_tokens_at=1000.0)
    asyncio.run(leave_mark(tmp_path, after(record, "running"), 1000.0))
    assert waits == [RESTART_REFILL_S / 2] and (tmp_path / NAME).read_text()


def test_a_folder_that_takes_no_mark_ends_nothing(tmp_path: Path) -> None:
    asyncio.run(leave_mark(tmp_path / "missing", Record(), 1000.0))
