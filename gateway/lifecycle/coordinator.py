"""The one who decides when the process leaves: every request for a restart or a stop comes here.

Requests are coalesced: however many ask, there is one restart. It waits for an idle moment, at most for
`gateway.reload.deferralTimeoutMs`, and for its turn if restarts follow each other too fast.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.lifecycle.phases import Allowance, Phase, PhaseEvent, State, Way, step
from gateway.report import RestartTicket

log = logging.getLogger("gateway.restart")


class Coordinator:
    """You must call `idle()` whenever work ends, and `await leaving()` once, to learn how to leave."""

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
        """`rehearse` tells why the installed program cannot start, or None; it runs while we still serve."""
        self.boot_id = boot_id
        self.allowance = allowance
        self.reason = ""
        self.problem: str | None = None
        """Why the last restart that was asked for did not happen."""
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

    def idle(self) -> None:
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
        """Leave at once, also out of a deferred restart. A second request changes nothing."""
        if self.state.way is not Way.STOP:
            self.reason = reason
            log.info("stopping (%s)", reason)
        self._step(PhaseEvent.STOP)

    async def leaving(self) -> Way:
        """Wait until it is time to leave. The way may still become STOP afterwards: read `state` at the end."""
        await self._leave.wait()
        assert self.state.way is not None
        return self.state.way

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
            async with asyncio.timeout(self._deferral_s()):
                while self._busy():
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning(
                "restarting although %d request(s) are still running: the deferral budget is spent", self._busy()
            )
        self._step(PhaseEvent.IDLE)

    async def _safely_rehearsed(self) -> str | None:
        try:
            return await self._rehearse()
        except Exception as error:  # a fault here must not leave every later restart waiting for this one
            log.exception("the rehearsal failed")
            return f"{type(error).__name__}: {error}"
