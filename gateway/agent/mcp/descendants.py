"""Processes that an MCP server has started and that have left its process group.

They inherit a mark in their environment, which /proc shows: neither a new session nor the death of who started them
takes it away.
"""

import os
import signal

MARK = "OPENCLAW_GATEWAY_MCP"
"""The variable, whose value is another one for each start of a server."""


def signal_marked(value: str, number: int, but: int = 0) -> list[int]:
    """Signal all that have this value and are not in the group `but`. Returns who they are."""
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
            pass  # it has gone, or has become somebody else's
        finally:
            os.close(process)
    return found


def _all_pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _has_mark(pid: int, value: str) -> bool:
    """What another user runs cannot be read; what has ended has no environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={value}".encode() in file.read().split(b"\0")
    except OSError:
        return False
