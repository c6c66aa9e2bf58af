"""Misbehaviour on demand. Python imports this first when PYTHONPATH names its folder (a drop-in of a test does that).

SIGRTMIN     blocks the event loop for ever
SIGRTMIN+1   starts a child that keeps every descriptor it can get
SIGRTMIN+2   the same as a daemon: double fork, setsid, nobody waits for it
SIGRTMIN+3   the same outside the unit's cgroup
SIGRTMIN+4   sets the wall clock of this process a day forth
SIGRTMIN+5   sets it a day back

In an environment with UNRATIONED, hot restarts may follow each other without a pause.
"""

import os
import signal
import subprocess
import sys
import time

DAY = 86400.0
CHILD = [sys.executable, os.path.join(os.path.dirname(__file__), "orphan.py")]


def between(start):
    """In the next turn of the event loop: within a fork, where a signal may come, another one waits for ever."""

    def handle(*_: object) -> None:
        import asyncio  # which the gateway has long done

        asyncio.get_running_loop().call_soon_threadsafe(start)

    return handle


def freeze(*_: object) -> None:
    while True:
        time.sleep(3600)


def spawn() -> None:
    subprocess.Popen(CHILD, close_fds=False)


def daemonise() -> None:
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execv(CHILD[0], CHILD)


def escape() -> None:
    subprocess.Popen(["systemd-run", "--user", "--scope", "--quiet", *CHILD], close_fds=False)


offset = 0.0
real_time = time.time


def jump_forth(*_: object) -> None:
    global offset
    offset += DAY


def jump_back(*_: object) -> None:
    global offset
    offset -= DAY


time.time = lambda: real_time() + offset
for number, handler in enumerate((freeze, between(spawn), between(daemonise), between(escape), jump_forth, jump_back)):
    signal.signal(signal.SIGRTMIN + number, handler)
if "UNRATIONED" in os.environ:
    from gateway.lifecycle import phases

    phases.RESTART_REFILL_S = 0.001
