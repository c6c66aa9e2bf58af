"""The order of runs: one goes on in a session, the others wait behind it. Pure.

A session's next run is claimed when none of the session goes on and a place is free. Sessions take turns, so a long
queue of one session does not hold up the others.
"""

from collections import deque


class Queues:
    def __init__(self, places: int) -> None:
        """`places`: how many runs may go on at the same time."""
        self._places = places
        self._claimed: dict[str, str] = {}
        self._waiting: dict[str, deque[str]] = {}
        self._turns: deque[str] = deque()
        """Sessions whose next run waits for nothing but a place."""
        self._held: set[str] = set()

    @property
    def sessions(self) -> tuple[str, ...]:
        """Sessions in which a run goes on or waits."""
        return tuple(dict.fromkeys((*self._claimed, *self._waiting)))

    @property
    def total(self) -> int:
        """Runs that go on or wait."""
        return len(self._claimed) + sum(map(len, self._waiting.values()))

    def claimed(self, session: str) -> str | None:
        """The run that was claimed for the session."""
        return self._claimed.get(session)

    def waiting(self, session: str) -> list[str]:
        """The runs that wait, in order."""
        return list(self._waiting.get(session, ()))

    def add(self, session: str, run: str) -> None:
        """Let a run wait, behind those that wait already."""
        if session not in self._waiting:
            self._waiting[session] = deque()
            if session not in self._claimed:
                self._turns.append(session)
        self._waiting[session].append(run)

    def resume(self, session: str, run: str) -> None:
        """The run was claimed by another process. Call it before a run waits in this session."""
        self._claimed[session] = run

    def claim_at_once(self, session: str, run: str) -> bool:
        """Claim a run that need not wait; False if it has to, for its turn or for a place."""
        if session in self._claimed or session in self._waiting or len(self._claimed) >= self._places:
            return False
        self._claimed[session] = run
        return True

    def claim(self) -> tuple[str, str] | None:
        """Claim the next run; return its session and its id. Call `free` with the session when the run is over."""
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
        """Do not claim this run until `release`, nor those that wait behind it."""
        self._held.add(run)

    def release(self, run: str) -> None:
        self._held.discard(run)

    def remove(self, session: str, run: str) -> bool:
        """Take a run out of its queue; False if it does not wait."""
        waiting = self._waiting.get(session, deque())
        if run not in waiting:
            return False
        waiting.remove(run)
        if not waiting:
            del self._waiting[session]
            if session in self._turns:
                self._turns.remove(session)
        return True
