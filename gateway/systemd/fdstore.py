"""systemd's fd store, without ever waiting for the manager: what it has no room for now is said again a moment later.

The manager compares each new descriptor with all that it has, so a thousand clients that come at once take it a while.
"""

import asyncio
import logging
import time

from gateway.systemd.notify import Notifier

log = logging.getLogger("gateway.systemd")

RETRY_S = 0.01


class FdStore:
    def __init__(self, notifier: Notifier) -> None:
        self.available = notifier.connected
        """Whether there is a manager at all."""
        self._notifier = notifier
        self._pending: dict[tuple[str, bool], int] = {}
        """In the order of asking: a name, and whether it is to be stored, with its descriptor then."""
        self._retry: asyncio.TimerHandle | None = None

    def put(self, name: str, fd: int) -> None:
        """`fd` must stay open until it is removed, or the process ends."""
        self._ask(name, True, fd)

    def remove(self, name: str) -> None:
        if self._pending.pop((name, True), None) is None:  # else nothing has been said of it yet
            self._ask(name, False)

    def _ask(self, name: str, stored: bool, fd: int = -1) -> None:
        if not self.available:
            return
        self._pending[name, stored] = fd
        if self._retry is None:
            self._speak()

    def _speak(self) -> None:
        self._retry = None
        while self._pending:
            (name, stored), fd = next(iter(self._pending.items()))
            taken = self._notifier.try_store(name, fd) if stored else self._notifier.try_remove(name)
            if not taken:
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._speak)
                return
            del self._pending[name, stored]

    async def caught_up(self, limit_s: float) -> None:
        """Return when the manager has taken all that there is to say, or after the limit."""
        deadline = time.monotonic() + limit_s
        while self._pending and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(RETRY_S)

    def finish(self) -> None:
        """Say all that is left, and wait for the manager: the process ends."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for (name, stored), fd in self._pending.items():
            taken = self._notifier.store(name, fd) if stored else self._notifier.remove(name)
            if not taken:
                log.warning("%d descriptors are lost: the service manager does not listen", len(self._pending))
                break
        self._pending.clear()
