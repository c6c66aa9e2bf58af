"""Runs that go on: an agent is asked for each; its events are told and stored; each run ends once.

An event is told at once and stored a moment later. An end is stored before it is told. If the gateway dies, the next
one goes on in `resume`; if the agent dies, `lost` decides what becomes of its runs.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from gateway.aio.tasks import Tasks
from gateway.config.tree import Unusable
from gateway.link.client import AgentLink
from gateway.link.handler import LinkHandler, Unreachable
from gateway.link.messages import Ended, Event, Failure, StartRefused
from gateway.link.spec import Spec
from gateway.link.stream import Dial
from gateway.runs.active import ActiveRun, Gap
from gateway.runs.audience import Audience
from gateway.runs.ends import BROKEN, Announcing, Ends, not_stored
from gateway.runs.storing import Patience, Storing, StoringTimes
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Run, RunState
from gateway.sessions.store import Store

log = logging.getLogger("gateway.runs")

MAX_ASKING = 8
"""Runs for which an agent is asked at the same time: the spec of one may be megabytes of history."""
MAX_ATTEMPTS = 2
"""How many agents may begin a run, and how many are asked each time: one that says nothing may not have seen it."""
_STATES: dict[str, RunState] = {"done": "done", "failed": "failed", "aborted": "aborted"}

Specify = Callable[[Run], Awaitable[Spec]]
"""Makes the spec of a run. Raises Unusable and StorageFailed."""


class Owner(LinkHandler):
    """Owns the runs that an agent works on."""

    def __init__(
        self,
        store: Store,
        dial: Dial,
        specify: Specify,
        *,
        audience: Audience,
        over: Callable[[Run, ActiveRun], None],
        now: Callable[[], int],
        times: StoringTimes,
        patience: Patience,
        announcing: Announcing,
    ) -> None:
        """`over` is called with each run that has ended, once its end is stored. `now`: milliseconds since 1970."""
        self.active: dict[str, ActiveRun] = {}
        """Runs that go on, by id."""
        self._store = store
        self._specify = specify
        self._audience = audience
        self._over = over
        self._now = now
        self._times = times
        self._patiently = patience
        self._link = AgentLink(self, dial, time.monotonic)
        self._storing = Storing(store, self._link.ack, self._break_off, times)
        self._ends = Ends(
            store, self._let_go, self._conclude, now=now, patience=patience, announcing=announcing, times=times
        )
        self._asking = asyncio.Semaphore(MAX_ASKING)
        self._asks = Tasks(log)
        self._tasks = Tasks(log)
        self._closed = False

    def resume(self, runs: Iterable[Run]) -> None:
        """Go on with runs that another process has left."""
        for run in runs:
            live = self.active[run.id] = ActiveRun.resumed(run)
            self._audience.restarted(live)
        self._link.wake()

    def begin(self, run: Run, *, aborting: bool) -> None:
        """A run has begun on disk: ask an agent for it, or end it at once if `aborting`."""
        live = self.active[run.id] = ActiveRun(run)
        try:
            (self.abort if aborting else self._ask_soon)(live)  # first: those who hear of it read the database too
            self._audience.begun(live)
        except Exception:
            log.exception("run %s cannot be begun", run.id)
            self._break_off(live)

    def abort(self, live: ActiveRun) -> None:
        """Tell the agent to end the run. After `StoringTimes.abort` it is ended without the agent."""
        if live.aborting or live.ending:
            return
        live.aborting = True
        if live.asked:
            self._link.abort(live.run.id)
            asyncio.get_running_loop().call_later(self._times.abort, self._insist, live)
        else:
            self._end_soon(live, "aborted")

    def unstored_end(self, id: str) -> Run | None:
        """A run that was told to be over and whose end is not stored yet."""
        return self._ends.unstored[id][1] if id in self._ends.unstored else None

    async def flush(self) -> None:
        """Store all events that have come. Raises StorageFailed."""
        await self._storing.flush()

    async def close(self) -> None:
        """Close the link, and store the events that have come. The agent goes on with the runs. Raises
        StorageFailed."""
        self._closed = True
        await self._link.close()
        self._storing.stop()
        self._asks.cancel()
        await self._asks.join()
        await self._tasks.join()
        await self._storing.flush()

    # -- asking an agent -------------------------------------------------------------------------------------------

    def _ask_soon(self, live: ActiveRun) -> None:
        if self._closed:
            return  # the next process finds that no agent has it
        self._asks.spawn(self._ask(live), f"asking for run {live.run.id}")

    async def _ask(self, live: ActiveRun) -> None:
        try:
            while self._wanted(live) and not live.asked:
                await self._link.ready()
                async with self._asking:
                    await self._start(live, await self._specify(live.run))
        except Unusable as error:
            self._end_soon(live, "failed", Failure("config", str(error)))
        except StorageFailed as error:
            self._end_soon(live, "failed", Failure("internal", str(error), retryable=True))
        except Unreachable as error:
            self._end_soon(live, "failed", Failure("network", str(error), retryable=True))
        except Exception:
            log.exception("no agent can be asked for run %s", live.run.id)
            self._break_off(live)

    async def _start(self, live: ActiveRun, spec: Spec) -> None:
        if not self._wanted(live):
            return
        try:
            live.asked = self._link.start(live.run.id, spec)
            live.tries += live.asked
        except ValueError as error:
            self._end_soon(live, "failed", Failure("limit", str(error)))
        else:
            await self._link.drain()

    def _wanted(self, live: ActiveRun) -> bool:
        """Whether the run may still be asked for or ended."""
        return self.active.get(live.run.id) is live and not live.ending

    # -- LinkHandler -----------------------------------------------------------------------------------------------

    @property
    def has_active_runs(self) -> bool:
        return any(live.goes_on for live in self.active.values())

    def awaited_runs(self) -> dict[str, int]:
        ended = (live for live, _ in self._ends.unstored.values())
        return {live.run.id: live.stored for live in (*self.active.values(), *ended) if live.asked}

    def aborted_runs(self) -> list[str]:
        return [id for id, live in self.active.items() if live.asked and live.aborting]

    def received(self, event: Event) -> None:
        live = self.active.get(event.run)
        if live is None:
            if event.run not in self._ends.unstored:
                self._link.ack(event.run, event.seq)  # the run was ended without the agent
        elif live.goes_on:
            try:
                self._take(live, event)
            except Gap:
                raise
            except Exception:
                log.exception("event %d of run %s cannot be taken", event.seq, event.run)
                self._break_off(live)

    def _take(self, live: ActiveRun, event: Event) -> None:
        if not live.apply(event):
            return
        self._audience.happened(live, event)
        if isinstance(event.what, Ended):
            self._end_as(live, event.what)
        else:
            self._storing.soon(live)

    def unreadable(self, run: str) -> None:
        if (live := self.active.get(run)) is not None:
            self._break_off(live)

    def lost(self, run: str) -> None:
        live = self.active.get(run)
        if live is None or not live.goes_on:
            return
        unseen = live.seq == 0 and live.tries < MAX_ATTEMPTS
        if live.aborting or live.complete or live.acted or not (unseen or live.run.attempts < MAX_ATTEMPTS):
            acted = "; a tool had been called, so it was not asked again" if live.acted else " twice"
            self._end_without_agent(live, "the agent ended in the middle of this answer" + acted)
            return
        log.warning("the agent that had run %s is gone; another one is asked", run)
        live.asked = False
        if unseen:
            self._ask_soon(live)
        else:
            self._tasks.spawn(self._ask_again(live), f"beginning run {run} again")

    def refused(self, refusal: StartRefused) -> None:
        if (live := self.active.get(refusal.run)) is not None and live.goes_on:
            self._end_soon(live, "failed", refusal.failure)

    def unreachable(self, why: Unreachable) -> None:
        for live in self.active.values():
            if live.goes_on:
                self._end_without_agent(live, str(why))

    async def _ask_again(self, live: ActiveRun) -> None:
        try:
            run = await self._patiently(lambda: self._store.again(live.run.id), self._times.give_up)
            if run is not None and self._wanted(live):
                live.restart(run)
                self._audience.restarted(live)
                self._ask_soon(live)
        except StorageFailed as error:
            self._end_soon(live, "failed", not_stored(error))
        except Exception:
            log.exception("run %s cannot be begun again", live.run.id)
            self._break_off(live)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _insist(self, live: ActiveRun) -> None:
        if self._wanted(live) and not self._closed:
            log.warning("the agent does not end run %s; it is over all the same", live.run.id)
            self._end_soon(live, "aborted")

    def _break_off(self, live: ActiveRun) -> None:
        """End a run of which something cannot be taken, stored or told, and never could be."""
        self._end_soon(live, "failed", Failure("internal", BROKEN))

    def _end_as(self, live: ActiveRun, ended: Ended) -> None:
        self._end_soon(live, _STATES[ended.status], ended.failure, ended)

    def _end_without_agent(self, live: ActiveRun, why: str) -> None:
        if live.aborting:
            self._end_soon(live, "aborted")
        elif live.complete:
            self._end_soon(live, "done")
        else:
            self._end_soon(live, "interrupted", Failure("internal", why, retryable=True))

    def _end_soon(
        self, live: ActiveRun, state: RunState, failure: Failure | None = None, ended: Ended | None = None
    ) -> None:
        """Decide the end of a run. The first decision holds: later events are ignored."""
        if self._wanted(live) and not self._closed:
            self._tasks.spawn(self._ends.end(live, state, failure, ended), f"ending run {live.run.id}")
            live.ending = True

    def _let_go(self, live: ActiveRun) -> None:
        """The end is on disk: the agent may forget the run."""
        if live.over:
            self._link.ack(live.run.id, live.seq)
        elif live.asked:
            self._link.forget(live.run.id)

    def _conclude(self, run: Run, live: ActiveRun) -> None:
        if self.active.pop(run.id, None) is not None:
            self._over(run, live)
