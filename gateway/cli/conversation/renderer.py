"""How a conversation looks in a terminal: questions, the answer as it comes, and in dim lines what happens beside."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from gateway.cli.conversation.events import Begun, Next, Over, PastMessage, Piece, Question, Restarted, ToolUse, Words
from gateway.cli.conversation.wrap import Wrap
from gateway.text.visible import BOLD, CYAN, DIM, RED, YELLOW, Inked, hanging, one_line, paint, visible

MARK = "› "
"""Before what a person says."""
RECALLED_LINES = 12
"""Of a message that was said before this conversation began."""


class Renderer:
    """Each method returns what is to be printed next. `columns`: how long a line may be, asked for each."""

    def __init__(self, columns: Callable[[], int], colour: bool) -> None:
        self._columns = columns
        self._colour = colour
        self._answer = Wrap(self._columns, colour)

    @property
    def fresh(self) -> bool:
        """The cursor stands at the beginning of a line."""
        return self._answer.column == 0

    def header(self, *parts: str) -> Inked:
        """Who answers, in which session, at which gateway."""
        first, *rest = [one_line(part) for part in parts if part]
        return self._in(BOLD, first) + self._in(DIM, "".join(f" · {part}" for part in rest)) + "\n"

    def show(self, piece: Piece) -> Inked:
        match piece:
            case Words(text=text):
                return self._answer.feed(text)
            case Question(text=text):
                return self.question(text)
            case Next():
                return self._answer.rest() + "\n"
            case Restarted():
                return self.aside("written anew:")
            case ToolUse(name=name, args=args, error=error):
                if error is not None:
                    return self.aside(f"{name} failed: {error}", RED)
                return self.aside(f"{name} {_short(args)}" if args else name)
            case Over(state=state, error=error):
                said = self._answer.rest()
                if state == "error":
                    said += self.aside(f"error: {error or 'no answer'}", RED)
                return said + (self.aside("stopped", YELLOW) if state == "aborted" else "") + "\n"
            case Begun():
                return Inked()

    def aside(self, text: str, colour: str = DIM) -> Inked:
        """One line, cut where the terminal ends; what was being written is complete, or rests."""
        return self._answer.flush() + self.note(text, colour)

    def note(self, text: str, colour: str = DIM) -> Inked:
        """As `aside`, in the middle of a word too."""
        line = " ".join(visible(text).split())
        room = max(self._columns() - 2, 1)
        if cell_len(line) > room:
            line = set_cell_size(line, room - 1).rstrip() + "…"
        return self.turn() + self._in(colour, f"· {line}") + "\n"

    def wrong(self, text: str) -> Inked:
        return self._answer.rest() + self._in(RED, "error:") + f" {hanging(text, '  ')}\n\n"

    def line(self, text: str) -> Inked:
        return self._answer.rest() + one_line(text) + "\n"

    def question(self, text: str) -> Inked:
        wrap = Wrap(self._columns, False, " " * len(MARK))
        wrap.column = len(MARK)
        return self._answer.rest() + self._in(BOLD + CYAN, MARK) + wrap.feed(text.strip("\n")) + wrap.rest()

    def rest(self) -> Inked:
        """The answer is complete."""
        return self._answer.rest()

    def turn(self) -> Inked:
        """To the beginning of a line, in the middle of an answer too."""
        return self._answer.turn()

    def recall(self, rows: Sequence[PastMessage], lines: int | None = RECALLED_LINES) -> Inked:
        """Messages that were said before; of a long one the first `lines`."""
        text, before = self._answer.rest(), ""
        for row in rows:
            said = self._recalled(row, lines)
            text += ("\n" if before == "tools" and row.text and said else "") + said
            before = ("tools" if row.tools else row.role) if said else before
        return text

    def _recalled(self, row: PastMessage, lines: int | None) -> Inked:
        if row.role == "user":
            return self._cut(self.question(row.text), lines)
        if row.role != "assistant":
            return Inked()
        wrap = Wrap(self._columns, self._colour)
        text = self._cut(wrap.feed(row.text.strip("\n")) + wrap.rest(), lines) if row.text else Inked()
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
