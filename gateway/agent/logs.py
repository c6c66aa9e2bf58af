"""The agent's log lines, on stderr: with a priority for the journal, else with the time for a person."""

import logging
import sys
import time
from collections.abc import Mapping

from gateway.logs.formatting import LEVELS, PrefixFormatter, message, subsystem
from gateway.systemd.journal import stderr_is_journal


class TerminalFormatter(logging.Formatter):
    """`12:03:11 warning agent/link: message`."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{clock} {record.levelname.lower():<7} {subsystem(record)}: {message(record)}"


def set_up(environ: Mapping[str, str]) -> None:
    """OPENCLAW_LOG_LEVEL is a level's name in OpenClaw's config; another word means info."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrefixFormatter() if stderr_is_journal(environ) else TerminalFormatter())
    logging.getLogger().handlers[:] = [handler]  # the root, so that warnings of libraries are written too
    logging.captureWarnings(True)
    logging.getLogger("agent").setLevel(LEVELS.get(environ.get("OPENCLAW_LOG_LEVEL", "info"), logging.INFO))
    logging.raiseExceptions = False  # a broken stderr must not turn each line into a traceback
