"""How a process leaves: steps in their order, each with its budget. docs/reload.md shows them as a table.

What happens to connections hangs on one decision: whether another process takes over our clients (`Leaving.carry`).
`_decide` alone takes it: first while requests are drained, and once more after each step in which a stop may have
overtaken a restart.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.aio.tasks import Tasks
from gateway.handover.keeper import Keeper
from gateway.hub.hub import Hub
from gateway.hub.leaving import close_all, finish_requests, serve_newcomers
from gateway.lifecycle.coordinator import Coordinator
from gateway.lifecycle.phases import Budgets, Way
from gateway.process import signals
from gateway.process.configuration import STOP_S, Configuration
from gateway.process.startup import Startup
from gateway.process.status import ProcessStatus
from gateway.protocol.closing import SERVICE_RESTART
from gateway.protocol.frames import WireError
from gateway.serving.server import GatewayServer
from gateway.systemd.manager import is_being_stopped

if TYPE_CHECKING:
    from gateway.conversations.service import Conversations
    from gateway.link.dialer import Dialer

log = logging.getLogger("gateway")

RESTARTING = WireError("UNAVAILABLE", "gateway restarting; ask again", retryable=True, retry_after_ms=500)
"""The answer to a request that takes longer than a restart waits."""
RESTART_EXPECTED_MS = 1500
"""Milliseconds that OpenClaw tells its clients. Ours is faster; a client that comes early waits in the queue."""


@dataclass(frozen=True)
class LeavingStep:
    name: str
    carry_out: Callable[[], Awaitable[None]]
    limit_s: float = 0.0
    """The longest that it takes; 0 where nothing is waited for."""
    decide_again: bool = False
    """True if it is decided again afterwards: a stop may have come in this step."""


@dataclass
class Leaving:
    """One departure; `run` it once, when the coordinator says so."""

    start: Startup
    coordinator: Coordinator
    configuration: Configuration
    status: ProcessStatus
    server: GatewayServer
    hub: Hub
    keeper: Keeper
    conversations: "Conversations"
    dialer: "Dialer"
    tasks: Tasks
    budgets: Budgets = Budgets()
    carry: bool = False
    """True if another process takes over our clients: the next image of this one, or one that systemd starts."""

    def __post_init__(self) -> None:
        self.passed: list[tuple[str, int]] = []
        """Names and descriptors that the next image gets beside the listeners."""
        self._decided_for: Way | None = None
        self._left_at = 0.0
        """Monotonic seconds."""

    @property
    def steps(self) -> tuple[LeavingStep, ...]:
        budgets = self.budgets
        return (
            LeavingStep("announce", self._announce, STOP_S),
            LeavingStep("drain", self._drain, budgets.drain),
            LeavingStep("close the listeners", self._close_listeners),
            LeavingStep("accept grace", self._accept_grace, budgets.accept_grace),
            LeavingStep("finish", self._finish, max(budgets.finish, budgets.newcomers + budgets.close), True),
            LeavingStep("put away", self._put_away, budgets.finish, True),
            LeavingStep("store", self._store, budgets.store),
            LeavingStep("pass on", self._pass_on),
        )

    async def run(self) -> Way:
        """Carry out the steps; returns how the process ends."""
        for step in self.steps:
            began = time.monotonic()
            await step.carry_out()
            if step.decide_again:
                await self._decide()
            log.debug("leaving: %s took %.1f ms", step.name, (time.monotonic() - began) * 1000)
        return self.coordinator.state.way or Way.STOP

    # -- the decision ----------------------------------------------------------------------------------------------

    async def _decide(self) -> None:
        """Set `carry`, here and in the server. Does nothing if the way is the one for which it was decided."""
        way = self.coordinator.state.way
        if way is self._decided_for:
            return
        carried, self._decided_for = self.carry, way
        self.carry = self.server.server_state.carry = way is Way.REEXEC or await self._systemd_carries()
        if carried and not self.carry:
            await self.server.give_up()
            await self._close_websockets()

    async def _systemd_carries(self) -> bool:
        """True if systemd holds port and connections, and starts another process after this one."""
        start = self.start
        if not (start.inherited.held_by_systemd and self.keeper.all_stored):
            return False
        return not (start.unit and await is_being_stopped(start.unit))

    # -- the steps -------------------------------------------------------------------------------------------------

    async def _announce(self) -> None:
        if self.coordinator.state.way is Way.REEXEC:
            self.start.notifier.reloading()
        else:
            self.start.notifier.stopping(f"Leaving ({self.coordinator.reason})")
        log.info("leaving (%s)", self.coordinator.reason)
        gc.disable()  # a search of what is left takes 50 ms for each thousand clients, and frees nothing that we need
        await self.configuration.stop()

    async def _drain(self) -> None:
        """Finish the requests that have begun; the server leaves those to the next process that it can finish."""
        budget_s = self.budgets.drain
        drained = asyncio.gather(self.server.drain(self.budgets), self._answer_calls(budget_s))
        await self._decide()
        if self.carry:
            await self.keeper.wait_stored(budget_s)
        await drained
        self.conversations.release_waiters()

    async def _answer_calls(self, budget_s: float) -> None:
        """Wait for the requests of WebSocket clients, also of those that come meanwhile."""
        try:
            await self.coordinator.until_idle(budget_s)
        except TimeoutError:
            log.warning("leaving although %d call(s) are unanswered: the drain budget is spent", self.hub.busy)

    async def _close_listeners(self) -> None:
        self.server.stop_accepting()
        self.start.record.update(left_at=time.monotonic())
        self._closing = asyncio.ensure_future(self._close_websockets())

    async def _accept_grace(self) -> None:
        await self.server.read_newest(self.budgets.accept_grace)

    async def _finish(self) -> None:
        await self.server.finish(self.budgets)
        await self._closing
        await self.server.drop_the_rest()
        self.status.record_waits()

    async def _put_away(self) -> None:
        self._left_at = time.monotonic()
        if self.carry:
            self.keeper.stop_reading()
            await finish_requests(self.hub, self.budgets.finish, RESTARTING)

    async def _store(self) -> None:
        # Runs send events until here; what is queued for clients by now is passed on with their connections.
        await self.conversations.close(self.budgets.store, for_good=not self.carry)

    async def _pass_on(self) -> None:
        self.tasks.cancel()
        # The loop takes its handlers with it: a signal from here on is for the next image, or comes too late.
        await signals.block_and_flush()
        self.coordinator.left()
        if self.carry:  # nothing is read or written from here on
            self.passed = self.keeper.hand_off(self._left_at, *self.server.carried()) + self.dialer.passed
        stopping = self.coordinator.state.way is Way.STOP
        self.start.record.update(
            ended="stop" if stopping else "restart",
            reason=self.coordinator.reason,
            tokens=self.coordinator.allowance.tokens,
            tokens_at=self.coordinator.allowance.at,
        )
        if stopping:
            self.start.paths.control.unlink(missing_ok=True)
            self.start.lease.remove_mark()

    async def _close_websockets(self) -> None:
        """Close the WebSockets that no other process takes over, once the newest of them have their first answer."""
        await serve_newcomers(self.hub, self.budgets.newcomers)
        if not self.carry:
            # Where systemd holds the port, even a stop is a restart for the client: its connection starts us again.
            back = self.start.inherited.held_by_systemd
            reason = "gateway restarting" if back else "gateway stopping"
            payload = {"reason": reason, "restartExpectedMs": RESTART_EXPECTED_MS if back else None}
            self.hub.broadcast("shutdown", payload)
        await close_all(self.hub, SERVICE_RESTART.code, SERVICE_RESTART.reason, self.budgets.close, but_kept=self.carry)
