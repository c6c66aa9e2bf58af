"""Log lines on stderr: with syslog's priority for the journal, else with the time for a person."""

import logging
import os
import sys
import time
from collections.abc import Mapping

from gateway.text.visible import visible

LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50, "silent": 100}
"""OpenClaw's names."""
MAX_MESSAGE = 8192
_PRIORITIES = ((50, 2), (40, 3), (30, 4), (20, 6), (0, 7))  # syslog(3)


def _clean(text: str) -> str:
    """What others have said may be in it: nothing that a terminal obeys or hides, and not too long."""
    return visible(text[:MAX_MESSAGE])


class JournalFormatter(logging.Formatter):
    """`<4>agent/link: message`, each line of it with the prefix (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for least, number in _PRIORITIES if record.levelno >= least)
        lines = _clean(super().format(record)).split("\n")
        return "\n".join(f"<{priority}>{record.name.replace('.', '/')}: {line}" for line in lines)


class TerminalFormatter(logging.Formatter):
    """`12:03:11 warning agent/link: message`."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        message = _clean(super().format(record))
        return f"{clock} {record.levelname.lower():<7} {record.name.replace('.', '/')}: {message}"


def set_up(environ: Mapping[str, str]) -> None:
    """OPENCLAW_LOG_LEVEL is a level's name as in OpenClaw's config; another word means info."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JournalFormatter() if _is_journal(environ) else TerminalFormatter())
    logging.getLogger().handlers[:] = [handler]  # other people's libraries: what is a warning to them, from the root
    logging.captureWarnings(True)
    logging.getLogger("agent").setLevel(LEVELS.get(environ.get("OPENCLAW_LOG_LEVEL", "info"), logging.INFO))
    logging.raiseExceptions = False  # a broken stderr must not turn each line into a traceback


def _is_journal(environ: Mapping[str, str]) -> bool:
    """systemd says in JOURNAL_STREAM which device and inode it has connected (systemd.exec(5))."""
    try:
        device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
        found = os.fstat(sys.stderr.fileno())
        return (found.st_dev, found.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False
