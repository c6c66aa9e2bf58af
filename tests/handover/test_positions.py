from gateway.handover.ledger import Ledger
from gateway.handover.positions import SLOT_BYTES, Position, Positions

HERE = Position(1, 0, True, 7, 30, 2, 1795340414198)


def test_the_next_process_finds_what_was_told() -> None:
    ledger = Ledger()
    told = Positions(ledger.spare)
    told.put("a", HERE)
    told.note_messages("a", 3)
    told.put("a", HERE._replace(seq=8))
    told.put("over", HERE)
    told.drop("over")
    after = Positions(Ledger(ledger.fd).spare)
    assert after.find("a") == HERE._replace(seq=8) and after.messages("a") == 3
    assert after.find("over") is None and after.messages("over") == 0


def test_what_is_torn_is_not_known() -> None:
    memory = bytearray(SLOT_BYTES * 2)
    Positions(memoryview(memory)).put("a", HERE)
    memory[20] ^= 1
    memory[SLOT_BYTES + 20] ^= 1
    assert Positions(memoryview(memory)).find("a") is None


def test_there_is_room_for_so_many_and_those_that_nobody_has_asked_for_make_room() -> None:
    memory = memoryview(bytearray(SLOT_BYTES * 2 + 1))
    before = Positions(memory)
    for run in ("a", "b", "c"):
        before.put(run, HERE)
    assert before.find("b") == HERE and before.find("c") is None
    after = Positions(memory)
    after.put("b", HERE)
    after.put("c", HERE)
    assert after.find("a") is None and after.find("b") == after.find("c") == HERE


def test_a_ledger_has_room_for_the_runs_of_many_sessions() -> None:
    assert len(Ledger().spare) // SLOT_BYTES >= 64
