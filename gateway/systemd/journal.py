"""The journal as the reader of stderr: whether it reads, and how a line names its priority (sd-daemon(3))."""

import os
import sys
from collections.abc import Mapping

_PRIORITIES = ((50, 2), (40, 3), (30, 4), (20, 6), (0, 7))
"""Least level of `logging` -> priority of syslog(3): crit, err, warning, info, debug."""


def priority(level: int) -> int:
    """The priority of syslog(3) for a level of `logging`."""
    return next(number for least, number in _PRIORITIES if level >= least)


def prefix(level: int) -> str:
    """`<4>`, which must begin each line."""
    return f"<{priority(level)}>"


def stderr_is_journal(environ: Mapping[str, str]) -> bool:
    """True if systemd reads stderr, and understands prefixes.

    systemd names in JOURNAL_STREAM the device and inode that it connected (systemd.exec(5)); the service's command may
    have redirected stderr since.
    """
    if "INVOCATION_ID" in environ and "JOURNAL_STREAM" not in environ and not sys.stderr.isatty():
        return True  # StandardError=inherit, or the console of a manager that understands prefixes too
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
        return (found.st_dev, found.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False
