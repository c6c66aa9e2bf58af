"""What models were used and what it cost: nothing, because nothing runs here yet."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

MAX_DAYS = 366
_COUNTS = ("input", "output", "cacheRead", "cacheWrite", "totalTokens", "totalCost", "missingCostEntries")
_DAYS = {"7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": MAX_DAYS}
_AGGREGATES = (
    *("byModel", "byProvider", "byAgent", "byChannel", "byCreator"),
    *("costDaily", "dailyLatency", "modelDaily", "daily"),
)
_COSTS = ("inputCost", "outputCost", "cacheReadCost", "cacheWriteCost")


class UsageStatus(Struct, rename="camel"):
    updated_at: int
    providers: list[dict[str, Any]]


class CostParams(Params, frozen=True):
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = 30
    start_date: date | None = None
    end_date: date | None = None
    mode: str | None = None
    utc_offset: str | None = None
    agent_id: str | None = None
    agent_scope: str | None = None


class Cost(Struct, rename="camel"):
    updated_at: int
    days: int
    daily: list[dict[str, Any]]
    totals: dict[str, int]
    cache_status: dict[str, Any] | UnsetType = UNSET


class SessionsUsageParams(Params, frozen=True):
    key: str | None = None
    agent_id: str | None = None
    agent_scope: Literal["all"] | None = None
    creator_key: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    range: Literal["7d", "30d", "90d", "1y", "all"] | None = None
    """Without both dates; unset, as many days as `usage.cost` has by itself."""
    mode: str | None = None
    group_by: str | None = None
    include_historical: bool = False
    utc_offset: str | None = None
    time_zone: str | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    include_context_weight: bool = False


class SessionsUsage(Struct, rename="camel"):
    updated_at: int
    start_date: str
    end_date: str
    sessions: list[dict[str, Any]]
    totals: dict[str, int]
    aggregates: dict[str, Any]
    creator_options: list[dict[str, Any]]


@method("usage.status", NoParams, UsageStatus, scope=READ)
def usage_status(call: Call, params: NoParams) -> UsageStatus:
    """The quotas of model providers: none is asked."""
    return UsageStatus(_now_ms(), [])


@method("usage.cost", CostParams, Cost, scope=READ)
def usage_cost(call: Call, params: CostParams) -> Cost:
    """Tokens and cost by day: zero. A client of protocol 3 gets only days on which something was used."""
    if call.peer.protocol < 4:
        return Cost(_now_ms(), params.days, [], dict.fromkeys(_COUNTS, 0))
    last = params.end_date or datetime.now(UTC).date()
    span = (last - params.start_date).days + 1 if params.start_date else params.days
    count = max(1, min(span, MAX_DAYS, last.toordinal()))
    zero = _zero()
    days = [(last - timedelta(days=back)).isoformat() for back in reversed(range(count))]
    fresh = {"status": "fresh", "cachedFiles": 0, "pendingFiles": 0, "staleFiles": 0}
    return Cost(_now_ms(), count, [{"date": day, **zero} for day in days], zero, fresh)


@method("sessions.usage", SessionsUsageParams, SessionsUsage, scope=READ, since=4)
def sessions_usage(call: Call, params: SessionsUsageParams) -> SessionsUsage:
    """Tokens and cost by session: there is none."""
    last = params.end_date or datetime.now(UTC).date()
    days = _DAYS[params.range] if params.range else CostParams().days
    first = params.start_date or date.fromordinal(max(1, last.toordinal() - days + 1))
    messages = dict.fromkeys(("total", "user", "assistant", "toolCalls", "toolResults", "errors"), 0)
    aggregates = {
        "sessionCount": 0,
        "messages": messages,
        "tools": {"totalCalls": 0, "uniqueTools": 0, "tools": []},
        **{name: [] for name in _AGGREGATES},
    }
    return SessionsUsage(_now_ms(), first.isoformat(), last.isoformat(), [], _zero(), aggregates, [])


def _zero() -> dict[str, int]:
    return dict.fromkeys((*_COUNTS[:-1], *_COSTS, _COUNTS[-1]), 0)


def _now_ms() -> int:
    return int(time.time() * 1000)
