"""systemd's fd store, without a wait for the manager: a message that it has no room for is sent again a moment later.

The manager compares each new descriptor with all that it has: connections are given to it in bulk (`parcels`).
"""

import asyncio
import logging
import time

from gateway.systemd.notify import Notifier

log = logging.getLogger("gateway.systemd")

RETRY_S = 0.01
"""Seconds from a message that the manager had no room for to the next attempt."""


class FdStore:
    """A queue of what systemd has not been told of its store yet. Without a manager, every method does nothing."""

    def __init__(self, notifier: Notifier) -> None:
        self.available = notifier.connected
        """True if there is a manager."""
        self._notifier = notifier
        self._pending: dict[tuple[str, bool], tuple[int, ...]] = {}
        """(name, whether to store or remove it) -> its descriptors, none to remove; in the order of the calls."""
        self._retry: asyncio.TimerHandle | None = None

    def put(self, name: str, *fds: int) -> None:
        """Store `fds` as `name`. They must stay open until they are removed, or the process ends."""
        self._queue(name, True, fds)

    def remove(self, name: str) -> None:
        """Remove the descriptors of this name."""
        if self._pending.pop((name, True), None) is None:  # else the manager has not been told of it
            self._queue(name, False)

    def _queue(self, name: str, stored: bool, fds: tuple[int, ...] = ()) -> None:
        if not self.available:
            return
        self._pending[name, stored] = fds
        if self._retry is None:
            self._send_pending()

    def _send_pending(self) -> None:
        self._retry = None
        while self._pending:
            (name, stored), fds = next(iter(self._pending.items()))
            taken = self._notifier.try_store(name, *fds) if stored else self._notifier.try_remove(name)
            if not taken:
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._send_pending)
                return
            del self._pending[name, stored]

    async def caught_up(self, limit_s: float) -> None:
        """Return when the queue is empty, or after the limit."""
        deadline = time.monotonic() + limit_s
        while self._pending and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(RETRY_S)

    def flush(self) -> None:
        """Send all that is queued, and block until the manager has taken it. For the end of the process."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for (name, stored), fds in self._pending.items():
            taken = self._notifier.store(name, *fds) if stored else self._notifier.remove(name)
            if not taken:
                log.warning("%d descriptors are lost: the service manager does not listen", len(self._pending))
                break
        self._pending.clear()
