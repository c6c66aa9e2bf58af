"""Decides when the process leaves: every request for a restart or a stop comes here.

Requests are coalesced into one restart. It waits until no request is unanswered, at most for
`gateway.reload.deferralTimeoutMs`, and longer if restarts follow each other too fast.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.lifecycle.phases import Allowance, Phase, PhaseEvent, State, Way, step
from gateway.report import RestartTicket

log = logging.getLogger("gateway.restart")


class Coordinator:
    """Duty: call `note_idle()` when the last unanswered request is answered, and await `wait_until_leaving()` once."""

    def __init__(
        self,
        boot_id: str,
        *,
        busy: Callable[[], int],
        deferral_s: Callable[[], float],
        clock: Callable[[], float],
        allowance: Allowance,
        rehearse: Callable[[], Awaitable[str | None]],
    ) -> None:
        """`busy` counts unanswered requests; `clock` gives monotonic seconds.

        `rehearse` says why the installed program cannot start, None if it can; it runs while this process serves.
        """
        self.boot_id = boot_id
        self.allowance = allowance
        self.reason = ""
        self.problem: str | None = None
        """Why the last restart that was requested did not happen."""
        self.state = State()
        self._busy = busy
        self._deferral_s = deferral_s
        self._clock = clock
        self._rehearse = rehearse
        self._idle = asyncio.Event()
        self._leave = asyncio.Event()
        self._deferral: asyncio.Task[None] | None = None

    @property
    def phase(self) -> Phase:
        return self.state.phase

    def ready(self) -> None:
        self._step(PhaseEvent.READY)

    def note_idle(self) -> None:
        self._idle.set()

    def left(self) -> None:
        self._step(PhaseEvent.LEFT)

    def request_restart(self, reason: str) -> RestartTicket:
        if self.phase in (Phase.LEAVING, Phase.GONE):
            return RestartTicket("leaving", self.boot_id, "the gateway is already leaving")
        if self.state.way is Way.REEXEC:
            return RestartTicket("coalesced", self.boot_id, f"a restart is already on its way ({self.reason})")
        self.reason = reason
        self.problem = None
        log.info("restart requested (%s)", reason)
        self._step(PhaseEvent.RESTART)
        pause = self.allowance.wait(self._clock())
        if pause:
            return RestartTicket("deferred", self.boot_id, f"restarts came too fast; this one waits {pause:.1f} s")
        if working := self._busy():
            return RestartTicket("deferred", self.boot_id, f"waiting for {working} running request(s)")
        return RestartTicket("scheduled", self.boot_id, "restarting now")

    def request_stop(self, reason: str) -> None:
        """Leave at once; a deferred restart is dropped. A second request changes nothing."""
        if self.state.way is not Way.STOP:
            self.reason = reason
            log.info("stopping (%s)", reason)
        self._step(PhaseEvent.STOP)

    async def wait_until_leaving(self) -> Way:
        """Return when the process has to leave. The way may still become STOP afterwards: read `state` at the end."""
        await self._leave.wait()
        assert self.state.way is not None
        return self.state.way

    async def until_idle(self, limit_s: float) -> None:
        """Return when no request is unanswered. Raises TimeoutError after `limit_s` seconds."""
        async with asyncio.timeout(limit_s):
            while self._busy():
                self._idle.clear()
                await self._idle.wait()

    def _step(self, event: PhaseEvent) -> None:
        self.state = step(self.state, event)
        if self.phase is Phase.DEFERRED and self._deferral is None:
            self._deferral = asyncio.get_running_loop().create_task(self._defer(), name="restart deferral")
        if self.phase is Phase.LEAVING:
            self._leave.set()

    async def _defer(self) -> None:
        if pause := self.allowance.wait(self._clock()):
            log.warning("restarts follow each other too fast; the next one waits %.1f s", pause)
            await asyncio.sleep(pause)
        self.allowance = self.allowance.spend(self._clock())
        if problem := await self._safely_rehearsed():
            log.error("no restart: the installed program cannot start, this process goes on: %s", problem)
            self.problem = problem
            self._deferral = None
            self._step(PhaseEvent.UNFIT)
            return
        try:
            await self.until_idle(self._deferral_s())
        except TimeoutError:
            log.warning(
                "restarting although %d request(s) are still running: the deferral budget is spent", self._busy()
            )
        self._step(PhaseEvent.IDLE)

    async def _safely_rehearsed(self) -> str | None:
        try:
            return await self._rehearse()
        except Exception as error:  # else every later restart would wait for this one
            log.exception("the rehearsal failed")
            return f"{type(error).__name__}: {error}"
