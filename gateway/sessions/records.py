"""What the database keeps of conversations: sessions, their messages, and runs. Keys and shapes are OpenClaw's.

A session key is `agent:<agent id>:<rest>`; a client may also say `main`, or only the rest.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from gateway.link.messages import Failure, Usage
from gateway.link.spec import Message

GLOBAL = "global"
MAX_KEY = 512
"""Characters of a session key."""
SUMMARY = "summary"
"""A message that has this stands for all that is before it when a model is asked: imports bring such."""
HEAD = 256
"""Characters of a message's text that lists show."""

RunState = Literal["queued", "running", "done", "failed", "aborted", "interrupted"]
UNFINISHED: tuple[RunState, ...] = ("queued", "running")


class Session(Struct, frozen=True):
    """One row. Times are milliseconds since 1970."""

    key: str
    id: str
    """Of its transcript; another one after a reset."""
    agent: str
    created: int
    updated: int
    entry: dict[str, Any]
    """What `sessions.patch` may set, by its wire names: label, thinkingLevel, verboseLevel, model, sendPolicy, …"""
    provider: str | None = None
    """Of the last run, as is the model."""
    model: str | None = None
    aborted: bool = False
    """Whether the last run was."""
    input: int = 0
    """Tokens since the session began, or was reset; as is the output."""
    output: int = 0
    total: int = 0
    """Tokens that the last answer of a model took: how full its context is."""
    messages: int = 0
    compactions: int = 0
    """How often what was said was summed up."""

    def set(self, name: str) -> Any:
        return self.entry.get(name)


class MessageRow(Struct, frozen=True):
    """A message of a transcript."""

    position: int
    """Rises within a session, with gaps."""
    id: str
    """Eight hexadecimal digits, as in OpenClaw's transcripts."""
    message: Message
    run: str | None = None


BESIDE = "compact"
"""The lane of runs of which no chat hears."""


class ModelContext(Struct, frozen=True):
    """What a model is told of a session, oldest first: a summary, if there is one, and what was said since."""

    messages: list[Message]
    ids: list[str]
    """Those of each message, and of the prompt; one less if that is in no transcript."""


class RunRequest(Struct, frozen=True, omit_defaults=True):
    """What a run was asked for: enough to begin it at any later time, under the config of that time."""

    prompt: Message
    model: str | None = None
    """`provider/model`, where the client wants another one than the session has."""
    thinking: str | None = None
    system: str = ""
    """What the client adds to the system prompt."""
    context: list[Message] = []
    """Messages that come before the prompt where the session has none: an HTTP client brings its history."""
    timeout_ms: int | None = None
    lane: str = "chat"
    """Who asked: chat, agent, http; `BESIDE`: nobody in a chat."""
    keeps: bool = True
    """Whether prompt and answer become part of the session's transcript."""
    compact: str | None = None
    """What is asked for is a summary of the session, with these instructions; without a prompt, in no chat."""
    mark: str = ""
    """A fingerprint of what was asked: whoever asks for something else under the same id has made a mistake."""


class Run(Struct, frozen=True):
    """One row: a message of a user's and what comes of it."""

    id: str
    """The client's idempotency key."""
    session: str
    """The session's key."""
    agent: str
    state: RunState
    request: RunRequest
    """Of one that has ended without prompt, context and system: they are large, and a transcript has the prompt."""
    accepted: int
    started: int | None = None
    ended: int | None = None
    seq: int = 0
    """Of the last event that is stored."""
    text: str = ""
    """What is written of the message that is not complete yet."""
    answer: str = ""
    """The text of its last complete message of an assistant."""
    complete: bool = False
    """Whether the last thing stored is such a message that asks for no tool: then only its end is missing."""
    acted: bool = False
    """Whether a tool has been called: then it cannot be begun anew."""
    attempts: int = 0
    """How often an agent was asked for it."""
    provider: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    waiting: list[tuple[str, str]] = []
    """Connection and id of requests that get another answer at its end."""
    transcript: str | None = None
    """The id that its session had when it began; None before, and if it says nothing there."""

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED


class Progress(Struct, frozen=True):
    """What of a run's events is to be stored up to `seq`; what of it is on disk already is left out."""

    run: str
    seq: int
    text: str
    said: dict[int, Message] = {}
    """What is appended to the transcript, by the numbers of the events that brought it."""
    acted: bool = False
    complete: bool = False
    provider: str | None | UnsetType = UNSET
    model: str | None | UnsetType = UNSET
    attempt: int = 1
    """Of which these are the events: those of an earlier one are worth nothing."""


class Filter(Struct, frozen=True):
    """Which sessions; each part that is set leaves out others."""

    agent: str | None = None
    since: int | None = None
    """Updated then or later."""
    search: str | None = None
    """In key, id, displayName, label and subject; upper and lower case are one."""
    entry: dict[str, str | bool] = {}
    """What the entry must hold. False also fits what is not set."""
    but: tuple[str, ...] = ()
    """Keys that are not meant, such as `global`."""
    keys: tuple[str, ...] | None = None
    """The only ones that are meant."""
    agents: tuple[str, ...] | None = None
    """Whose sessions are meant, beside those that are nobody's."""
    without: tuple[str, ...] = ()
    """Parts of keys that are not meant, such as `:cron:`."""
    short: str | None = None
    """How the UUID begins with which the key ends, without dashes."""
    pinned_first: bool = False
    """The order in which they come."""


ALL = Filter()


class Page(Struct, frozen=True):
    sessions: list[Session]
    total: int
    """How many there are without limit and offset."""


class Summary(Struct, frozen=True):
    """How the texts of a session begin, `HEAD` characters of each; "" where there is none."""

    first: str
    """What the user said first, commands apart."""
    last: str
    """What user or assistant said last."""


Group = Literal["day", "session", "agent", "provider", "model"]


class Spent(Struct, frozen=True):
    """Answers of models, added up. What they were not grouped by is None."""

    day: str | None
    """`2026-11-22`, as is its name at the offset that was asked for."""
    session: str | None
    agent: str | None
    provider: str | None
    model: str | None
    answers: int
    first: int
    """When the first of them was; milliseconds since 1970, as is the last."""
    last: int
    input: int
    """Tokens, as are the next three."""
    output: int
    cache_read: int
    cache_write: int
    cost: float
    """Dollars, as are the next four."""
    input_cost: float
    output_cost: float
    cache_read_cost: float
    cache_write_cost: float
    unpriced: int
    """Answers whose price is not known."""


class MessagePlace(Struct, frozen=True):
    """A message of a transcript, and which of its messages it is."""

    row: MessageRow
    number: int
    """From 1."""


class MessageCount(Struct, frozen=True):
    """Messages of transcripts, counted; grouped by day and session, or by one of them, as `Spent` is."""

    day: str | None
    session: str | None
    first: int
    last: int
    total: int
    user: int
    assistant: int
    results: int
    """Of tools."""
    errors: int


class Used(Struct, frozen=True):
    """How often a tool was called in a session."""

    session: str
    tool: str
    calls: int


def text_of(message: Message) -> str:
    """What a message says in words."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [each.get("text") for each in blocks if isinstance(each, dict) and each.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))
