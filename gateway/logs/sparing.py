"""Log lines that a stranger can have written as often as they like: so many in a minute, and then how many more."""

import logging
import time
from collections.abc import Callable

MOST = 60
PERIOD_S = 60.0


class Sparing:
    def __init__(self, log: logging.Logger, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`what` is in the plural."""
        self._log = log
        self._what = what
        self._clock = clock
        self._began = -PERIOD_S
        self._said = 0

    def say(self, line: str, *args: object) -> None:
        now = self._clock()
        if now - self._began >= PERIOD_S:
            if self._said > MOST:
                self._log.info("%d more %s were not logged", self._said - MOST, self._what)
            self._began, self._said = now, 0
        self._said += 1
        if self._said <= MOST:
            self._log.info(line, *args)
        elif self._said == MOST + 1:
            self._log.info("further %s are counted and not logged for up to a minute", self._what)
