"""The logging of the gateway's process: its console (the journal, a terminal, a supervisor) and OpenClaw's JSONL file.

One fact is one line. Everything is logged through the standard library's `logging` under `gateway.<subsystem>`. What a
client sent is never logged raw, and `formatting.message` makes visible what a terminal would obey or hide.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping

from gateway.files.paths import Paths
from gateway.logs.formatting import LEVELS, PrefixFormatter
from gateway.logs.handlers import MAX_FILE_BYTES, JournalHandler, JsonlHandler, TerminalHandler
from gateway.systemd.journal import stderr_is_journal


class Logs:
    """The handlers of this process. `apply` changes level and file while it runs."""

    def __init__(self, environ: Mapping[str, str], boot_id: str) -> None:
        self._root = logging.getLogger("gateway")
        self._root.propagate = False
        logging.raiseExceptions = False  # a broken stderr must not turn each line into a traceback
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        self._console = _console(environ, boot_id)
        self._state = Paths.from_env(environ).state
        self._file = JsonlHandler(self._state)
        uvicorn = logging.getLogger("uvicorn.error")
        for logger in (self._root, uvicorn):
            logger.handlers[:] = [self._console, self._file]
        uvicorn.propagate = False

    @property
    def file(self) -> str | None:
        """The file of today, which processes before this one may have written. None if no line is ever written."""
        if self._file.level >= LEVELS["silent"]:
            return None
        return str(self._file.path or self._file.path_at(time.time()))

    def apply(self, level: str, console_level: str, file: str | None, max_bytes: int = MAX_FILE_BYTES) -> None:
        """Raises OSError, and changes nothing, if `file` cannot be opened. The levels are keys of `LEVELS`."""
        handler = JsonlHandler(self._state, file, max_bytes)
        if file:
            handler.open()
        handler.setLevel(LEVELS[level])
        # The journal gets what the file gets. A terminal has a level of its own.
        self._console.setLevel(LEVELS[console_level if isinstance(self._console, TerminalHandler) else level])
        for logger in (self._root, logging.getLogger("uvicorn.error")):
            logger.handlers[:] = [self._console, handler]
        self._root.setLevel(min(LEVELS[level], LEVELS[console_level]))
        self._file.close()
        self._file = handler


def _console(environ: Mapping[str, str], boot_id: str) -> logging.Handler:
    if not stderr_is_journal(environ):
        return TerminalHandler(sys.stderr)
    if os.path.exists("/run/systemd/journal/socket"):
        return JournalHandler(boot_id)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrefixFormatter())
    return handler
