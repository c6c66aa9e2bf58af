"""The events of a run for clients: OpenClaw's `agent` and `chat` events, in the form of each protocol.

A piece of an answer is sent at once, then at most every `PACE_S`: pieces in between are sent together. Each `chat`
event carries the whole text so far, so a client that has missed one needs nothing else. A client that did not get the
piece before is told to `replace` what it has. A restart changes none of this (`runs/heard`).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.aio.tasks import Tasks
from gateway.conversations.broadcast import Others, Wants, broadcast
from gateway.handover.positions import Positions
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.link.messages import Discarded, Event, Said, Started, Text, Thinking, ToolEnded, ToolStarted, Waiting
from gateway.link.spec import COMPACTION, Message
from gateway.machine.clock import now_ms
from gateway.runs.active import ActiveRun, thoughts
from gateway.runs.audience import RunListener
from gateway.runs.ends import BROKEN
from gateway.runs.heard import Heard
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import BESIDE, Run, text_of

log = logging.getLogger("gateway.runs")

PACE_S = 0.15
"""Seconds between two pieces of one run, as in OpenClaw 2026.2.1."""
RATE = 256 * 1024
"""Characters of one run's text that are sent in a second. Each piece carries the whole text, so a long text is sent at
a slower pace."""
RESTARTED_S = 0.5
"""Seconds in which a run that goes on after a restart should say something; then what is known of its text is sent."""
TOOL_EVENTS = "tool-events"
"""The capability of clients that want events of tools, from protocol 4 on."""
KINDS = {"timeout": "timeout", "rate_limit": "rate_limit", "context": "context_length", "refused": "refusal"}
"""Kinds of failures by their names in protocol 4."""
Verbose = Callable[[str], Awaitable[bool]]
"""Whether a session shows its tools to clients of protocol 3. Raises StorageFailed."""


class RunEvents(RunListener):
    def __init__(self, hub: Hub, verbose: Verbose | None = None, memory: Positions | None = None) -> None:
        """`memory`: how much of runs the process before has sent."""
        self._hub = hub
        self._memory = memory
        self._verbose = verbose
        self._told: dict[str, Heard] = {}
        self._tasks = Tasks(log)

    def begun(self, live: ActiveRun) -> None:
        self._know(live).note()
        self._send("chat", live.run, live.seq, {"state": "status", "phase": "starting_model"}, since=4)

    def happened(self, live: ActiveRun, event: Event) -> None:
        told = self._know(live)
        if event.seq < told.skip:
            return  # another process has sent it
        if event.seq == told.skip:
            self._soon(told)
            return
        match event.what:
            case Text() | Thinking():
                self._soon(told)
                return
        told.note()
        match event.what:
            case Started(attempt=1) if not told.started:
                told.started = True
                self._agent(told, event, "lifecycle", {"phase": "start", "startedAt": live.run.started})
            case Started(provider=provider, model=model):
                asked = {"phase": "model", "provider": provider, "model": model}
                self._agent(told, event, "lifecycle", asked, since=4)
            case Discarded():
                told.void()
            case Said(message=message) if message.get("role") == "assistant":
                self._flush(told, text_of(message), thoughts(message))
                told.restart()
            case Said(message=message) if message.get("role") == COMPACTION:
                sizes = {name: message.get(name) for name in ("tokensBefore", "tokensAfter")}
                done = {"phase": "end", "completed": True, "willRetry": False, **sizes}
                self._agent(told, event, "compaction", done)
            case Waiting(ms=0, failure=failure) if failure.kind == "provider" and failure.retryable:
                again = {"state": "status", "phase": "retrying", "message": failure.message}
                self._send("chat", live.run, event.seq, again, since=4)
            case Waiting(failure=failure) if failure.kind == "context":
                failed = {"phase": "end", "completed": False, "willRetry": False}
                self._agent(told, event, "compaction", {"phase": "start"} if failure.retryable else failed)
            case ToolStarted(call=call, name=name, args=args):
                begun: dict[str, Any] = {"phase": "start", "name": name, "toolCallId": call, "args": args}
                self._agent(told, event, "tool", begun)
            case ToolEnded(call=call, name=name, ok=ok, result=result):
                result_ = {"phase": "result", "name": name, "toolCallId": call, "isError": not ok, "result": result}
                self._agent(told, event, "tool", result_)
        told.note()

    def restarted(self, live: ActiveRun) -> None:
        if (told := self._told.get(live.run.id)) is not None:
            told.begin_again()
        else:
            told = self._know(live)
            told.resume()
        if told.timer is None:
            told.timer = asyncio.get_running_loop().call_later(RESTARTED_S, self._flush_now, told)

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        seq = run.seq
        try:
            if (told := self._told.pop(run.id, None)) is not None:
                seq = told.number(max(seq, told.live.seq))
                told.forget()
            if live is not None:
                self._end_of_work(run, seq)
            ending = _ending(run)
        except Exception:
            log.exception("the end of run %s is told without its words", run.id)
            ending = {"state": "error", "errorMessage": BROKEN}, {}
        try:
            self._send("chat", run, seq, *ending)
        except Exception:
            log.exception("the end of run %s cannot be told; all clients are dropped and have to ask again", run.id)
            for connection in self._hub.clients:
                connection.carrier.abort()

    def close(self) -> None:
        """Send the pieces that wait for their time. No event of a run comes after this."""
        for told in self._told.values():
            if told.timer is not None:
                self._flush_now(told)
            told.leave()

    def _know(self, live: ActiveRun) -> Heard:
        if (told := self._told.get(live.run.id)) is None:
            told = self._told[live.run.id] = Heard(live, self._hub, self._memory)
            if self._verbose is not None:
                self._tasks.spawn(self._look(told, self._verbose), "looking how verbose a session is")
        return told

    async def _look(self, told: Heard, verbose: Verbose) -> None:
        try:
            told.verbose = await verbose(told.live.run.session)
        except StorageFailed as error:
            log.debug("%s", error)  # those that need the session report it

    # -- the text --------------------------------------------------------------------------------------------------

    def _soon(self, told: Heard) -> None:
        wait = told.at + max(PACE_S, (len(told.live.written) + len(told.live.thought)) / RATE) - time.monotonic()
        if wait <= 0:
            self._flush_now(told)
        elif told.timer is None:
            told.timer = asyncio.get_running_loop().call_later(wait, self._flush_now, told)

    def _flush_now(self, told: Heard) -> None:
        self._flush(told, told.live.text, told.live.thinking)

    def _flush(self, told: Heard, text: str, thinking: str) -> None:
        """Send the part of text and thinking that was not sent yet."""
        if told.timer is not None:
            told.timer.cancel()
            told.timer = None
        if told.replays:
            return
        run, seq, now = told.live.run, told.number(told.live.seq), now_ms()
        if delta := thinking[told.thought :]:
            told.note()
            thought = {"stream": "thinking", "data": {"text": thinking, "delta": delta}, "ts": now}
            whole = Others(told.thinkers, {"data": {"text": thinking, "delta": thinking, "replace": True}})
            others = whole if told.thought or told.rethink else None
            told.thinkers = self._send("agent", run, seq, thought, since=4, drop_if_slow=True, others=others)
            told.thought, told.at, told.rethink = len(thinking), time.monotonic(), False
            told.note()
        if delta := text[told.characters :]:
            told.note()
            goes_on = told.characters or told.replace
            said = {"stream": "assistant", "data": {"text": text, "delta": delta}, "ts": now}
            whole = Others(told.heard, {"data": {"text": text, "delta": text, "replace": True}}, since=3)
            reached = self._send("agent", run, seq, said, drop_if_slow=True, others=whole if goes_on else None)
            piece, newer = {"state": "delta", "message": _message(text, now)}, {"deltaText": delta}
            whole = Others(told.heard, {"deltaText": text, "replace": True})
            reached &= self._send("chat", run, seq, piece, newer, drop_if_slow=True, others=whole if goes_on else None)
            told.heard = reached
            told.characters, told.at, told.replace = len(text), time.monotonic(), False
            told.note()

    # -- events ----------------------------------------------------------------------------------------------------

    def _end_of_work(self, run: Run, seq: int) -> None:
        if run.state == "failed" or run.state == "interrupted":
            data: dict[str, Any] = {"phase": "error", "error": _why(run), "endedAt": run.ended}
        else:
            data = {"phase": "end", "startedAt": run.started, "endedAt": run.ended}
            data |= {"aborted": True, "stopReason": "aborted"} if run.state == "aborted" else {}
        self._send("agent", run, seq, {"stream": "lifecycle", "data": data, "ts": now_ms()})

    def _agent(self, told: Heard, event: Event, stream: str, data: dict[str, Any], since: int = 3) -> None:
        fields = {"stream": stream, "data": data, "ts": event.ts}
        wants = _wants_tools(told.verbose) if stream == "tool" else None
        self._send("agent", told.live.run, told.number(event.seq), fields, since=since, only=wants)

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
        others: Others | None = None,
    ) -> set[Connection]:
        """Send an event; return the clients that got it. `newer`: fields only for protocol 4, unless the client is one
        of the `others`."""
        if name == "chat" and run.request.lane == BESIDE:
            return set()
        known = {"runId": run.id, "sessionKey": run.session, "seq": seq, **fields}
        return broadcast(self._hub, name, run.agent, known, newer or {}, since, drop_if_slow, only, others)


def tell_injected(hub: Hub, id: str, session: str, agent: str, message: Message) -> None:
    """Send the event of a message without a run."""
    said = {"runId": f"inject-{id}", "sessionKey": session, "seq": 0, "state": "final", "message": message}
    broadcast(hub, "chat", agent, said, {}, 3, False, None)


def _ending(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the last `chat` event, and those that only protocol 4 has."""
    said: dict[str, Any] = {"message": _message(run.answer, now_ms())} if run.answer else {}
    match run.state:
        case "done":
            return {"state": "final", **said}, {"stopReason": run.stop_reason}
        case "aborted":
            return {"state": "aborted", "stopReason": "rpc"}, said
        case _:
            kind = KINDS.get(run.failure.kind) if run.failure else None
            return {"state": "error", "errorMessage": _why(run)}, said | ({"errorKind": kind} if kind else {})


def _message(text: str, now: int) -> Message:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now}


def _why(run: Run) -> str:
    return run.failure.message if run.failure else "the run ended without an answer"


def _wants_tools(verbose: bool) -> Wants:
    def wants(connection: Connection) -> bool:
        peer = connection.peer
        return peer is not None and (TOOL_EVENTS in peer.caps if peer.protocol >= 4 else verbose)

    return wants
