"""The handlers of log records: a terminal, the journal, and OpenClaw's JSONL file."""

import errno
import json
import logging
import os
import platform
import socket
import stat
import time
from pathlib import Path
from typing import Any, TextIO

from gateway.files.paths import expand
from gateway.logs import files
from gateway.logs.formatting import message, subsystem
from gateway.systemd.journal import priority
from gateway.text.visible import BOLD, RED, YELLOW, paint

MAX_FILE_BYTES = 100 * 1024 * 1024
"""Most bytes in one log file, where `logging.maxFileBytes` says nothing else."""

_TSLOG = {5: (1, "TRACE"), 10: (2, "DEBUG"), 20: (3, "INFO"), 30: (4, "WARN"), 40: (5, "ERROR"), 50: (6, "FATAL")}
_COLOURS = {30: YELLOW, 40: RED, 50: RED + BOLD}

log = logging.getLogger("gateway.logs")


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
    """Native journal entries. `journalctl -o json` shows OPENCLAW_SUBSYSTEM and OPENCLAW_BOOT beside the message."""

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
    """OpenClaw's daily JSONL file, which OpenClaw's `logs` command and ours read. It warns once of a full disk.

    A file of `max_bytes` is renamed to `….1`, which replaces the one before, and a new file is begun.
    """

    def __init__(self, state: Path, file: str | None = None, max_bytes: int = MAX_FILE_BYTES) -> None:
        """`file` is the one that the config names. Without it, each day has its file in one of `folders(state)`."""
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

    def path_at(self, now: float) -> Path:
        """The file for a line of this time, in seconds since 1970."""
        return self._fixed or files.daily_file(self._state, now)

    def open(self) -> None:
        """Open the file now. Raises OSError if a line could not be written to it."""
        self._open(time.time())

    def _open(self, now: float) -> int:
        day = time.strftime("%Y-%m-%d", time.localtime(now))
        if self._fd is not None and (day == self._day or self._fixed) and self._same_file():
            return self._fd
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._day = day
        self.path = self.path_at(now)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not blocking, because opening a FIFO waits for its reader, and all clients would wait too.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self.path, flags, 0o600)
        found = os.fstat(fd)
        # Root may have made the file for this user. Another user would read it.
        foreign = stat.S_ISREG(found.st_mode) and found.st_uid not in (os.getuid(), 0)
        if foreign or stat.S_ISFIFO(found.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is another user's" if foreign else "it is a FIFO", str(self.path))
        self._fd = fd
        if not self._fixed:
            files.prune(self.path.parent, now)
        return self._fd

    def _is_full(self, fd: int, more: int) -> bool:
        found = os.fstat(fd)
        return stat.S_ISREG(found.st_mode) and 0 < found.st_size > self._max_bytes - more

    def _same_file(self) -> bool:
        """True if the open file still has its name. It has not after logrotate or `rm`."""
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


def _tslog(level: int) -> tuple[int, str]:
    return _TSLOG[max((known for known in _TSLOG if known <= level), default=5)]
