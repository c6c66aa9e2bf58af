"""Methods of OpenClaw's whose feature this gateway does not have: one table with the answer that each of them gives.

A page shows an error where a method is unknown; with these answers it shows that there is nothing.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.protocol.frames import WireError
from gateway.protocol.scopes import ADMIN, APPROVALS, PAIRING, QUESTIONS, READ
from gateway.rpc.literal import NOW, Rows, Typed, fields, literal, short, up_to
from gateway.rpc.registry import Method

Text = Annotated[str, Meta(min_length=1)]
TaskStatus = Literal["queued", "running", "completed", "failed", "cancelled", "timed_out"]

THEMES = {
    **{"claw": "Claw", "knot": "Knot", "dash": "Dash", "absolutely": "Absolutely", "tide": "Tide", "beacon": "Beacon"},
    **{"phosphor": "Phosphor", "crt": "CRT", "manuscript": "Manuscript", "rose": "Rosé", "miami": "Miami"},
}
"""Those that the pages of 2026.9.6 have in themselves; they offer only what the gateway lists."""


def _themes() -> dict[str, Any]:
    rows = [
        {"id": id, "name": name, "description": "", "source": "builtin", "modes": ["light", "dark"]}
        for id, name in THEMES.items()
    ]
    current = {"id": rows[0]["id"], "mode": "system", "scope": "gateway", "overrides": {}}
    return {"current": current, "theme": rows[0], "themes": rows}


_TEXTS = dict[str, str]
_OFF = {"ready": False, "providers": []}

ABSENT: tuple[Method, ...] = (
    # Channels, and the people who write over them
    literal(
        "channels.status",
        "The channels and their accounts: none. `probe` is accepted and has no effect.",
        {
            "ts": NOW,
            "channelOrder": Typed(list[str], []),
            **{name: Typed(_TEXTS, {}) for name in ("channelLabels", "channelDetailLabels", "channelSystemImages")},
            "channelMeta": [],
            "channels": {},
            "channelAccounts": Typed(dict[str, Rows], {}),
            "channelDefaultAccountId": Typed(_TEXTS, {}),
            "statusIssues": Typed(Rows, [], since=4),
        },
        fields(probe=(bool, False), timeout_ms=Annotated[float, Meta(ge=0)], channel=str),
        scope=READ,
        since=3,
    ),
    literal(
        "channels.pairing.list",
        "People who ask to write over a channel: none, and none can ask.",
        {
            "accounts": [],
            "requests": [],
            "commandOwnerConfigured": False,
            "limits": Typed(dict[str, int], {"pendingPerAccount": 0, "ttlMs": 0}),
        },
        fields(channel=str, account_id=str),
        scope=PAIRING,
    ),
    # Nodes
    literal("node.list", "The nodes, paired or connected: none.", {"ts": NOW, "nodes": []}, scope=READ, since=3),
    literal(
        "node.pair.list",
        "Nodes that wait to be paired, and paired nodes: none.",
        {"pending": [], "paired": []},
        scope=PAIRING,
        since=3,
    ),
    # What waits for a person
    literal("exec.approval.list", "Commands that wait for a decision: none.", [], scope=APPROVALS),
    literal(
        "exec.approval.grants.list",
        "Commands that scheduled jobs may run without asking again: none.",
        {"grants": []},
        fields(limit=up_to(500)),
        scope=APPROVALS,
    ),
    literal("plugin.approval.list", "Actions of plugins that wait for a decision: none.", [], scope=APPROVALS),
    literal(
        "openclaw.approval.list", "Changes of the installation that wait for a decision: none.", [], scope=APPROVALS
    ),
    literal(
        "approval.history",
        "Decisions of the past: none.",
        {"items": []},
        fields(cursor=short(512), limit=up_to(100), kind=Literal["exec", "plugin", "system-agent"]),
        scope=APPROVALS,
    ),
    literal("question.list", "Questions of agents that wait for an answer: none.", {"questions": []}, scope=QUESTIONS),
    # Work beside conversations
    literal(
        "tasks.list",
        "Tasks of agents, done or not: none, whatever the filter.",
        {"tasks": []},
        fields(
            status=TaskStatus | list[TaskStatus],
            agent_id=Text,
            session_key=Text,
            limit=up_to(500),
            cursor=Annotated[str, Meta(max_length=512)],
            sort_by=Literal["updatedAt", "endedAt"],
        ),
        scope=READ,
    ),
    literal(
        "artifacts.list",
        "Files that an agent has made in a session: none are kept besides the transcript.",
        {"artifacts": []},
        fields(
            session_key=Text,
            run_id=Text,
            task_id=Text,
            agent_id=Text,
            type=Text,
            limit=Annotated[int, Meta(ge=1)],
            cursor=Text,
        ),
        scope=READ,
    ),
    literal(
        "diagnostics.lanes",
        "The queues of agents' work: none.",
        {"ts": NOW, "lanes": [], "dynamic": Typed(dict[str, Any] | None, None)},
        scope=READ,
    ),
    literal(
        "environments.list",
        "The machines on which agents can work: none, not even this one.",
        {"environments": []},
        fields(runtime_id=short(128), projection=Literal["profiles"], include_desktop_setup=(bool, False)),
        scope=READ,
    ),
    literal("worktrees.list", "Checkouts that were made for agents: none.", {"worktrees": []}, scope=READ),
    literal(
        "transcripts.list",
        "Recorded meetings: none, whatever the filter.",
        {"sessions": [], "nextCursor": Typed(str | None, None)},
        fields(
            limit=(up_to(200), 50),
            cursor=str,
            query=str,
            provider_id=str,
            account_id=str,
            agent_id=str,
            started_after=datetime,
            started_before=datetime,
        ),
        scope=READ,
    ),
    # Plugins, skills, themes, voices
    literal(
        "plugins.list",
        "Plugins, installed or available: none, and none can be added.",
        {"plugins": [], "diagnostics": Typed(list[Any], []), "mutationAllowed": False},
        scope=READ,
    ),
    literal(
        "plugins.catalog.browse",
        "Plugins in a public registry: this gateway asks none, so it finds none.",
        {"items": []},
        fields(
            query=Annotated[str, Meta(max_length=200)],
            search_source=str,
            intent=Literal["all", "bundled", "trending", "official", "featured"],
            category=short(64),
            cursor=short(4096),
            page_size=up_to(100),
        ),
        scope=READ,
    ),
    literal(
        "skills.library.list",
        "Skills that were saved to be shared: none, and none can be.",
        {
            "entries": [],
            "profileId": Typed(str | None, None),
            "multipleProfiles": False,
            "defaultTarget": "workspace",
            "canManageWorkspace": False,
            "defaultSelectionLimit": 64,  # as in OpenClaw: a page reads it even where there is nothing to select
        },
        fields(session_key=str, scope=Literal["mine", "team", "all"]),
        scope=READ,
    ),
    literal(
        "skills.proposals.list",
        "Skills that an agent has proposed: none.",
        {
            "schema": "openclaw.skill-workshop.proposals-manifest.v1",
            "updatedAt": "1970-01-01T00:00:00.000Z",
            "proposals": [],
            "installedSkills": [],
        },
        fields(agent_id=str),
        scope=READ,
    ),
    literal(
        "skills.search",
        "Skills in a public registry: this gateway asks none, so it finds none.",
        {"results": []},
        fields(query=Text, limit=up_to(100)),
        scope=READ,
    ),
    literal(
        "themes.list",
        "The themes that pages have built in. The gateway adds none and stores no choice: the first one is current.",
        _themes(),
        scope=READ,
    ),
    literal(
        "talk.catalog",
        "Ways to talk with an agent by voice: none.",
        {
            **{name: Typed(list[str], []) for name in ("modes", "transports", "brains")},
            **{"speech": {"providers": []}, "transcription": _OFF, "realtime": _OFF},
        },
        fields(provider=Text, model=Text),
        scope=READ,
    ),
    # The installation and its users
    literal(
        "update.status",
        "Updates: the gateway looks for none and installs none. Packages come from your package manager.",
        {
            "sentinel": None,
            "updateAvailable": None,
            "effectiveChannel": "stable",
            "schedule": {"channel": "stable", "autoEnabled": False, "install": {"kind": "package"}},
        },
        fields(refresh_checkout=(bool, False)),
        scope=ADMIN,
    ),
    literal(
        "users.self",
        "The user of this client: always refused, because this gateway has clients and no users.",
        WireError("FORBIDDEN", "users.self requires an authenticated user"),
        scope=READ,
    ),
    literal(
        "users.list",
        "Users to whom a session could be assigned: none, because this gateway has clients and no users.",
        {"profiles": []},
        scope=READ,
    ),
)
