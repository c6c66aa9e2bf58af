"""What clients hear of a run: the `agent` and `chat` events of OpenClaw, in the form of each protocol.

A piece of an answer is told at once, then at most every `PACE_S`: what comes in between is told together. Each `chat`
event carries the whole text so far, so a client that has missed one needs nothing else.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.hub import Connection, Hub
from gateway.link.messages import Event, Message, Said, Started, Text, ToolEnded, ToolStarted, Void
from gateway.protocol.frames import EventFrame
from gateway.protocol.scopes import READ
from gateway.runs.live import Live
from gateway.sessions.records import Run
from gateway.sessions.transactions import text_of

PACE_S = 0.15
"""Of one run, as 2026.2.1 paces it."""
TOOL_EVENTS = "tool-events"
"""The capability of clients that want to hear of tools."""
Wants = Callable[[Connection], bool]


@dataclass
class _Told:
    """Of one run's message that is being written."""

    characters: int = 0
    at: float = float("-inf")
    replace: bool = False
    """What was told before is not the beginning of what is written now."""
    timer: asyncio.TimerHandle | None = None


class Telling:
    """Implements `runs.service.Audience`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._told: dict[str, _Told] = {}

    def begun(self, live: Live) -> None:
        self._told[live.run.id] = _Told()
        self._send("chat", live.run, live.seq, {"state": "status", "phase": "starting_model"}, since=4)

    def happened(self, live: Live, event: Event) -> None:
        told = self._told.setdefault(live.run.id, _Told())
        match event.what:
            case Started(attempt=1):
                self._agent(live.run, event, "lifecycle", {"phase": "start", "startedAt": live.run.started})
            case Started(provider=provider, model=model):
                asked = {"phase": "model", "provider": provider, "model": model}
                self._agent(live.run, event, "lifecycle", asked, since=4)
            case Text():
                self._soon(live, told)
            case Void():
                told.replace = told.characters > 0
                told.characters = 0
            case Said(message=message) if message.get("role") == "assistant":
                if text := text_of(message):  # else only tools are called, and nothing of it has been told
                    self._flush(live, told, text)
                told.characters = 0
            case ToolStarted(call=call, name=name, args=args):
                begun: dict[str, Any] = {"phase": "start", "name": name, "toolCallId": call, "args": args}
                self._agent(live.run, event, "tool", begun)
            case ToolEnded(call=call, name=name, ok=ok, result=result):
                done = {"phase": "result", "name": name, "toolCallId": call, "isError": not ok, "result": result}
                self._agent(live.run, event, "tool", done)

    def anew(self, live: Live) -> None:
        told = self._told.setdefault(live.run.id, _Told())
        told.characters, told.replace = 0, True
        self._flush(live, told, live.text)

    def ended(self, run: Run, live: Live | None) -> None:
        told = self._told.pop(run.id, None)
        if told is not None and told.timer is not None:
            told.timer.cancel()
        if live is not None:
            self._end_of_work(run)
        self._send("chat", run, run.seq, *_ending(run))

    # -- the text --------------------------------------------------------------------------------------------------

    def _soon(self, live: Live, told: _Told) -> None:
        if told.timer is not None:
            return
        wait = told.at + PACE_S - time.monotonic()
        if wait <= 0:
            self._flush(live, told, live.text)
        else:
            told.timer = asyncio.get_running_loop().call_later(wait, self._late, live, told)

    def _late(self, live: Live, told: _Told) -> None:
        told.timer = None
        self._flush(live, told, live.text)

    def _flush(self, live: Live, told: _Told, text: str) -> None:
        """Tell what of `text` has not been told."""
        if told.timer is not None:
            told.timer.cancel()
            told.timer = None
        if len(text) <= told.characters and not told.replace:
            return
        delta, replaces = text[told.characters :], told.replace
        told.characters, told.at, told.replace = len(text), time.monotonic(), False
        run, seq, now = live.run, live.seq, _now()
        data = {"text": text, "delta": delta}
        self._send("agent", run, seq, {"stream": "assistant", "data": data, "ts": now}, drop_if_slow=True)
        newer: dict[str, Any] = {"deltaText": delta} | ({"replace": True} if replaces else {})
        self._send("chat", run, seq, {"state": "delta", "message": _message(text, now)}, newer, drop_if_slow=True)

    # -- events ----------------------------------------------------------------------------------------------------

    def _end_of_work(self, run: Run) -> None:
        if run.state == "failed" or run.state == "interrupted":
            data: dict[str, Any] = {"phase": "error", "error": _why(run), "endedAt": run.ended}
        else:
            data = {"phase": "end", "startedAt": run.started, "endedAt": run.ended}
            data |= {"aborted": True, "stopReason": "aborted"} if run.state == "aborted" else {}
        self._send("agent", run, run.seq, {"stream": "lifecycle", "data": data, "ts": _now()})

    def _agent(self, run: Run, event: Event, stream: str, data: dict[str, Any], since: int = 3) -> None:
        wanted = _wants_tools if stream == "tool" else None
        self._send("agent", run, event.seq, {"stream": stream, "data": data, "ts": event.ts}, since=since, only=wanted)

    def _send(
        self,
        name: str,
        run: Run,
        seq: int,
        fields: dict[str, Any],
        newer: dict[str, Any] | None = None,
        *,
        since: int = 3,
        drop_if_slow: bool = False,
        only: Wants | None = None,
    ) -> None:
        """`newer`: what protocol 4 gets beside the rest."""
        known = {"runId": run.id, "sessionKey": run.session, "seq": seq, **fields}
        _broadcast(self._hub, name, run.agent, known, newer or {}, since, drop_if_slow, only)


def tell_injected(hub: Hub, id: str, session: str, agent: str, message: Message) -> None:
    """A message that no run has brought."""
    said = {"runId": f"inject-{id}", "sessionKey": session, "seq": 0, "state": "final", "message": message}
    _broadcast(hub, "chat", agent, said, {}, 3, False, None)


def _broadcast(
    hub: Hub,
    name: str,
    agent: str,
    fields: dict[str, Any],
    newer: dict[str, Any],
    since: int,
    drop_if_slow: bool,
    only: Wants | None,
) -> None:
    frames: dict[int, EventFrame] = {}
    for connection in hub.clients:
        assert connection.peer is not None
        protocol = connection.peer.protocol
        if protocol < since or not connection.may_hear(READ) or (only and not only(connection)):
            continue
        if protocol not in frames:
            payload = fields
            if protocol >= 4:
                payload = {**fields, "agentId": agent, **newer}
                payload |= {"isHeartbeat": False} if name == "agent" else {}
            frames[protocol] = EventFrame(name, payload)
        connection.offer(frames[protocol], drop_if_slow)


def _ending(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the last `chat` event, and those that only protocol 4 has."""
    said: dict[str, Any] = {"message": _message(run.answer, _now())} if run.answer else {}
    match run.state:
        case "done":
            return {"state": "final", **said}, {"stopReason": run.stop_reason}
        case "aborted":
            return {"state": "aborted", "stopReason": "rpc"}, said
        case _:
            return {"state": "error", "errorMessage": _why(run)}, said


def _message(text: str, now: int) -> Message:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now}


def _why(run: Run) -> str:
    return run.failure.message if run.failure else "the run ended without an answer"


def _wants_tools(connection: Connection) -> bool:
    return connection.peer is not None and connection.peer.protocol >= 4 and TOOL_EVENTS in connection.peer.caps


def _now() -> int:
    return int(time.time() * 1000)
