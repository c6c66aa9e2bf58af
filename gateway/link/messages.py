"""What the gateway and the agent say to each other: one JSON object a line, over a Unix socket or a socket pair.

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

A run lives in the agent; its events are numbered from 1 without a gap, the last one is `Ended`, and the agent keeps
them until they are acknowledged. So the gateway may go at any time and come back at any later time. Start is
idempotent: the run that is there goes on. There is one gateway at a time: who says hello replaces who was there.

A hello acknowledges what it names. Events are sent of runs that the hello or a start has named; a run that neither has
named is nobody's, and an abort lets go of it without a word. Hello may be said again on the same connection, by the
next image of the gateway: it passes over whatever comes before its welcome, and knows events that it has already by
their numbers. Empty lines are nothing; a line that cannot be read, or is too long, ends the connection. But a start
that cannot be read is refused, because a newer gateway may ask for what an older agent does not know; and of an event,
the run that it is of is ended.

After a connection has ended, the gateway says hello on the next one, and hears of each run how it goes on, or that it
is lost. An agent that leaves (idle, or told to stop) leaves without a word: a start that it has not read is lost with
it, and one of which no event has come can be asked for anew.

What a run is asked for is a `Spec`, and what is said in it a `Message` (`link/spec`).
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.link.spec import Message, Spec

VERSION = 1
"""Raised when an older side would misunderstand; with another version's peer no run is begun or gone on with."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes of a message with its newline: a history with pictures is the largest."""
MAX_RUNS = 512
"""Runs that an agent has at once, those that nobody has acknowledged included."""
MAX_TOOL_RESULT = 256 * 1024
"""Bytes of text that a model gets of one tool's result; what is over is cut, and the text says so."""

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
    """Of the provider's HTTP answer."""


# -- what happens in a run ---------------------------------------------------------------------------------------------


class Started(Struct, frozen=True, tag_field="kind", tag="started"):
    """A model is asked. Again for each turn's first try of another model, and after each failed try."""

    provider: str
    model: str
    attempt: int
    """Counts tries in this run, from 1."""


class Text(Struct, frozen=True, tag_field="kind", tag="text"):
    """A piece of the answer that is being written."""

    delta: str


class Thinking(Struct, frozen=True, tag_field="kind", tag="thinking"):
    delta: str


class Discarded(Struct, frozen=True, tag_field="kind", tag="void"):
    """The answer that was being written broke off and is asked for anew: its Text and Thinking never were."""

    why: str


class Said(Struct, frozen=True, tag_field="kind", tag="said"):
    """A message is complete: an assistant's, whose text is what the Text since the last Said has brought, or a
    toolResult."""

    message: Message


class ToolStarted(Struct, frozen=True, tag_field="kind", tag="tool_started"):
    """From here on the run cannot be repeated as if nothing had happened, if it `acts`.

    One that does not is an MCP server (`name`) of which something is to be said: that it is slow, or cannot be used.
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
    """A try has failed, another one comes after a pause. Of kind `context`: what was said before is shortened now, and
    if it cannot be retried, that has failed; else a Said of the role `compaction` follows."""

    ms: int
    failure: Failure


class Ended(Struct, frozen=True, tag_field="kind", tag="ended"):
    """The last event. What was being written and is not complete was said all the same: `aborted` and `failed` runs
    keep it as a message before this, and each call of a tool that has no result gets one that says so."""

    status: Literal["done", "failed", "aborted"]
    stop_reason: str = "stop"
    """stop, length, toolUse, aborted, error."""
    failure: Failure | None = None
    usage: Usage = Usage()
    """Of all turns."""


Happening = Started | Text | Thinking | Discarded | Said | ToolStarted | ToolEnded | Waiting | Ended


# -- to the agent ------------------------------------------------------------------------------------------------------


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    version: int
    runs: dict[str, int] = {}
    """Those that the gateway waits for, with the number of the last event that it has stored."""
    program: str = ""
    """The gateway's own version. An agent of another one leaves when no run is left: so an upgrade reaches it."""


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
    """The agent's own version."""
    runs: list[str] = []
    """All that it has. One that the gateway did not ask for is nobody's, and to be aborted."""


class Event(Struct, frozen=True, tag_field="type", tag="event"):
    run: str
    seq: int
    ts: int
    """Milliseconds since 1970."""
    what: Happening


class Lost(Struct, frozen=True, tag_field="type", tag="lost"):
    """A run of the hello that the agent does not have: it died with an agent before this one."""

    run: str


class StartRefused(Struct, frozen=True, tag_field="type", tag="refused"):
    """A start that is none: the agent has too many runs, or is leaving."""

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
    """An event, whatever has happened."""

    run: str


_addressed = msgspec.json.Decoder(_Addressed)


class _Asked(Struct, tag_field="type", tag="start"):
    """A start, whatever it asks for."""

    run: str


_asked = msgspec.json.Decoder(_Asked)


def asked_run_of(line: bytes) -> str | None:
    """Which run a start is to begin that cannot be read; None if not even that can be."""
    try:
        return _asked.decode(line).run
    except (msgspec.DecodeError, RecursionError):
        return None


def run_of(line: bytes) -> str | None:
    """Whose event it is that cannot be read; None if not even that can be."""
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
