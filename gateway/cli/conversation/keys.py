"""The keyboard of a terminal, between two prompts: what is typed is kept for the next one and does not show."""

import asyncio
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def silent(fd: int) -> Iterator[None]:
    """Ctrl-C and Ctrl-Z stay signals. As it was at the end, and again after a stop."""
    before = termios.tcgetattr(fd)

    def hush() -> None:
        mode = termios.tcgetattr(fd)
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)

    hush()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCONT, hush)  # the shell has set its own mode meanwhile
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def signals(interrupted: Callable[[], object], ended: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C, and whoever wants the process to end."""
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGINT: interrupted, signal.SIGTERM: ended, signal.SIGHUP: ended}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
