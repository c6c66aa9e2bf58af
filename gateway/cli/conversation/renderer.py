"""The look of a conversation in a terminal: questions, answers as they come, and dim lines for everything else."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from gateway.cli.conversation.events import (
    ChatEvent,
    MessageRestarted,
    NextMessage,
    PastMessage,
    Question,
    RunBegun,
    RunEnded,
    TextDelta,
    ToolUse,
)
from gateway.cli.conversation.wrap import Wrap
from gateway.text.visible import BOLD, CYAN, DIM, RED, YELLOW, Inked, hanging, one_line, paint, visible

MARK = "› "
"""Stands before what a user says."""
RECALLED_LINES = 12
"""Lines shown of a message from before this conversation."""


class Renderer:
    """Each method returns the text to print next. `columns` is called for the width of each line."""

    def __init__(self, columns: Callable[[], int], colour: bool) -> None:
        self._columns = columns
        self._colour = colour
        self._answer = Wrap(self._columns, colour)

    @property
    def at_line_start(self) -> bool:
        """Whether the cursor is at the beginning of a line."""
        return self._answer.column == 0

    def header(self, *parts: str) -> Inked:
        """`parts`: the model, the session's key and the gateway's URL."""
        first, *others = [one_line(part) for part in parts if part]
        return self._in(BOLD, first) + self._in(DIM, "".join(f" · {part}" for part in others)) + "\n"

    def render(self, event: ChatEvent) -> Inked:
        match event:
            case TextDelta(text=text):
                return self._answer.feed(text)
            case Question(text=text):
                return self.question(text)
            case NextMessage():
                return self._answer.finish() + "\n"
            case MessageRestarted():
                return self.aside("written anew:")
            case ToolUse(name=name, args=args, error=error):
                if error is not None:
                    return self.aside(f"{name} failed: {error}", RED)
                return self.aside(f"{name} {_short(args)}" if args else name)
            case RunEnded(state=state, error=error):
                said = self._answer.finish()
                if state == "error":
                    said += self.aside(f"error: {error or 'no answer'}", RED)
                return said + (self.aside("stopped", YELLOW) if state == "aborted" else "") + "\n"
            case RunBegun():
                return Inked()

    def aside(self, text: str, colour: str = DIM) -> Inked:
        """One dim line, cut at the terminal's width. The last word of the answer is complete."""
        return self._answer.flush() + self.note(text, colour)

    def note(self, text: str, colour: str = DIM) -> Inked:
        """As `aside`, but the last word of the answer may go on afterwards."""
        line = " ".join(visible(text).split())
        room = max(self._columns() - 2, 1)
        if cell_len(line) > room:
            line = set_cell_size(line, room - 1).rstrip() + "…"
        return self.to_line_start() + self._in(colour, f"· {line}") + "\n"

    def error(self, text: str) -> Inked:
        return self._answer.finish() + self._in(RED, "error:") + f" {hanging(text, '  ')}\n\n"

    def line(self, text: str) -> Inked:
        return self._answer.finish() + one_line(text) + "\n"

    def question(self, text: str) -> Inked:
        wrap = Wrap(self._columns, False, " " * len(MARK))
        wrap.column = len(MARK)
        return self._answer.finish() + self._in(BOLD + CYAN, MARK) + wrap.feed(text.strip("\n")) + wrap.finish()

    def finish(self) -> Inked:
        """To be called when the answer is complete."""
        return self._answer.finish()

    def to_line_start(self) -> Inked:
        """Go to the beginning of a line; an answer may go on there."""
        return self._answer.to_line_start()

    def past_messages(self, rows: Sequence[PastMessage], lines: int | None = RECALLED_LINES) -> Inked:
        """Messages from before; of a long one the first `lines`."""
        text, before = self._answer.finish(), ""
        for row in rows:
            said = self._past_message(row, lines)
            text += ("\n" if before == "tools" and row.text and said else "") + said
            before = ("tools" if row.tools else row.role) if said else before
        return text

    def _past_message(self, row: PastMessage, lines: int | None) -> Inked:
        if row.role == "user":
            return self._cut(self.question(row.text), lines)
        if row.role != "assistant":
            return Inked()
        wrap = Wrap(self._columns, self._colour)
        text = self._cut(wrap.feed(row.text.strip("\n")) + wrap.finish(), lines) if row.text else Inked()
        for name in row.tools:
            text += self.aside(name)
        if row.error:
            text += self.aside(f"error: {row.error}", RED)
        return text if row.tools else text + "\n"

    def _cut(self, text: Inked, lines: int | None) -> Inked:
        every = text.splitlines()
        if lines is None or len(every) <= lines:
            return text
        more = self._in(DIM, f"· {len(every) - lines} more lines: /history")
        return Inked("\n").join((*every[:lines], more, ""))

    def _in(self, style: str, text: str) -> Inked:
        return paint(text, style if self._colour else "")


def _short(args: Any) -> str:
    if isinstance(args, dict):
        return " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in args.items())
    return json.dumps(args, ensure_ascii=False)
