"""Which run of a session goes on, and which wait for it, in order. Pure.

A session's next run is claimed when none of it goes on and there is a place; sessions take turns, so one with a long
queue does not keep the others from theirs.
"""

from collections import deque


class Queues:
    def __init__(self, places: int) -> None:
        """`places`: runs that go on at once."""
        self._places = places
        self._claimed: dict[str, str] = {}
        self._waiting: dict[str, deque[str]] = {}
        self._turns: deque[str] = deque()
        """Sessions whose next run lacks nothing but a place."""
        self._held: set[str] = set()

    @property
    def sessions(self) -> tuple[str, ...]:
        """Those in which a run goes on or waits."""
        return tuple(dict.fromkeys((*self._claimed, *self._waiting)))

    @property
    def total(self) -> int:
        """Runs that go on or wait."""
        return len(self._claimed) + sum(map(len, self._waiting.values()))

    def claimed(self, session: str) -> str | None:
        return self._claimed.get(session)

    def waiting(self, session: str) -> list[str]:
        """In order."""
        return list(self._waiting.get(session, ()))

    def add(self, session: str, run: str) -> None:
        """It waits, behind all that wait already."""
        if session not in self._waiting:
            self._waiting[session] = deque()
            if session not in self._claimed:
                self._turns.append(session)
        self._waiting[session].append(run)

    def resume(self, session: str, run: str) -> None:
        """It was claimed by another process. Call it before anything waits in this session."""
        self._claimed[session] = run

    def claim(self) -> tuple[str, str] | None:
        """The next session and its run, which goes on from here; `free` the session when it is over."""
        if len(self._claimed) >= self._places:
            return None
        for _ in range(len(self._turns)):
            session = self._turns.popleft()
            waiting = self._waiting[session]
            if waiting[0] in self._held:
                self._turns.append(session)
                continue
            self._claimed[session] = run = waiting.popleft()
            if not waiting:
                del self._waiting[session]
            return session, run
        return None

    def free(self, session: str) -> None:
        del self._claimed[session]
        if session in self._waiting:
            self._turns.append(session)

    def hold(self, run: str) -> None:
        """It is not claimed for now, nor what waits behind it."""
        self._held.add(run)

    def release(self, run: str) -> None:
        self._held.discard(run)

    def remove(self, session: str, run: str) -> bool:
        """False if it does not wait."""
        waiting = self._waiting.get(session, deque())
        if run not in waiting:
            return False
        waiting.remove(run)
        if not waiting:
            del self._waiting[session]
            if session in self._turns:
                self._turns.remove(session)
        return True
