"""Requests that wait for the end of a run."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class RunWaiters:
    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def expecting(self, id: str) -> Iterator["asyncio.Future[None]"]:
        """A future that is done once the run is over, or nobody is to wait any more."""
        over = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id, set()).add(over)
        try:
            yield over
        finally:
            self._waiting[id].discard(over)
            if not self._waiting[id]:
                del self._waiting[id]

    def wake(self, id: str) -> None:
        for over in self._waiting.get(id, ()):
            if not over.done():
                over.set_result(None)

    def wake_all(self) -> None:
        for id in self._waiting:
            self.wake(id)
