from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from gateway.rpc.methods import usage
from tests.rpc.calls import call
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import NEW, OLD, Caller, run, talking
from tests.sessions.talk import MAIN, NOW, assistant, converse, tool_result

DAY = 86_400_000
RANGE = {"startDate": "2026-11-21", "endDate": "2026-11-22"}
"""NOW is in the second of these days."""


async def used(talk: Caller) -> None:
    tool = [tool_result("look", "x", NOW), tool_result("look", "y", NOW, error=True)]
    await converse(talk.store, "r1", MAIN, "hello", *tool, assistant("Hi."))
    await converse(talk.store, "r2", "agent:main:work", "yes", assistant("No.", NOW - DAY, model="m2"), now=NOW - DAY)
    free = assistant("?", NOW, usage={"input": 1, "output": 1, "cacheRead": 0, "cacheWrite": 0})
    await converse(talk.store, "r3", "agent:other:x", "and", free, agent="other")


def test_nothing_is_asked_of_providers() -> None:
    payload = call(configured(), OLD, "usage.status")["payload"]
    assert payload["updatedAt"] > 0 and payload["providers"] == []


def test_cost_by_day(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await used(talk)
            answer = await talk.get("usage.cost", RANGE)
            assert (answer["days"], [day["date"] for day in answer["daily"]]) == (2, ["2026-11-21", "2026-11-22"])
            assert answer["daily"][1] == {
                "date": "2026-11-22",
                "input": 10,
                "output": 5,
                "cacheRead": 2,
                "cacheWrite": 1,
                "totalTokens": 18,
                "totalCost": 0.9375,
                "inputCost": 0.5,
                "outputCost": 0.25,
                "cacheReadCost": 0.125,
                "cacheWriteCost": 0.0625,
                "missingCostEntries": 0,
            }
            assert (answer["totals"]["totalTokens"], answer["totals"]["totalCost"]) == (36, 1.875)
            assert answer["cacheStatus"]["status"] == "fresh"
            every = await talk.get("usage.cost", RANGE | {"agentScope": "all"})
            assert (every["totals"]["totalTokens"], every["totals"]["missingCostEntries"]) == (38, 1)
            assert (await talk.get("usage.cost", RANGE | {"agentId": "Other"}))["totals"]["totalTokens"] == 2

    run(scenario())


class Then(datetime):
    """A clock that stands at NOW."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Then":
        return cls.fromtimestamp(NOW / 1000, tz)


def test_cost_for_protocol_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "datetime", Then)  # its range ends today

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await used(talk)
            answer = await talk.get("usage.cost", {"days": 365}, OLD)
            assert answer["days"] == 365 and "cacheStatus" not in answer
            assert [day["date"] for day in answer["daily"]] == ["2026-11-21", "2026-11-22"]
            assert (answer["totals"]["totalTokens"], "inputCost" in answer["totals"]) == (38, True)

    run(scenario())


def test_usage_by_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await used(talk)
            answer = await talk.get("sessions.usage", RANGE)
            assert (answer["startDate"], answer["endDate"]) == ("2026-11-21", "2026-11-22")
            main, work = answer["sessions"]
            assert (main["key"], main["agentId"], work["key"]) == (MAIN, "main", "agent:main:work")
            mine = main["usage"]
            assert (mine["totalTokens"], mine["totalCost"], mine["activityDates"]) == (18, 0.9375, ["2026-11-22"])
            assert mine["messageCounts"] == {
                "total": 4,
                "user": 1,
                "assistant": 1,
                "toolCalls": 2,
                "toolResults": 2,
                "errors": 1,
            }
            assert mine["toolUsage"] == {"totalCalls": 2, "uniqueTools": 1, "tools": [{"name": "look", "count": 2}]}
            assert mine["dailyBreakdown"] == [{"date": "2026-11-22", "tokens": 18, "cost": 0.9375}]
            assert (mine["firstActivity"], mine["lastActivity"], mine["durationMs"]) == (NOW, NOW, 0)
            sums = answer["aggregates"]
            assert (sums["sessionCount"], sums["messages"]["total"]) == (2, 6)
            assert {row["model"] for row in sums["byModel"]} == {"m1", "m2"}
            assert [(row["provider"], row["count"]) for row in sums["byProvider"]] == [("mock", 2)]
            assert [(row["agentId"], row["totals"]["totalTokens"]) for row in sums["byAgent"]] == [("main", 36)]
            assert [(day["date"], day["messages"], day["tokens"]) for day in sums["daily"]] == [
                ("2026-11-21", 2, 18),
                ("2026-11-22", 4, 18),
            ]
            assert [(row["date"], row["model"], row["count"]) for row in sums["modelDaily"]] == [
                ("2026-11-21", "m2", 1),
                ("2026-11-22", "m1", 1),
            ]
            assert answer["totals"]["totalTokens"] == 36

    run(scenario())


def test_usage_by_session_for_protocol_3(tmp_path: Path) -> None:
    """As 2026.2.26 has it, of all agents."""

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await used(talk)
            answer = await talk.get("sessions.usage", RANGE, OLD)
            assert set(answer) == {"updatedAt", "startDate", "endDate", "sessions", "totals", "aggregates"}
            assert set(answer["sessions"][0]) <= {
                *("key", "label", "sessionId", "updatedAt", "agentId", "channel", "chatType", "origin"),
                *("modelOverride", "providerOverride", "modelProvider", "model", "usage", "contextWeight"),
            }
            assert set(answer["aggregates"]) == {
                *("messages", "tools", "byModel", "byProvider", "byAgent", "byChannel"),
                *("dailyLatency", "modelDaily", "daily"),
            }
            assert answer["totals"]["totalTokens"] >= 36 and "inputCost" in answer["totals"]

    run(scenario())


def test_usage_of_one_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await used(talk)
            answer = await talk.get("sessions.usage", RANGE | {"key": "work", "includeContextWeight": True})
            (row,) = answer["sessions"]
            assert (row["key"], answer["totals"]["totalTokens"]) == ("agent:main:work", 18)
            other = await talk.get(
                "sessions.usage", {"startDate": "2020-01-01", "endDate": "2020-01-01", "key": "work"}
            )
            assert other["sessions"][0]["usage"] is None and other["totals"]["totalTokens"] == 0

    run(scenario())


def test_only_so_many_sessions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await used(talk)
            answer = await talk.get("sessions.usage", RANGE | {"limit": 1, "agentScope": "all"})
            assert len(answer["sessions"]) == 1 and answer["aggregates"]["sessionCount"] == 3

    run(scenario())


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ({}, "2026-11-22"),
        ({"mode": "utc"}, "2026-11-22"),
        ({"mode": "specific", "utcOffset": "UTC+14:00"}, "2026-11-22"),
        ({"mode": "specific", "utcOffset": "UTC-10"}, "2026-11-21"),
        ({"mode": "specific", "timeZone": "Pacific/Honolulu", "utcOffset": "UTC+1"}, "2026-11-21"),
    ],
)
def test_where_a_day_begins(tmp_path: Path, zone: dict[str, str], first: str) -> None:
    """NOW is 9:33 in UTC."""

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "r1", MAIN, "hello", assistant("Hi."))
            answer = await talk.get("usage.cost", RANGE | zone)
            assert [day["date"] for day in answer["daily"] if day["totalTokens"]] == [first]

    run(scenario())


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        ({"startDate": "2026-01-02", "endDate": "2026-01-01"}, "startDate must not be after endDate"),
        ({"startDate": "2026-01-02"}, "startDate and endDate must be provided together"),
        ({"endDate": "2026-01-02"}, "startDate and endDate must be provided together"),
        ({"mode": "specific", "utcOffset": "UTC+15"}, "invalid utcOffset: expected UTC-12:00 through UTC+14:00"),
        ({"mode": "specific", "timeZone": "Not/There"}, "invalid timeZone: expected an IANA time zone"),
        ({"mode": "specific", "timeZone": "../etc/passwd"}, "invalid timeZone: expected an IANA time zone"),
        ({"agentScope": "all", "agentId": "x"}, "agentScope=all cannot be combined with agentId"),
    ],
)
def test_a_range_that_is_none(tmp_path: Path, ask: dict[str, str], sentence: str) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for name in ("usage.cost", "sessions.usage"):
                assert await talk.refusal(name, ask) == sentence

    run(scenario())


@pytest.mark.parametrize(
    ("ask", "count", "first"),
    [
        ({"startDate": "0001-01-01", "endDate": "9999-12-31"}, 366, "9998-12-31"),
        ({"startDate": "0001-01-01", "endDate": "0001-01-02"}, 2, "0001-01-01"),
        ({"days": 3}, 3, None),
        ({"days": 10**9}, 366, None),
        ({"range": "7d"}, 7, None),
        ({"range": "all"}, 366, None),
        ({}, 30, None),
    ],
)
def test_a_range_is_bounded(tmp_path: Path, ask: dict[str, Any], count: int, first: str | None) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            daily = (await talk.get("usage.cost", ask, NEW))["daily"]
            assert len(daily) == count and first in (None, daily[0]["date"])

    run(scenario())
