import logging
import os

import pytest

from gateway.lifecycle.record import MAX_WHY, SIZE, VERSION, Record
from gateway.lifecycle.suspicion import Suspicion
from gateway.report import Restarts


def successor(record: Record) -> Record:
    return Record(os.dup(record.fd))


def test_a_first_start_has_no_predecessor() -> None:
    record = Record()
    assert record.before is None and record.kind_of_start() is None
    assert not os.get_inheritable(record.fd)


@pytest.mark.parametrize(
    ("ended", "kind"), [("restart", "hot"), ("stop", "cold"), ("running", "crash"), ("starting", "crash")]
)
def test_how_the_predecessor_left_tells_the_kind_of_start(ended: str, kind: str) -> None:
    record = Record()
    record.update(ended=ended)
    assert successor(record).kind_of_start() == kind


def test_counts_and_waits_go_on_from_image_to_image() -> None:
    record = Record()
    record.update(ended="restart", reason="config", left_at=5.0)
    second = successor(record)
    second.count_restart("hot", 1_000, 80.5)
    second.note_waits(3, 42.04)
    third = successor(second)
    third.count_restart("crash", 2_000, None)
    third.note_waits(1, 7.0)
    restarts = third.memory.restarts
    assert (restarts.hot, restarts.cold, restarts.crash, restarts.longest_wait_ms) == (1, 0, 1, 42.0)
    assert restarts.last is not None and restarts.last.kind == "crash" and restarts.last.longest_wait_ms == 7.0
    assert second.memory.restarts.last is not None
    assert (second.memory.restarts.last.gap_ms, second.memory.restarts.last.reason) == (80.5, "config")


def test_waits_before_any_restart_are_nobodys() -> None:
    record = Record()
    record.note_waits(3, 10.0)
    assert record.memory.restarts == Restarts()


@pytest.mark.parametrize("content", [b"", b"garbage", b"{", b'{"version": "x"}', b"\xff" * SIZE, b"null"])
def test_a_record_that_cannot_be_read_counts_from_zero(content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    fd = os.memfd_create("record")
    os.pwrite(fd, content, 0)
    with caplog.at_level(logging.WARNING, logger="gateway.record"):
        logging.getLogger("gateway").propagate = True
        record = Record(fd)
    assert record.before is None and record.kind_of_start() is None
    record.update(ended="running")
    assert successor(record).before is not None


def test_a_record_of_another_version_is_not_guessed_at() -> None:
    record = Record()
    record.update(version=VERSION + 1)
    assert successor(record).before is None


def test_a_long_reason_fits_all_the_same() -> None:
    record = Record()
    record.update(reason="é" * SIZE)
    after = successor(record)
    assert after.before is not None and after.before.reason.startswith("é")
    assert os.fstat(record.fd).st_size <= SIZE


def test_a_restart_that_ends_in_another_process_was_a_death_on_the_way() -> None:
    record = Record()
    record.update(ended="restart", pid=os.getpid() + 1)
    assert successor(record).kind_of_start() == "crash"


def test_what_became_of_connections_adds_up_and_the_last_restart_is_told_apart() -> None:
    record = Record()
    second = successor(record)
    second.count_restart("hot", 1_000, 80.5)
    second.note_adoption(10, {"unanswered": 2}, 41.5)
    third = successor(second)
    third.count_restart("crash", 2_000, None)
    third.note_adoption(5, {"unanswered": 1, "gone": 3}, None)
    restarts = successor(third).memory.restarts
    assert (restarts.adopted, restarts.closed) == (15, {"unanswered": 3, "gone": 3})
    assert restarts.longest_silence_ms == 41.5
    assert restarts.last is not None and restarts.last.kind == "crash"
    assert (restarts.last.adopted, restarts.last.silence_ms) == (5, None)
    assert restarts.last.closed == {"unanswered": 1, "gone": 3}


def test_connections_before_any_restart_are_nobodys() -> None:
    record = Record()
    record.note_adoption(3, {"gone": 1}, 10.0)
    assert record.memory.restarts == Restarts()


def test_a_predecessor_that_knew_nothing_of_connections_is_understood() -> None:
    record = Record()
    old = b'{"ended":"restart","pid":1,"restarts":{"hot":3,"cold":1,"crash":0,"last":{"kind":"hot","at":5}}}'
    os.pwrite(record.fd, old.ljust(SIZE), 0)
    after = successor(record)
    assert after.memory.restarts.hot == 3 and after.memory.restarts.adopted == 0
    after.note_adoption(2, {}, 5.0)
    assert after.memory.restarts.adopted == 2


def test_reasons_of_every_kind_have_room_together() -> None:
    record = Record()
    record.update(ended="restart", reason="r" * (SIZE - 500))
    second = successor(record)
    second.count_restart("hot", 1_000, 1.0)
    second.update(reason="r" * (SIZE - 500), suspicion=Suspicion("d", 1, 1.0, "w" * 200))
    assert os.fstat(second.fd).st_size <= SIZE
    third = successor(second)
    assert third.before is not None and third.before.suspicion.why == "w" * MAX_WHY
