"""The history of the prompt on disk: a JSON string a line, in a file that only the user may read."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

from gateway.files.atomic import replace_text

FILE_NAME = "chat-history"
MAX_BYTES = 1024 * 1024
"""Size above which the older half of the file is dropped."""
MAX_ENTRY = 64 * 1024
"""Bytes of one line. A longer one was pasted, and is not stored."""


class InputHistory(History):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.problem: OSError | None = None
        """The error that kept the history from being read or written."""

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        return reversed([text for line in self._lines() if (text := _read(line)) is not None])

    def store_string(self, string: str) -> None:
        line = json.dumps(string) + "\n"
        if len(line) > MAX_ENTRY:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(line)
                size = file.tell()
            if size > MAX_BYTES:
                lines = self._lines()
                replace_text(self._path, "".join(f"{line}\n" for line in lines[len(lines) // 2 :]))
        except OSError as error:
            self.problem = error

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problem = error
            return []


def _read(line: str) -> str | None:
    try:
        text = json.loads(line)
    except ValueError:
        return None
    return text if isinstance(text, str) else None
