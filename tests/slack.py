"""Bounds on elapsed time that hold on a busy machine too.

`serial` tests run alone, but not always on a machine that has nothing else to do. Where it has, a time says nothing of
the product: the bound is loose there, and what it is about is measured in `bench/`, side by side and as a ratio.
"""

import os
import time

SPIN_S = 0.3
BUSY = 1.08
"""Elapsed time over processor time of a loop that only computes; 1 where nobody else wants the core."""
LOOSE = 4.0
CORES = 2
"""What the bounds are made for."""
LIMIT_S = 50.0
"""Seconds after which a test gives up waiting for what hangs. They measure nothing: a machine with ten times the work
takes ten times as long for what takes two seconds here. Pytest's own limit is longer."""


def slack(seconds: float) -> float:
    """As many seconds as a bound of `seconds` means here and now. Ask after what is measured."""
    cores = len(os.sched_getaffinity(0))
    return seconds * (LOOSE if cores < CORES or slowness() > BUSY else 1)


def slowness(spin_s: float = SPIN_S) -> float:
    """How much longer than its own processor time a computation takes: 1 on an idle machine. Takes `spin_s` seconds."""
    began, used = time.perf_counter(), time.thread_time()
    while (elapsed := time.perf_counter() - began) < spin_s:
        pass
    return elapsed / max(time.thread_time() - used, 1e-9)
