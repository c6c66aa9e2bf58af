"""Asks systemd's managers about our unit, with `systemctl`: both at once, since either may be the one that runs us."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE

from gateway.aio.subprocesses import subprocess

ANSWER_S = 1.0
"""The longest that a manager may take for an answer; it is asked while we still serve."""
MANAGERS = ("--user", "--system")


async def is_being_stopped(unit: str) -> bool:
    """True if a stop of the unit is queued that no start follows. False if no manager says so."""
    answers = await _ask_managers("list-jobs", "--plain", "--no-legend", unit)
    jobs = [line.split() for answer in answers for line in answer]
    return any(job[1:3] == [unit, "stop"] for job in jobs)


async def store_size(unit: str) -> int | None:
    """FileDescriptorStoreMax= of the unit whose main process we are; None if no manager says it."""
    names = ("--property=MainPID", "--property=FileDescriptorStoreMax")
    for answer in await _ask_managers("show", unit, *names):
        shown = dict(line.split("=", 1) for line in answer if "=" in line)
        size = shown.get("FileDescriptorStoreMax", "")
        if shown.get("MainPID") == str(os.getpid()) and size.isdecimal():
            return int(size)
    return None


async def _ask_managers(*words: str) -> list[list[str]]:
    """The answer of each manager; both are asked at once."""
    # Not by `gather`, which returns when the first of them is cancelled.
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask_manager(manager, *words)) for manager in MANAGERS]
    return [each.result() for each in asked]


async def _ask_manager(manager: str, *words: str) -> list[str]:
    """The lines of its answer; none if there is no answer within `ANSWER_S`."""
    words = ("systemctl", manager, "--no-pager", *words)
    try:
        async with subprocess(*words, out=PIPE, err=DEVNULL) as process, asyncio.timeout(ANSWER_S):
            out, _ = await process.communicate()
    except OSError:  # no systemctl, or no answer in time
        return []
    return out.decode(errors="replace").splitlines() if process.returncode == 0 else []
