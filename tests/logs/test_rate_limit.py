import logging

import pytest

from gateway.logs.rate_limit import LINES_PER_PERIOD, PERIOD_S, RateLimitedLog
from tests.fakes.clock import Clock


def test_so_many_in_a_minute_and_then_how_many_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock(1000.0)
    limited = RateLimitedLog(logging.getLogger("test.limited"), "refusals", clock)
    for number in range(LINES_PER_PERIOD):
        limited.info("refused %d", number)
    assert caplog.messages == [f"refused {number}" for number in range(LINES_PER_PERIOD)]
    caplog.clear()
    for _ in range(1000):
        limited.info("refused")
    assert caplog.messages == ["further refusals are counted and not logged for up to a minute"]
    caplog.clear()
    clock.now += PERIOD_S
    limited.info("refused")
    limited.info("refused")
    assert caplog.messages == ["1000 more refusals were not logged", "refused", "refused"]
