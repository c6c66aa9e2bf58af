"""The table of what this gateway does with each key of OpenClaw's config, together with `schema`.

A key with a type in `schema`, or in `READ`, is honoured. Every other key has the rule with the longest path above it
(`rule_for`). If it restricts or protects something that this gateway does, it is an error; if it promises something, a
warning. A restriction of something that is never done here is ignored silently.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Any

from msgspec import Struct

from gateway.config import switches
from gateway.config.parse import Path
from gateway.config.providers import KNOWN
from gateway.config.tree import ConfigTree


class Fate(StrEnum):
    """The effect of a key that is not honoured."""

    RESTRICTS = "restricts"
    """It bounds or protects something that this gateway does: an error."""
    LACKS = "lacks"
    """It promises something that this gateway lacks: a warning."""
    SILENT = "silent"
    """It has no effect here, and no user misses it."""


class Rule(Struct, frozen=True, dict=True):
    path: str
    """Dotted; `*` is any key or item."""
    fate: Fate
    says: str
    """The missing function; for a silent key, why that does not matter."""
    way_out: str = ""
    """`{port}`, `{mode}` (of tailscale) and `{name}` (of the key) are replaced."""
    when: Callable[[Any, ConfigTree], bool] = switches.on
    """(value, whole config) -> whether the value asks for anything."""
    but: frozenset[str] = frozenset()
    """Keys that `*` does not stand for."""

    @cached_property
    def keys(self) -> Path:
        return tuple(self.path.split("."))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


READ: dict[str, frozenset[str] | None] = {
    "agents": _words("defaults list entries"),
    "agents.defaults": _words("""
        bootstrapMaxChars bootstrapTotalMaxChars compaction contextInjection contextTokens model modelPolicy models
        thinkingDefault timeoutSeconds userTimezone verboseDefault workspace
        """),
    "agents.defaults.compaction": _words("""
        enabled identifierPolicy keepRecentTokens mode model notifyUser recentTurnsPreserve thinkingLevel timeoutSeconds
        """),
    "agents.list": None,
    "agents.entries": None,
    "env": None,
    "mcp": _words("servers"),
    "models": _words("providers"),
    "secrets": _words("defaults providers"),
    "session": _words("mainKey scope"),
    "tools": _words("allow alsoAllow byProvider deny profile toolsBySender"),
    "ui": _words("assistant"),
}
"""Section -> its keys that are used without a type in `schema`; None: all of them.

They are read when they are needed (`catalog`, `models`, `servers`), so nothing in them is an error of the config.
"""


def is_read(path: str) -> bool:
    """Whether the value at a dotted path is used without a type in `schema`."""
    keys = path.split(".")
    if keys[0] not in READ:
        return False
    for length in range(1, len(keys)):
        used = READ.get(".".join(keys[:length]))
        if used is None:  # all keys
            return True
        if keys[length] not in used:
            return False
    return True


_ONE_AGENT = ("agents.entries.*", "agents.list.*")
"""The two places of an agent's own settings."""
_R, _L, _S = Fate.RESTRICTS, Fate.LACKS, Fate.SILENT
_LOOKS = "how something looks or is worded"
_TUNES = "how fast, how much or how long"
_NEVER = "bounds or allows what is never done here: shell, files, browser, plugins, skills, other agents"
_CHANNELS = "of channels, of which there are none here"
_NOTES = "OpenClaw's notes for itself"
_NODES = "of nodes, of which none is ever asked for anything"
_NO_TOOLS = "an agent's tools are those of MCP servers, and no other"
_MCP = "add an MCP server under mcp.servers that does it, or set it to false"
_SERVED = "OpenClaw itself has that"
_OFF = "set enabled to false, or remove it"

# fmt: off
RULES: tuple[Rule, ...] = (
    # What restricts or protects.
    Rule("gateway.tls", _R, "this gateway speaks no TLS, so tokens would cross the network in clear",
        "set gateway.tls.enabled to false and gateway.bind to loopback, and let a proxy encrypt: nginx, Caddy, or "
        "`tailscale serve --bg {port}`", switches.enabled),
    Rule("gateway.roles", _R, "roles bound nobody here: every user would have what their device has",
        "remove gateway.roles; gateway.auth.trustedProxy.allowUsers says who may connect"),
    Rule("gateway.auth.rateLimit", _R, "guesses are bounded by fixed numbers, which are looser: 10 within 60 s lock an "
        "address for 5 min, and this machine never", "remove it, or set none stricter than that",
        switches.stricter_rate),
    Rule("agents.defaults.sandbox", _R, "the tools of MCP servers would be offered past the sandbox's policy",
        'set mode to "off" and name what may be used in tools.allow and tools.deny, or add "bundle-mcp" to '
        "tools.sandbox.tools.alsoAllow", switches.sandboxed),
    *(Rule(f"{agent}.sandbox", _R, "the tools of MCP servers would be offered past the sandbox's policy",
        'set mode to "off" and name what may be used in the agent\'s tools', switches.sandboxed)
        for agent in _ONE_AGENT),
    Rule("session.sendPolicy", _R, "no session is closed to messages here",
        "remove the rules without a channel; who may write is who has the secret", switches.denies_sending),
    Rule("logging.redactPatterns", _R, "nothing is masked by patterns in the log or in transcripts",
        "remove it; both are readable by you alone, and hold no secret of the config"),
    Rule("secrets.egressProxy", _R, "what leaves this machine passes no proxy of OpenClaw's", _OFF, switches.enabled),
    Rule("proxy", _R, "what leaves this machine does not pass this proxy",
        "remove it, and set HTTPS_PROXY in a drop-in of openclaw-agent.service", switches.enabled),
    Rule("gateway.http.endpoints.chatCompletions.images.allowedMimes", _R, "pictures of other kinds are taken too",
        "remove it; a model's `input` says whether it gets pictures at all"),
    # What promises something.
    Rule("gateway.http.endpoints.chatCompletions.images.allowUrl", _L, "no picture is fetched from an address",
        "send it as a data: URL, and set it to false"),
    Rule("channels.*", _L, "nobody is answered on {name}: there are no channels here", f"{_OFF}; {_SERVED}",
        but=_words("defaults modelByChannel")),
    Rule("web", _L, "nobody is answered on WhatsApp: there are no channels here", _OFF, switches.enabled),
    Rule("cron", _L, "no job runs here", "let a systemd timer run `openclaw-gateway chat MESSAGE`, and set "
        "cron.enabled to false"),
    Rule("hooks", _L, "POST /hooks is not served", f"{_OFF}; POST /v1/chat/completions takes messages of programs",
        switches.enabled),
    Rule("hooks.internal", _L, "hooks do not run", _OFF),
    Rule("hooks.gmail", _L, "mail is not watched", "remove it"),
    Rule("gateway.tailscale", _L, "Tailscale is not set up by this gateway",
        "type `tailscale {mode} --bg {port}`, name 127.0.0.1 in gateway.trustedProxies, and set mode to \"off\""),
    Rule("gateway.auth.allowTailscale", _L, "Tailscale's headers let nobody in",
        'clients send the secret; or set gateway.auth.mode to "trusted-proxy" with userHeader "tailscale-user-login"'),
    Rule("gateway.mode", _L, "this gateway serves all the same", 'set it to "local"', switches.remote),
    Rule("gateway.publicOrigin", _L, "nothing is served under that address by itself",
        "name it in gateway.controlUi.allowedOrigins for the pages of others, and remove it"),
    Rule("gateway.allowRealIpFallback", _L, "X-Real-IP is not read",
        "let the proxy send X-Forwarded-For, and set it to false"),
    Rule("gateway.terminal", _L, "there is no terminal in the page", _OFF, switches.enabled),
    Rule("gateway.cliAgents", _L, "command-line agents are not run", _OFF, switches.enabled),
    Rule("gateway.portals", _L, "there are no portals", "remove it"),
    Rule("gateway.push", _L, "nothing is pushed to phones", "remove it"),
    Rule("gateway.http.endpoints.responses", _L, "/v1/responses is not served", f"{_OFF}; /v1/chat/completions is",
        switches.enabled),
    Rule("gateway.http.securityHeaders", _L, "the header is not sent", "let the proxy that speaks TLS send it"),
    Rule("gateway.auth.trustedProxy.cloudflareAccessOidc", _L, "its token is not looked at",
        "the header named by userHeader says who the user is; remove it"),
    Rule("gateway.controlUi.root", _L, "the page is this gateway's own", "remove it"),
    Rule("gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback", _L, "a page's Host header lets no page in",
        "name its origin in gateway.controlUi.allowedOrigins, and set it to false"),
    Rule("gateway.nodes.pairing", _L, "no node is paired by itself", "pair it with `openclaw-gateway devices`"),
    Rule("discovery.mdns", _L, "the gateway is not announced on the network", 'set mode to "off"'),
    Rule("discovery.wideArea", _L, "the gateway is not announced by DNS", "remove it"),
    Rule("browser", _L, _NO_TOOLS, _MCP, switches.enabled),
    Rule("canvasHost", _L, "there is no canvas", _OFF, switches.enabled),
    Rule("acp", _L, "ACP is not spoken", _OFF, switches.enabled),
    Rule("talk.provider", _L, "there is no voice", "remove it"),
    Rule("tts", _L, "there is no voice", 'set auto to "off"', switches.spoken),
    Rule("messages.tts", _L, "there is no voice", 'set auto to "off"', switches.spoken),
    Rule("cloudWorkers.profiles", _L, "there are no cloud workers", "remove it"),
    Rule("desktop.host", _L, "there is no desktop", _OFF, switches.enabled),
    Rule("transcripts", _L, "meetings are not transcribed", _OFF, switches.enabled),
    Rule("diagnostics.otel", _L, "nothing is sent by OpenTelemetry", f"{_OFF}; /metrics is for Prometheus",
        switches.enabled),
    Rule("logging.audit", _L, "there is no audit log", _OFF, switches.enabled),
    Rule("memory.search", _L, "the agent has no search in its memory", _OFF),
    Rule("agents.defaults.memorySearch", _L, "the agent has no search in its memory", _OFF),
    *(Rule(f"{agent}.heartbeat", _L, "no agent begins by itself",
        "let a systemd timer run `openclaw-gateway chat MESSAGE`, and remove it", switches.beats)
        for agent in ("agents.defaults", *_ONE_AGENT)),
    Rule("plugins.entries.*", _L, "the plugin {name} is not loaded", _OFF, switches.enabled, but=frozenset(KNOWN)),
    Rule("plugins.load.paths", _L, "no plugin is loaded", "remove it"),
    Rule("skills.entries.*", _L, "the skill {name} is not loaded", f"{_OFF}; say in AGENTS.md what it says"),
    Rule("skills.load.extraDirs", _L, "no skill is loaded", "remove it; say in AGENTS.md what they say"),
    Rule("update.auto", _L, "nothing is updated by itself", _OFF, switches.enabled),
    Rule("env.shellEnv", _L, "no login shell is asked for variables", "put them into .env beside the state; " + _OFF,
        switches.enabled),
    Rule("approvals.exec", _L, "nothing is asked on channels", _OFF, switches.enabled),
    Rule("approvals.plugin", _L, "nothing is asked on channels", _OFF, switches.enabled),
    Rule("session.reset", _L, "no session is begun anew by itself", "say /new in it; remove it", switches.resets),
    Rule("session.resetByType", _L, "no session is begun anew by itself", "say /new in it; remove it"),
    Rule("session.resetByChannel", _L, _CHANNELS, "remove it"),
    Rule("session.maintenance", _L, "no old session is removed by itself",
        "remove them with `openclaw-gateway sessions`", switches.cleans),
    Rule("mcp.apps", _L, "apps of MCP servers are not shown", _OFF, switches.enabled),
    Rule("tools.web.search", _L, _NO_TOOLS, _MCP, switches.enabled),
    Rule("tools.web.fetch", _L, _NO_TOOLS, _MCP, switches.enabled),
    Rule("tools.media.*", _L, "what is attached is given to the model as it is", _OFF, switches.enabled),
    Rule("tools.links", _L, "links are not read", _OFF, switches.enabled),
    Rule("tools.agentToAgent", _L, "agents do not talk with each other", _OFF, switches.enabled),
    Rule("commands.bash", _L, "there is no /bash", "set it to false"),
    Rule("commands.config", _L, "there is no /config", "set it to false; `openclaw-gateway config set`"),
    Rule("commands.mcp", _L, "there is no /mcp", "set it to false"),
    Rule("commands.plugins", _L, "there is no /plugins", "set it to false"),
    # What has nothing to do here.
    *(Rule(path, _S, why) for why, paths in {
        _NOTES: "$schema meta wizard telemetry update auth.order auth.profiles auth.cooldowns",
        _CHANNELS: "accessGroups bindings broadcast channels channels.defaults channels.modelByChannel messages "
                   "session.dmScope session.groupScope session.identityLinks session.threadBindings surfaces approvals "
                   "commands.allowFrom commands.ownerAllowFrom commands.useAccessGroups media audio "
                   "gateway.channelHealthCheckMinutes",
        _NODES: "nodeHost gateway.nodes",
        _NEVER: "security skills plugins tools.exec tools.elevated tools.fs tools.subagents tools.sandbox "
                "tools.message tools.sessions tools.sessions_spawn tools.github gateway.tools hooks.allowedAgentIds "
                "browser.ssrfPolicy tools cloudWorkers desktop worktreeRoot worktreeAcceleration discovery "
                "agents.defaults.subagents agents.defaults.embeddedAgent agents.defaults.skills "
                "session.agentToAgent agents.ownership",
        _TUNES: "agents session attachments diagnostics mcp models memory commands auth secrets "
                "session.sharing logging gateway env talk agents.defaults.compaction agents.defaults.contextPruning "
                "gateway.http.endpoints.chatCompletions.images",
        _LOOKS: "ui",
        "of clients, whose own business it is": "gateway.remote",
    }.items() for path in paths.split()),
)
# fmt: on
"""The table. docs/config.md describes it for users."""


_BY_SECTION: dict[str, list[Rule]] = {}
for _row in RULES:
    _BY_SECTION.setdefault(str(_row.keys[0]), []).append(_row)


def rule_for(path: Path) -> Rule | None:
    """The rule of a key that is not honoured; None for an unknown key."""
    fitting = [each for each in _BY_SECTION.get(str(path[0]), ()) if _fits(each.keys, path)]
    return max(fitting, key=lambda each: (len(each.keys), sum(key != "*" for key in each.keys)), default=None)


def _fits(keys: Path, path: Path) -> bool:
    return len(keys) <= len(path) and all(key in ("*", str(step)) for key, step in zip(keys, path, strict=False))
