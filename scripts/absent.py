"""What of OpenClaw this gateway does not have: the table of README.md, out of what the code says.

The code says it in two places: rows of `config.openclaw` that are an error or a warning, and `rpc.methods.absent`.
Each key and each method of these belongs to one of the subjects below. Run `python -m scripts.absent` to write the
table into README.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.config.openclaw import RULES, Fate
from gateway.rpc.methods.absent import ABSENT

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- absent: python -m scripts.absent -->\n", "<!-- /absent -->\n"


@dataclass(frozen=True)
class Subject:
    what: str
    instead: str
    keys: str = ""
    """Keys of the config, each with all below it, unless another subject names a longer one."""
    methods: str = ""
    """First words of methods' names."""


SUBJECTS = (
    Subject(
        "channels: WhatsApp, Telegram, Slack and the others",
        "OpenClaw's own gateway",
        "channels web approvals session.resetByChannel",
        "channels",
    ),
    Subject(
        "agents that begin by themselves: jobs, heartbeats, hooks, mail",
        "a systemd timer with `openclaw-gateway chat MESSAGE`; the HTTP API",
        "cron hooks agents.defaults.heartbeat agents.entries.*.heartbeat agents.list.*.heartbeat",
    ),
    Subject(
        "tools of its own: shell, files, browser, search, GitHub, media, `/bash`",
        "MCP servers",
        "browser tools memory agents.defaults.memorySearch commands.bash mcp.apps",
        "artifacts worktrees",
    ),
    Subject(
        "a sandbox for tools, and approvals of single calls",
        "allow and deny lists; the agent's unit; another user",
        "agents.defaults.sandbox agents.entries.*.sandbox agents.list.*.sandbox",
        "exec.approval plugin.approval openclaw.approval approval question",
    ),
    Subject("plugins and skills", "MCP servers; `AGENTS.md`", "plugins skills commands.plugins", "plugins skills"),
    Subject(
        "nodes, phones, other agents: ACP, command-line agents, cloud workers, desktops",
        "",
        "gateway.nodes gateway.push gateway.portals gateway.cliAgents acp cloudWorkers desktop",
        "node tasks environments diagnostics",
    ),
    Subject("voice, canvas, recorded meetings", "", "tts messages talk canvasHost transcripts", "talk transcripts"),
    Subject(
        "TLS, Tailscale's set-up, announcements on the network",
        "a proxy, `tailscale serve`, `ssh -L`",
        "gateway.tls gateway.tailscale gateway.auth.allowTailscale gateway.publicOrigin discovery "
        "gateway.allowRealIpFallback gateway.http.securityHeaders",
    ),
    Subject(
        "users with roles",
        "scopes of devices, and of a proxy's users",
        "gateway.roles gateway.auth.trustedProxy.cloudflareAccessOidc session.sendPolicy gateway.auth.rateLimit",
        "users",
    ),
    Subject(
        "a Control UI of its own beyond one page; a terminal in the page",
        "OpenClaw's Control UI, `openclaw-gateway chat`",
        "gateway.controlUi gateway.terminal commands.config commands.mcp",
        "themes",
    ),
    Subject(
        "the HTTP APIs beside chat completions; pictures from addresses",
        "`/v1/chat/completions`, pictures as data",
        "gateway.http.endpoints",
    ),
    Subject(
        "what is done by itself: updates, resets and removal of sessions",
        "your package manager; `/new`; `openclaw-gateway sessions`",
        "update session.reset session.resetByType session.maintenance gateway.mode env.shellEnv",
        "update",
    ),
    Subject(
        "OpenTelemetry, audit logs, masks in logs, a proxy for what leaves",
        "`/metrics`; `HTTPS_PROXY` in the agent's unit",
        "diagnostics logging secrets proxy",
    ),
)


def table() -> str:
    rows = (f"| {each.what} | {each.instead or '–'} |\n" for each in SUBJECTS)
    return "| absent | in its place |\n|---|---|\n" + "".join(rows)


def keys() -> Iterator[str]:
    """Keys that OpenClaw honours, and this gateway does not."""
    return (row.path for row in RULES if row.fate is not Fate.SILENT)


def methods() -> Iterator[str]:
    """Methods whose answer is that there is nothing."""
    return (each.name for each in ABSENT)


def subjects_of(name: str, words: dict[str, Subject]) -> Subject | None:
    """The subject with the longest beginning of a dotted name."""
    found = [word for word in words if name == word or name.startswith(f"{word}.")]
    return words[max(found, key=len)] if found else None


def by_key() -> dict[str, Subject]:
    return {word: each for each in SUBJECTS for word in each.keys.split()}


def by_method() -> dict[str, Subject]:
    return {word: each for each in SUBJECTS for word in each.methods.split()}


def main() -> None:
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
