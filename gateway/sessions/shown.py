"""Sessions as clients see them: rows of lists, and entries, in the shape of each protocol. Pure.

Fields of OpenClaw's pages for which this gateway has no feature are left out, or say that there is none. Times are
milliseconds since 1970.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.config import models
from gateway.config.catalog import GLOBAL
from gateway.config.models import ModelRef
from gateway.config.tree import ConfigTree
from gateway.link.spec import COMPACTION, Message
from gateway.sessions.records import MessageRow, Run, Session, Summary

TITLE = 60
"""Most characters of a title that is made from a message."""
RUNTIME: dict[str, Any] = {
    "id": "auto",
    "cloudPlacementSupported": False,
    "devicePlacementSupported": False,
    "source": "implicit",
}
SETTINGS = ("thinkingLevel", "verboseLevel", "reasoningLevel", "elevatedLevel", "sendPolicy", "responseUsage")
"""Settings of an entry that rows show unchanged."""
NEWER_SETTINGS = (
    *("traceLevel", "fastMode", "category", "icon", "color", "boardFace", "boardPresentation", "archivedAt"),
    *("pinnedAt", "groupActivation"),
)
"""Settings that rows of protocol 4 show as well."""
WEBCHAT = "webchat"
"""The only channel: clients of the gateway."""
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True)
class RowContext:
    """The part of a row that does not come from its session."""

    tree: ConfigTree
    """The config."""
    main: str
    """The key of the agent's main session."""
    now: int
    """Milliseconds since 1970."""
    active: Sequence[str] = ()
    """Ids of running and queued runs."""
    summary: Summary | None = None
    titled: bool = False
    """Whether the row has `derivedTitle`."""
    previewed: bool = False
    """Whether the row has `lastMessagePreview`."""


def row(session: Session, context: RowContext, protocol: int) -> dict[str, Any]:
    """A row of `sessions.list`: `key`, `kind`, `sessionId`, `updatedAt`, settings, tokens, `model`, … as JSON has them.

    `_older` and `_newer` list all fields.
    """
    return _newer(session, context) if protocol >= 4 else _older(session, context)


def absent(key: str, agent: str, context: RowContext) -> dict[str, Any]:
    """The row, in protocol 4, of a session that is not stored yet: as `row`, without an id and times."""
    found = _newer(Session(key, "", agent, 0, 0, {}), context)
    for name in ("sessionId", "createdVia", "createdAt", "lastInteractionAt"):
        del found[name]
    return found | {"updatedAt": None}


def entry(session: Session, protocol: int) -> dict[str, Any]:
    """`entry` in the answers of `sessions.patch`, `sessions.reset` and `sessions.create`.

    It has `Session.entry` with `providerOverride` and `modelOverride` in place of `model`, and `sessionId`,
    `updatedAt`, `systemSent`, `abortedLastRun` and tokens.
    """
    stored = {name: value for name, value in session.entry.items() if name != "model"}
    provider, _, model = (session.entry.get("model") or "").partition("/")
    override = {"providerOverride": provider, "modelOverride": model} if model else {}
    counts = {"inputTokens": session.input, "outputTokens": session.output, "totalTokens": session.total}
    found: dict[str, Any] = {
        "sessionId": session.id,
        "updatedAt": session.updated,
        "systemSent": session.messages > 0,
        "abortedLastRun": session.aborted,
        **stored,
        **override,
        **counts,
        **({"compactionCount": session.compactions} if session.compactions else {}),
    }
    if protocol >= 4:
        found |= {"createdVia": "operator", "createdAt": session.created, "totalTokensFresh": session.total > 0}
        found["lifecycleRevision"] = session.id  # a reset changes it as well
        found |= {"modelOverrideSource": "user"} if model else {}
    return found


def resolved(session: Session, tree: ConfigTree) -> dict[str, Any]:
    """`resolved` of `sessions.patch` in protocol 4: the model and settings of the next run."""
    ref = _model(session, tree)
    thinking = session.entry.get("thinkingLevel")
    return {
        "modelProvider": ref.provider,
        "model": ref.id,
        "agentRuntime": {"id": "openclaw", "source": "implicit"},
        "runtimeSelectionLocked": False,
        **({"thinkingLevel": thinking} if thinking else {}),
        "thinkingLevels": thinking_levels(tree, ref)["thinkingLevels"],
    }


def with_error_text(message: Message) -> Message:
    """The message with its error as content if it has none: pages would show nothing of a run that failed at once."""
    why = message.get("errorMessage")
    return {**message, "content": [{"type": "text", "text": why}]} if why and not message.get("content") else message


def message(row: MessageRow, number: int) -> Message:
    """A message of a transcript for protocol 4. `__openclaw` has the `id` and `seq` by which pages recognise it.

    `number`: its number in the transcript.
    """
    known: dict[str, Any] = {"id": row.id, "seq": number, **({"runId": row.run} if row.run else {})}
    if row.message.get("role") == COMPACTION:
        sizes: dict[str, Any] = {key: row.message[key] for key in ("tokensBefore", "tokensAfter") if key in row.message}
        words = [{"type": "text", "text": "Compaction"}]
        marks: dict[str, Any] = {"kind": "compaction", **known, **sizes}
        return {"role": "system", "content": words, "timestamp": row.message.get("timestamp"), "__openclaw": marks}
    if row.run and row.message.get("role") == "user":
        key = f"{row.run}:user"
        return {**row.message, "idempotencyKey": key, "__openclaw": {**known, "idempotencyKey": key}}
    return {**with_error_text(row.message), "__openclaw": known}


def pending(run: Run) -> dict[str, Any]:
    """The prompt of a queued run as protocol 4 lists it: `id`, `runId`, `message`, `acceptedAt`, `state`."""
    message = {**run.request.prompt, "timestamp": run.accepted, "__openclaw": {"id": f"pending:{run.id}"}}
    return {"id": run.id, "runId": run.id, "message": message, "acceptedAt": run.accepted, "state": "queued"}


def thinking_levels(tree: dict[str, Any], ref: ModelRef, agent: str | None = None) -> dict[str, Any]:
    """`thinkingLevels`, `thinkingOptions` and `thinkingDefault` of a model: only `off` unless the config says that it
    reasons. `agent`: the agent whose default counts."""
    levels = models.THINKING if models.reasons(tree, ref) else models.THINKING[:1]
    usual = models.thinking(tree, agent) if agent is not None else "off"
    return {
        "thinkingLevels": [{"id": level, "label": level} for level in levels],
        "thinkingOptions": list(levels),
        "thinkingDefault": usual if usual in levels else "off",
    }


def kind(key: str, entry: dict[str, Any] | None = None) -> str:
    """`kind` of a row: `global`, `unknown`, `group` or `direct`. `entry`: the session's `Session.entry`."""
    if key in (GLOBAL, "unknown"):
        return key
    grouped = ":group:" in key or ":channel:" in key or (entry or {}).get("chatType") in ("group", "channel")
    return "group" if grouped else "direct"


def _classify(key: str) -> str:
    parts = key.split(":")
    known = len(parts) > 3 and parts[0] == "agent" and parts[2] in ("dashboard", "subagent", "cron", "acp")
    return parts[2] if known else "direct"


def title(session: Session, summary: Summary | None) -> str:
    """The title of a session: its name, else its first message, else its id and day."""
    for name in ("displayName", "label", "subject"):
        if isinstance(named := session.entry.get(name), str) and named.strip():
            return named.strip()
    first = _BLANKS.sub(" ", summary.first).strip() if summary else ""
    if not first:
        return f"{session.id[:8]} ({datetime.fromtimestamp(session.updated / 1000, UTC):%Y-%m-%d})"
    if len(first) <= TITLE:
        return first
    head = first[: TITLE - 1]
    space = head.rfind(" ")
    return (head[:space] if space > 0.6 * TITLE else head) + "…"


def _model(session: Session, tree: ConfigTree) -> ModelRef:
    return models.session_model(tree, session.agent, session.entry.get("model"))


def _older(session: Session, context: RowContext) -> dict[str, Any]:
    ref = _model(session, context.tree)
    return {
        "key": session.key,
        "kind": kind(session.key, session.entry),
        **_named(session, ("label",)),
        **_display_name(session),
        "chatType": "direct",
        "origin": {"provider": WEBCHAT, "surface": WEBCHAT, "chatType": "direct"},
        "updatedAt": session.updated,
        "sessionId": session.id,
        "systemSent": session.messages > 0,
        "abortedLastRun": session.aborted,
        **_named(session, SETTINGS),
        **_tokens(session),
        "modelProvider": ref.provider,
        "model": ref.id,
        "contextTokens": models.window(context.tree, ref),
        "deliveryContext": {"channel": WEBCHAT},
        "lastChannel": WEBCHAT,
        **_summary(session, context),
    }


def _newer(session: Session, context: RowContext) -> dict[str, Any]:
    ref, main = _model(session, context.tree), session.key == context.main
    return {
        "key": session.key,
        "kind": kind(session.key, session.entry),
        "classification": "main" if main else _classify(session.key),
        "agentId": session.agent,
        "isMain": main,
        "isBackground": False,
        "permissionModePending": False,
        "createdVia": "operator",
        "createdAt": session.created,
        **_named(session, ("label",)),
        **_display_name(session),
        **_summary(session, context),
        "chatType": "direct",
        "updatedAt": session.updated,
        "lastInteractionAt": session.updated,
        **{name: session.entry.get(name) is True for name in ("archived", "pinned", "unread")},
        "sessionId": session.id,
        "systemSent": session.messages > 0,
        "abortedLastRun": session.aborted,
        **_named(session, (*SETTINGS, *NEWER_SETTINGS)),
        **thinking_levels(context.tree, ref, session.agent),
        "effectiveFastMode": False,
        "effectiveFastModeSource": "default",
        **_tokens(session),
        "totalTokensFresh": session.total > 0,
        **_status(session, context),
        "hasAutomation": False,
        "effectiveResponseUsage": session.entry.get("responseUsage") or "off",
        "effectiveQueueMode": "followup",
        "modelProvider": ref.provider,
        "model": ref.id,
        "modelOverrideSource": "user" if session.entry.get("model") else None,
        "runtimeSelectionLocked": False,
        "agentRuntime": RUNTIME,
        "contextTokens": models.window(context.tree, ref),
        "snapshotAt": context.now,
        "hasActiveRun": bool(context.active),
        "activeRunIds": list(context.active),
    }


def _named(session: Session, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := session.entry.get(name)) is not None}


def _display_name(session: Session) -> dict[str, Any]:
    name = session.entry.get("displayName") or session.entry.get("label")
    return {"displayName": name} if name else {}


def _tokens(session: Session) -> dict[str, Any]:
    return {"inputTokens": session.input, "outputTokens": session.output, "totalTokens": session.total}


def _summary(session: Session, context: RowContext) -> dict[str, Any]:
    found: dict[str, Any] = {"derivedTitle": title(session, context.summary)} if context.titled else {}
    if context.previewed and context.summary and context.summary.last:
        found["lastMessagePreview"] = _BLANKS.sub(" ", context.summary.last).strip()
    return found


def _status(session: Session, context: RowContext) -> dict[str, Any]:
    """`status` of the last run; nothing before the first one."""
    if context.active:
        return {"status": "running"}
    return {"status": "killed" if session.aborted else "done"} if session.messages else {}
