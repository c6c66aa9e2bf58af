"""A program in a terminal that a script types into and looks at: a session of tmux, with a server of its own."""

import itertools
import os
import re
import subprocess
import time
from collections.abc import Callable

LOOK_SECONDS = 0.1
COLUMNS, LINES = 120, 100
"""Lines of the terminal: enough for a whole conversation."""


_THEN = r"""trap : INT; "$@"; printf '\nended with %d\n' $?; trap '' INT; exec sleep infinity"""
"""tmux 3.3 does not always know how a program ended. A Ctrl-C that comes after its end must not end the session."""
_numbers = itertools.count()
_ENDED = re.compile(r"^ended with (\d+)$", re.MULTILINE)


class Terminal:
    def __init__(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        # No name twice: the server of the terminal before may not be gone yet.
        self._tmux = ["tmux", "-L", f"{name}-{os.getpid()}-{next(_numbers)}", "-f", "/dev/null"]
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        start = ["new-session", "-d", *size, "--", "sh", "-c", _THEN, "sh", *words]
        subprocess.run([*self._tmux, *start], env=environment | {"TERM": "xterm-256color"}, check=True)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, stderr=subprocess.DEVNULL)  # it may have ended

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._run("capture-pane", "-p").splitlines()).strip()

    def exit(self) -> int | None:
        """None while the program runs."""
        ended = _ENDED.search(self.screen())
        return int(ended[1]) if ended else None

    def until(self, done: Callable[[str], bool], seconds: float) -> bool:
        """Whether the screen, as one line of words, came to be so in time."""
        end = time.monotonic() + seconds
        while not done(plain(self.screen())):
            if time.monotonic() > end:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True).stdout


def plain(text: str) -> str:
    """The text without its line breaks, as wrapping does not matter."""
    return " ".join(text.split())
