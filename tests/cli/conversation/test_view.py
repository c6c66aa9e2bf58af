"""Whatever is told again, or is missed: each word is shown once, in order."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.conversation.events import (
    ChatEvent,
    FinishedRun,
    MessageRestarted,
    NextMessage,
    PastMessage,
    Question,
    RunBegun,
    RunEnded,
    TextDelta,
    ToolUse,
    read_row,
)
from gateway.cli.conversation.view import View
from gateway.conversations import run_events as telling
from gateway.conversations.run_events import RunEvents
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.link.messages import Ended, Event, Happening, Said, Started, Text, ToolEnded, ToolStarted
from gateway.protocol.peer import ClientInfo, Peer
from gateway.runs.active import ActiveRun
from gateway.sessions.records import Run, RunRequest
from tests.carrier import FakeCarrier, drained

KEY = "agent:main:main"


def chat(state: str, text: str | None = None, run: str = "r", **more: Any) -> tuple[str, dict[str, Any]]:
    said = {} if text is None else {"message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}
    return "chat", {"runId": run, "sessionKey": KEY, "seq": 1, "state": state, **said, **more}


def tool(phase: str, call: str = "1", **more: Any) -> tuple[str, dict[str, Any]]:
    data = {"phase": phase, "name": "look", "toolCallId": call, **more}
    return "agent", {"runId": "r", "sessionKey": KEY, "seq": 1, "stream": "tool", "data": data}


def mine(*runs: str) -> View:
    view = View(KEY)
    for run in runs or ("r",):
        view.expect(run)
    return view


def take(view: View, *events: tuple[str, dict[str, Any]]) -> list[ChatEvent]:
    return [event for name, payload in events for event in view.apply(name, payload)]


def test_an_answer_as_it_comes() -> None:
    view = mine()
    events = take(
        view,
        chat("status", phase="starting_model"),
        chat("delta", "One", deltaText="One"),
        chat("delta", "One two", deltaText=" two"),
        chat("final", "One two three", stopReason="stop"),
    )
    assert events == [
        RunBegun("r"), TextDelta("r", "One"), TextDelta("r", " two"), TextDelta("r", " three"),
        RunEnded("r", "final", "One two three")
    ]  # fmt: skip
    assert view.open == []
    assert take(view, chat("final", "One two three"), chat("delta", "One", deltaText="One")) == []


def test_protocol_3_has_no_pieces() -> None:
    view = mine()
    assert take(view, chat("delta", "One"), chat("delta", "One two"), chat("final", "One two")) == [
        RunBegun("r"), TextDelta("r", "One"), TextDelta("r", " two"), RunEnded("r", "final", "One two")
    ]  # fmt: skip


def test_other_sessions_and_other_events_are_nothing() -> None:
    view = mine()
    name, payload = chat("delta", "x", deltaText="x")
    assert view.apply(name, {**payload, "sessionKey": "agent:main:other"}) == []
    assert view.apply("tick", {"ts": 1}) == view.apply("presence", payload) == view.apply("chat", None) == []
    assert view.apply("chat", {"runId": "r"}) == []


def test_messages_with_tools_between_them() -> None:
    view = mine()
    events = take(
        view,
        chat("delta", "Let me look.", deltaText="Let me look."),
        tool("start", args={"q": 1}),
        tool("result", isError=False, result="fine"),
        tool("start", call="2", args={}),
        tool("result", call="2", isError=True, result="no such thing"),
        tool("start", call="3", args={}),
        tool("result", call="3", isError=True, result={"code": 1}),
        chat("delta", "Let me", deltaText="Let me"),  # begins as the first one did
        chat("delta", "Let me say", deltaText=" say"),
        chat("final", "Let me say it."),
    )
    assert events == [
        RunBegun("r"),
        TextDelta("r", "Let me look."),
        ToolUse("r", "look", {"q": 1}),
        ToolUse("r", "look", {}),
        ToolUse("r", "look", error="no such thing"),
        ToolUse("r", "look", {}),
        ToolUse("r", "look", error='{"code": 1}'),
        NextMessage("r"),
        TextDelta("r", "Let me"),
        TextDelta("r", " say"),
        TextDelta("r", " it."),
        RunEnded("r", "final", "Let me say it."),
    ]


def test_a_tool_that_is_told_again_is_shown_once() -> None:
    view = mine()
    assert take(view, tool("start"), tool("start"), tool("result", isError=True, result="x")) == [
        ToolUse("r", "look"), ToolUse("r", "look", error="x")
    ]  # fmt: skip
    assert take(view, tool("result", isError=True, result="x"), tool("update")) == []


def test_what_is_told_anew_is_not_shown_again() -> None:
    view = mine()
    take(view, chat("delta", "One two three", deltaText="One two three"))
    again = [chat("delta", "One", deltaText="One", replace=True), chat("delta", "One two three four", deltaText="x")]
    assert take(view, *again) == [TextDelta("r", " four")]
    again = [chat("delta", "", deltaText="", replace=True), chat("delta", "One", deltaText="One")]
    assert take(view, *again) == []


def test_another_answer_says_that_it_is_one() -> None:
    view = mine()
    take(view, chat("delta", "One two", deltaText="One two"))
    events = take(view, chat("delta", "Uno", deltaText="Uno", replace=True), chat("final", "Uno dos"))
    assert events == [
        MessageRestarted("r"),
        TextDelta("r", "Uno"),
        TextDelta("r", " dos"),
        RunEnded("r", "final", "Uno dos"),
    ]


def test_told_anew_from_a_message_before() -> None:
    view = mine()
    take(view, chat("delta", "First.", deltaText="First."), chat("delta", "Second", deltaText="Second"))
    again = [
        chat("delta", "", deltaText="", replace=True),
        chat("delta", "Fir", deltaText="Fir"),
        chat("delta", "First.", deltaText="st."),
        chat("delta", "Second half", deltaText="Second half"),
    ]
    assert take(view, *again) == [TextDelta("r", " half")]


def test_an_end_without_words() -> None:
    assert take(mine(), chat("error", errorMessage="no model")) == [
        RunBegun("r"),
        RunEnded("r", "error", "", "no model"),
    ]
    view = mine()
    take(view, chat("delta", "Half", deltaText="Half"))
    assert take(view, chat("aborted", stopReason="rpc")) == [RunEnded("r", "aborted", "Half")]


def test_a_last_message_of_which_nothing_was_told() -> None:
    view = mine()
    take(view, chat("delta", "First.", deltaText="First."))
    assert take(view, chat("final", "Second.")) == [
        NextMessage("r"),
        TextDelta("r", "Second."),
        RunEnded("r", "final", "Second."),
    ]


def test_somebody_elses_question() -> None:
    view = View(KEY)
    event = chat("status")
    assert view.lacks_question(*event) == "r"
    rows = [PastMessage("user", "before", "1", "q"), PastMessage("user", "Why?", "2", "r")]
    assert view.add_question("r", rows) == [Question("r", "Why?")]
    assert view.lacks_question(*event) is None
    assert view.lacks_question(*tool("start")) is None
    assert mine().lacks_question(*event) is None


def test_an_injected_message() -> None:
    view = View(KEY)
    event = chat("final", "[L]\n\nhi", run="inject-1")
    assert view.lacks_question(*event) is None
    assert take(view, event) == [TextDelta("inject-1", "[L]\n\nhi"), RunEnded("inject-1", "final", "[L]\n\nhi")]
    rows = [
        PastMessage("assistant", "[L]\n\nhi", "1", stop="injected"),
        PastMessage("assistant", "ho", "2", stop="injected"),
    ]
    assert view.catch_up(rows, {}) == [TextDelta("inject-2", "ho"), RunEnded("inject-2", "final", "ho")]
    assert view.catch_up(rows, {}) == []


# -- the transcript ----------------------------------------------------------------------------------------------------

ROWS = [
    PastMessage("user", "Why?", "1", "r"),
    PastMessage("assistant", "First.", "2", "r", "toolUse"),
    PastMessage("toolResult", "x", "3", "r"),
]


def test_what_was_missed_of_an_answer_that_goes_on() -> None:
    view = mine()
    take(view, chat("delta", "Fir", deltaText="Fir"))
    assert view.uncertain_runs(ROWS) == ["r"]
    assert view.catch_up(ROWS, {}) == [TextDelta("r", "st.")]
    # These were told before the transcript was read, and come after it.
    assert take(view, chat("delta", "First", deltaText="st"), chat("delta", "First.", deltaText=".")) == []
    assert take(view, chat("delta", "Sec", deltaText="Sec")) == [NextMessage("r"), TextDelta("r", "Sec")]


def test_what_was_missed_of_an_answer_that_is_over() -> None:
    view = mine()
    take(view, chat("delta", "Fir", deltaText="Fir"))
    rows = [*ROWS, PastMessage("assistant", "Second.", "4", "r", "stop")]
    events = [TextDelta("r", "st."), NextMessage("r"), TextDelta("r", "Second."), RunEnded("r", "final", "Second.")]
    assert view.catch_up(rows, {"r": FinishedRun()}) == events
    assert view.catch_up(rows, {"r": FinishedRun()}) == []
    assert view.uncertain_runs(rows) == []


@pytest.mark.parametrize(
    ("row", "ended", "over"),
    [
        (PastMessage("assistant", "Half", "2", "r", "aborted"), FinishedRun(), RunEnded("r", "aborted", "Half")),
        (
            PastMessage("assistant", "Half", "2", "r", "interrupted"),
            FinishedRun("lost"),
            RunEnded("r", "error", "Half", "lost"),
        ),
        (
            PastMessage("assistant", "Half", "2", "r", "error", "429"),
            FinishedRun(),
            RunEnded("r", "error", "Half", "429"),
        ),
    ],
)
def test_how_a_missed_end_was(row: PastMessage, ended: FinishedRun, over: RunEnded) -> None:
    view = mine()
    assert view.catch_up([ROWS[0], row], {"r": ended})[-1] == over


def test_a_missed_end_without_a_message() -> None:
    view = mine("r", "waits")
    assert view.catch_up([], {"r": FinishedRun("no model")}) == [RunEnded("r", "error", "", "no model")]
    assert view.open == ["waits"]


def test_what_others_said_while_nobody_listened() -> None:
    view = View(KEY)
    rows = [
        *(PastMessage("user", "Why?", "1", "q"), PastMessage("assistant", "So.", "2", "q", "stop")),
        *(PastMessage("user", "And?", "3", "r"), PastMessage("assistant", "Then", "4", "r", "toolUse")),
    ]
    assert view.uncertain_runs(rows) == ["r"]
    assert view.catch_up(rows, {}) == [
        *(Question("q", "Why?"), RunBegun("q"), TextDelta("q", "So."), RunEnded("q", "final", "So.")),
        *(Question("r", "And?"), RunBegun("r"), TextDelta("r", "Then")),
    ]
    assert take(view, chat("final", "Then this.")) == [
        NextMessage("r"), TextDelta("r", "Then this."), RunEnded("r", "final", "Then this.")
    ]  # fmt: skip


# -- a gateway that dies, and connections that break -------------------------------------------------------------------

STEPS = ["go on", "store", "crash", "lose", "miss", "wait"]
words = st.lists(st.sampled_from(["a", "b", "ab", " ", "a b"]), max_size=4)
QUESTION = {"role": "user", "content": "?"}
RUN = Run("r", KEY, "main", "running", RunRequest(QUESTION), 1)


async def quiet(session: str) -> bool:
    return False


class OneRun:
    """One run in an agent that remembers everything, a gateway that does not, and a client that shows what it hears."""

    def __init__(self, texts: list[list[str]]) -> None:
        self.script = [Started("p", "m", 1), *self._script(texts)]
        self.expected = ["".join(parts) for parts in texts if "".join(parts)]
        self.rows = [PastMessage("user", "?", "0", "r")]
        self.view = mine()
        self.events: list[ChatEvent] = []
        self.happened = self.stored = 0
        self.run = RUN
        self._boot(tell=False)

    def _script(self, texts: list[list[str]]) -> list[Happening]:
        made: list[Happening] = []
        for number, parts in enumerate(texts):
            made += [Text(part) for part in parts]
            blocks: list[dict[str, Any]] = [{"type": "text", "text": "".join(parts)}]
            if number < len(texts) - 1:
                blocks.append({"type": "toolCall", "id": str(number), "name": "look", "arguments": {}})
            made.append(Said({"role": "assistant", "content": blocks, "timestamp": 1}))
            if number < len(texts) - 1:
                made += [ToolStarted(str(number), "look", {}), ToolEnded(str(number), "look", True, "x")]
                made.append(Said({"role": "toolResult", "content": "x", "timestamp": 1}))
        return made

    def _boot(self, tell: bool = True) -> None:
        """A process of the gateway, which knows what is stored."""
        self.hub = Hub()
        self.carrier = FakeCarrier()
        self.connection = Connection("c", "r", self.carrier)
        self.hub.connections.add(self.connection)
        client = ClientInfo("cli", "1", "linux", "cli")
        self.hub.greet(self.connection, Peer(4, "operator", ("operator.admin",), client, caps=("tool-events",)), 0)
        self.telling = RunEvents(self.hub, quiet)
        self.live = ActiveRun.resumed(self.run)
        if tell:
            self.telling.restarted(self.live)

    def hear(self) -> None:
        frames, _ = drained(self.connection)
        self.carrier.texts.clear()
        for frame in frames:
            if frame.get("type") == "event" and frame["event"] in ("chat", "agent"):
                self.events += self.view.apply(frame["event"], json.loads(json.dumps(frame["payload"])))

    def go_on(self, count: int) -> None:
        for _ in range(count):
            if self.happened < len(self.script):
                self.happened += 1
            self._deliver()

    def _deliver(self) -> None:
        for seq in range(self.live.seq + 1, self.happened + 1):
            event = Event("r", seq, 1, self.script[seq - 1])
            if self.live.apply(event):
                self.telling.happened(self.live, event)

    def store(self) -> None:
        for message in self.live.said.values():
            self.rows.append(read_row({**message, "__openclaw": {"id": str(len(self.rows)), "runId": "r"}}))
        progress = self.live.progress()
        self.live.mark_stored(progress)
        answer = self.live.answer
        values = {"seq": progress.seq, "text": progress.text, "answer": answer, "acted": self.live.acted}
        self.run = Run("r", KEY, "main", "running", RunRequest(QUESTION), 1, **values)

    def crash(self, count: int) -> None:
        """The connection is kept; what it was told is heard."""
        self.hear()
        self._boot()
        self._deliver()

    def lose(self, count: int) -> None:
        """Gateway and connection are lost, with what was told last; the transcript is read a while later."""
        self._boot()
        self.go_on(count)
        self._read()

    def wait(self, count: int) -> None:
        """What waits for its time is told."""
        self.telling.close()

    def miss(self, count: int) -> None:
        """Only the connection is lost, for a while."""
        self.go_on(count)
        self.carrier.texts.clear()
        self.go_on(count)
        self._read()

    def _read(self) -> None:
        self.store()  # as chat.history does
        rows = list(self.rows)
        self.go_on(1)
        self.events += self.view.catch_up(rows, {})
        self.hear()

    def step(self, name: str, count: int) -> None:
        steps = {"go on": self.go_on, "crash": self.crash, "lose": self.lose, "miss": self.miss, "wait": self.wait}
        steps.get(name, lambda count: self.store())(count)

    def end(self) -> list[str]:
        """The messages that were shown."""
        self.go_on(len(self.script))
        self.happened += 1
        self.script.append(Ended("done"))
        self._deliver()
        self.store()
        self.telling.ended(Run("r", KEY, "main", "done", RunRequest(QUESTION), 1, answer=self.run.answer), self.live)
        self.hear()
        shown = [""]
        for event in self.events:
            match event:
                case TextDelta(text=text):
                    shown[-1] += text
                case NextMessage():
                    shown.append("")
                case MessageRestarted():
                    shown.append("ANEW")
        return [text for text in shown if text]


@given(
    st.lists(words, min_size=1, max_size=3),
    st.lists(
        st.tuples(st.sampled_from(["go on", "store", "crash", "lose", "miss", "wait"]), st.integers(0, 4)), max_size=12
    ),
)
def test_each_word_is_shown_once(texts: list[list[str]], steps: list[tuple[str, int]]) -> None:
    marked = [[f"{number}{part}" if not place else part for place, part in enumerate(parts)]
              for number, parts in enumerate(texts)]  # fmt: skip

    async def live() -> OneRun:
        world = OneRun(marked)
        for name, count in steps:
            world.step(name, count)
        assert world.end() == world.expected
        return world

    pace = telling.PACE_S
    telling.PACE_S = 0
    try:
        world = asyncio.run(live())
    finally:
        telling.PACE_S = pace
    assert isinstance(world.events[-1], RunEnded)
    tools = [event for event in world.events if isinstance(event, ToolUse)]
    assert len(tools) <= len(texts) - 1
