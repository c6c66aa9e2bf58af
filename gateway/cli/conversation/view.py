"""A record of what has been shown of a session, so that each part of it is shown once. Pure.

The gateway reports an answer as `chat` events, each with the whole text so far. After a crash it may repeat an answer
from a text shorter than the one before. An answer may consist of several messages, with tools called between them; an
event has the text of one message. So a run has a list of messages, as far as they have been shown, and an index: the
message that events are about.

`apply` takes events. `catch_up` takes the transcript after the connection was lost; the events after it may still be
older than that transcript.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cli.conversation.events import (
    ChatEvent,
    EndState,
    FinishedRun,
    MessageRestarted,
    NextMessage,
    PastMessage,
    Question,
    RunBegun,
    RunEnded,
    TextDelta,
    ToolUse,
    text_of,
)

INJECTED = "inject-"
"""Prefix of the run id of a message that belongs to no run; the rest is the message's own id."""
_STOPPED = ("aborted", "interrupted")


@dataclass
class _Shown:
    """One run, as far as it has been shown."""

    messages: list[str] = field(default_factory=list)
    """The texts of its messages, as far as they have been shown."""
    at: int = 0
    """Index of the message that events are about; `len(messages)` if that one has not begun."""
    received: str = ""
    """The text that the last event had of that message."""
    complete: int = 0
    """Number of messages known to be whole: a tool was called after them, or the transcript has them."""
    begun: bool = False
    asked: bool = False
    """Whether the question has been shown."""
    stale: bool = False
    """Whether the next events may be older than the transcript that was shown."""
    tools: set[str] = field(default_factory=set)


class View:
    def __init__(self, key: str) -> None:
        """`key`: the session's canonical key, as events have it."""
        self.key = key
        self._runs: dict[str, _Shown] = {}
        self._ended: set[str] = set()
        self._injected_ids: set[str] = set()
        """Ids of the shown messages that belong to no run."""

    def expect(self, run: str) -> None:
        """The question of this run is on the terminal already, because it was asked there."""
        self._runs[run] = _Shown(asked=True)

    @property
    def open(self) -> list[str]:
        """Runs whose end has not been shown."""
        return list(self._runs)

    def lacks_question(self, name: str, payload: Any) -> str | None:
        """The run of an event, if its question has not been shown: call `add_question` before `apply`."""
        if name != "chat" or not self._is_of_session(payload):
            return None
        run = str(payload["runId"])
        if run.startswith(INJECTED) or run in self._ended or (run in self._runs and self._runs[run].asked):
            return None
        return run

    def add_question(self, run: str, rows: Iterable[PastMessage]) -> list[ChatEvent]:
        """The question of a run, where the transcript has it: another client asked it."""
        shown = self._runs.setdefault(run, _Shown())
        shown.asked = True
        return [Question(run, row.text) for row in rows if row.run == run and row.role == "user"]

    # -- events ----------------------------------------------------------------------------------------------------

    def apply(self, name: str, payload: Any) -> list[ChatEvent]:
        """The chat events for what is new in a gateway event."""
        if name not in ("chat", "agent") or not self._is_of_session(payload) or payload["runId"] in self._ended:
            return []
        run = str(payload["runId"])
        if run.startswith(INJECTED):
            return self._show_injected(run, text_of(payload.get("message")))
        shown = self._runs.setdefault(run, _Shown())
        if name == "agent":
            return self._apply_agent(run, shown, payload)
        events, text = self._begin(run, shown), text_of(payload.get("message"))
        match payload.get("state"):
            case "delta":
                events += self._apply_delta(run, shown, text, payload.get("deltaText"), payload.get("replace") is True)
            case "final" | "aborted" | "error" as state:
                events += self._show_last(run, shown, text)
                events += self._finish(run, shown, state, payload.get("errorMessage"))
        return events

    def _is_of_session(self, payload: Any) -> bool:
        return isinstance(payload, Mapping) and payload.get("sessionKey") == self.key and "runId" in payload

    def _begin(self, run: str, shown: _Shown) -> list[ChatEvent]:
        if shown.begun:
            return []
        shown.begun = True
        return [RunBegun(run)]

    def _apply_agent(self, run: str, shown: _Shown, payload: Mapping[str, Any]) -> list[ChatEvent]:
        data = payload.get("data") or {}
        if payload.get("stream") == "lifecycle" and data.get("phase") == "start":
            return self._begin(run, shown)
        if payload.get("stream") != "tool":
            return []
        name, mark = str(data.get("name", "tool")), f"{data.get('phase')} {data.get('toolCallId')}"
        if mark in shown.tools:
            return []
        shown.tools.add(mark)
        if data.get("phase") == "start":
            shown.complete = len(shown.messages)
            return [ToolUse(run, name, data.get("args"))]
        if data.get("phase") == "result" and data.get("isError"):
            result = data.get("result")
            return [ToolUse(run, name, error=result if isinstance(result, str) else json.dumps(result))]
        return []

    def _show_injected(self, run: str, text: str) -> list[ChatEvent]:
        self._injected_ids.add(run.removeprefix(INJECTED))
        self._ended.add(run)
        return [TextDelta(run, text), RunEnded(run, "final", text)]

    # -- the text of an answer -------------------------------------------------------------------------------------

    def _apply_delta(self, run: str, shown: _Shown, text: str, delta: Any, replaces: bool) -> list[ChatEvent]:
        is_next = delta == text or not text.startswith(shown.received)
        if shown.stale:
            return self._locate(run, shown, text)
        if shown.received and is_next and not replaces:
            shown.at += 1
        shown.received = text
        return self._show(run, shown, text)

    def _locate(self, run: str, shown: _Shown, text: str) -> list[ChatEvent]:
        """Find the message of `text` by comparing. A text that has been shown already shows nothing."""
        if any(each.startswith(text) for each in shown.messages):
            return []
        goes_on = shown.at < len(shown.messages) and text.startswith(shown.messages[-1])
        shown.at = len(shown.messages) - goes_on
        shown.received, shown.stale = text, False
        return self._show(run, shown, text)

    def _show(self, run: str, shown: _Shown, text: str) -> list[ChatEvent]:
        """The chat events for what is new in the message that `shown.at` names."""
        if shown.at >= len(shown.messages):
            return self._next_message(run, shown, text)
        known = shown.messages[shown.at]
        if known.startswith(text):
            return []
        if text.startswith(known) and shown.at == len(shown.messages) - 1:
            shown.messages[shown.at] = text
            return [TextDelta(run, text[len(known) :])]
        for earlier in range(shown.at - 1, -1, -1):
            if shown.messages[earlier].startswith(text):
                shown.at = earlier
                return []
        if shown.complete >= len(shown.messages):
            return self._next_message(run, shown, text)
        del shown.messages[shown.at :]
        shown.messages.append(text)
        return [MessageRestarted(run), TextDelta(run, text)]

    def _next_message(self, run: str, shown: _Shown, text: str) -> list[ChatEvent]:
        shown.at = len(shown.messages)
        if not text:
            return []
        shown.messages.append(text)
        return [*([NextMessage(run)] if shown.at else []), TextDelta(run, text)]

    def _show_last(self, run: str, shown: _Shown, text: str) -> list[ChatEvent]:
        """The end of a run brings its last message whole."""
        if not text or any(each.startswith(text) for each in shown.messages):
            return []
        if shown.stale:
            return self._locate(run, shown, text)
        if shown.received and not text.startswith(shown.received):
            shown.at = len(shown.messages)
        return self._show(run, shown, text)

    def _finish(self, run: str, shown: _Shown, state: EndState, error: str | None) -> list[ChatEvent]:
        del self._runs[run]
        self._ended.add(run)
        return [RunEnded(run, state, shown.messages[-1] if shown.messages else "", error)]

    # -- the transcript --------------------------------------------------------------------------------------------

    def uncertain_runs(self, rows: Sequence[PastMessage]) -> list[str]:
        """Runs that may have ended meanwhile: the gateway must be asked."""
        last = next((row.run for row in reversed(rows) if row.run), None)
        more = [last] if last and last not in self._ended and last not in self._runs else []
        return [*self._runs, *more]

    def catch_up(self, rows: Sequence[PastMessage], ended: Mapping[str, FinishedRun]) -> list[ChatEvent]:
        """The chat events for what is new in the transcript. `ended`: those of the `uncertain_runs` that have ended."""
        last = next((row.run for row in reversed(rows) if row.run), None)
        events: list[ChatEvent] = []
        by_run: dict[str, list[PastMessage]] = {}
        for row in rows:
            if row.run is not None and row.run not in self._ended:
                by_run.setdefault(row.run, []).append(row)
        for row in rows:
            if row.run in by_run:
                run = str(row.run)
                open = run not in ended and (run in self._runs or run == last)
                events += self._catch_up_run(run, by_run.pop(run), None if open else ended.get(run, FinishedRun()))
            elif row.run is None and row.stop == "injected" and row.id and row.id not in self._injected_ids:
                events += self._show_injected(f"{INJECTED}{row.id}", row.text)
        for run in [run for run in self._runs if run in ended]:  # the transcript has no message of it
            events += self._finish(run, self._runs[run], "error" if ended[run].error else "final", ended[run].error)
        return events

    def _catch_up_run(self, run: str, rows: Sequence[PastMessage], ended: FinishedRun | None) -> list[ChatEvent]:
        shown = self._runs.setdefault(run, _Shown())
        events: list[ChatEvent] = []
        if not shown.asked:
            events += self.add_question(run, rows)
        events += self._begin(run, shown)
        texts = [row.text for row in rows if row.role == "assistant" and row.text]
        for number, text in enumerate(texts):
            shown.at = number
            events += self._show(run, shown, text)
        shown.at, shown.received, shown.stale = len(texts), "", True
        shown.complete = max(shown.complete, len(texts))
        if ended is not None:
            final = next((row for row in reversed(rows) if row.role == "assistant"), PastMessage("assistant", ""))
            error = ended.error or final.error
            state: EndState = "error" if error else "aborted" if final.stop in _STOPPED else "final"
            events += self._finish(run, shown, state, error)
        return events
