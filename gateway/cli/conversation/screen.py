"""The terminal that a conversation is printed on: at the cursor, or above the prompt while there is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from prompt_toolkit.application import in_terminal

from gateway.cli.conversation.sign import Sign


class Screen:
    def __init__(self, out: TextIO, sign: Sign) -> None:
        self.sign = sign
        self._out = out
        self._prompting = False
        self._held = ""
        """A line that is not complete: it cannot stand above a prompt."""

    async def put(self, text: str) -> None:
        self.sign.off()
        if not self._prompting:
            self._write(text)
            return
        lines, newline, self._held = (self._held + text).rpartition("\n")
        if newline:
            async with in_terminal():
                self._write(lines + newline)

    @contextmanager
    def prompt(self) -> Iterator[None]:
        """A prompt is shown."""
        self._prompting = True
        try:
            yield
        finally:
            self._prompting = False
            held, self._held = self._held, ""
            self._write(held)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
