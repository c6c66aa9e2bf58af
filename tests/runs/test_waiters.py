"""Who waits for the end of a run, and for how long they are remembered."""

import asyncio

from gateway.runs.waiters import RunWaiters


def test_each_is_woken_by_the_end_of_its_run_alone() -> None:
    async def test() -> None:
        waiters = RunWaiters()
        with waiters.expecting("a") as one, waiters.expecting("a") as two, waiters.expecting("b") as other:
            waiters.wake("a")
            waiters.wake("a")
            assert one.done() and two.done() and not other.done()
            waiters.wake_all()
            assert other.done() and len(waiters) == 2
        assert not waiters

    asyncio.run(test())
