"""Reads the config again after a program gave no secret for it: no file changes when the program can."""

import asyncio
from collections.abc import Callable

FIRST_PAUSE_S = 5.0
"""The pause doubles after each program that gave none again."""
LONGEST_PAUSE_S = 300.0


class SecretRetry:
    def __init__(self, read_again: Callable[[], None]) -> None:
        self._read_again = read_again
        self._pause_s = FIRST_PAUSE_S
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self, unanswered: bool) -> None:
        """Call it after each reading; `unanswered` says that a program gave no secret."""
        self.cancel()
        if not unanswered:
            self._pause_s = FIRST_PAUSE_S
            return
        self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._read_again)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
