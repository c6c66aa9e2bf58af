"""Use and cost of models by day and by session, from the database."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config import catalog
from gateway.machine.clock import now_ms
from gateway.protocol.frames import RpcError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import READ
from gateway.rpc.methods.conversation import or_refuse, session_key
from gateway.rpc.registry import Call, method
from gateway.sessions import sums
from gateway.sessions.records import Filter
from gateway.sessions.store import Store
from gateway.sessions.sums import FRESH

MAX_DAYS = 366
DEFAULT_DAYS = 30
DEFAULT_LIMIT = 50
"""Sessions in one answer if the client names no limit."""
MAX_LIMIT = 1000
_EPOCH, _DAY_MS = date(1970, 1, 1).toordinal(), 86_400_000
_NEWER = {
    "sessions": {"scope", "creatorKey", "hasContextWeight"},
    "aggregates": {"sessionCount", "byCreator", "costDaily"},
}
"""Fields that protocol 3 does not have."""
_DAYS = {"7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": MAX_DAYS}


class UsageStatus(Struct, rename="camel"):
    updated_at: int
    providers: list[dict[str, Any]]


class Days(Params, frozen=True):
    """The days to count, and where they begin. Without dates it is a number of days up to today."""

    start_date: date | None = None
    end_date: date | None = None
    range: Literal["7d", "30d", "90d", "1y", "all"] | None = None
    mode: Literal["utc", "gateway", "specific"] | None = None
    """Time zone of the days: `utc` (default), `gateway` (this machine's), `specific` (`timeZone`, `utcOffset`)."""
    utc_offset: Annotated[str, Meta(pattern=r"^UTC[+-]\d{1,2}(:[0-5]\d)?$")] | None = None
    time_zone: str | None = None
    agent_id: str | None = None
    agent_scope: Literal["all"] | None = None


class CostParams(Days, frozen=True):
    days: Annotated[int, Meta(ge=1)] | None = None


class Cost(Struct, rename="camel"):
    updated_at: int
    days: int
    daily: list[dict[str, Any]]
    totals: dict[str, Any]
    cache_status: dict[str, Any] | UnsetType = UNSET


class SessionsUsageParams(Days, frozen=True):
    key: str | None = None
    creator_key: str | None = None
    group_by: str | None = None
    include_historical: bool = False
    limit: Annotated[int, Meta(ge=1)] | None = None
    include_context_weight: bool = False


class SessionsUsage(Struct, rename="camel"):
    updated_at: int
    start_date: str
    end_date: str
    sessions: list[dict[str, Any]]
    totals: dict[str, Any]
    aggregates: dict[str, Any]
    creator_options: list[dict[str, Any]] | UnsetType = UNSET
    cache_status: dict[str, Any] | UnsetType = UNSET


class Period(Struct, frozen=True):
    first: date
    last: date
    offset_min: int
    """The offset at which days begin, in minutes east of UTC."""

    @property
    def since(self) -> int:
        """Begin of the first day, in milliseconds since 1970."""
        return (self.first.toordinal() - _EPOCH) * _DAY_MS - self.offset_min * 60_000

    @property
    def until(self) -> int:
        """End of the last day, in milliseconds since 1970."""
        return (self.last.toordinal() - _EPOCH + 1) * _DAY_MS - self.offset_min * 60_000

    @property
    def days(self) -> list[str]:
        ordinals = range(self.first.toordinal(), self.last.toordinal() + 1)
        return [date.fromordinal(each).isoformat() for each in ordinals]


@method("usage.status", NoParams, UsageStatus, scope=READ)
def usage_status(call: Call, params: NoParams) -> UsageStatus:
    """The quotas of model providers: none, because no provider is asked."""
    return UsageStatus(now_ms(), [])


@method("usage.cost", CostParams, Cost, scope=READ)
async def usage_cost(call: Call, params: CostParams) -> Cost:
    """Tokens and dollars by day, for the default agent unless the client asks for another one or for all.

    In protocol 3 it is for all agents, and only days with usage are listed.
    """
    modern = call.peer.protocol >= 4
    period, agent = _period(params, params.days), _agent(call, params) if modern else None
    store = await _store(call)
    found = await or_refuse(store.spent(period.since, period.until, ("day",), period.offset_min, agent=agent))
    days = sums.by("day", found)
    daily = [sums.total(days.get(day, []), date=day) for day in (period.days if modern else days)]
    answer = Cost(now_ms(), len(period.days), daily, sums.total(found))
    if modern:
        answer.cache_status = FRESH
    return answer


@method("sessions.usage", SessionsUsageParams, SessionsUsage, scope=READ)
async def sessions_usage(call: Call, params: SessionsUsageParams) -> SessionsUsage:
    """Tokens, dollars and messages by session, the latest first, with sums by day, model, provider and agent.

    In protocol 3 it is for all agents.
    """
    period, modern = _period(params, None), call.peer.protocol >= 4
    key = session_key(call, params.key) if params.key else None
    agent = _agent(call, params) if modern and not key else None
    store = await _store(call)
    since, until, offset = period.since, period.until, period.offset_min
    spent = await or_refuse(
        store.spent(since, until, ("day", "session", "agent", "provider", "model"), offset, agent=agent, session=key)
    )
    said = await or_refuse(store.message_counts(since, until, ("day", "session"), offset, agent=agent, session=key))
    used = await or_refuse(store.tools(since, until, agent=agent, session=key))
    which = Filter(agent=agent, keys=(key,) if key else None)
    page = await or_refuse(store.sessions(which, min(params.limit or DEFAULT_LIMIT, MAX_LIMIT)))
    rows, added = await asyncio.to_thread(
        lambda: (sums.sessions(page.sessions, spent, said, used), sums.aggregates(spent, said, used, page.total))
    )
    answer = SessionsUsage(now_ms(), period.first.isoformat(), period.last.isoformat(), rows, sums.total(spent), added)
    if modern:
        answer.creator_options, answer.cache_status = [{"key": '["unknown"]'}], FRESH
    else:
        answer.sessions = [_without(row, _NEWER["sessions"]) for row in rows]
        answer.aggregates = _without(added, _NEWER["aggregates"])
    return answer


def _without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in names}


# -- periods -----------------------------------------------------------------------------------------------------------


def _period(params: Days, days: int | None) -> Period:
    offset = _offset(params)
    today = (datetime.now(UTC) + timedelta(minutes=offset)).date()
    if (params.start_date is None) != (params.end_date is None):
        raise RpcError("startDate and endDate must be provided together")
    if params.start_date is not None and params.end_date is not None:
        if params.start_date > params.end_date:
            raise RpcError("startDate must not be after endDate")
        first = max(params.start_date.toordinal(), params.end_date.toordinal() - MAX_DAYS + 1)
        return Period(date.fromordinal(first), params.end_date, offset)
    wanted = _DAYS[params.range] if params.range else days or DEFAULT_DAYS
    return Period(today - timedelta(days=min(wanted, MAX_DAYS) - 1), today, offset)


def _offset(params: Days) -> int:
    """Minutes east of UTC. A zone has its present offset for all days, also before a change of the clock."""
    now = datetime.now(UTC)
    if params.mode == "gateway":
        found = now.astimezone().utcoffset()
    elif params.mode == "specific" and params.time_zone:
        # Hardly anybody asks for it, and it brings a third of a megabyte; no upgrade of ours replaces it.
        from zoneinfo import ZoneInfo

        try:
            found = now.astimezone(ZoneInfo(params.time_zone)).utcoffset()
        except (KeyError, ValueError, OSError):
            raise RpcError("invalid timeZone: expected an IANA time zone") from None
    elif params.mode == "specific" and params.utc_offset:
        hours, _, minutes = params.utc_offset[4:].partition(":")
        found = timedelta(hours=int(hours), minutes=int(minutes or 0)) * (-1 if params.utc_offset[3] == "-" else 1)
        if not timedelta(hours=-12) <= found <= timedelta(hours=14):
            raise RpcError("invalid utcOffset: expected UTC-12:00 through UTC+14:00")
    else:
        found = timedelta(0)
    return int((found or timedelta(0)).total_seconds() // 60)


def _agent(call: Call, params: Days) -> str | None:
    """The agent to count; None: all agents."""
    asked = (params.agent_id or "").strip().lower()
    if params.agent_scope == "all":
        if asked:
            raise RpcError("agentScope=all cannot be combined with agentId")
        return None
    return asked or catalog.default_id(call.core.tree)


async def _store(call: Call) -> Store:
    await or_refuse(call.core.conversations.ready())
    return call.core.conversations.store
