from typing import Any

import pytest
from msgspec.structs import replace

from gateway.link.messages import (
    Discarded,
    Ended,
    Event,
    Failure,
    Happening,
    Said,
    Started,
    Text,
    Thinking,
    ToolStarted,
    Waiting,
)
from gateway.link.spec import Message
from gateway.runs.active import INTERRUPTED, ActiveRun, thoughts
from gateway.sessions.records import Run, RunRequest

RUN = Run("r1", "agent:main:main", "main", "running", RunRequest({"role": "user", "content": "?"}), 1, attempts=1)


def message(text: str, *calls: str, role: str = "assistant", **more: Any) -> Message:
    tools = [{"type": "toolCall", "id": each, "name": each, "arguments": {}} for each in calls]
    return {
        "role": role,
        "content": [{"type": "text", "text": text}, *tools],
        "timestamp": 1,
        "stopReason": "stop",
    } | more


def live(*happenings: Happening) -> ActiveRun:
    made = ActiveRun(RUN, asked=True)
    for seq, what in enumerate(happenings, 1):
        assert made.apply(Event("r1", seq, 1, what))
    return made


def test_what_events_say() -> None:
    found = live(Started("p", "m", 1), Thinking("h"), Thinking("m"), Text("a"), Text("b"))
    assert (found.provider, found.model, found.thinking, found.text, found.answer) == ("p", "m", "hm", "ab", "")
    found.apply(Event("r1", 6, 1, Discarded("broke off")))
    assert (found.text, found.thinking) == ("", "")
    found.apply(Event("r1", 7, 1, Text("c")))
    found.apply(Event("r1", 8, 1, Said(message("c"))))
    assert (found.text, found.answer, found.said) == ("", "c", {8: message("c")})
    found.apply(Event("r1", 9, 1, Said(message("", "look"))))
    assert found.answer == "c", "a message without words takes none back"


def test_an_event_comes_once_and_none_is_left_out() -> None:
    found = live(Text("a"), Text("b"))
    assert not found.apply(Event("r1", 2, 1, Text("b"))) and not found.apply(Event("r1", 1, 1, Text("a")))
    with pytest.raises(ValueError, match="event 4 of run r1 came after 2"):
        found.apply(Event("r1", 4, 1, Text("d")))
    assert (found.text, found.seq) == ("ab", 2)


@pytest.mark.parametrize(
    ("happenings", "complete"),
    [
        ([Text("a")], False),
        ([Text("a"), Said(message("a"))], True),
        ([Said(message("a")), Started("p", "m", 2)], False),
        ([Said(message("a")), Waiting(1, Failure("network", "gone"))], False),
        ([Said(message("a", "look"))], False),
        ([Said(message("a", "look")), ToolStarted("look", "look", {}), Said(message("it", role="toolResult"))], False),
        ([Said(message("a", "look")), Said(message("it", role="toolResult")), Said(message("so"))], True),
        ([Said(message("a", stopReason="aborted"))], False),
        ([Said(message("a", stopReason="error"))], False),
        ([Said(message("a", stopReason="length"))], True),
    ],
)
def test_when_only_the_end_is_missing(happenings: list[Happening], complete: bool) -> None:
    found = live(*happenings)
    assert found.complete is complete and found.progress().complete is complete


def test_progress_is_kept_up_to_what_was_stored() -> None:
    found = live(Text("a"), Said(message("a")), Text("b"))
    stored = found.progress()
    assert (stored.seq, stored.text, list(stored.said), stored.attempt) == (3, "b", [2], 1)
    found.apply(Event("r1", 4, 1, Said(message("b"))))
    assert found.mark_stored(stored)
    assert (found.stored, list(found.said)) == (3, [4])
    later = found.progress()
    assert found.mark_stored(later) and found.mark_stored(stored), "an older one that is told late takes nothing back"
    assert (found.stored, found.said) == (4, {})


def test_what_begins_anew_has_said_nothing() -> None:
    found = live(Started("p", "m", 1), Text("a"), Said(message("a")), Text("b"))
    before = found.progress()
    found.restart(replace(RUN, attempts=2))
    assert (found.seq, found.stored, found.text, found.answer, found.said) == (0, 0, "", "", {})
    assert not found.complete and found.provider is None
    assert not found.mark_stored(before) and found.stored == 0
    assert found.apply(Event("r1", 1, 1, Text("z"))) and found.progress().attempt == 2


def test_what_another_process_has_left() -> None:
    run = replace(RUN, seq=7, text="wri", answer="first", provider="p", model="m", acted=True, complete=False)
    found = ActiveRun.resumed(run)
    assert (found.seq, found.stored, found.text, found.answer, found.model) == (7, 7, "wri", "first", "m")
    assert found.acted and found.goes_on and not found.complete
    assert ActiveRun.resumed(replace(RUN, complete=True)).complete


def test_what_goes_on() -> None:
    found = live(Text("a"))
    assert found.goes_on
    assert not live(Ended("done")).goes_on
    found.ending = True
    assert not found.goes_on and not ActiveRun(RUN).goes_on


def test_what_was_written_and_will_not_be_finished() -> None:
    found = live(Started("p", "m", 1), Text("Once"))
    left = found.partial(5)
    assert left is not None and left["content"] == [{"type": "text", "text": "Once"}]
    assert (left["stopReason"], left["provider"], left["timestamp"]) == (INTERRUPTED, "p", 5)
    assert live(Text("a"), Said(message("a"))).partial(5) is None


def test_thoughts() -> None:
    blocks = [
        {"type": "thinking", "thinking": "h"},
        {"type": "text", "text": "x"},
        {"type": "thinking", "thinking": "m"},
    ]
    assert thoughts({"role": "assistant", "content": blocks}) == "hm"
    assert thoughts({"role": "assistant", "content": "x"}) == ""


def test_what_is_said_of_a_server_is_no_act() -> None:
    live = ActiveRun(RUN)
    live.apply(Event(RUN.id, 1, 0, ToolStarted("mcp-db", "db", {}, acts=False)))
    assert not live.acted
    live.apply(Event(RUN.id, 2, 0, ToolStarted("c", "db__query", {})))
    assert live.acted
