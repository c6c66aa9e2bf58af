"""The spec of a run: what the gateway asks an agent for with `start {run, spec}` (`link/messages`). Pure.

Its messages have the shape of OpenClaw's transcripts (`Message`), so an answer of a provider is stored as it is.
"""

from typing import Any, Literal

from msgspec import Struct

Message = dict[str, Any]
"""`{role: user|assistant|toolResult, content: str | [block], timestamp, …}` with blocks `{type: text, text}`,
`{type: thinking, thinking}`, `{type: image, data, mimeType}`, `{type: toolCall, id, name, arguments}`; a toolResult has
`toolCallId`, `toolName`, `isError`; an assistant message has `api`, `provider`, `model`, `usage`, `stopReason`, and
`errorMessage` if it broke off. Thinking may have a `thinkingSignature`, which its provider wants back unchanged.

`{role: compaction, summary, firstKeptEntryId, tokensBefore, tokensAfter, timestamp}` says what models see of the
messages before it: the summary, then the messages from that entry on. It is the first message of a history."""
COMPACTION = "compaction"
COMMAND = {"command": True}
"""Marks a command to the gateway in a chat, and its answer: no model gets them."""


def spoken(text: str, now: int) -> Message:
    """A message of the gateway's own in a chat. `now`: milliseconds since 1970."""
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
    """The place in the config."""
    allow: list[str] = []
    """Names, globs with `*`, and groups. If empty, every tool passes that is not denied."""
    deny: list[str] = []
    """Names, globs and groups that are not offered; they win over `allow`."""


class Tls(Struct, frozen=True, omit_defaults=True):
    """Settings of a TLS connection that differ from the defaults; certificates and keys are PEM."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    passphrase: str | None = None
    server_name: str | None = None
    insecure: bool = False


class Route(Struct, frozen=True, omit_defaults=True):
    """How a provider is reached. The default is the environment's (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`)."""

    proxy: str | None = None
    proxy_tls: Tls = Tls()
    tls: Tls = Tls()


class Model(Struct, frozen=True, omit_defaults=True):
    """One model to try, with all that is needed to reach it."""

    provider: str
    id: str
    api: Api
    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    max_tokens: int | None = None
    """Tokens of one answer."""
    context_window: int | None = None
    """Tokens."""
    reasoning: bool = False
    cost: dict[str, float] = {}
    """Dollars for a million tokens: input, output, cacheRead, cacheWrite."""
    pictures: bool = True
    """Whether it takes pictures."""
    compat: dict[str, Any] = {}
    """How its server differs from its protocol, by OpenClaw's names (`models[].compat`)."""
    params: dict[str, Any] = {}
    """Parameters for Ollama beside the conversation: `num_ctx`, `keep_alive`, …"""
    silence_ms: int | None = None
    """Milliseconds in which its provider may send nothing; None: as the run's bounds say."""
    way: Route = Route()
    pace_ms: int = 0
    """Milliseconds between two words, for `builtin`."""
    tools: list[ToolRule] = []
    """The layers of the config's tool policy for this model."""

    def __repr__(self) -> str:
        return f"Model({self.provider}/{self.id})"  # a key must not get into a log


class Server(Struct, frozen=True, omit_defaults=True):
    """One MCP server: a command (stdio) or a URL (streamable HTTP, or the older SSE)."""

    name: str
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    prefix: str = ""
    """The prefix of its tools' names; if empty, it is made from `name`."""
    transport: Literal["", "streamable-http", "sse"] = ""
    """The transport of a URL; if empty, the one that the server speaks."""
    include: list[str] = []
    """Names of its tools, or globs with `*`. If empty, all of its tools."""
    exclude: list[str] = []
    """Names or globs that are not offered; they win over `include`."""
    connect_ms: int | None = None
    """Milliseconds for its start."""
    request_ms: int | None = None
    """Milliseconds for one answer."""
    verify: bool = True
    """Whether its certificate must be trusted."""
    client_cert: str | None = None
    """A PEM file, for a server that asks for a client certificate."""
    client_key: str | None = None

    def __repr__(self) -> str:
        return f"Server({self.name})"


class Bounds(Struct, frozen=True, omit_defaults=True):
    """The bounds of one run."""

    timeout_ms: int = 600_000
    """Milliseconds from its start to its end."""
    silence_ms: int = 120_000
    """Milliseconds in which a provider may send nothing."""
    turns: int = 50
    """Answers of the model; tools run between them."""
    tool_ms: int = 120_000
    """Milliseconds for one call of a tool."""
    retries: int = 3
    """Tries of one model after the first, for failures that are retryable."""


class Compaction(Struct, frozen=True, omit_defaults=True):
    """How a conversation is kept within the window of its model; see agents.defaults.compaction."""

    enabled: bool = True
    """Whether to compact before the window is full. After a provider has refused a request as too long it is always
    done."""
    keep_tokens: int = 20_000
    """Tokens of the last messages, which stay as they are."""
    keep_turns: int = 3
    """Turns at the end that stay as they are."""
    timeout_ms: int = 180_000
    """Milliseconds for each request for a summary."""
    thinking: str = "low"
    strict: bool = True
    """Whether a summary has to keep names, numbers and addresses as they were written."""
    notify: bool = False
    """Whether to say it in the chat."""
    model: Model | None = None
    """The model that writes the summaries; None: the one that answers."""
    window: int | None = None
    """Tokens: the config's bound on the window of every model."""
    only: bool = False
    """The run does nothing else. Its `models` are given here, so that an agent that cannot do this asks none."""
    instructions: str = ""
    """The user's wishes for the summary."""
    models: list[Model] = []


class Spec(Struct, frozen=True, omit_defaults=True):
    """All that a run needs: the agent reads no config, and keeps nothing between runs but MCP servers."""

    session: str
    agent: str
    prompt: Message
    models: list[Model]
    """Models in the order of trying; at least one."""
    history: list[Message] = []
    """Messages before the prompt, the oldest first."""
    ids: list[str] = []
    """Ids of the messages of the history, then of the prompt; empty if they are in no transcript."""
    compaction: Compaction | None = None
    """None from a gateway that keeps no summaries."""
    system: str = ""
    thinking: str = "off"
    """off, minimal, low, medium, high, xhigh."""
    servers: list[Server] = []
    unusable: dict[str, str] = {}
    """MCP servers of the config that cannot be used, with the reason of each."""
    environment: dict[str, str] = {}
    """Variables named in `gateway.machine.inherited` that the gateway has, and that the agent's environment may
    lack."""
    workspace: str | None = None
    """The folder in which tools start."""
    conversation: str = ""
    """The id of the transcript whose MCP servers wait for its next run. It is empty if there is no next one, and
    changes with a reset."""
    bounds: Bounds = Bounds()
