"""What an agent is told of a run: `start {run, spec}` of the link (`link/messages`). Pure.

Messages in it have the shape of OpenClaw's transcripts (`Message`), so what a provider said is stored as it is.
"""

from typing import Any, Literal

from msgspec import Struct

Message = dict[str, Any]
"""`{role: user|assistant|toolResult, content: str | [block], timestamp, …}` with blocks `{type: text, text}`,
`{type: thinking, thinking}`, `{type: image, data, mimeType}`, `{type: toolCall, id, name, arguments}`; a toolResult has
`toolCallId`, `toolName`, `isError`; an assistant message has `api`, `provider`, `model`, `usage`, `stopReason`, and
`errorMessage` if it broke off. Thinking may have a `thinkingSignature`, which its provider wants back unchanged.

`{role: compaction, summary, firstKeptEntryId, tokensBefore, tokensAfter, timestamp}` says what models see of what was
said before it: the summary, then the messages from that entry on. Of a history it is the first message."""
COMPACTION = "compaction"
COMMAND = {"command": True}
"""Marks what the gateway was told in a chat, and what it answered: no model hears of it."""


def spoken(text: str, now: int) -> Message:
    """A word of the gateway's own in a chat. `now`: milliseconds since 1970."""
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "provider": "openclaw",
        "model": "gateway",
        "stopReason": "stop",
        "timestamp": now,
        **COMMAND,
    }


Api = Literal[
    "builtin", "openai-completions", "openai-responses", "anthropic-messages", "google-generative-ai", "ollama"
]
"""The protocols of model providers, by OpenClaw's names; `builtin` is our own echo."""


class ToolRule(Struct, frozen=True, omit_defaults=True):
    """One layer of the config's tool policy. A tool is offered when every layer lets it pass."""

    key: str
    """Where the config has it."""
    allow: list[str] = []
    """Names, globs with `*`, and groups; without any, whatever is not denied passes."""
    deny: list[str] = []
    """Wins."""


class Tls(Struct, frozen=True, omit_defaults=True):
    """What a connection is made with, beside the usual; certificates and keys are PEM."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    passphrase: str | None = None
    server_name: str | None = None
    insecure: bool = False


class Route(Struct, frozen=True, omit_defaults=True):
    """How a provider is reached; without more, as the environment says (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`)."""

    proxy: str | None = None
    proxy_tls: Tls = Tls()
    tls: Tls = Tls()


class Model(Struct, frozen=True, omit_defaults=True):
    """One model to try, with everything that is needed to reach it."""

    provider: str
    id: str
    api: Api
    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    max_tokens: int | None = None
    """Of an answer."""
    context_window: int | None = None
    """Tokens."""
    reasoning: bool = False
    cost: dict[str, float] = {}
    """Dollars for a million tokens: input, output, cacheRead, cacheWrite."""
    pictures: bool = True
    """Whether it takes them."""
    compat: dict[str, Any] = {}
    """What its server takes otherwise than its protocol says, by OpenClaw's names (`models[].compat`)."""
    params: dict[str, Any] = {}
    """What Ollama is told of a model beside the conversation: `num_ctx`, `keep_alive`, …"""
    silence_ms: int | None = None
    """In which its provider sends nothing; None: as the run's bounds say."""
    way: Route = Route()
    pace_ms: int = 0
    """Of `builtin`: milliseconds between two words."""
    tools: list[ToolRule] = []
    """What the config lets it call."""

    def __repr__(self) -> str:
        return f"Model({self.provider}/{self.id})"  # a key must not get into a log


class Server(Struct, frozen=True, omit_defaults=True):
    """One MCP server: a command (stdio) or a URL (streamable HTTP, or SSE as it was before)."""

    name: str
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    prefix: str = ""
    """Before the names of its tools; without one it is made of `name`."""
    transport: Literal["", "streamable-http", "sse"] = ""
    """With a URL; without one whichever the server speaks."""
    include: list[str] = []
    """Names of its tools, or globs with `*`; without any, all of them."""
    exclude: list[str] = []
    """Wins."""
    connect_ms: int | None = None
    """For its start."""
    request_ms: int | None = None
    """For one answer."""
    verify: bool = True
    """Whether its certificate must be trusted."""
    client_cert: str | None = None
    """A file in PEM, for a server that asks who comes."""
    client_key: str | None = None

    def __repr__(self) -> str:
        return f"Server({self.name})"


class Bounds(Struct, frozen=True, omit_defaults=True):
    """Of one run."""

    timeout_ms: int = 600_000
    """From its start to its end."""
    silence_ms: int = 120_000
    """In which a provider sends nothing."""
    turns: int = 50
    """Answers of the model, between which tools run."""
    tool_ms: int = 120_000
    """For one call of a tool."""
    retries: int = 3
    """Of one model, when what it answers is worth another try."""


class Compaction(Struct, frozen=True, omit_defaults=True):
    """How a conversation is kept within the window of its model; see agents.defaults.compaction."""

    enabled: bool = True
    """Before the window is full. After a provider has refused a request as too long it is done all the same."""
    keep_tokens: int = 20_000
    """Of what was said last, which is told word by word."""
    keep_turns: int = 3
    timeout_ms: int = 180_000
    """For each request for a summary."""
    thinking: str = "low"
    strict: bool = True
    """Whether a summary has to keep names, numbers and addresses as they were written."""
    notify: bool = False
    model: Model | None = None
    """Writes the summaries; None: the one that answers."""
    window: int | None = None
    """Tokens: the config's own bound, for every model."""
    only: bool = False
    """The run does nothing else. Its `models` are here, so that an agent that cannot do this asks none of them."""
    instructions: str = ""
    """What the user wants of the summary."""
    models: list[Model] = []


class Spec(Struct, frozen=True, omit_defaults=True):
    """Everything that a run needs: the agent reads no config, and keeps nothing between runs but MCP servers."""

    session: str
    agent: str
    prompt: Message
    models: list[Model]
    """In the order of trying; at least one."""
    history: list[Message] = []
    """What came before the prompt, oldest first."""
    ids: list[str] = []
    """Of the messages of the history, and of the prompt; none if they are in no transcript."""
    compaction: Compaction | None = None
    """None of a gateway that keeps no summaries."""
    system: str = ""
    thinking: str = "off"
    """off, minimal, low, medium, high, xhigh."""
    servers: list[Server] = []
    unusable: dict[str, str] = {}
    """MCP servers that the config names and that cannot be used, and why."""
    environment: dict[str, str] = {}
    """Of the names in `gateway.machine.inherited`, what the gateway knows and the agent's own environment may lack."""
    workspace: str | None = None
    """The folder in which tools start."""
    conversation: str = ""
    """Whose servers wait for its next run; none if there is no next one, and another one after a reset."""
    bounds: Bounds = Bounds()
