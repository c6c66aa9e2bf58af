import asyncio

import pytest

from gateway.agent import backlog
from gateway.agent.backlog import Backlog
from gateway.link.messages import Ended, Event, Said, Text, decode_to_gateway
from tests.slack import LIMIT_S


def event(line: bytes) -> Event:
    message = decode_to_gateway(line)
    assert isinstance(message, Event)
    return message


def test_events_are_numbered_from_one_and_kept_as_they_were() -> None:
    kept = Backlog("r", clock=lambda: 12.5)
    kept.append(Text("a"))
    kept.append(Text("b"))
    assert (kept.acked, kept.last) == (0, 2)
    assert event(kept.line(2)) == Event("r", 2, 12500, Text("b"))


def test_what_is_acknowledged_is_gone_and_the_numbers_go_on() -> None:
    kept = Backlog("r")
    for text in "abc":
        kept.append(Text(text))
    kept.ack(2)
    kept.ack(1)
    kept.append(Text("d"))
    assert (kept.acked, kept.last) == (2, 4)
    assert [event(kept.line(seq)).what for seq in (3, 4)] == [Text("c"), Text("d")]


def test_an_acknowledgement_of_what_has_not_happened_takes_what_there_is() -> None:
    kept = Backlog("r")
    kept.append(Text("a"))
    kept.ack(99)
    assert (kept.acked, kept.last, kept.size) == (1, 1, 0)


def test_it_is_done_when_its_end_is_acknowledged() -> None:
    kept = Backlog("r")
    kept.append(Text("a"))
    kept.append(Ended("done"))
    kept.ack(1)
    assert kept.ended and not kept.done
    kept.ack(2)
    assert kept.done
    with pytest.raises(AssertionError):
        kept.append(Text("b"))


def test_room_ends_above_the_bound_and_comes_back_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        size = len(Backlog_line())
        monkeypatch.setattr(backlog, "MAX_UNACKED", 2 * size)
        kept = Backlog("r", clock=lambda: 0)
        kept.append(Text("a"))
        kept.append(Text("a"))
        await asyncio.wait_for(kept.wait_for_room(), LIMIT_S)  # at the bound
        kept.append(Text("a"))
        waiting = asyncio.create_task(kept.wait_for_room())
        await asyncio.sleep(0)
        assert not waiting.done() and kept.size == 3 * size
        kept.ack(1)
        await asyncio.wait_for(waiting, LIMIT_S)

    asyncio.run(test())


def Backlog_line() -> bytes:
    kept = Backlog("r", clock=lambda: 0)
    kept.append(Text("a"))
    return kept.line(1)


def test_an_event_that_the_link_does_not_take_is_an_error_and_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.link.messages.MAX_LINE", 100)
    kept = Backlog("r")
    with pytest.raises(ValueError, match="longer than the link's 100"):
        kept.append(Said({"role": "assistant", "content": "x" * 100}))
    kept.append(Text("a"))
    assert kept.last == 1 and event(kept.line(1)).seq == 1
