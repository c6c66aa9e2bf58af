"""A command at a terminal of its own: what is typed there, and what it shows."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable
from subprocess import Popen
from types import TracebackType
from typing import Any, Self

SECONDS = 30.0
"""For what is waited for to be shown."""
CTRL_C, CTRL_D, ENTER, ALT_ENTER, UP = "\x03", "\x04", "\r", "\x1b\r", "\x1b[A"
ENVIRON = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
"""Nobody here answers where the cursor is."""
SIGN = re.compile(r"\r[^\r\n]? thinking[^\r\n]*?(?=\r)")
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")


class Terminal:
    """Use it as a context manager: at its end the command is killed."""

    def __init__(self, start: Callable[..., Popen[Any]], columns: int = 80, lines: int = 40) -> None:
        """`start` gets what `subprocess.Popen` shall have beside command and variables; `ENVIRON` is among these."""
        self.raw = ""
        """All that was shown, with what steers the terminal."""
        self._seen = 0
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = start(stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=_own)
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"the terminal shows: {self.raw!r}")
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, text: str) -> str:
        """Wait until it is shown, behind what was waited for before; what was shown up to its end."""
        deadline = time.monotonic() + SECONDS
        while (place := self.shown.find(text, self._seen)) < 0:
            assert self._read(deadline - time.monotonic()), f"it has ended, or it does not show {text!r}"
        begun, self._seen = self._seen, place + len(text)
        return self.shown[begun : self._seen]

    def until_waiting(self) -> None:
        """Wait until the sign shows that an answer is waited for."""
        seen, deadline = len(self.raw), time.monotonic() + SECONDS
        while " thinking" not in self.raw[seen:]:
            assert self._read(deadline - time.monotonic()), "it has ended, or it does not wait"

    def end(self) -> int:
        """Wait for the end of the command; its exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(SECONDS)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def echoes(self) -> bool:
        """What is typed is shown, as a shell wants it."""
        flags: int = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO)

    @property
    def shown(self) -> str:
        """Without what steers the terminal, and without the sign that comes and goes."""
        return SIGN.sub("", _ESCAPES.sub("", self.raw)).replace("\r", "")

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody has the other end open
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)


def _own() -> None:
    """Make the terminal that of the session which begins with the command."""
    fcntl.ioctl(1, termios.TIOCSCTTY, 0)
