"""Passes what happens to runs on to everything that follows them."""

import logging
from collections.abc import Callable, Sequence
from operator import methodcaller

from gateway.link.messages import Event
from gateway.runs.active import ActiveRun
from gateway.sessions.records import Run

log = logging.getLogger("gateway.runs")


class RunListener:
    """Follows runs; overrides what it needs. A listener must not wait, and should not raise."""

    def accepted(self, run: Run) -> None:
        """A message is on disk as a run. Its turn comes later."""

    def begun(self, live: ActiveRun) -> None:
        """The run's turn has come, and its prompt is in the transcript."""

    def happened(self, live: ActiveRun, event: Event) -> None:
        """`live` has taken the event already. After an `Ended`, `ended` follows once the end is stored."""

    def restarted(self, live: ActiveRun) -> None:
        """Another gateway or another agent goes on with the run: more may have been told of its text than it has now,
        or less."""

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        """The run is over. `live` is None if it had not begun."""


class Audience(RunListener):
    """Passes each event on to all listeners in order. What one of them raises is logged, and the others hear it all the
    same."""

    def __init__(self, listeners: Sequence[RunListener]) -> None:
        self._listeners = listeners

    def accepted(self, run: Run) -> None:
        self._call_each(methodcaller("accepted", run))

    def begun(self, live: ActiveRun) -> None:
        self._call_each(methodcaller("begun", live))

    def happened(self, live: ActiveRun, event: Event) -> None:
        self._call_each(methodcaller("happened", live, event))

    def restarted(self, live: ActiveRun) -> None:
        self._call_each(methodcaller("restarted", live))

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        self._call_each(methodcaller("ended", run, live))

    def _call_each(self, call: Callable[[RunListener], None]) -> None:
        for listener in self._listeners:
            try:
                call(listener)
            except Exception:
                log.exception("a listener of runs failed")
