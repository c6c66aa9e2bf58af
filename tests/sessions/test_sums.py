"""What is added up for the pages of usage."""

from typing import Any

import pytest

from gateway.sessions import sums
from gateway.sessions.records import MessageCount, Session, Spent, Used

NO_TOTAL = {
    **dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "totalTokens", "totalCost"), 0),
    **dict.fromkeys(("inputCost", "outputCost", "cacheReadCost", "cacheWriteCost", "missingCostEntries"), 0),
}


def spent(day: str | None = "2026-11-22", session: str | None = "s", model: str | None = "m", **more: Any) -> Spent:
    facts: dict[str, Any] = {
        "agent": "main",
        "provider": "p",
        "answers": 1,
        "first": 10,
        "last": 20,
        **dict.fromkeys(("input", "output", "cache_read", "cache_write", "unpriced"), 0),
        **dict.fromkeys(("cost", "input_cost", "output_cost", "cache_read_cost", "cache_write_cost"), 0.0),
    }
    return Spent(day=day, session=session, model=model, **{**facts, **more})


def said(day: str | None = "2026-11-22", session: str | None = "s", **more: int) -> MessageCount:
    facts = {"first": 5, "last": 25, "total": 3, "user": 1, "assistant": 1, "results": 1, "errors": 0}
    return MessageCount(day=day, session=session, **{**facts, **more})


def session(key: str = "s", **more: Any) -> Session:
    return Session(**{"key": key, "id": f"id-{key}", "agent": "main", "created": 1, "updated": 2, "entry": {}, **more})


def test_rows_by_a_field_keep_their_order() -> None:
    rows = [spent("b"), spent("a", "1"), spent(None), spent("a", "2")]
    assert sums.by("day", rows) == {"b": [rows[0]], "a": [rows[1], rows[3]], "": [rows[2]]}


def test_a_total_adds_up_tokens_and_dollars() -> None:
    rows = [
        spent(input=1, output=20, cost=0.5, input_cost=0.125, output_cost=0.375, unpriced=1),
        spent(cache_read=300, cache_write=4000, cost=0.25, cache_read_cost=0.25, unpriced=2),
    ]
    costs = {"inputCost": 0.125, "outputCost": 0.375, "cacheReadCost": 0.25, "cacheWriteCost": 0.0}
    found = sums.total(rows, date="today")
    assert found == {
        "date": "today",
        "input": 1,
        "output": 20,
        "cacheRead": 300,
        "cacheWrite": 4000,
        "totalTokens": 4321,
        "totalCost": 0.75,
        "missingCostEntries": 3,
        **costs,
    }


def test_nothing_adds_up_to_nothing() -> None:
    assert sums.total([]) == NO_TOTAL
    found = sums.aggregates([], [], [], 0)
    assert found["sessionCount"] == 0 and found["tools"] == {"totalCalls": 0, "uniqueTools": 0, "tools": []}
    assert set(found["messages"].values()) == {0}
    assert [value for value in found.values() if isinstance(value, list)] == [[]] * 9


def test_a_session_gets_its_own_rows() -> None:
    rows = [spent("2026-11-23", "a", input=1), spent("2026-11-22", "a", input=2), spent(session="b", input=4)]
    used = [Used("a", "look", 2), Used("b", "write", 1)]
    listed = sums.sessions([session("b"), session("a")], rows, [said(session="a", first=3, last=99)], used)
    assert [row["key"] for row in listed] == ["b", "a"]
    b, a = (row["usage"] for row in listed)
    assert (b["input"], b["messageCounts"]["total"], b["toolUsage"]["tools"]) == (4, 0, [{"name": "write", "count": 1}])
    assert (a["input"], a["sessionId"], a["messageCounts"]["toolCalls"]) == (3, "id-a", 2)
    assert (a["firstActivity"], a["lastActivity"], a["durationMs"]) == (3, 99, 96)
    assert a["activityDates"] == ["2026-11-22", "2026-11-23"]
    assert a["dailyBreakdown"] == [
        {"date": "2026-11-22", "tokens": 2, "cost": 0.0},
        {"date": "2026-11-23", "tokens": 1, "cost": 0.0},
    ]


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, {}),
        ({"entry": {"label": "lunch"}}, {"label": "lunch"}),
        ({"entry": {"label": ""}}, {}),
        ({"provider": "p", "model": "m"}, {"modelProvider": "p", "model": "m"}),
        ({"provider": "p"}, {}),
    ],
)
def test_a_session_that_was_never_used_has_no_usage(more: dict[str, Any], shown: dict[str, Any]) -> None:
    (row,) = sums.sessions([session(**more)], [], [], [])
    assert row["usage"] is None
    assert {key: row[key] for key in ("label", "modelProvider", "model") if key in row} == shown


def test_the_dearest_comes_first_then_the_one_with_the_most_tokens() -> None:
    rows = [
        spent(model="few", input=1),
        spent(model="dear", cost=2.0),
        spent(model="many", input=2, answers=2),
        spent(model="many", input=3, answers=3),
    ]
    found = sums.aggregates(rows, [], [], 1)
    assert [(row["model"], row["count"]) for row in found["byModel"]] == [("dear", 1), ("many", 5), ("few", 1)]
    assert [(row["provider"], row["totals"]["totalTokens"]) for row in found["byProvider"]] == [("p", 6)]
    assert [row["agentId"] for row in found["byAgent"]] == ["main"]


def test_tools_by_how_often_they_were_called_then_by_name() -> None:
    used = [Used("a", "write", 1), Used("a", "look", 1), Used("b", "ask", 2), Used("b", "look", 0)]
    assert sums.aggregates([], [], used, 2)["tools"] == {
        "totalCalls": 4,
        "uniqueTools": 3,
        "tools": [{"name": "ask", "count": 2}, {"name": "look", "count": 1}, {"name": "write", "count": 1}],
    }


def test_a_day_is_one_of_messages_or_of_costs() -> None:
    rows = [spent("2026-11-23", input=5, cost=0.5), spent("2026-11-21", model="other", input=1)]
    found = sums.aggregates(rows, [said("2026-11-22", errors=1)], [], 1)
    assert found["daily"] == [
        {"date": "2026-11-21", "tokens": 1, "cost": 0.0, "messages": 0, "toolCalls": 0, "errors": 0},
        {"date": "2026-11-22", "tokens": 0, "cost": 0, "messages": 3, "toolCalls": 1, "errors": 1},
        {"date": "2026-11-23", "tokens": 5, "cost": 0.5, "messages": 0, "toolCalls": 0, "errors": 0},
    ]
    assert [row["date"] for row in found["costDaily"]] == ["2026-11-21", "2026-11-23"]
    assert [(row["date"], row["model"], row["tokens"], row["count"]) for row in found["modelDaily"]] == [
        ("2026-11-21", "other", 1, 1),
        ("2026-11-23", "m", 5, 1),
    ]
