import logging

import pytest

from gateway.logs.sparing import MOST, PERIOD_S, Sparing
from tests.fakes.clock import Clock


def test_so_many_in_a_minute_and_then_how_many_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock(1000.0)
    sparing = Sparing(logging.getLogger("test.sparing"), "refusals", clock)
    for number in range(MOST):
        sparing.say("refused %d", number)
    assert caplog.messages == [f"refused {number}" for number in range(MOST)]
    caplog.clear()
    for _ in range(1000):
        sparing.say("refused")
    assert caplog.messages == ["further refusals are counted and not logged for up to a minute"]
    caplog.clear()
    clock.now += PERIOD_S
    sparing.say("refused")
    sparing.say("refused")
    assert caplog.messages == ["1000 more refusals were not logged", "refused", "refused"]
