"""The terminal of a conversation: text goes to the cursor, or above the prompt while there is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from prompt_toolkit.application import in_terminal

from gateway.terminal.spinner import Spinner
from gateway.terminal.writer import write_text
from gateway.text.visible import Inked


class Screen:
    def __init__(self, spinner: Spinner, out: TextIO | None = None) -> None:
        """`out`: the terminal, if it is not stdout."""
        self.spinner = spinner
        self._out = out
        self._prompting = False
        self._incomplete = Inked()
        """The beginning of a line: only complete lines can be printed above a prompt."""

    async def put(self, text: str) -> None:
        self.spinner.stop()
        if not self._prompting:
            self._write(text)
            return
        lines, newline, self._incomplete = (self._incomplete + text).rpartition("\n")
        if newline:
            async with in_terminal():
                self._write(lines + newline)

    @contextmanager
    def prompt(self) -> Iterator[None]:
        """To be entered while a prompt is shown."""
        self._prompting = True
        try:
            yield
        finally:
            self._prompting = False
            incomplete, self._incomplete = self._incomplete, Inked()
            self._write(incomplete)

    def _write(self, text: str) -> None:
        write_text(text, self._out)
