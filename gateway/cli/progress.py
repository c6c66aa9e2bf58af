"""A sign of life on stderr while a command waits: only on a terminal, and only when it takes longer than a moment."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_FOR = 1.0
"""Seconds before the first sign."""


@contextmanager
def waiting(what: str, quiet_for: float = QUIET_FOR) -> Iterator[None]:
    """Show `what` with the seconds passed, and take it away at the end."""
    if not sys.stderr.isatty():
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
        sys.stderr.write(f"\r{what} … {time.monotonic() - begun:.0f} s")
        sys.stderr.flush()
        if done.wait(1.0):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
