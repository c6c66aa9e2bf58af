"""What models were used and what it cost: nothing, because nothing runs here yet."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import READ
from gateway.rpc.registry import Call, method

MAX_DAYS = 366
_COUNTS = ("input", "output", "cacheRead", "cacheWrite", "totalTokens", "totalCost", "missingCostEntries")
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
    zero = dict.fromkeys((*_COUNTS[:-1], *_COSTS, _COUNTS[-1]), 0)
    days = [(last - timedelta(days=back)).isoformat() for back in reversed(range(count))]
    fresh = {"status": "fresh", "cachedFiles": 0, "pendingFiles": 0, "staleFiles": 0}
    return Cost(_now_ms(), count, [{"date": day, **zero} for day in days], zero, fresh)


def _now_ms() -> int:
    return int(time.time() * 1000)
