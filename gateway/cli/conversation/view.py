"""What of a session has been shown, so that whatever is told again, or was missed, is shown once. Pure.

The gateway tells an answer as `chat` events that carry its whole text so far, and tells it anew when it has come back
from the dead; then the text may be less than what was told before. An answer may consist of several messages, with
tools called between them; an event carries the text of one. So for each run there is a list of messages, as far as they
have been shown, and a place in it: the message that is being told.

`take` is given events. `catch_up` is given the transcript after a connection was lost; what comes afterwards may still
be older than that.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cli.conversation.events import (
    Begun,
    End,
    FinishedRun,
    Next,
    Over,
    PastMessage,
    Piece,
    Question,
    Restarted,
    ToolUse,
    Words,
    text_of,
)

INJECTED = "inject-"
"""What the run's id of a message begins with that no run has brought; the rest is the message's own id."""
_STOPPED = ("aborted", "interrupted")


@dataclass
class _Shown:
    """Of one run."""

    messages: list[str] = field(default_factory=list)
    """Their texts, as far as they have been shown."""
    at: int = 0
    """Which of them is being told; one behind the last if that has not begun."""
    heard: str = ""
    """What has been told of that one."""
    complete: int = 0
    """So many of them are known to be whole, because a tool was called after them, or the transcript has them."""
    begun: bool = False
    asked: bool = False
    """Whether the question is there to be seen."""
    doubtful: bool = False
    """Events may still be older than the transcript that was shown."""
    tools: set[str] = field(default_factory=set)


class View:
    def __init__(self, key: str) -> None:
        """`key`: the session's, as events have it."""
        self.key = key
        self._runs: dict[str, _Shown] = {}
        self._over: set[str] = set()
        self._seen: set[str] = set()
        """Ids of messages that no run has brought."""

    def expect(self, run: str) -> None:
        """A run whose question is there already, because it was asked here."""
        self._runs[run] = _Shown(asked=True)

    @property
    def open(self) -> list[str]:
        """Runs whose end has not been seen."""
        return list(self._runs)

    def unasked(self, name: str, payload: Any) -> str | None:
        """The run of an event, if its question has not been shown; hand its rows to `introduce` before `take`."""
        if name != "chat" or not self._concerns(payload):
            return None
        run = str(payload["runId"])
        if run.startswith(INJECTED) or run in self._over or (run in self._runs and self._runs[run].asked):
            return None
        return run

    def introduce(self, run: str, rows: Iterable[PastMessage]) -> list[Piece]:
        """The question of somebody else's run, where the transcript has it."""
        shown = self._runs.setdefault(run, _Shown())
        shown.asked = True
        return [Question(run, row.text) for row in rows if row.run == run and row.role == "user"]

    # -- events ----------------------------------------------------------------------------------------------------

    def take(self, name: str, payload: Any) -> list[Piece]:
        """What an event brings that has not been shown."""
        if name not in ("chat", "agent") or not self._concerns(payload) or payload["runId"] in self._over:
            return []
        run = str(payload["runId"])
        if run.startswith(INJECTED):
            return self._injected(run, text_of(payload.get("message")))
        shown = self._runs.setdefault(run, _Shown())
        if name == "agent":
            return self._agent(run, shown, payload)
        pieces, text = self._begin(run, shown), text_of(payload.get("message"))
        match payload.get("state"):
            case "delta":
                pieces += self._delta(run, shown, text, payload.get("deltaText"), payload.get("replace") is True)
            case "final" | "aborted" | "error" as state:
                pieces += self._last(run, shown, text)
                pieces += self._end(run, shown, state, payload.get("errorMessage"))
        return pieces

    def _concerns(self, payload: Any) -> bool:
        return isinstance(payload, Mapping) and payload.get("sessionKey") == self.key and "runId" in payload

    def _begin(self, run: str, shown: _Shown) -> list[Piece]:
        if shown.begun:
            return []
        shown.begun = True
        return [Begun(run)]

    def _agent(self, run: str, shown: _Shown, payload: Mapping[str, Any]) -> list[Piece]:
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

    def _injected(self, run: str, text: str) -> list[Piece]:
        self._seen.add(run.removeprefix(INJECTED))
        self._over.add(run)
        return [Words(run, text), Over(run, "final", text)]

    # -- the text of an answer -------------------------------------------------------------------------------------

    def _delta(self, run: str, shown: _Shown, text: str, delta: Any, replaces: bool) -> list[Piece]:
        another = delta == text or not text.startswith(shown.heard)
        if shown.doubtful:
            return self._settle(run, shown, text)
        if shown.heard and another and not replaces:
            shown.at += 1
        shown.heard = text
        return self._show(run, shown, text)

    def _settle(self, run: str, shown: _Shown, text: str) -> list[Piece]:
        """Which message this is of can only be told from its words; until they are new, nothing is shown."""
        if any(each.startswith(text) for each in shown.messages):
            return []
        goes_on = shown.at < len(shown.messages) and text.startswith(shown.messages[-1])
        shown.at = len(shown.messages) - goes_on
        shown.heard, shown.doubtful = text, False
        return self._show(run, shown, text)

    def _show(self, run: str, shown: _Shown, text: str) -> list[Piece]:
        """What is new of the message that is being told."""
        if shown.at >= len(shown.messages):
            return self._another(run, shown, text)
        known = shown.messages[shown.at]
        if known.startswith(text):
            return []
        if text.startswith(known) and shown.at == len(shown.messages) - 1:
            shown.messages[shown.at] = text
            return [Words(run, text[len(known) :])]
        for earlier in range(shown.at - 1, -1, -1):
            if shown.messages[earlier].startswith(text):
                shown.at = earlier
                return []
        if shown.complete >= len(shown.messages):
            return self._another(run, shown, text)
        del shown.messages[shown.at :]
        shown.messages.append(text)
        return [Restarted(run), Words(run, text)]

    def _another(self, run: str, shown: _Shown, text: str) -> list[Piece]:
        shown.at = len(shown.messages)
        if not text:
            return []
        shown.messages.append(text)
        return [*([Next(run)] if shown.at else []), Words(run, text)]

    def _last(self, run: str, shown: _Shown, text: str) -> list[Piece]:
        """The last message is told whole, with the end."""
        if not text or any(each.startswith(text) for each in shown.messages):
            return []
        if shown.doubtful:
            return self._settle(run, shown, text)
        if shown.heard and not text.startswith(shown.heard):
            shown.at = len(shown.messages)
        return self._show(run, shown, text)

    def _end(self, run: str, shown: _Shown, state: End, error: str | None) -> list[Piece]:
        del self._runs[run]
        self._over.add(run)
        return [Over(run, state, shown.messages[-1] if shown.messages else "", error)]

    # -- the transcript --------------------------------------------------------------------------------------------

    def suspects(self, rows: Sequence[PastMessage]) -> list[str]:
        """Runs that may be over or not: only the gateway knows."""
        last = next((row.run for row in reversed(rows) if row.run), None)
        more = [last] if last and last not in self._over and last not in self._runs else []
        return [*self._runs, *more]

    def catch_up(self, rows: Sequence[PastMessage], ended: Mapping[str, FinishedRun]) -> list[Piece]:
        """What the transcript has that has not been shown. Of the runs in it only the `suspects` can be unfinished."""
        last = next((row.run for row in reversed(rows) if row.run), None)
        pieces: list[Piece] = []
        by_run: dict[str, list[PastMessage]] = {}
        for row in rows:
            if row.run is not None and row.run not in self._over:
                by_run.setdefault(row.run, []).append(row)
        for row in rows:
            if row.run in by_run:
                run = str(row.run)
                open = run not in ended and (run in self._runs or run == last)
                pieces += self._caught_up(run, by_run.pop(run), None if open else ended.get(run, FinishedRun()))
            elif row.run is None and row.stop == "injected" and row.id and row.id not in self._seen:
                pieces += self._injected(f"{INJECTED}{row.id}", row.text)
        for run in [run for run in self._runs if run in ended]:  # it has left no message
            pieces += self._end(run, self._runs[run], "error" if ended[run].error else "final", ended[run].error)
        return pieces

    def _caught_up(self, run: str, rows: Sequence[PastMessage], ended: FinishedRun | None) -> list[Piece]:
        shown = self._runs.setdefault(run, _Shown())
        pieces: list[Piece] = []
        if not shown.asked:
            pieces += self.introduce(run, rows)
        pieces += self._begin(run, shown)
        texts = [row.text for row in rows if row.role == "assistant" and row.text]
        for number, text in enumerate(texts):
            shown.at = number
            pieces += self._show(run, shown, text)
        shown.at, shown.heard, shown.doubtful = len(texts), "", True
        shown.complete = max(shown.complete, len(texts))
        if ended is not None:
            final = next((row for row in reversed(rows) if row.role == "assistant"), PastMessage("assistant", ""))
            error = ended.error or final.error
            state: End = "error" if error else "aborted" if final.stop in _STOPPED else "final"
            pieces += self._end(run, shown, state, error)
        return pieces
