"""Sums of tokens, costs and messages, in the shapes of OpenClaw's usage pages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.sessions.records import MessageCount, Session, Spent, Used

_COSTS = ("input_cost", "output_cost", "cache_read_cost", "cache_write_cost")
_COUNTS = ("input", "output", "cache_read", "cache_write")
Row = TypeVar("Row", Spent, MessageCount, Used)
FRESH = {"status": "fresh", "cachedFiles": 0, "pendingFiles": 0, "staleFiles": 0}
"""The state of OpenClaw's cache of counts. There is none here, so that all counts are fresh."""


def by(name: str, found: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by the value of one of their fields."""
    groups: dict[str, list[Row]] = {}
    for each in found:
        groups.setdefault(getattr(each, name) or "", []).append(each)
    return groups


def total(found: Sequence[Spent], **head: Any) -> dict[str, Any]:
    """`totals` of the pages: tokens by kind, `totalTokens`, dollars by kind, `totalCost`, `missingCostEntries`."""
    counts = {name: sum(getattr(each, name) for each in found) for name in _COUNTS}
    costs = {name: sum(getattr(each, name) for each in found) for name in _COSTS}
    return {
        **head,
        **{_camel(name): value for name, value in counts.items()},
        "totalTokens": sum(counts.values()),
        "totalCost": sum(each.cost for each in found),
        **{_camel(name): value for name, value in costs.items()},
        "missingCostEntries": sum(each.unpriced for each in found),
    }


def sessions(
    found: Sequence[Session], spent: Sequence[Spent], said: Sequence[MessageCount], used: Sequence[Used]
) -> list[dict[str, Any]]:
    """Rows of `sessions.usage`: `key`, `sessionId`, `agentId`, `updatedAt`, …, and `usage`, None without any.

    `usage` has the fields of `total`, `messageCounts`, `toolUsage`, `modelUsage` and `dailyBreakdown`.
    """
    costs, messages, tools = by("session", spent), by("session", said), by("session", used)
    return [
        _session(each, costs.get(each.key, []), messages.get(each.key, []), tools.get(each.key, [])) for each in found
    ]


def aggregates(
    spent: Sequence[Spent], said: Sequence[MessageCount], used: Sequence[Used], count: int
) -> dict[str, Any]:
    """`aggregates` of the usage page. `count`: the number of sessions."""
    costs = {day: total(rows) for day, rows in sorted(by("day", spent).items())}
    messages = {day: _counts(rows, ()) for day, rows in by("day", said).items()}
    return {
        "sessionCount": count,
        "messages": _counts(said, used),
        "tools": _tools(used),
        "byModel": _grouped(spent, ("provider", "model")),
        "byProvider": _grouped(spent, ("provider",)),
        "byAgent": [{"agentId": row["agent"], "totals": row["totals"]} for row in _grouped(spent, ("agent",))],
        "byChannel": [],
        "byCreator": [],
        "costDaily": [{"date": day, **sums} for day, sums in costs.items()],
        "dailyLatency": [],
        "modelDaily": [row for day, rows in sorted(by("day", spent).items()) for row in _models_of_day(day, rows)],
        "daily": [_day(day, costs.get(day, {}), messages.get(day, {})) for day in sorted({*costs, *messages})],
    }


def _session(session: Session, spent: list[Spent], said: list[MessageCount], used: list[Used]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": session.key,
        "sessionId": session.id,
        "scope": "instance",
        "updatedAt": session.updated,
        "agentId": session.agent,
        "creatorKey": '["unknown"]',
        "usage": None,
        "hasContextWeight": False,
    }
    row |= {"label": label} if (label := session.entry.get("label")) else {}
    row |= {"modelProvider": session.provider, "model": session.model} if session.model else {}
    if spent or said:
        row["usage"] = _usage(session, spent, said, used)
    return row


def _usage(session: Session, spent: list[Spent], said: list[MessageCount], used: list[Used]) -> dict[str, Any]:
    times = [(each.first, each.last, each.day or "") for each in spent]
    times += [(each.first, each.last, each.day or "") for each in said]
    first, last = min(first for first, _, _ in times), max(last for _, last, _ in times)
    daily = {day: total(rows) for day, rows in sorted(by("day", spent).items())}
    return {
        **total(spent),
        "sessionId": session.id,
        "firstActivity": first,
        "lastActivity": last,
        "durationMs": last - first,
        "activityDates": sorted({day for _, _, day in times}),
        "messageCounts": _counts(said, used),
        "toolUsage": _tools(used),
        "modelUsage": _grouped(spent, ("provider", "model")),
        "dailyBreakdown": [{"date": day, **_short(sums)} for day, sums in daily.items()],
    }


def _counts(said: Sequence[MessageCount], used: Sequence[Used]) -> dict[str, int]:
    return {
        "total": sum(each.total for each in said),
        "user": sum(each.user for each in said),
        "assistant": sum(each.assistant for each in said),
        "toolCalls": sum(each.calls for each in used),
        "toolResults": sum(each.results for each in said),
        "errors": sum(each.errors for each in said),
    }


def _day(day: str, sums: Mapping[str, Any], messages: Mapping[str, int]) -> dict[str, Any]:
    return {
        "date": day,
        "tokens": sums.get("totalTokens", 0),
        "cost": sums.get("totalCost", 0),
        "messages": messages.get("total", 0),
        "toolCalls": messages.get("toolResults", 0),
        "errors": messages.get("errors", 0),
    }


def _models_of_day(day: str, spent: list[Spent]) -> list[dict[str, Any]]:
    return [
        {
            "date": day,
            "provider": row["provider"],
            "model": row["model"],
            **_short(row["totals"]),
            "count": row["count"],
        }
        for row in _grouped(spent, ("provider", "model"))
    ]


def _grouped(spent: Sequence[Spent], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of `names`, `count` and `totals`: the highest cost first, then the most tokens."""
    groups: dict[tuple[Any, ...], list[Spent]] = {}
    for each in spent:
        groups.setdefault(tuple(getattr(each, name) for name in names), []).append(each)
    rows = [
        {**dict(zip(names, values, strict=True)), "count": sum(each.answers for each in found), "totals": total(found)}
        for values, found in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["totals"]["totalCost"], -row["totals"]["totalTokens"]))


def _tools(used: Sequence[Used]) -> dict[str, Any]:
    calls = {tool: sum(each.calls for each in found) for tool, found in by("tool", used).items()}
    ranked = sorted(calls.items(), key=lambda each: (-each[1], each[0]))
    rows = [{"name": name, "count": count} for name, count in ranked]
    return {"totalCalls": sum(calls.values()), "uniqueTools": len(calls), "tools": rows}


def _short(sums: Mapping[str, Any]) -> dict[str, Any]:
    return {"tokens": sums["totalTokens"], "cost": sums["totalCost"]}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
