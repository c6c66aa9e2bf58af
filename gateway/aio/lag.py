"""How late the event loop is, and how busy. It is sampled by a timer that runs anyway."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Struct

SLOW_S = 1.0
"""Seconds of delay from which on the event loop counts as degraded."""
_PROCESSORS = os.cpu_count() or 1


class CpuBreakdown(Struct, frozen=True, rename="camel"):
    """Processor time by wall time: 1.0 is one processor in full use."""

    main_thread_core_ratio: float
    host_cpu_count: int
    other_threads_core_ratio: float


class EventLoop(Struct, frozen=True, eq=False, rename="camel"):
    """The event loop in a health report of OpenClaw 2026.9.6. One sample is its own 99th percentile."""

    degraded: bool
    degraded_since_ms: int | None
    """Milliseconds for which it has been degraded. None if it is not."""
    reasons: tuple[str, ...]
    interval_ms: float
    delay_p99_ms: float = msgspec.field(default=0.0, name="delayP99Ms")
    delay_max_ms: float = 0.0
    utilization: float = 0.0
    """Processor time of the loop's thread by wall time, at most 1.0. Time in which the thread sleeps does not count."""
    cpu_core_ratio: float = 0.0
    cpu_breakdown: CpuBreakdown = CpuBreakdown(0.0, _PROCESSORS, 0.0)


class CpuTimes(NamedTuple):
    """Readings of three clocks, in seconds."""

    wall: float
    thread: float
    process: float


def now() -> CpuTimes:
    """Read the three clocks. Call it in the event loop's thread."""
    return CpuTimes(time.monotonic(), time.thread_time(), time.process_time())


class LoopLag:
    """`latest` is the newest sample."""

    def __init__(self, clock: Callable[[], CpuTimes] = now) -> None:
        self._clock = clock
        self._before = clock()
        self._slow_since: float | None = None
        self.latest = EventLoop(False, None, (), 0.0)

    def sample(self, slept_s: float) -> None:
        """Measure since the call before. Between two calls there must be one sleep of `slept_s` and nothing else."""
        before, self._before = self._before, self._clock()
        wall, thread, process = (b - a for a, b in zip(before, self._before, strict=True))
        delay = max(wall - slept_s, 0.0)
        if delay < SLOW_S:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = before.wall
        slow = self._slow_since is not None
        late_ms, main, whole = round(delay * 1000, 1), round(thread / wall, 3), round(process / wall, 3)
        self.latest = EventLoop(
            degraded=slow,
            degraded_since_ms=None if self._slow_since is None else int((self._before.wall - self._slow_since) * 1000),
            reasons=("event_loop_delay",) if slow else (),
            interval_ms=round(wall * 1000, 1),
            delay_p99_ms=late_ms,
            delay_max_ms=late_ms,
            utilization=min(main, 1.0),
            cpu_core_ratio=whole,
            cpu_breakdown=CpuBreakdown(main, _PROCESSORS, max(round(whole - main, 3), 0.0)),
        )
