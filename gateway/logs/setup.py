"""Where log lines go: the journal with priority and fields, a terminal in readable lines, and OpenClaw's JSONL file.

One fact is one line. Everything is logged through the standard library's `logging` under `gateway.<subsystem>`; what a
client sent is never logged raw, and what a terminal would obey or hide is made visible here all the same.
"""

import errno
import json
import logging
import os
import platform
import socket
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from gateway.files.ours import folder_refusal
from gateway.files.paths import Paths, expand
from gateway.logs.formatting import LEVELS, PrefixFormatter, message, subsystem
from gateway.systemd.journal import priority, stderr_is_journal
from gateway.text.visible import BOLD, RED, YELLOW, paint

MAX_FILE_BYTES = 100 * 1024 * 1024
"""Of one log file, where `logging.maxFileBytes` says nothing else."""
KEEP_FILES_S = 24 * 3600
"""OpenClaw prunes its daily files after a day."""

_TSLOG = {5: (1, "TRACE"), 10: (2, "DEBUG"), 20: (3, "INFO"), 30: (4, "WARN"), 40: (5, "ERROR"), 50: (6, "FATAL")}
_COLOURS = {30: YELLOW, 40: RED, 50: RED + BOLD}

log = logging.getLogger("gateway.logs.setup")


class TerminalHandler(logging.StreamHandler[TextIO]):
    """`12:03:11 warn  gateway/reload  message`, coloured only on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = _tslog(record.levelno)[1].lower()
        line = f"{clock} {level:<5} {subsystem(record):<18} {message(record)}"
        return paint(line, _COLOURS.get(record.levelno, "") if self._colour else "")


class JournalHandler(logging.Handler):
    """Native journal entries: `journalctl -o json` shows SUBSYSTEM and BOOT beside the message."""

    def __init__(self, boot_id: str) -> None:
        from systemd import journal

        super().__init__()
        self._send = journal.send
        self._fields = {"SYSLOG_IDENTIFIER": "openclaw-gateway", "OPENCLAW_BOOT": boot_id}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(
                message(record),
                PRIORITY=priority(record.levelno),
                OPENCLAW_SUBSYSTEM=subsystem(record),
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName,
                **self._fields,
            )
        except OSError:
            self.handleError(record)


class JsonlHandler(logging.Handler):
    """OpenClaw's daily JSONL file, which its and our `logs` commands read. A disk that is full is said once.

    At `max_bytes` it is renamed to `….1`, in place of the one before, and begun anew: the newest lines are there.
    """

    def __init__(self, state: Path, file: str | None = None, max_bytes: int = MAX_FILE_BYTES) -> None:
        """`file`: where the config names one. Else it is of today, in the first of `folders(state)` that is ours."""
        super().__init__()
        self._state = state
        self._max_bytes = max_bytes
        self._fixed = expand(file) if file else None
        self._hostname = socket.gethostname()
        self._fd: int | None = None
        self._day = ""
        self._failed = False
        self.path: Path | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = json.dumps(self._entry(record), ensure_ascii=False, separators=(",", ":")) + "\n"
        line = text.encode(errors="replace")
        try:
            fd = self._open(record.created)
            if self._is_full(fd, len(line)):
                assert self.path is not None
                os.replace(self.path, f"{self.path}.1")
                fd = self._open(record.created)
            os.write(fd, line)
            self._failed = False
        except OSError as error:
            if not self._failed:
                self._failed = True  # set first: the warning itself comes back here
                log.warning("cannot write the log file %s: %s", self.path, error.strerror)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        super().close()

    def place(self, now: float) -> Path:
        """Where a line of this time would go."""
        day = time.strftime("%Y-%m-%d", time.localtime(now))
        return self._fixed or _folder(self._state) / f"openclaw-{day}.log"

    def _open(self, now: float) -> int:
        day = time.strftime("%Y-%m-%d", time.localtime(now))
        if self._fd is not None and (day == self._day or self._fixed) and self._same_file():
            return self._fd
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._day = day
        self.path = self.place(now)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not blocking, because opening a FIFO waits for its reader, and all clients would wait with us.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self.path, flags, 0o600)
        found = os.fstat(fd)
        # Root may have made a file for us; anybody else would read it.
        strange = stat.S_ISREG(found.st_mode) and found.st_uid not in (os.getuid(), 0)
        if strange or stat.S_ISFIFO(found.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is another user's" if strange else "it is a FIFO", str(self.path))
        self._fd = fd
        if not self._fixed:
            _prune(self.path.parent, now)
        return self._fd

    def _is_full(self, fd: int, more: int) -> bool:
        found = os.fstat(fd)
        return stat.S_ISREG(found.st_mode) and 0 < found.st_size > self._max_bytes - more

    def _same_file(self) -> bool:
        """False after logrotate or `rm`: write to the new file, not to the one that has no name any more."""
        assert self._fd is not None and self.path is not None
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def _entry(self, record: logging.LogRecord) -> dict[str, Any]:
        number, level = _tslog(record.levelno)
        source = json.dumps({"subsystem": subsystem(record)}, separators=(",", ":"))
        date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        return {
            "0": source,
            "1": message(record),
            "_meta": {
                "runtime": "python",
                "runtimeVersion": platform.python_version(),
                "hostname": self._hostname,
                "name": source,
                "parentNames": ["openclaw"],
                "date": date,
                "logLevelId": number,
                "logLevelName": level,
            },
            "time": date,
        }


class Logs:
    """The handlers of this process; `apply` changes level and file while it runs."""

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
        """Also before this process has written a line: those before it have. None where none is ever written."""
        if self._file.level >= LEVELS["silent"]:
            return None
        return str(self._file.path or self._file.place(time.time()))

    def apply(self, level: str, console_level: str, file: str | None, max_bytes: int = MAX_FILE_BYTES) -> None:
        """Raises OSError, and changes nothing, if `file` cannot be opened."""
        handler = JsonlHandler(self._state, file, max_bytes)
        if file:
            handler._open(time.time())
        handler.setLevel(LEVELS[level])
        # The journal keeps what the file keeps; a terminal has a level of its own.
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


def _tslog(level: int) -> tuple[int, str]:
    return _TSLOG[max((known for known in _TSLOG if known <= level), default=5)]


def folders(state: Path) -> tuple[Path, ...]:
    """Where the log may lie: as OpenClaw has it, or, where another user was there first, below the state folder."""
    return Path("/tmp/openclaw"), Path(f"/tmp/openclaw-{os.getuid()}"), state / "logs"


def _folder(state: Path) -> Path:
    """The first that is ours alone."""
    *shared, own = folders(state)
    for folder in shared:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder_refusal(folder) is None:
                return folder
        except OSError:
            continue  # the next one is the answer to every reason
    return own


def _prune(folder: Path, now: float) -> None:
    for old in folder.glob("openclaw-????-??-??.log*"):
        try:
            if now - old.stat().st_mtime > KEEP_FILES_S:
                old.unlink()
        except OSError as error:
            log.debug("cannot remove the old log file %s: %s", old, error.strerror)
