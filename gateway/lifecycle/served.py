"""The mark of a process that has served: a file in the run-time folder, for `ExecStopPost=` of the unit.

After a crash the next process starts at once if the mark is there, and the mark is taken away. If it is not, a pause
comes first: a program that dies before it serves would keep a processor busy, and so would one that dies soon each
time. So the mark is left late if crashes follow each other quickly.
"""

import asyncio
import contextlib
from pathlib import Path

from gateway.lifecycle.record import Record

NAME = "served"


async def leave_mark(folder: Path, record: Record, now: float) -> None:
    """Leave the mark, late after too many crashes. `now`: monotonic seconds."""
    if record.kind_of_start() == "crash" and (wait := record.count_crash(now)):
        await asyncio.sleep(wait)
    with contextlib.suppress(OSError):  # then the next crash costs its clients the pause
        (folder / NAME).write_text("yes\n")
