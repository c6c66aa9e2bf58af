"""One conversation as a client sees it: the same steps on any gateway, and the shapes of what came, to be compared."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

LIMIT_SECONDS = 30.0
"""Seconds for one answer, or for the end of one run."""
QUIET_SECONDS = 1.0
"""Seconds without a frame that end a step."""
SESSION = "agent:main:main"
OTHER = "agent:main:other"
SCOPES = [f"operator.{name}" for name in ("admin", "read", "write", "approvals", "pairing")]
PLAIN = frozenset({"state", "phase", "stream", "status", "reason", "ok", "role", "stopReason", "kind", "errorKind"})
"""Fields whose values belong to the shape."""
_AT_ODDS = re.compile(r"^(health|tick|presence|heartbeat|config\.|update|plugin|device\.|node\.)")
"""Events that no step causes."""
Frame = dict[str, Any]


@dataclass
class Talk:
    """One client, and every frame that it has received, by the step in which it came."""

    socket: ClientConnection
    frames: dict[str, list[Frame]] = field(default_factory=dict)
    step: str = "connect"
    number: int = 0

    def ask(self, method: str, **params: Any) -> Frame:
        """The last answer to a request: `agent` is answered twice."""
        self.number += 1
        id = f"{self.number}"
        self.socket.send(json.dumps({"type": "req", "id": id, "method": method, "params": params}))
        return self.until(lambda frame: frame["type"] == "res" and frame["id"] == id and not _is_ack(frame))

    def until(self, wanted: Any) -> Frame:
        """The first wanted frame of this step, which may have come already. Raises TimeoutError."""
        end = time.monotonic() + LIMIT_SECONDS
        for frame in self.frames.get(self.step, ()):
            if wanted(frame):
                return frame
        while time.monotonic() < end:
            if (frame := self._next(end - time.monotonic())) is not None and wanted(frame):
                return frame
        raise TimeoutError(f"{self.step}: nothing of what was awaited")

    def drain(self) -> None:
        """Read frames until none comes for QUIET_SECONDS."""
        while self._next(QUIET_SECONDS) is not None:
            pass

    def _next(self, seconds: float) -> Frame | None:
        try:
            frame: Frame = json.loads(self.socket.recv(timeout=max(seconds, 0)))
        except TimeoutError:
            return None
        self.frames.setdefault(self.step, []).append(frame)
        return frame


def _is_ack(frame: Frame) -> bool:
    return isinstance(frame.get("payload"), dict) and frame["payload"].get("status") == "accepted"


def converse(port: int, token: str, protocol: int, slow: str) -> dict[str, list[Frame]]:
    """Take all steps, and return every frame by its step. `slow` is a message whose answer takes some seconds."""
    with connect(f"ws://127.0.0.1:{port}", max_size=2**26, compression=None) as socket:
        talk = Talk(socket)
        _greet(talk, token, protocol)
        for step, act in _steps(talk, protocol, slow):
            talk.step = step
            act()
            talk.drain()
    return talk.frames


def _greet(talk: Talk, token: str, protocol: int) -> None:
    client = {"id": "gateway-client", "version": "1.0", "platform": "linux", "mode": "backend"}
    talk.until(lambda frame: frame.get("event") == "connect.challenge")
    hello = talk.ask(
        "connect",
        minProtocol=protocol,
        maxProtocol=protocol,
        client=client,
        role="operator",
        scopes=SCOPES,
        caps=["tool-events"],
        auth={"token": token},
    )
    assert hello["ok"], hello
    talk.drain()


@dataclass
class _Acts:
    """The steps that take more than one request."""

    talk: Talk
    slow: str
    """A message whose answer takes some seconds."""

    def say(self, text: str, id: str, session: str = SESSION) -> None:
        assert self.talk.ask("chat.send", sessionKey=session, message=text, idempotencyKey=id)["ok"]

    def await_state(self, id: str, *states: str) -> None:
        self.talk.until(lambda frame: _is_chat_of(frame, id) and frame["payload"]["state"] in states)

    def await_end(self, id: str) -> None:
        self.await_state(id, "final", "aborted", "error")

    def send(self) -> None:
        self.say("one two three", "run-1")
        self.await_end("run-1")

    def stop(self) -> None:
        self.say(self.slow, "run-2")
        self.await_state("run-2", "delta")
        self.talk.ask("chat.abort", sessionKey=SESSION, runId="run-2")

    def queue(self) -> None:
        self.say(self.slow, "run-3")
        self.await_state("run-3", "delta")
        self.say("four five", "run-4")
        self.await_end("run-3")
        with suppress(TimeoutError):  # a gateway may hand the message to the first run
            self.await_end("run-4")

    def fail(self) -> None:
        self.say("six !401 !times=1", "run-5")  # once: a message without an answer may be told again with the next one
        self.await_end("run-5")

    def other(self) -> None:
        self.say("seven eight", "run-6", OTHER)
        self.await_end("run-6")

    def command(self, text: str, id: str) -> None:
        self.say(text, id)
        self.await_end(id)


def _steps(talk: Talk, protocol: int, slow: str) -> Iterator[tuple[str, Any]]:
    """The name of each step, and what it does."""
    acts = _Acts(talk, slow)

    def once(method: str, **params: Any) -> Any:
        return lambda: talk.ask(method, **params)

    listing = {"limit": 20, "includeDerivedTitles": True, "includeLastMessage": True}
    if protocol >= 4:
        yield "sessions.subscribe", once("sessions.subscribe")
        yield "chat.startup of nothing", once("chat.startup", sessionKey=SESSION)
    yield "chat.history of nothing", once("chat.history", sessionKey=SESSION, limit=50)
    yield "send", acts.send
    yield "the same again", lambda: acts.say("one two three", "run-1")
    yield "stop", acts.stop
    yield "queue", acts.queue
    yield "fail", acts.fail
    yield "agent", once("agent", message="nine ten", sessionKey=SESSION, idempotencyKey="run-7")
    yield "agent.wait", once("agent.wait", runId="run-7", timeoutMs=5000)
    yield "chat.inject", once("chat.inject", sessionKey=SESSION, message="eleven", label="Note")
    yield "chat.history", once("chat.history", sessionKey=SESSION, limit=50)
    yield "/status", lambda: acts.command("/status", "run-8")
    yield "another session", acts.other
    yield "sessions.list", once("sessions.list", **listing)
    yield "sessions.preview", once("sessions.preview", keys=[SESSION, OTHER, "agent:main:none"])
    yield "sessions.resolve", once("sessions.resolve", key=OTHER)
    yield "sessions.patch", once("sessions.patch", key=OTHER, label="Named")
    if protocol >= 4:
        yield "chat.startup", once("chat.startup", sessionKey=SESSION)
        yield "chat.metadata", once("chat.metadata", sessionKey=SESSION)
        yield "sessions.describe", once("sessions.describe", key=OTHER)
    yield "sessions.reset", once("sessions.reset", key=SESSION)
    yield "sessions.delete", once("sessions.delete", key=OTHER)
    yield "models.list", once("models.list")
    yield "agents.list", once("agents.list")
    yield "/new", lambda: acts.command("/new", "run-9")


def _is_chat_of(frame: Frame, run: str) -> bool:
    return frame.get("event") == "chat" and frame["payload"].get("runId") == run


def shape(frames: list[Frame]) -> list[str]:
    """A sorted line for each kind of frame and field in it, without what differs from run to run."""
    found: set[str] = set()
    for frame in frames:
        if frame["type"] == "event":
            if not _AT_ODDS.match(frame["event"]):
                found |= {f"{_kind(frame)} {line}" for line in _fields(frame.get("payload"))}
        else:
            part = frame.get("payload") if frame["ok"] else frame.get("error")
            found |= {f"{'answer' if frame['ok'] else 'refusal'} {line}" for line in _fields(part)}
    return sorted(found)


def order(frames: list[Frame]) -> list[str]:
    """The kinds of frames as they came, without repetitions."""
    kinds = [
        _kind(frame) if frame["type"] == "event" else "answer" if frame["ok"] else "refusal"
        for frame in frames
        if frame["type"] == "res" or not _AT_ODDS.match(frame["event"])
    ]
    return [kind for at, kind in enumerate(kinds) if not at or kinds[at - 1] != kind]


def _kind(frame: Frame) -> str:
    payload = frame.get("payload") or {}
    data = payload.get("data") or {}
    words = [frame["event"], *(payload.get(name) for name in ("state", "stream", "reason")), data.get("phase")]
    return " ".join(word for word in words if isinstance(word, str))


def _fields(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _fields(part, f"{at}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from _fields(part, f"{at}[]")
        if not value:
            yield f"{at}[] empty"
    else:
        name = at.rpartition(".")[2]
        yield f"{at} = {value!r}" if name in PLAIN else f"{at}: {type(value).__name__}"
