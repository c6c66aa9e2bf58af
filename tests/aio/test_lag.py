import msgspec
import pytest

from gateway.aio.lag import CpuTimes, LoopLag


class Clocks:
    """Monotonic time, and what this thread and the process have used."""

    times = CpuTimes(0, 0, 0)

    def __call__(self) -> CpuTimes:
        return self.times


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_loop_that_is_in_time(clocks: Clocks) -> None:
    lag = LoopLag(clocks)
    clocks.times = CpuTimes(1.25, 0.25, 0.5)
    lag.sample(1)
    found = msgspec.to_builtins(lag.latest)
    breakdown = found.pop("cpuBreakdown")
    assert breakdown.pop("hostCpuCount") >= 1
    assert breakdown == {"mainThreadCoreRatio": 0.2, "otherThreadsCoreRatio": 0.2}
    assert found == {
        "degraded": False,
        "degradedSinceMs": None,
        "reasons": (),
        "intervalMs": 1250.0,
        "delayP99Ms": 250.0,
        "delayMaxMs": 250.0,
        "utilization": 0.2,
        "cpuCoreRatio": 0.4,
    }


def test_a_late_loop_says_since_when_and_recovers(clocks: Clocks) -> None:
    lag = LoopLag(clocks)
    clocks.times = CpuTimes(3, 0, 0)
    lag.sample(1)
    clocks.times = CpuTimes(6, 0, 0)
    lag.sample(1)
    late = lag.latest
    assert (late.degraded, late.degraded_since_ms, late.reasons) == (True, 6000, ("event_loop_delay",))
    clocks.times = CpuTimes(7, 0, 0)
    lag.sample(1)
    assert (lag.latest.degraded, lag.latest.degraded_since_ms, lag.latest.delay_max_ms) == (False, None, 0)
