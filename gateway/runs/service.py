"""Runs from their acceptance to their end: one at a time in a session, the others in order; each is owned by an agent.

What is accepted is on disk before it is answered, and an end before it is told. What is written in between is told at
once, stored a moment later (`STORE_S`) and then acknowledged: until then the agent keeps it. So whoever dies, the
others know how far it was: of the gateway's end see `start`, of the agent's `lost`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import msgspec

from gateway.config.providers import Unusable
from gateway.link.client import Dial, Link, Unreachable
from gateway.link.messages import Ended, Event, Failure, Refused, Spec
from gateway.runs.live import INTERRUPTED, Live
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Progress, Request, Run, RunState
from gateway.sessions.store import Store

log = logging.getLogger("gateway.runs")

STORE_S = 1.0
"""From an event to the disk. The agent keeps it meanwhile, so it is lost only if both die."""
STORE_AGAIN_S = 1.0
"""After the disk refused."""
ABORT_S = 5.0
"""In which an agent ends what it was told to; then it is ended without it."""
LEAVE_S = 1.0
"""In which what is under way is finished when the process leaves."""
MAX_RUNNING = 256
"""Runs that go on at once; more wait for their turn."""
MAX_ATTEMPTS = 2
"""Agents that are asked for one run."""
BROKEN = "the gateway has an error; its log has the details"
_STATES: dict[str, RunState] = {"done": "done", "failed": "failed", "aborted": "aborted"}


class StillActive(Exception):
    """What was to end a session's runs has not ended them."""


class Audience(Protocol):
    """Who hears of runs. Nothing here may raise or wait."""

    def begun(self, live: Live) -> None: ...

    def happened(self, live: Live, event: Event) -> None:
        """After the run has taken it; of an `Ended`, `ended` comes afterwards."""
        ...

    def anew(self, live: Live) -> None:
        """What was told of its text may be more or less than what it now has."""
        ...

    def ended(self, run: Run, live: Live | None) -> None:
        """`live` is None for one that had not begun."""
        ...


Specify = Callable[[Run], Awaitable[Spec]]
"""Raises Unusable."""


def _anew(live: Live, audience: Audience) -> None:
    audience.anew(live)


class Runs:
    """Implements `link.client.Heir`."""

    def __init__(self, store: Store, dial: Dial, specify: Specify, clock: Callable[[], float] = time.time) -> None:
        self.audience: list[Audience] = []
        self._store = store
        self._specify = specify
        self._clock = clock
        self._link = Link(self, dial, time.monotonic)
        self._live: dict[str, Live] = {}
        self._running: dict[str, str] = {}
        """Session -> the run that goes on, or is about to."""
        self._queues: dict[str, deque[str]] = {}
        """Session -> runs that wait."""
        self._held: deque[str] = deque()
        """Sessions whose next run waits only for a place among `MAX_RUNNING`."""
        self._dirty: set[str] = set()
        self._storing: asyncio.Task[None] | None = None
        self._pen = asyncio.Lock()
        """Who has it writes what has come."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._doomed: set[str] = set()
        """Runs that were aborted while they began."""
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._closed = False

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Go on with what the process before has left. Raises StorageFailed."""
        for run in await self._store.unfinished():
            if run.state == "running":
                self._running[run.session] = run.id
                self._live[run.id] = live = Live.resumed(run)
                self._tell(partial(_anew, live))
            else:
                self._queues.setdefault(run.session, deque()).append(run.id)
        if self._live:
            self._link.wake()
        for session in list(self._queues):
            self._advance(session)

    async def close(self) -> None:
        """Store what has come. Runs go on without us."""
        self.release()
        await self._link.close()
        if self._storing is not None:
            self._storing.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_S)
        for task in self._tasks:
            task.cancel()
        try:
            await self._store_now()
        except StorageFailed as error:
            log.error("%s; the agent keeps what could not be stored", error)

    @property
    def busy(self) -> int:
        """Runs that go on."""
        return len(self._live)

    # -- what clients ask ------------------------------------------------------------------------------------------

    async def submit(
        self, id: str, session: str, agent: str, request: Request, owed: tuple[str, str] | None = None
    ) -> tuple[Run, bool]:
        """Accept a message; False and the run as it is if its id is known. Raises QueueFull and StorageFailed."""
        run, fresh = await self._store.accept(id, session, agent, request, self._now(), owed)
        if fresh:
            self._queues.setdefault(session, deque()).append(id)
            self._advance(session)
        return run, fresh

    def running(self, session: str) -> str | None:
        """The id of the session's run that goes on."""
        return self._running.get(session)

    def waiting(self, session: str) -> list[str]:
        """The ids of those that wait for it, in order."""
        return list(self._queues.get(session, ()))

    @property
    def sessions(self) -> tuple[str, ...]:
        """Those in which a run goes on, or waits."""
        return tuple(dict.fromkeys((*self._running, *self._queues)))

    def live(self, id: str) -> Live | None:
        return self._live.get(id)

    async def abort(self, session: str, id: str | None = None) -> list[str]:
        """End a run, or all of a session; which of them were not over. Raises StorageFailed."""
        there = [*([running] if (running := self._running.get(session)) else []), *self.waiting(session)]
        chosen = [each for each in there if id is None or each == id]
        for each in reversed(chosen):  # those that wait first, so that none of them begins
            if each in self._queues.get(session, ()):
                self._queues[session].remove(each)
                run = await self._store.end(Progress(each, 0, ""), "aborted", self._now(), stop_reason="aborted")
                self.tell_ended(run)
            elif each in self._live:
                self._abort(self._live[each])
            else:
                self._doomed.add(each)
        return chosen

    async def settle(self) -> None:
        """Store what has been told, so that a transcript that is read now has it. A disk that refuses is not new."""
        try:
            await self._store_now()
        except StorageFailed as error:
            log.debug("%s", error)

    async def wait(self, id: str, limit_s: float) -> Run | None:
        """The run once it is over, as it is when the time is over, or when the process leaves; None: never heard of."""
        over = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(id, set()).add(over)
        try:
            run = await self._store.run(id)
            if run is None or not run.unfinished or self._closed:
                return run
            await asyncio.wait([over], timeout=limit_s)
            return await self._store.run(id)
        finally:
            if waiters := self._waiters.get(id):
                waiters.discard(over)
                if not waiters:
                    del self._waiters[id]

    def release(self) -> None:
        """Whoever waits gets what there is: the process is about to leave."""
        self._closed = True
        for id in list(self._waiters):
            self._wake(id)

    # -- one run after the other -----------------------------------------------------------------------------------

    def _advance(self, session: str) -> None:
        queue = self._queues.get(session)
        if self._closed or session in self._running:
            return
        if not queue:
            self._queues.pop(session, None)
        elif len(self._running) >= MAX_RUNNING:
            if session not in self._held:
                self._held.append(session)
        else:
            id = self._running[session] = queue.popleft()
            self._spawn(self._begin(id, session))

    async def _begin(self, id: str, session: str) -> None:
        live: Live | None = None
        try:
            run = await self._patiently(lambda: self._store.begin(id, self._now()))
            if run is None:
                self._over(session)
                return
            self._live[id] = live = Live(run, aborting=id in self._doomed)
            self._doomed.discard(id)
            self._tell(lambda each: each.begun(live))
            await self._ask(live)
        except Exception:
            log.exception("run %s cannot be begun", id)
            if live is not None:
                await self._end(
                    live, "failed", Failure("internal", "the gateway has an error; its log has the details")
                )

    async def _ask(self, live: Live) -> None:
        try:
            spec = await self._specify(live.run)
            if live.aborting:
                await self._end(live, "aborted")
                return
            self._link.start(live.run.id, spec)
        except Unusable as error:
            await self._end(live, "failed", Failure("config", str(error)))
        except ValueError as error:
            await self._end(live, "failed", Failure("limit", str(error)))
        except StorageFailed as error:
            await self._end(live, "failed", Failure("internal", str(error)))

    def _over(self, session: str) -> None:
        del self._running[session]
        self._advance(session)
        while self._held and len(self._running) < MAX_RUNNING:
            self._advance(self._held.popleft())

    # -- link.client.Heir ------------------------------------------------------------------------------------------

    def awaited(self) -> dict[str, int]:
        return {id: live.stored for id, live in self._live.items()}

    def happened(self, event: Event) -> None:
        live = self._live.get(event.run)
        if live is None:
            self._link.ack(event.run, event.seq)  # of one that we have ended without the agent
            return
        if not live.take(event):
            return
        self._tell(lambda each: each.happened(live, event))
        if isinstance(event.what, Ended):
            self._spawn(self._end_as(live, event.what))
        else:
            self._dirty.add(event.run)
            self._store_soon()

    def lost(self, run: str) -> None:
        if (live := self._live.get(run)) is not None:
            self._spawn(self._lost(live))

    def refused(self, refusal: Refused) -> None:
        if (live := self._live.get(refusal.run)) is not None:
            self._spawn(self._end(live, "failed", refusal.failure))

    def unreachable(self, why: Unreachable) -> None:
        for live in list(self._live.values()):
            failure = Failure("internal", str(why), retryable=True)
            self._spawn(self._end(live, "interrupted" if live.seq else "failed", failure))

    async def _lost(self, live: Live) -> None:
        if live.aborting:
            await self._end(live, "aborted")
        elif live.complete:
            await self._end(live, "done", stop_reason="stop")
        elif live.acted or live.run.attempts >= MAX_ATTEMPTS:
            why = "the agent ended in the middle of this answer"
            acted = "; a tool had been called, so it was not asked again" if live.acted else " twice"
            await self._end(live, "interrupted", Failure("internal", why + acted, retryable=True))
        else:
            log.warning("the agent ended during run %s, which begins anew", live.run.id)
            if (run := await self._patiently(lambda: self._store.again(live.run.id))) is not None:
                live.again(run)
                self._tell(partial(_anew, live))
                await self._ask(live)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _abort(self, live: Live) -> None:
        if not live.aborting:
            live.aborting = True
            self._link.abort(live.run.id)
            asyncio.get_running_loop().call_later(ABORT_S, self._insist, live)

    def _insist(self, live: Live) -> None:
        if self._live.get(live.run.id) is live and not live.ending and not self._closed:
            log.warning("the agent did not end run %s within %g s; it is over all the same", live.run.id, ABORT_S)
            self._spawn(self._end(live, "aborted"))

    async def _end_as(self, live: Live, ended: Ended) -> None:
        await self._end(live, _STATES[ended.status], ended.failure, stop_reason=ended.stop_reason, ended=ended)
        self._link.ack(live.run.id, live.seq)

    async def _end(
        self,
        live: Live,
        state: RunState,
        failure: Failure | None = None,
        *,
        stop_reason: str | None = None,
        ended: Ended | None = None,
    ) -> None:
        """Store it, then tell it. The first end is the one that holds."""
        if self._live.get(live.run.id) is not live or live.ending:
            return
        live.ending = True
        last, rest = live.progress(), live.partial(self._now())
        reason = stop_reason or {"aborted": "aborted", "interrupted": INTERRUPTED}.get(state, "error")
        run = await self._patiently(
            lambda: self._store.end(
                msgspec.structs.replace(last, text=""),
                state,
                self._now(),
                rest=rest,
                stop_reason=reason,
                failure=failure,
                usage=ended.usage if ended else None,
            )
        )
        self._dirty.discard(live.run.id)
        del self._live[live.run.id]
        self.tell_ended(run, live)
        self._over(run.session)

    def tell_ended(self, run: Run, live: Live | None = None) -> None:
        """Of a run whose end is stored."""
        took = "" if run.started is None else f" after {(self._now() - run.started) / 1000:.1f} s"
        why = f": {run.failure.message}" if run.failure else ""
        log.info("run %s in %s is %s%s%s", run.id, run.session, run.state, took, why)
        self._tell(lambda each: each.ended(run, live))
        self._wake(run.id)

    def _wake(self, id: str) -> None:
        for waiter in self._waiters.get(id, ()):
            if not waiter.done():
                waiter.set_result(None)

    # -- the disk --------------------------------------------------------------------------------------------------

    def _store_soon(self) -> None:
        if self._storing is None and not self._closed:
            self._storing = asyncio.get_running_loop().create_task(self._keep_storing(), name="storing runs")

    async def _keep_storing(self) -> None:
        pause = STORE_S
        try:
            while self._dirty:
                await asyncio.sleep(pause)
                try:
                    await self._store_now()
                    pause = STORE_S
                except StorageFailed as error:
                    if pause == STORE_S:
                        log.error("%s; what runs have said is kept in memory until it can be stored", error)
                    pause = STORE_AGAIN_S
        finally:
            self._storing = None

    async def _store_now(self) -> None:
        async with self._pen:
            await self._write()

    async def _write(self) -> None:
        lives = [
            live for id in self._dirty if (live := self._live.get(id)) is not None and not (live.over or live.ending)
        ]
        self._dirty.clear()
        news = [(live, live.progress()) for live in lives]
        try:
            await self._store.progress([progress for _, progress in news])
        except StorageFailed:
            self._dirty.update(live.run.id for live in lives)
            raise
        for live, progress in news:
            live.keep(progress)
            self._link.ack(live.run.id, progress.seq)

    async def _patiently(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Until the disk takes it: what it is about has happened."""
        told = False
        while True:
            try:
                return await work()
            except StorageFailed as error:
                if not told:
                    log.error("%s; it is tried again until it can be stored", error)
                told = True
                await asyncio.sleep(STORE_AGAIN_S)

    # -- small things ----------------------------------------------------------------------------------------------

    def _tell(self, what: Callable[[Audience], None]) -> None:
        for each in tuple(self.audience):
            try:
                what(each)
            except Exception:
                log.exception("an audience of runs failed")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a run failed", exc_info=error)

    def _now(self) -> int:
        return int(self._clock() * 1000)
