"""Records of the database: sessions, their messages, and runs. Keys and shapes are OpenClaw's.

A session key is `agent:<agent id>:<rest>`; a client may also say `main`, or only the rest. All times are milliseconds
since 1970.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from gateway.link.messages import Failure, Usage
from gateway.link.spec import Message

GLOBAL = "global"
MAX_KEY = 512
"""Characters of a session key."""
SUMMARY = "summary"
"""Key of an imported message that stands for all messages before it when a model is asked."""
HEAD = 256
"""Characters of a message's text that are stored apart for lists."""

RunState = Literal["queued", "running", "done", "failed", "aborted", "interrupted"]
UNFINISHED: tuple[RunState, ...] = ("queued", "running")


class Session(Struct, frozen=True):
    """A session: one row of `sessions`."""

    key: str
    id: str
    """The id of its transcript; a reset gives it another one."""
    agent: str
    created: int
    updated: int
    entry: dict[str, Any]
    """The settings of `sessions.patch`, by their names on the wire. A setting that is not set has no key.

    `label`, `displayName`, `subject`, `chatType`, `category`, `icon`, `color`, `statusNote`, … : str; `model`:
    `provider/model`; `thinkingLevel`, `verboseLevel`, `reasoningLevel`, `elevatedLevel`, `traceLevel`, `sendPolicy`,
    `responseUsage`, `groupActivation`: one of OpenClaw's words; `archived`, `pinned`, `unread`: True; `fastMode`:
    True or str; `archivedAt`, `pinnedAt`: milliseconds since 1970. `rpc/methods/session_patch` checks them.
    """
    provider: str | None = None
    """Provider of the last run."""
    model: str | None = None
    """Model of the last run."""
    aborted: bool = False
    """Whether the last run was aborted."""
    input: int = 0
    """Input tokens since the session began or was reset."""
    output: int = 0
    """Output tokens since then."""
    total: int = 0
    """Tokens of the context after the last answer of a model."""
    messages: int = 0
    compactions: int = 0
    """How often the transcript was compacted."""


class MessageRow(Struct, frozen=True):
    """A message of a transcript."""

    position: int
    """Increases within a session, with gaps."""
    id: str
    """Eight hexadecimal digits, as in OpenClaw's transcripts."""
    message: Message
    run: str | None = None


BESIDE = "compact"
"""The lane of runs that no chat is told about."""


class ModelContext(Struct, frozen=True):
    """The messages of a session for a model, oldest first: a summary, if there is one, and the messages since it."""

    messages: list[Message]
    ids: list[str]
    """The ids of the messages, then the id of the prompt if it is in the transcript."""


class RunRequest(Struct, frozen=True, omit_defaults=True):
    """A request for a run, complete enough to begin it later, under the config of that time."""

    prompt: Message
    model: str | None = None
    """`provider/model`, if the client asks for another one than the session has."""
    thinking: str | None = None
    system: str = ""
    """The client's addition to the system prompt."""
    context: list[Message] = []
    """Messages before the prompt of a session without a transcript: an HTTP client sends its history."""
    timeout_ms: int | None = None
    lane: str = "chat"
    """The origin of the request: `chat`, `agent`, `http`, or `BESIDE`."""
    keeps: bool = True
    """Whether prompt and answer are appended to the session's transcript."""
    compact: str | None = None
    """Instructions for a summary of the session, if that is what the run makes. Without a prompt no chat is told."""
    mark: str = ""
    """A fingerprint of the request: another request under the same id is a client's mistake."""


class Run(Struct, frozen=True):
    """A run: one row of `runs`, a user's message and its answer."""

    id: str
    """The client's idempotency key."""
    session: str
    """The session's key."""
    agent: str
    state: RunState
    request: RunRequest
    """A run that has ended keeps no prompt, context and system: they are large, and the transcript has the prompt."""
    accepted: int
    """Milliseconds since 1970."""
    started: int | None = None
    """Milliseconds since 1970; None until it has started."""
    ended: int | None = None
    """Milliseconds since 1970; None until it has ended."""
    seq: int = 0
    """Number of the last event that is stored."""
    text: str = ""
    """The text so far of the message that is not complete."""
    answer: str = ""
    """The text of its last complete assistant message."""
    complete: bool = False
    """Whether the last stored event completed a message without tool calls: only the end of the run is missing then."""
    acted: bool = False
    """Whether it has called a tool, so that it must not be started again."""
    attempts: int = 0
    """How often it was sent to an agent."""
    provider: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    waiting: list[tuple[str, str]] = []
    """Connection and id of each request that gets a second answer at the end of the run."""
    transcript: str | None = None
    """The id of the transcript that it writes to; None before it has begun, and if it writes to none."""

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED


class Progress(Struct, frozen=True):
    """The state of a run after its event `seq`, to be stored. Events that are stored already are skipped."""

    run: str
    seq: int
    text: str
    said: dict[int, Message] = {}
    """Messages for the transcript, by the number of the event that completed each."""
    acted: bool = False
    complete: bool = False
    provider: str | None | UnsetType = UNSET
    model: str | None | UnsetType = UNSET
    attempt: int = 1
    """The attempt that the events belong to: events of an earlier one are dropped."""


class Filter(Struct, frozen=True):
    """A selection of sessions. Each part that is set narrows it."""

    agent: str | None = None
    since: int | None = None
    """Only sessions that were updated at this time or later, in milliseconds since 1970."""
    search: str | None = None
    """A text in key, id, displayName, label or subject, in any case."""
    entry: dict[str, str | bool] = {}
    """Values that the entry must have. False also matches a setting that is not set."""
    but: tuple[str, ...] = ()
    """Keys to leave out, such as `global`."""
    keys: tuple[str, ...] | None = None
    """The only keys to select."""
    agents: tuple[str, ...] | None = None
    """The agents whose sessions to select; sessions without an agent are selected as well."""
    without: tuple[str, ...] = ()
    """Parts of keys to leave out, such as `:cron:`."""
    short: str | None = None
    """Prefix, without dashes, of the UUID at the end of the key."""
    pinned_first: bool = False
    """Whether pinned sessions come first."""


ALL = Filter()


class Page(Struct, frozen=True):
    sessions: list[Session]
    total: int
    """The number of sessions without limit and offset."""


class Summary(Struct, frozen=True):
    """The beginnings of two texts of a session, `HEAD` characters of each; "" where there is none."""

    first: str
    """The first message of the user that is no command."""
    last: str
    """The last message of user or assistant."""


Group = Literal["day", "session", "agent", "provider", "model"]


class Spent(Struct, frozen=True):
    """Sums over answers of models. A field by which they are not grouped is None."""

    day: str | None
    """A date such as `2026-11-22`, at the offset that was asked for."""
    session: str | None
    agent: str | None
    provider: str | None
    model: str | None
    answers: int
    first: int
    """Time of the first answer, in milliseconds since 1970."""
    last: int
    """Time of the last answer, in milliseconds since 1970."""
    input: int
    """Tokens, as in the next three."""
    output: int
    cache_read: int
    cache_write: int
    cost: float
    """Dollars, as in the next four."""
    input_cost: float
    output_cost: float
    cache_read_cost: float
    cache_write_cost: float
    unpriced: int
    """Answers whose price is not known."""


class MessagePlace(Struct, frozen=True):
    """A message of a transcript with its number."""

    row: MessageRow
    number: int
    """The first message of a transcript has number 1."""


class SessionNews(Struct, frozen=True):
    """What is told of a session that has changed, in one snapshot."""

    session: Session
    summary: Summary | None
    runs: dict[str, tuple[Run | None, list[MessagePlace]]]
    """Runs that may have brought messages, each with its first messages in the session."""


class MessageCount(Struct, frozen=True):
    """Counts of messages, grouped by day, session, or both, like `Spent`. Times are milliseconds since 1970."""

    day: str | None
    session: str | None
    first: int
    last: int
    total: int
    user: int
    assistant: int
    results: int
    """Results of tools."""
    errors: int


class Used(Struct, frozen=True):
    """The number of calls of a tool in a session."""

    session: str
    tool: str
    calls: int


def text_of(message: Message) -> str:
    """The text of a message, without its other blocks."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [each.get("text") for each in blocks if isinstance(each, dict) and each.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))
