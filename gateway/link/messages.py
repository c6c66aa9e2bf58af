"""The messages between gateway and agent: one JSON object a line, over a Unix socket or a socket pair.

    gateway                                             agent
    hello {version, runs: {run: seq}, program}  ────▶
                                       ◀─────────────   welcome {version, runs}
                                       ◀─────────────   event, event, …  of each run after its seq; or lost {run}
    start {run, spec}                  ─────────────▶
                                       ◀─────────────   event {run, seq: 1, …}, event {run, seq: 2, …}, …
    ack {run, seq}                     ─────────────▶   which lets go of the events up to it
    abort {run}                        ─────────────▶
                                       ◀─────────────   event {…, ended}
    ack {run, seq}                     ─────────────▶   which lets go of the run

A run lives in the agent. Its events are numbered from 1 without a gap, and the last one is `Ended`. The agent keeps
events until they are acknowledged, so the gateway may go at any time and come back at any later time. Start is
idempotent: a run that is there goes on. There is one gateway at a time: a new hello replaces the connection before.

A hello acknowledges the numbers that it names. The agent sends events of the runs that a hello or a start has named. It
drops any other run at an abort, without a message. The next image of the gateway may say hello again on the same
connection: it skips what comes before its welcome, and knows by their numbers the events that it has already.

Empty lines are ignored. A line that cannot be read, or is too long, ends the connection, with two exceptions. A start
that cannot be read is refused, because a newer gateway may ask for what an older agent does not know. An event that
cannot be read ends its run.

After a connection has ended, the gateway says hello on the next one, and hears of each run how it goes on, or that it
is lost. An agent that leaves (idle, or told to stop) leaves without a message: a start that it has not read is lost
with it, and a run of which no event has come can be asked for again.

The spec of a run is a `Spec`, and what is said in it a `Message` (`link/spec`).
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.link.spec import Message, Spec

VERSION = 1
"""It grows when an older side would misunderstand. No run goes on between two sides of different versions."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes of a line with its newline; a start with pictures in its history is the longest."""
MAX_RUNS = 512
"""Runs that an agent has at the same time, with those whose end is not acknowledged."""
MAX_TOOL_RESULT = 256 * 1024
"""Bytes of text that a model gets of one tool's result. A longer text is cut, and says so."""

_TOO_DEEP = "values nested deeper than Python goes"


class Usage(Struct, frozen=True, rename="camel"):
    """Tokens."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write


FailureKind = Literal[
    "config",
    "auth",
    "billing",
    "rate_limit",
    "overloaded",
    "timeout",
    "context",
    "refused",
    "network",
    "provider",
    "tool",
    "limit",
    "internal",
]


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a run did not end well. `message` is for the user and carries no secret."""

    kind: FailureKind
    message: str
    retryable: bool = False
    status: int | None = None
    """The status of the provider's HTTP answer."""


# -- what happens in a run ---------------------------------------------------------------------------------------------


class Started(Struct, frozen=True, tag_field="kind", tag="started"):
    """A model is asked: once a turn, again for the first try of another model, and again after each failed try."""

    provider: str
    model: str
    attempt: int
    """The number of the try in this run, from 1."""


class Text(Struct, frozen=True, tag_field="kind", tag="text"):
    """A piece of the answer that is being written."""

    delta: str


class Thinking(Struct, frozen=True, tag_field="kind", tag="thinking"):
    delta: str


class Discarded(Struct, frozen=True, tag_field="kind", tag="void"):
    """The answer that was being written has broken off and is asked for again: its Text and Thinking are void."""

    why: str


class Said(Struct, frozen=True, tag_field="kind", tag="said"):
    """A message is complete. It is an assistant's, whose text is all Text since the last Said, or a toolResult."""

    message: Message


class ToolStarted(Struct, frozen=True, tag_field="kind", tag="tool_started"):
    """A tool is called. If it `acts`, the run cannot be repeated from here on.

    Without `acts` it is no call, but a remark about the MCP server `name`: it is slow, or cannot be used.
    """

    call: str
    name: str
    args: dict[str, Any]
    acts: bool = True


class ToolEnded(Struct, frozen=True, tag_field="kind", tag="tool_ended"):
    call: str
    name: str
    ok: bool
    result: str


class Waiting(Struct, frozen=True, tag_field="kind", tag="waiting"):
    """A try has failed, and another one comes after a pause.

    With a failure of kind `context`, the conversation is shortened now, and a Said of the role `compaction` follows. If
    the failure is not retryable, shortening it has failed.
    """

    ms: int
    """The pause in milliseconds."""
    failure: Failure


class Ended(Struct, frozen=True, tag_field="kind", tag="ended"):
    """The last event. A message that was being written comes before it as a Said, also where the run is `aborted` or
    has `failed`; each call of a tool that has no result gets one that says so."""

    status: Literal["done", "failed", "aborted"]
    stop_reason: str = "stop"
    """stop, length, toolUse, aborted, error."""
    failure: Failure | None = None
    usage: Usage = Usage()
    """The sum of all turns."""


Happening = Started | Text | Thinking | Discarded | Said | ToolStarted | ToolEnded | Waiting | Ended


# -- to the agent ------------------------------------------------------------------------------------------------------


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    version: int
    runs: dict[str, int] = {}
    """Runs that the gateway awaits, each with the number of the last event that it has stored."""
    program: str = ""
    """The gateway's version. An agent of another version leaves when it has no run, so that an upgrade reaches it."""


class Start(Struct, frozen=True, tag_field="type", tag="start"):
    run: str
    spec: Spec


class Ack(Struct, frozen=True, tag_field="type", tag="ack"):
    run: str
    seq: int


class Abort(Struct, frozen=True, tag_field="type", tag="abort"):
    run: str


# -- to the gateway ----------------------------------------------------------------------------------------------------


class Welcome(Struct, frozen=True, tag_field="type", tag="welcome"):
    version: int
    pid: int
    program: str
    """The agent's version."""
    runs: list[str] = []
    """All runs that it has. The gateway aborts those that it does not await."""


class Event(Struct, frozen=True, tag_field="type", tag="event"):
    run: str
    seq: int
    ts: int
    """Milliseconds since 1970."""
    what: Happening


class Lost(Struct, frozen=True, tag_field="type", tag="lost"):
    """The agent does not have this run of the hello: it died with an earlier agent."""

    run: str


class StartRefused(Struct, frozen=True, tag_field="type", tag="refused"):
    """The agent does not begin the run: it has too many, is leaving, or cannot read the start."""

    run: str
    failure: Failure


ToAgent = Hello | Start | Ack | Abort
ToGateway = Welcome | Event | Lost | StartRefused

encoder = msgspec.json.Encoder()


def encode(message: ToAgent | ToGateway) -> bytes:
    """One line. Raises ValueError when it is longer than `MAX_LINE`."""
    line = encoder.encode(message) + b"\n"
    if len(line) > MAX_LINE:
        raise ValueError(f"a message of {len(line)} bytes is longer than the link's {MAX_LINE}")
    return line


_to_agent = msgspec.json.Decoder(ToAgent)
_to_gateway = msgspec.json.Decoder(ToGateway)


class _Addressed(Struct, tag_field="type", tag="event"):
    """An event, of which only the run is read."""

    run: str


_addressed = msgspec.json.Decoder(_Addressed)


class _Asked(Struct, tag_field="type", tag="start"):
    """A start, of which only the run is read."""

    run: str


_asked = msgspec.json.Decoder(_Asked)


def asked_run_of(line: bytes) -> str | None:
    """The run of a start that cannot be read as a whole; None if its run cannot be read either."""
    try:
        return _asked.decode(line).run
    except (msgspec.DecodeError, RecursionError):
        return None


def run_of(line: bytes) -> str | None:
    """The run of an event that cannot be read as a whole; None if its run cannot be read either."""
    try:
        return _addressed.decode(line).run
    except (msgspec.DecodeError, RecursionError):
        return None


def decode_to_agent(line: bytes) -> ToAgent:
    """Raises msgspec.DecodeError, and nothing else."""
    try:
        return _to_agent.decode(line)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None


def decode_to_gateway(line: bytes) -> ToGateway:
    """Raises msgspec.DecodeError, and nothing else."""
    try:
        return _to_gateway.decode(line)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None
