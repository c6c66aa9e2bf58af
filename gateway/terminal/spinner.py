"""A sign on stderr that something is being waited for. It is gone before anything else is printed."""

import threading
import time
from types import TracebackType
from typing import TextIO

from gateway.terminal.writer import stream, write_text
from gateway.text.visible import ERASE, RETURN

QUIET_S = 1.0
"""Seconds that a command waits before the first sign."""
ANSWER_QUIET_S = 0.3
"""Seconds before the first sign while the user waits for an answer."""
STEP_S = 0.1
"""Seconds from one drawing to the next."""
LONG_S = 3.0
"""From here on the seconds are shown as well."""
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES = "|/-\\"


class Spinner:
    """Draws `label` where `out` (stderr by default) is a terminal, and nothing elsewhere.

    A thread draws, because the caller may block or may be an event loop. `stop` waits for that thread.
    """

    def __init__(self, label: str, *, quiet_s: float = QUIET_S, out: TextIO | None = None) -> None:
        self._label, self._quiet_s = label, quiet_s
        self._out = out or stream(err=True)
        self._frames = _FRAMES if "utf" in (self._out.encoding or "").lower() else _ASCII_FRAMES
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """The cursor must stand at the beginning of a line. A second call changes nothing."""
        if self._thread is None and self._out.isatty():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._draw, name="spinner", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None

    def _draw(self) -> None:
        begun, drawn = time.monotonic(), 0
        pause = self._quiet_s
        while not self._stopped.wait(pause):
            seconds = time.monotonic() - begun
            passed = f" {seconds:.0f} s" if seconds >= LONG_S else ""
            write_text(RETURN + f"{self._frames[drawn % len(self._frames)]} {self._label}{passed}", self._out)
            drawn += 1
            pause = STEP_S
        if drawn:
            write_text(ERASE, self._out)
