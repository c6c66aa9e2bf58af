"""Processes that an MCP server has started and that have left its process group.

They inherit a mark in their environment, which /proc shows. A new session does not remove it, nor does the death of
their parent.
"""

import os
import signal

MARK = "OPENCLAW_GATEWAY_MCP"
"""Name of the variable. Its value differs for each start of a server."""


def signal_marked(value: str, number: int, but: int = 0) -> list[int]:
    """Signal all processes that have this value and are not in the process group `but`. Returns their pids."""
    found = []
    for pid in _all_pids():
        try:
            process = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if _has_mark(pid, value) and os.getpgid(pid) != but:
                signal.pidfd_send_signal(process, number)
                found.append(pid)
        except OSError:
            pass  # the process has ended, or runs as another user now
        finally:
            os.close(process)
    return found


def _all_pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _has_mark(pid: int, value: str) -> bool:
    """Whether the process has the mark. False for another user's process, and for one that has ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={value}".encode() in file.read().split(b"\0")
    except OSError:
        return False
