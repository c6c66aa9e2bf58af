"""What a client hears of a run, as frames."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from gateway.conversations.run_events import TOOL_EVENTS, RunEvents, tell_injected
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.link.messages import (
    Discarded,
    Event,
    Failure,
    Happening,
    Said,
    Started,
    Text,
    Thinking,
    ToolEnded,
    ToolStarted,
)
from gateway.protocol.peer import ClientInfo, Peer
from gateway.runs.active import ActiveRun
from gateway.sessions.records import Run, RunRequest
from tests.carrier import FakeCarrier, drained
from tests.slack import LIMIT_S

if TYPE_CHECKING:
    from gateway.link.spec import Message

RUN = Run("r1", "agent:main:main", "main", "running", RunRequest({"role": "user", "content": "?"}), 1)
Hear = Callable[..., list[dict[str, Any]]]


def said(*blocks: dict[str, Any]) -> Said:
    message: Message = {"role": "assistant", "content": list(blocks), "timestamp": 1}
    return Said(message)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool(id: str) -> dict[str, Any]:
    return {"type": "toolCall", "id": id, "name": "look", "arguments": {}}


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Let things happen in one run; the payloads of the `chat` events that a client hears."""
    monkeypatch.setattr("gateway.conversations.run_events.PACE_S", 0)

    async def quiet(session: str) -> bool:
        return False

    async def happen(*happenings: Happening) -> list[dict[str, Any]]:
        hub, live = Hub(), ActiveRun(RUN)
        connection = Connection("c", "r", FakeCarrier())
        with hub.registered(connection):
            hub.greet(connection, Peer(4, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "cli")), 0)
            telling = RunEvents(hub, quiet)
            for seq, what in enumerate(happenings, 1):
                event = Event(RUN.id, seq, 1, what)
                assert live.apply(event)
                telling.happened(live, event)
            frames, _ = drained(connection)
        return [frame["payload"] for frame in frames if frame["event"] == "chat"]

    return lambda *happenings: asyncio.run(happen(*happenings))


def test_a_message_that_only_calls_a_tool_tells_no_text_again(hear: Hear) -> None:
    told = hear(
        Started("p", "m", 1),
        Text("Let me look."),
        said(text("Let me look."), tool("1")),
        ToolStarted("1", "look", {}),
        ToolEnded("1", "look", True, "nothing"),
        said(tool("2")),
        ToolStarted("2", "look", {}),
        ToolEnded("2", "look", True, "it"),
        Text("There"),
        Text(" it is."),
        said(text("There it is.")),
    )
    assert [(each["deltaText"], each["message"]["content"][0]["text"]) for each in told] == [
        ("Let me look.", "Let me look."),
        ("There", "There"),
        (" it is.", "There it is."),
    ]


# -- each protocol -----------------------------------------------------------------------------------------------------

OLD = Peer(3, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "cli"))
NEW = Peer(4, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "cli"))
WATCHING = Peer(4, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "cli"), caps=(TOOL_EVENTS,))
STRANGER = Peer(4, "operator", (), ClientInfo("cli", "1", "linux", "cli"))


class Room:
    """A hub with clients, and what is told there."""

    def __init__(self, *peers: Peer, verbose: bool = False) -> None:
        self.hub = Hub()
        self.stack = ExitStack()
        self.ears: list[Connection] = []
        for number, peer in enumerate(peers):
            ear = Connection(f"c{number}", "r", FakeCarrier())
            self.stack.enter_context(self.hub.registered(ear))
            self.hub.greet(ear, peer, 0)
            self.ears.append(ear)
        self.heard()

        async def shows(session: str) -> bool:
            assert session == RUN.session
            return verbose

        self.telling = RunEvents(self.hub, shows)
        self.live = ActiveRun(RUN)

    def happen(self, *happenings: Happening) -> None:
        for what in happenings:
            event = Event(RUN.id, self.live.seq + 1, 7, what)
            assert self.live.apply(event)
            self.telling.happened(self.live, event)

    def heard(self, ear: int = 0) -> list[dict[str, Any]]:
        """What is new, without what the time makes."""
        connection = self.ears[ear]
        frames, _ = drained(connection)
        connection.carrier.texts.clear()  # type: ignore[attr-defined]
        events = [frame for frame in frames if frame.get("event") in ("chat", "agent")]
        for event in events:
            event["payload"].pop("ts", None)
            event["payload"].get("message", {}).pop("timestamp", None)
        return [{"event": event["event"], **event["payload"]} for event in events]


def in_a_room(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


HEAD = {"runId": "r1", "sessionKey": "agent:main:main"}


def test_a_piece_in_the_form_of_each_protocol() -> None:
    async def test() -> None:
        room = Room(OLD, NEW, STRANGER)
        room.happen(Text("Hel"))
        message = {"role": "assistant", "content": [{"type": "text", "text": "Hel"}]}
        assistant = {"stream": "assistant", "data": {"text": "Hel", "delta": "Hel"}}
        delta = {"state": "delta", "message": message}
        assert room.heard(0) == [
            {"event": "agent", **HEAD, "seq": 1, **assistant},
            {"event": "chat", **HEAD, "seq": 1, **delta},
        ]
        assert room.heard(1) == [
            {"event": "agent", **HEAD, "seq": 1, **assistant, "agentId": "main", "isHeartbeat": False},
            {"event": "chat", **HEAD, "seq": 1, **delta, "agentId": "main", "deltaText": "Hel"},
        ]
        assert room.heard(2) == []

    in_a_room(test)


def test_the_beginning_and_the_models_that_are_asked() -> None:
    async def test() -> None:
        room = Room(OLD, NEW)
        room.telling.begun(room.live)
        room.happen(Started("p", "m", 1), Started("p", "n", 2))
        assert [each["data"] for each in room.heard(0)] == [{"phase": "start", "startedAt": None}]
        status, start, model = room.heard(1)
        assert (status["state"], status["phase"]) == ("status", "starting_model")
        assert start["data"]["phase"] == "start"
        assert model["data"] == {"phase": "model", "provider": "p", "model": "n"}

    in_a_room(test)


def test_thinking_is_told_to_protocol_4() -> None:
    async def test() -> None:
        room = Room(OLD, NEW)
        room.happen(Thinking("let me "))
        assert room.heard(0) == []
        (heard,) = room.heard(1)
        assert (heard["stream"], heard["data"]) == ("thinking", {"text": "let me ", "delta": "let me "})
        room.happen(Thinking("see"), said({"type": "thinking", "thinking": "let me see"}, text("Yes")))
        thinking, assistant, _ = room.heard(1)
        assert thinking["data"] == {"text": "let me see", "delta": "see"} and assistant["data"]["delta"] == "Yes"

    in_a_room(test)


@pytest.mark.parametrize("verbose", [True, False])
def test_who_hears_of_tools(verbose: bool) -> None:
    async def test() -> None:
        room = Room(OLD, NEW, WATCHING, verbose=verbose)
        room.telling.begun(room.live)
        await asyncio.sleep(0)
        for ear in range(3):
            room.heard(ear)
        room.happen(ToolStarted("1", "look", {"at": "it"}), ToolEnded("1", "look", False, "gone"))
        assert room.heard(1) == []
        begun, done = room.heard(2)
        assert begun["data"] == {"phase": "start", "name": "look", "toolCallId": "1", "args": {"at": "it"}}
        assert done["data"] == {
            **{"phase": "result", "name": "look", "toolCallId": "1"},
            **{"isError": True, "result": "gone"},
        }
        assert len(room.heard(0)) == (2 if verbose else 0)

    in_a_room(test)


# -- the pace ----------------------------------------------------------------------------------------------------------


def test_pieces_between_two_tellings_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.conversations.run_events.PACE_S", 0.03)

    async def test() -> None:
        room = Room(NEW)
        room.happen(Text("a"), Text("b"), Text("c"))
        assert [each["deltaText"] for each in room.heard() if each["event"] == "chat"] == ["a"]
        while room.telling._told["r1"].timer is not None:
            await asyncio.sleep(0)
        assert [each["deltaText"] for each in room.heard() if each["event"] == "chat"] == ["bc"]
        room.telling._told["r1"].at = float("-inf")
        room.happen(Text("d"), Text("e"), said(text("abcde")))
        assert [each["deltaText"] for each in room.heard() if each["event"] == "chat"] == ["d", "e"]

    in_a_room(test)


def test_a_long_text_is_told_at_a_slower_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.conversations.run_events.RATE", 1000)

    async def test() -> None:
        room = Room(NEW)
        room.happen(Text("x" * 10_000), Text("y"))
        (told,) = room.telling._told.values()
        assert told.timer is not None
        assert 10 < told.timer.when() - told.at < 11
        room.telling.close()
        assert [len(each["deltaText"]) for each in room.heard() if each["event"] == "chat"] == [10_000, 1]

    in_a_room(test)


def test_what_begins_anew_replaces_what_was_told() -> None:
    async def test() -> None:
        room = Room(NEW)
        room.happen(Text("Once"), Discarded("it broke off"), Discarded("again"))
        room.telling._told["r1"].at = float("-inf")
        room.heard()
        room.happen(Text("Twice"))
        _, chat = room.heard()
        assert (chat["deltaText"], chat["replace"]) == ("Twice", True)
        room.telling._told["r1"].at = float("-inf")
        room.happen(Text("!"))
        assert "replace" not in room.heard()[-1]

    in_a_room(test)


# -- another process ---------------------------------------------------------------------------------------------------


def test_after_a_restart_the_first_piece_says_all() -> None:
    async def test() -> None:
        room = Room(OLD, NEW)
        room.live = ActiveRun.resumed(replace(RUN, seq=3, text="Once upon"))
        room.telling.restarted(room.live)
        assert room.heard(1) == [], "what comes by itself in a moment needs no word before it"
        room.happen(Text(" a time"))
        _, chat = room.heard(1)
        assert (chat["deltaText"], chat["replace"], chat["seq"]) == ("Once upon a time", True, 4)
        assert room.heard(0)[-1]["message"]["content"][0]["text"] == "Once upon a time"
        assert room.telling._told["r1"].timer is None

    in_a_room(test)


def test_after_a_restart_it_is_told_although_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.conversations.run_events.RESTARTED_S", 0.01)

    async def test() -> None:
        room = Room(NEW)
        room.telling.restarted(ActiveRun.resumed(replace(RUN, seq=3, text="Once upon")))
        while room.telling._told["r1"].timer is not None:
            await asyncio.sleep(0)
        assert [each["deltaText"] for each in room.heard() if each["event"] == "chat"] == ["Once upon"]
        room.telling.restarted(ActiveRun.resumed(replace(RUN, id="r2", seq=3)))
        while room.telling._told["r2"].timer is not None:
            await asyncio.sleep(0)
        assert room.heard() == [], "nothing is written of its message"

    in_a_room(test)


def test_what_waits_for_its_time_is_told_by_who_leaves() -> None:
    async def test() -> None:
        room = Room(NEW)
        room.happen(Text("a"), Text("b"))
        room.heard()
        room.telling.close()
        assert [each["deltaText"] for each in room.heard() if each["event"] == "chat"] == ["b"]
        room.telling.close()
        assert room.heard() == []

    in_a_room(test)


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "older", "newer", "life"),
    [
        (
            replace(RUN, state="done", answer="Yes.", stop_reason="stop"),
            {"state": "final", "text": "Yes."},
            {"state": "final", "text": "Yes.", "stopReason": "stop"},
            "end",
        ),
        (
            replace(RUN, state="done", stop_reason="stop"),
            {"state": "final"},
            {"state": "final", "stopReason": "stop"},
            "end",
        ),
        (
            replace(RUN, state="aborted", answer="Y"),
            {"state": "aborted", "stopReason": "rpc"},
            {"state": "aborted", "stopReason": "rpc", "text": "Y"},
            "end",
        ),
        (
            replace(RUN, state="failed", failure=Failure("rate_limit", "too fast")),
            {"state": "error", "errorMessage": "too fast"},
            {"state": "error", "errorMessage": "too fast", "errorKind": "rate_limit"},
            "error",
        ),
        (
            replace(RUN, state="interrupted", answer="Y", failure=Failure("internal", "it died")),
            {"state": "error", "errorMessage": "it died"},
            {"state": "error", "errorMessage": "it died", "text": "Y"},
            "error",
        ),
    ],
)
def test_an_end_in_the_form_of_each_protocol(run: Run, older: dict[str, str], newer: dict[str, str], life: str) -> None:
    async def test() -> None:
        room = Room(OLD, NEW)
        room.happen(Text("Y"), Text("e"))
        for ear in (0, 1):
            room.heard(ear)
        room.telling.ended(run, room.live)
        for ear, expected in enumerate((older, newer)):
            agent, chat = room.heard(ear)
            assert (agent["stream"], agent["data"]["phase"]) == ("lifecycle", life)
            for name in ("event", "runId", "sessionKey", "seq", "agentId"):
                chat.pop(name, None)
            if "message" in chat:
                chat["text"] = chat.pop("message")["content"][0]["text"]
            assert chat == expected
        assert room.telling._told == {}
        room.telling.ended(replace(run, id="r2"), None)
        assert [each["event"] for each in room.heard()] == ["chat"], "one that had not begun has no life to end"

    in_a_room(test)


def test_an_injected_message_is_a_run_of_its_own() -> None:
    async def test() -> None:
        room = Room(OLD, NEW)
        tell_injected(room.hub, "0a1b", "agent:main:main", "main", {"role": "assistant", "content": []})
        (old,), (new,) = room.heard(0), room.heard(1)
        assert (old["runId"], old["seq"], old["state"]) == ("inject-0a1b", 0, "final") and new["agentId"] == "main"

    in_a_room(test)


def test_the_pieces_of_each_client_add_up_whatever_it_has_missed() -> None:
    async def test() -> None:
        room = Room(NEW, NEW, NEW)
        room.telling.begun(room.live)
        _, slow, late = room.ears
        late.peer, came = None, late.peer
        for number in range(12):
            slow.outbox.max_bytes = 0 if number in (3, 4, 8) else 1_000_000
            if number == 6:
                room.happen(Discarded("it broke off"))
            if number == 9:
                late.peer = came
            room.telling._told["r1"].at = float("-inf")
            room.happen(Text(f"{number} "))
        told = [(12, ["6 "]), (9, ["0 1 2 3 4 5 ", "6 ", "6 7 8 9 "]), (3, ["6 7 8 9 "])]
        for ear, (pieces, replaced) in enumerate(told):
            deltas = [each for each in room.heard(ear) if each["event"] == "chat" and each["state"] == "delta"]
            assert len(deltas) == pieces
            together = ""
            for each in deltas:
                together = each["deltaText"] if each.get("replace") else together + each["deltaText"]
                assert together == each["message"]["content"][0]["text"]
            assert [each["deltaText"] for each in deltas if each.get("replace")] == replaced

    in_a_room(test)


def test_a_client_that_never_reads_loses_pieces_and_no_end() -> None:
    async def test() -> None:
        room = Room(NEW)
        (ear,) = room.ears
        ear.outbox.max_bytes = 2000
        for number in range(200):
            room.happen(Text(f"{number} "))
            room.telling._told["r1"].at = float("-inf")
        assert ear.outbox.queued <= 2000 and not ear.outbox.closing
        before = room.heard()
        assert 0 < len(before) < 400
        room.telling.ended(replace(RUN, state="done", answer="all of it"), room.live)
        assert room.heard()[-1]["message"]["content"][0]["text"] == "all of it"

    in_a_room(test)
