import asyncio
from collections.abc import Awaitable, Callable

from gateway.lifecycle.coordinator import Coordinator
from gateway.lifecycle.phases import RESTART_REFILL_S, Allowance, Phase, Way
from tests.slack import LIMIT_S


class Work:
    def __init__(self) -> None:
        self.running = 0
        self.deferral = 60.0
        self.now = 1000.0
        self.unfit: str | None = None


def coordinator(work: Work, allowance: Allowance | None = None) -> Coordinator:
    async def rehearse() -> str | None:
        return work.unfit

    made = Coordinator(
        "boot",
        busy=lambda: work.running,
        deferral_s=lambda: work.deferral,
        clock=lambda: work.now,
        allowance=allowance or Allowance(at=work.now),
        rehearse=rehearse,
    )
    made.ready()
    return made


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scene()

    asyncio.run(bounded())


def test_an_idle_gateway_restarts_at_once() -> None:
    async def scene() -> None:
        it = coordinator(Work())
        ticket = it.request_restart("why")
        assert (ticket.state, ticket.boot_id) == ("scheduled", "boot")
        assert await it.wait_until_leaving() is Way.REEXEC
        assert it.reason == "why" and it.phase is Phase.LEAVING

    run(scene)


def test_a_restart_waits_for_running_requests() -> None:
    async def scene() -> None:
        work = Work()
        work.running = 2
        it = coordinator(work)
        assert it.request_restart("why").state == "deferred"
        leaving = asyncio.ensure_future(it.wait_until_leaving())
        await asyncio.sleep(0)
        it.note_idle()  # somebody was idle for a moment, but not now
        await asyncio.sleep(0)
        assert it.phase is Phase.DEFERRED and not leaving.done()
        work.running = 0
        it.note_idle()
        assert await leaving is Way.REEXEC

    run(scene)


def test_requests_that_never_end_do_not_hold_it_for_ever() -> None:
    async def scene() -> None:
        work = Work()
        work.running, work.deferral = 1, 0.0
        it = coordinator(work)
        it.request_restart("why")
        assert await it.wait_until_leaving() is Way.REEXEC

    run(scene)


def test_however_many_ask_there_is_one_restart() -> None:
    async def scene() -> None:
        work = Work()
        it = coordinator(work)
        states = [it.request_restart(f"reason {n}").state for n in range(5)]
        assert states == ["scheduled", "coalesced", "coalesced", "coalesced", "coalesced"]
        await it.wait_until_leaving()
        assert it.reason == "reason 0"
        assert it.request_restart("late").state == "leaving"
        assert it.allowance.tokens == Allowance().tokens - 1

    run(scene)


def test_a_stop_overtakes_a_deferred_restart() -> None:
    async def scene() -> None:
        work = Work()
        work.running = 1
        it = coordinator(work)
        it.request_restart("why")
        it.request_stop("SIGTERM")
        assert await it.wait_until_leaving() is Way.STOP
        assert it.reason == "SIGTERM"

    run(scene)


def test_a_stop_while_leaving_for_a_restart_makes_it_a_stop() -> None:
    async def scene() -> None:
        it = coordinator(Work())
        it.request_restart("why")
        await it.wait_until_leaving()
        it.request_stop("SIGTERM")
        it.left()
        assert it.state.way is Way.STOP and it.phase is Phase.GONE

    run(scene)


def test_restarts_that_come_too_fast_wait_and_say_so() -> None:
    async def scene() -> None:
        it = coordinator(Work(), Allowance(0.0, 1000.0))
        ticket = it.request_restart("loop")
        assert ticket.state == "deferred" and f"{RESTART_REFILL_S:.1f} s" in ticket.message
        assert it.phase is Phase.DEFERRED

    run(scene)


def test_a_program_that_cannot_start_is_not_started() -> None:
    async def scene() -> None:
        work = Work()
        work.unfit = "ImportError: half installed"
        it = coordinator(work)
        it.request_restart("upgrade")
        while it.phase is not Phase.RUNNING:
            await asyncio.sleep(0)
        assert it.problem == "ImportError: half installed"
        work.unfit = None
        assert it.request_restart("again").state == "scheduled"
        assert await it.wait_until_leaving() is Way.REEXEC
        assert it.problem is None

    run(scene)


def test_a_fault_in_the_rehearsal_leaves_us_running() -> None:
    async def scene() -> None:
        it = coordinator(Work())

        async def broken() -> str | None:
            raise ProcessLookupError

        it._rehearse = broken
        it.request_restart("why")
        while it.phase is not Phase.RUNNING:
            await asyncio.sleep(0)
        assert it.problem is not None and "ProcessLookupError" in it.problem

    run(scene)
