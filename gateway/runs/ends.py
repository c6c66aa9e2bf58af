"""The end of a run: stored first, then told, exactly once, whatever breaks.

An end that cannot be stored with all that was said is stored without it. An end that the disk does not take is told
after `StoringTimes.give_up`, because clients wait for it, and is stored once that is possible. If the process dies
before, the next one hears of the end from the agent.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial

from msgspec.structs import replace

from gateway.link.messages import Ended, Failure
from gateway.runs.active import INTERRUPTED, ActiveRun
from gateway.runs.storing import Patience, StoringTimes
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Progress, Run, RunState
from gateway.sessions.store import Store

log = logging.getLogger("gateway.runs")

BROKEN = "the gateway has an error; its log has the details"
_REASONS = {"done": "stop", "aborted": "aborted", "interrupted": INTERRUPTED}

Announcing = Callable[[], AbstractContextManager[None]]
"""A context around an event that is stored and then told, such as `Hub.announcing`: a process that dies in between must
leave a sign of it."""


class Ends:
    def __init__(
        self,
        store: Store,
        let_go: Callable[[ActiveRun], None],
        conclude: Callable[[Run, ActiveRun], None],
        *,
        now: Callable[[], int],
        patience: Patience,
        announcing: Announcing,
        times: StoringTimes,
    ) -> None:
        """`let_go` is called when the agent may forget the run, `conclude` when the end is to be told.

        `now`: milliseconds since 1970.
        """
        self.unstored: dict[str, tuple[ActiveRun, Run]] = {}
        """Runs that were told to be over and whose end is not on disk yet."""
        self._store = store
        self._let_go = let_go
        self._conclude = conclude
        self._now = now
        self._patiently = patience
        self._announcing = announcing
        self._times = times

    async def end(self, live: ActiveRun, state: RunState, failure: Failure | None, ended: Ended | None) -> None:
        """Store the end and tell it. Raises StorageFailed when the process leaves before it is stored."""
        try:
            await self._end(live, partial(self._write, live, state, failure, ended))
        except StorageFailed as error:
            if self._patiently.over:
                raise
            why = not_stored(error)
            await self._end_without_disk(live, why, partial(self._write, live, "failed", why, None))
        except Exception:
            log.exception("the end of run %s cannot be stored with all that was said", live.run.id)
            await self._end_plainly(live, Failure("internal", BROKEN))

    async def _end_plainly(self, live: ActiveRun, why: Failure) -> None:
        try:
            await self._end(live, partial(self._write_plainly, live, why))
        except Exception as error:
            if isinstance(error, StorageFailed) and self._patiently.over:
                raise
            log.exception("the end of run %s cannot be stored", live.run.id)
            await self._end_without_disk(live, why, partial(self._write_plainly, live, why))

    async def _end(self, live: ActiveRun, write: Callable[[], Awaitable[Run]]) -> None:
        with self._announcing():
            run = await self._patiently(write, self._times.give_up)
            self._let_go(live)
            self._conclude(run, live)

    async def _end_without_disk(self, live: ActiveRun, why: Failure, write: Callable[[], Awaitable[Run]]) -> None:
        over = replace(
            live.run,
            state="failed",
            ended=self._now(),
            seq=live.seq,
            answer=live.answer,
            provider=live.provider,
            model=live.model,
            stop_reason="error",
            failure=why,
        )
        self.unstored[live.run.id] = live, over
        self._conclude(over, live)
        await self._patiently(write)
        del self.unstored[live.run.id]
        self._let_go(live)

    async def _write(self, live: ActiveRun, state: RunState, failure: Failure | None, ended: Ended | None) -> Run:
        at = self._now()
        return await self._store.end(
            live.progress(),
            state,
            at,
            rest=live.partial(at),
            stop_reason=ended.stop_reason if ended else _REASONS.get(state, "error"),
            failure=failure,
            usage=ended.usage if ended else None,
        )

    async def _write_plainly(self, live: ActiveRun, why: Failure) -> Run:
        """Store the end without anything that is not on disk yet."""
        known = Progress(live.run.id, live.seq, "", acted=live.acted, attempt=live.run.attempts)
        return await self._store.end(known, "failed", self._now(), stop_reason="error", failure=why)


def not_stored(error: StorageFailed) -> Failure:
    """Why a run has failed that the disk does not take."""
    return Failure("internal", f"what was said cannot be stored: {error}", retryable=True)
