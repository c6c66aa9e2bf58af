"""The signals of the process: blocked until it can handle them, handled by the loop, and blocked again as it leaves."""

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
MAIN_THREAD_ONLY = (*SIGNALS, signal.SIGABRT)
"""A signal goes to any thread that does not block it, so every thread but the main one blocks these.

With SIGABRT the watchdog ends a process that was stopped, and SIGCONT, which follows it, wakes all threads: if another
one took the signal, the loop would read requests while that one writes the stacks, and they would die with it."""
SIGNAL_TURNS = 3
"""Turns of the loop that a signal needs from the loop's pipe to its handler."""


def block() -> None:
    """Keep the signals pending: the kernel delivers them when they are unblocked, or to the next image."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def thread_pool() -> ThreadPoolExecutor:
    """A pool of threads that take no signal. Threads that these start, such as the watcher's, inherit it."""
    return ThreadPoolExecutor(initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, MAIN_THREAD_ONLY))


def handle(stop: Callable[[str], None], reload: Callable[[], object], restart: Callable[[str], object]) -> None:
    """Let the running loop handle the signals from here on; `stop` and `restart` get the signal's name."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, restart, signal.Signals(number).name)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


async def block_and_flush() -> None:
    """Block the signals, and let the handlers of those run that came before: they sit in the loop's pipe."""
    block()
    for _ in range(SIGNAL_TURNS):
        await asyncio.sleep(0)
