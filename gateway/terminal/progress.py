"""A sign of life on stderr while a command waits: only on a terminal, and only when it takes longer than a moment."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.terminal.writer import is_terminal, put, stream
from gateway.text.visible import ERASE, RETURN

QUIET_FOR = 1.0
"""Seconds before the first sign."""


@contextmanager
def waiting(what: str, quiet_for: float = QUIET_FOR) -> Iterator[None]:
    """Show `what` with the seconds passed, and take it away at the end."""
    if not is_terminal(err=True):
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(what, quiet_for, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(what: str, quiet_for: float, done: threading.Event) -> None:
    begun = time.monotonic()
    if done.wait(quiet_for):
        return
    while True:
        put(RETURN + f"{what} … {time.monotonic() - begun:.0f} s", stream(err=True))
        if done.wait(1.0):
            break
    put(ERASE, stream(err=True))
