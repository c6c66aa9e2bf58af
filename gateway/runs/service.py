"""Runs from their acceptance to their end: one at a time in a session, the others behind it in order.

A message is on disk before its acceptance is answered. A caller that is cancelled only stops waiting: the work that it
has asked for is finished.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext

from msgspec.structs import replace

from gateway.aio.tasks import Tasks, shielded
from gateway.link.messages import Failure
from gateway.link.stream import Dial
from gateway.runs.active import ActiveRun
from gateway.runs.audience import Audience
from gateway.runs.ends import BROKEN, Announcing, not_stored
from gateway.runs.owner import Owner, Specify
from gateway.runs.queues import Queues
from gateway.runs.storing import Patience, StoringTimes
from gateway.runs.waiters import RunWaiters
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Progress, Run, RunRequest
from gateway.sessions.store import Store

log = logging.getLogger("gateway.runs")

MAX_RUNNING = 256
"""Runs that go on at the same time; more wait for their turn."""


class StillActive(Exception):
    """The runs of a session have not ended in time."""


class Runs:
    def __init__(
        self,
        store: Store,
        dial: Dial,
        specify: Specify,
        audience: Audience,
        clock: Callable[[], float] = time.time,
        times: StoringTimes | None = None,
        announcing: Announcing = nullcontext,
    ) -> None:
        """`clock`: seconds since 1970. `announcing`: a context around what is stored and then told to clients."""
        self._audience = audience
        self._store = store
        self._clock = clock
        self._times = times = times or StoringTimes()
        self._patiently = Patience(times.again)
        self._owner = Owner(
            store,
            dial,
            specify,
            audience=audience,
            over=self._is_over,
            now=self._now,
            times=times,
            patience=self._patiently,
            announcing=announcing,
        )
        self._announcing = announcing
        self._queues = Queues(MAX_RUNNING)
        self._unbegun: dict[str, Run] = {}
        """Runs that could not begin and were told to be over; their end is not stored yet."""
        self._doomed: set[str] = set()
        """Runs that were aborted while they began."""
        self._aborting = asyncio.Lock()
        self._waiters = RunWaiters()
        self._tasks = Tasks(log)
        self._released = self._closed = False

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Go on with the runs that the process before has left. Raises StorageFailed."""
        found = await self._store.unfinished()
        going = [run for run in found if run.state == "running"]
        for run in going:
            self._queues.resume(run.session, run.id)
        for run in found:
            if run.state == "queued":
                self._queues.add(run.session, run.id)
        self._owner.resume(going)
        self._advance()

    def release_waiters(self) -> None:
        """The process is about to leave: each `wait` returns the run as it is now."""
        self._released = True
        self._waiters.wake_all()

    async def close(self) -> None:
        """Close the link, and store the events that have come. The agent goes on with the runs, and keeps what is not
        stored. Raises StorageFailed."""
        self._closed = True
        self.release_waiters()
        self._patiently.end()
        await self._tasks.join()
        await self._owner.close()

    # -- what clients ask ------------------------------------------------------------------------------------------

    @shielded
    async def submit(
        self, id: str, session: str, agent: str, request: RunRequest, deferred_reply: tuple[str, str] | None = None
    ) -> tuple[Run, bool]:
        """Accept a message. Returns its run, and False if the id is known already. Raises QueueFull, SendDenied and
        StorageFailed.

        `deferred_reply`: connection and id of a request that gets another answer when the run is over.
        """
        begins, begun = not self._closed and self._queues.claim_at_once(session, id), False
        try:
            now = self._now()
            run, fresh = await self._store.accept(id, session, agent, request, now, deferred_reply, begin=begins)
            if fresh:
                self._audience.accepted(run)
            if fresh and begins:
                self._begun(run)
                begun = True
        finally:
            if begins and not begun:
                self._doomed.discard(id)
                self._free(session, id)
        if not begun and (fresh or self._is_missed(run)):
            self._queues.add(run.session, id)
            self._advance()
        return run, fresh

    def _is_missed(self, run: Run) -> bool:
        """Whether a run was stored by a commit that had been said to fail."""
        over = run.id in self._unbegun or self._owner.unstored_end(run.id) is not None
        return run.unfinished and not over and not self._holds(run)

    @shielded
    async def abort(self, session: str, id: str | None = None) -> list[str]:
        """Abort one run, or all runs of a session; return the ids of those that were not over.

        Raises StorageFailed, and then runs that waited may still wait.
        """
        async with self._aborting:
            claimed, waiting = self._queues.claimed(session), self._queues.waiting(session)
            chosen = [each for each in (claimed, *waiting) if each is not None and id in (None, each)]
            if claimed in chosen:
                self._abort_claimed(claimed)
            await self._abort_waiting(session, [each for each in chosen if each != claimed])
            return chosen

    async def wait(self, id: str, limit_s: float) -> Run | None:
        """Return the run once it is over, or as it is after `limit_s` seconds or when the process leaves; None if it
        was never accepted. Raises StorageFailed."""
        with self._waiters.expecting(id) as over:
            run = await self._known(id)
            if run is None or self._released or not (run.unfinished or self._holds(run)):
                return run
            await asyncio.wait([over], timeout=limit_s)
            return await self._known(id)

    async def _known(self, id: str) -> Run | None:
        return self._owner.unstored_end(id) or self._unbegun.get(id) or await self._store.run(id)

    def _holds(self, run: Run) -> bool:
        """Whether the run is claimed or waits here: its end may be on disk before it is told."""
        return run.id in (self._queues.claimed(run.session), *self._queues.waiting(run.session))

    async def flush(self) -> None:
        """Store all events that were told, so that a transcript that is read now has them. A disk that refuses is
        logged elsewhere."""
        try:
            await self._owner.flush()
        except StorageFailed as error:
            log.debug("%s", error)

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """How many runs go on."""
        return len(self._owner.active)

    @property
    def queued(self) -> int:
        """How many runs wait for their turn."""
        return self._queues.total - self.busy

    @property
    def sessions(self) -> tuple[str, ...]:
        """Sessions in which a run goes on or waits."""
        return self._queues.sessions

    def running(self, session: str) -> str | None:
        """The id of the session's run that goes on."""
        id = self._queues.claimed(session)
        return id if id in self._owner.active else None

    def waiting(self, session: str) -> list[str]:
        """The ids of the session's runs that wait, in order."""
        beginning = self._queues.claimed(session)
        head = [beginning] if beginning is not None and beginning not in self._owner.active else []
        return head + self._queues.waiting(session)

    def active(self, id: str) -> ActiveRun | None:
        """A run that goes on; None if it does not."""
        return self._owner.active.get(id)

    # -- one run after the other -----------------------------------------------------------------------------------

    def _advance(self) -> None:
        while not self._closed and (claimed := self._queues.claim()) is not None:
            session, id = claimed
            self._tasks.spawn(self._begin(session, id), f"beginning run {id}")

    async def _begin(self, session: str, id: str) -> None:
        try:
            run = await self._patiently(lambda: self._store.begin(id, self._now()), self._times.give_up)
            if run is not None:
                self._begun(run)
            else:
                self._doomed.discard(id)
                self._free(session, id)
        except StorageFailed as error:
            if self._patiently.over:
                raise  # the next process begins it
            await self._end_unbegun(session, id, not_stored(error))
        except Exception:
            log.exception("run %s cannot be begun", id)
            await self._end_unbegun(session, id, Failure("internal", BROKEN))

    def _begun(self, run: Run) -> None:
        """A claimed run has begun on disk."""
        doomed = run.id in self._doomed
        self._doomed.discard(run.id)
        self._owner.begin(run, aborting=doomed)

    async def _end_unbegun(self, session: str, id: str, why: Failure) -> None:
        """End a run that could not begin. It is told at once, because clients wait, and stored once that is
        possible."""
        self._doomed.discard(id)
        try:
            if (run := await self._store.run(id)) is not None:
                ended = replace(run, state="failed", ended=self._now(), stop_reason="error", failure=why)
                self._unbegun[id] = ended
                self.tell_ended(ended)
        finally:
            self._free(session, id)
        await self._patiently(
            lambda: self._store.end(Progress(id, 0, ""), "failed", self._now(), stop_reason="error", failure=why)
        )
        self._unbegun.pop(id, None)

    def _free(self, session: str, id: str) -> None:
        if self._queues.claimed(session) == id:
            self._queues.free(session)
        self._advance()

    def _abort_claimed(self, id: str) -> None:
        if (live := self._owner.active.get(id)) is not None:
            self._owner.abort(live)
        else:
            self._doomed.add(id)

    async def _abort_waiting(self, session: str, ids: list[str]) -> None:
        for id in ids:
            self._queues.hold(id)
        try:
            for id in ids:
                with self._announcing():
                    run = await self._store.end(Progress(id, 0, ""), "aborted", self._now(), stop_reason="aborted")
                    self._queues.remove(session, id)
                    self.tell_ended(run)
        finally:
            for id in ids:
                self._queues.release(id)
            self._advance()

    # -- ends ------------------------------------------------------------------------------------------------------

    def _is_over(self, run: Run, live: ActiveRun) -> None:
        try:
            self.tell_ended(run, live)
        finally:
            self._free(run.session, run.id)

    def tell_ended(self, run: Run, live: ActiveRun | None = None) -> None:
        """Tell the end of a run that is stored. `live` is None if it had not begun."""
        self._audience.ended(run, live)
        self._waiters.wake(run.id)
        took = "" if run.started is None else f" after {(self._now() - run.started) / 1000:.1f} s"
        why = f": {run.failure.message}" if run.failure else ""
        log.info("run %s in %s is %s%s%s", run.id, run.session, run.state, took, why)

    def _now(self) -> int:
        return int(self._clock() * 1000)
