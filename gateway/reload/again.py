"""Another look at a config of which a program gave no secret: nothing on disk tells when it can."""

import asyncio
from collections.abc import Callable

FIRST_PAUSE_S = 5.0
"""Twice as long after each look that was in vain."""
LONGEST_PAUSE_S = 300.0


class Again:
    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._pause_s = FIRST_PAUSE_S
        self._timer: asyncio.TimerHandle | None = None

    def seen(self, unanswered: bool) -> None:
        """The config was read, and some program was `unanswered` or none."""
        self.stop()
        if not unanswered:
            self._pause_s = FIRST_PAUSE_S
            return
        self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._look)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
