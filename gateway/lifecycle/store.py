"""systemd's fd store, without ever waiting for the manager: what it has no room for now is said again a moment later.

The manager compares each new descriptor with all that it has, so a thousand clients that come at once take it a while.
"""

import asyncio

from gateway.lifecycle.notify import Notifier

RETRY_S = 0.01


class Store:
    def __init__(self, notifier: Notifier) -> None:
        self.available = notifier.connected
        """Whether there is a manager at all."""
        self._notifier = notifier
        self._pending: dict[str, int | None] = {}
        """Names in the order of asking, with the descriptor to store; None: to be removed."""
        self._retry: asyncio.TimerHandle | None = None

    def put(self, name: str, fd: int) -> None:
        """`fd` must stay open until it is removed, or the process ends."""
        self._ask(name, fd)

    def remove(self, name: str) -> None:
        if name in self._pending:
            del self._pending[name]  # nothing has been said of it yet
        else:
            self._ask(name, None)

    def _ask(self, name: str, fd: int | None) -> None:
        if not self.available:
            return
        self._pending[name] = fd
        if self._retry is None:
            self._speak()

    def _speak(self) -> None:
        self._retry = None
        while self._pending:
            name, fd = next(iter(self._pending.items()))
            taken = self._notifier.try_remove(name) if fd is None else self._notifier.try_store(name, fd)
            if not taken:
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._speak)
                return
            del self._pending[name]

    def finish(self) -> None:
        """Say all that is left, and wait for the manager: the process ends."""
        if self._retry is not None:
            self._retry.cancel()
        for name, fd in self._pending.items():
            self._notifier.remove(name) if fd is None else self._notifier.store(name, fd)
        self._pending.clear()
