import asyncio

import pytest

from gateway.reload.retry import FIRST_PAUSE_S, LONGEST_PAUSE_S, SecretRetry


class Later:
    """A loop's timers, none of which ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        self.cancelled = 0
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, pause_s: float, look: object) -> "Later":
        self.pauses.append(pause_s)
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def test_it_looks_less_and_less_often_until_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    later, again = Later(monkeypatch), SecretRetry(lambda: None)
    again.schedule(False)
    assert later.pauses == []
    for _ in range(10):
        again.schedule(True)
    assert later.pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert max(later.pauses) == later.pauses[-1] == LONGEST_PAUSE_S
    again.schedule(False)
    again.schedule(True)
    assert later.pauses[-1] == FIRST_PAUSE_S and later.cancelled == len(later.pauses) - 1
    again.cancel()
    assert later.cancelled == len(later.pauses)
