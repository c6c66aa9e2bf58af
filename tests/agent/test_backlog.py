import asyncio

import pytest

from gateway.agent import backlog
from gateway.agent.backlog import Backlog
from gateway.link.messages import (
    Ended,
    Event,
    Failure,
    Happening,
    Said,
    Text,
    Thinking,
    Waiting,
    decode_to_gateway,
)
from tests.slack import LIMIT_S

BUSY = Failure("overloaded", "busy")
HELD = Waiting(1, BUSY)
"""An event that is joined with no other."""


def event(line: bytes) -> Event:
    message = decode_to_gateway(line)
    assert isinstance(message, Event)
    return message


def test_events_are_numbered_from_one_and_kept_as_they_were() -> None:
    kept = Backlog("r", clock=lambda: 12.5)
    kept.append(HELD)
    kept.append(Text("b"))
    kept.seal()
    assert (kept.acked, kept.last) == (0, 2)
    assert event(kept.line(2)) == Event("r", 2, 12500, Text("b"))


def whats(kept: Backlog) -> list[Happening]:
    kept.seal()
    return [event(kept.line(seq)).what for seq in range(kept.acked + 1, kept.last + 1)]


def test_pieces_of_one_kind_become_one_event_until_they_are_sealed() -> None:
    kept = Backlog("r")
    for what in (Text("a"), Text("b"), Thinking("c"), Thinking("d"), Text("e"), HELD, Text("f")):
        kept.append(what)
    kept.seal()
    kept.seal()
    kept.append(Text("g"))
    kept.append(Ended("done"))
    assert whats(kept) == [Text("ab"), Thinking("cd"), Text("e"), HELD, Text("f"), Text("g"), Ended("done")]
    kept.ack(kept.last)
    assert kept.size == 0 and kept.done


def test_a_joined_event_has_a_bound_and_a_longer_piece_is_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_JOINED", 4)
    kept = Backlog("r")
    for text in ("ab", "cd", "e", "fghij", "k"):
        kept.append(Text(text))
    assert whats(kept) == [Text("abcd"), Text("e"), Text("fghij"), Text("k")]


def test_pieces_that_are_no_event_yet_take_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_UNACKED", 3)

    async def test() -> None:
        kept = Backlog("r")
        kept.append(Text("abcd"))
        assert kept.size == 4
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kept.wait_for_room(), 0)

    asyncio.run(test())


def test_what_is_acknowledged_is_gone_and_the_numbers_go_on() -> None:
    kept = Backlog("r")
    for number in (1, 2, 3):
        kept.append(Waiting(number, BUSY))
    kept.ack(2)
    kept.ack(1)
    kept.append(Waiting(4, BUSY))
    assert (kept.acked, kept.last) == (2, 4)
    assert whats(kept) == [Waiting(3, BUSY), Waiting(4, BUSY)]


def test_an_acknowledgement_of_what_has_not_happened_takes_what_there_is() -> None:
    kept = Backlog("r")
    kept.append(HELD)
    kept.ack(99)
    assert (kept.acked, kept.last, kept.size) == (1, 1, 0)


def test_it_is_done_when_its_end_is_acknowledged() -> None:
    kept = Backlog("r")
    kept.append(Text("a"))
    kept.append(Ended("done"))
    assert not kept.done
    kept.ack(1)
    assert kept.ended and not kept.done
    kept.ack(2)
    assert kept.done
    with pytest.raises(AssertionError):
        kept.append(Text("b"))


def test_room_ends_above_the_bound_and_comes_back_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        alone = Backlog("r", clock=lambda: 0)
        alone.append(HELD)
        size = len(alone.line(1))
        monkeypatch.setattr(backlog, "MAX_UNACKED", 2 * size)
        kept = Backlog("r", clock=lambda: 0)
        kept.append(HELD)
        kept.append(HELD)
        await asyncio.wait_for(kept.wait_for_room(), LIMIT_S)  # at the bound
        kept.append(HELD)
        waiting = asyncio.create_task(kept.wait_for_room())
        await asyncio.sleep(0)
        assert not waiting.done() and kept.size == 3 * size
        kept.ack(1)
        await asyncio.wait_for(waiting, LIMIT_S)

    asyncio.run(test())


def test_an_event_that_the_link_does_not_take_is_an_error_and_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.link.messages.MAX_LINE", 100)
    kept = Backlog("r")
    with pytest.raises(ValueError, match="longer than the link's 100"):
        kept.append(Said({"role": "assistant", "content": "x" * 100}))
    kept.append(Text("a"))
    kept.seal()
    assert kept.last == 1 and event(kept.line(1)).seq == 1


def test_a_piece_that_cannot_be_encoded_is_an_error_at_once() -> None:
    kept = Backlog("r")
    with pytest.raises(ValueError, match="surrogates"):
        kept.append(Text("\ud800"))
    assert whats(kept) == []
