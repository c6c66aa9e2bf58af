import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from gateway.process import signals
from gateway.process.signals import MAIN_THREAD_ONLY, SIGNALS


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def send(number: signal.Signals) -> None:
    """To this thread: another one of the tests' process may not block it."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)


def test_signals_before_the_handlers_are_delivered_later_and_those_after_are_kept_pending() -> None:
    told: list[str] = []

    async def scene() -> None:
        signals.block()
        send(signal.SIGHUP)
        await asyncio.sleep(0)
        assert told == []
        signals.handle(told.append, lambda: told.append("reload"), lambda name: told.append(f"restart {name}"))
        send(signal.SIGTERM)
        send(signal.SIGUSR2)
        await signals.block_and_flush()
        assert sorted(told) == ["SIGTERM", "reload", "restart SIGUSR2"]
        send(signal.SIGUSR1)
        await asyncio.sleep(0)
        assert len(told) == 3 and signal.sigpending() == {signal.SIGUSR1}
        assert signal.sigtimedwait([signal.SIGUSR1], 0) is not None  # it would end the tests
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    asyncio.run(scene())


def test_threads_take_no_signal() -> None:
    with signals.thread_pool() as pool:
        assert set(MAIN_THREAD_ONLY) <= pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
