"""The keyboard between two prompts: what is typed is not echoed, and is kept for the next prompt."""

import asyncio
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def without_echo(fd: int) -> Iterator[None]:
    """Turn off echo and line editing; Ctrl-C and Ctrl-Z stay signals. The end restores the terminal's mode."""
    before = termios.tcgetattr(fd)

    def hush() -> None:
        mode = termios.tcgetattr(fd)
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)

    hush()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCONT, hush)  # after Ctrl-Z the shell has set its own mode
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def signal_handlers(interrupted: Callable[[], object], ended: Callable[[], object]) -> Iterator[None]:
    """Call `interrupted` on Ctrl-C, and `ended` on SIGTERM and SIGHUP."""
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGINT: interrupted, signal.SIGTERM: ended, signal.SIGHUP: ended}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
