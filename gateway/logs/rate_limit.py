"""A limit for log lines that anyone who can connect can cause: so many a minute, then how many more there were."""

import logging
import time
from collections.abc import Callable

LINES_PER_PERIOD = 60
PERIOD_S = 60.0


class RateLimitedLog:
    """At most `LINES_PER_PERIOD` lines in `PERIOD_S` seconds, and a line that counts the others."""

    def __init__(self, log: logging.Logger, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`what` names what is logged, in the plural: it is for the line that counts what was not logged."""
        self._log = log
        self._what = what
        self._clock = clock
        self._period_start = -PERIOD_S
        self._count = 0

    def info(self, line: str, *args: object) -> None:
        """Log the line as `Logger.info` does, or count it."""
        now = self._clock()
        if now - self._period_start >= PERIOD_S:
            if self._count > LINES_PER_PERIOD:
                self._log.info("%d more %s were not logged", self._count - LINES_PER_PERIOD, self._what)
            self._period_start, self._count = now, 0
        self._count += 1
        if self._count <= LINES_PER_PERIOD:
            self._log.info(line, *args)
        elif self._count == LINES_PER_PERIOD + 1:
            self._log.info("further %s are counted and not logged for up to a minute", self._what)
