"""A sign on stderr that an answer is being waited for; gone before anything else is printed."""

import asyncio
import time
from typing import TextIO

from gateway.terminal.writer import put, stream
from gateway.text.visible import ERASE, RETURN

QUIET_S = 0.3
"""Before the first sign."""
STEP_S = 0.1
LONG_S = 3.0
"""From here on the seconds are shown."""
_STEPS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_STEPS = "|/-\\"


class Spinner:
    """Shown only where `out`, or stderr, is a terminal. To be used in an event loop."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or stream(err=True)
        self._shows = self._out.isatty()
        self._steps = _STEPS if "utf" in (self._out.encoding or "").lower() else _PLAIN_STEPS
        self._timer: asyncio.TimerHandle | None = None
        self._begun = 0.0
        self._drawn = 0

    def on(self) -> None:
        """The cursor must stand at the beginning of a line. On already, it goes on."""
        if self._shows and self._timer is None:
            self._begun, self._drawn = time.monotonic(), 0
            self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._draw)

    def off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._drawn:
                self._write(ERASE)

    def _draw(self) -> None:
        seconds = time.monotonic() - self._begun
        took = f" {seconds:.0f} s" if seconds >= LONG_S else ""
        self._write(RETURN + f"{self._steps[self._drawn % len(self._steps)]} thinking{took}")
        self._drawn += 1
        self._timer = asyncio.get_running_loop().call_later(STEP_S, self._draw)

    def _write(self, text: str) -> None:
        put(text, self._out)
