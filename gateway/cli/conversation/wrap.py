"""Line wrapping of text that comes in pieces, for a terminal. Pure; text that was returned is never taken back.

Words go to a new line where a line is full, so a word is held back until its end is known. Markdown is coloured and
not rewritten: every letter is printed. Code blocks and tables keep their lines.
"""

import re
from collections.abc import Callable

from rich.cells import cell_len

from gateway.text.visible import BOLD, CYAN, DIM, Inked, paint, visible

TAB = 4
_FENCE = re.compile(r"`{3,}|~{3,}")
_ITEM = re.compile(r"[-*+]|\d{1,3}[.)]")
_HEADING = re.compile(r"#{1,6}")
_TICKS = re.compile(r"(`+|\*\*)")


class Wrap:
    def __init__(self, width: Callable[[], int], colour: bool, margin: str = "") -> None:
        """`width` is called for the columns of each line. `margin` stands before each line but the first."""
        self._width = width
        self._colour = colour
        self._margin = margin
        self.column = 0
        """Column of the cursor, from 0."""
        self._fence: str | None = None
        """The fence that opened the current code block."""
        self._word = ""
        self._gap = 0
        """Number of blanks before the word."""
        self._new_line()

    def feed(self, text: str) -> Inked:
        """The part of the text so far that can be printed."""
        made: list[str] = []
        for line in visible(text.replace("\r", "")).splitlines(keepends=True):
            position, end = 0, len(line) - line.endswith("\n")
            while position < end and not self._raw:
                made.append(self._add_letter(line[position]))
                position += 1
            if position < end:
                made.append(self._as_it_is(line[position:end]))
            if line.endswith("\n"):
                made.append(self._end_of_line())
        return Inked().join(made)

    def flush(self) -> Inked:
        """The word held back: the text is complete, or pauses."""
        return Inked(self._end_of_word())

    def finish(self) -> Inked:
        """Flush, and go to the beginning of a line. The next `feed` begins another text."""
        text = self.flush() + ("\n" if self.column else "")
        self.column, self._fence = 0, None
        self._new_line()
        return text

    def to_line_start(self) -> Inked:
        """Go to the beginning of a line; the text goes on there, even in the middle of a word."""
        text = "\n" if self.column else ""
        self.column = 0
        if not self._begins:
            self._gap = 0
        return Inked(text)

    # -- letters and words -----------------------------------------------------------------------------------------

    def _end_of_line(self) -> str:
        text = self._end_of_word() + "\n"
        self.column = 0
        self._new_line()
        return text

    def _add_letter(self, letter: str) -> str:
        if letter in " \t":
            text = self._end_of_word()
            if self._raw:
                return text + self._as_it_is(letter)
            self._gap += 1 if letter == " " else TAB
            return text
        if cell_len(letter) > 1:  # scripts without blanks: each letter may begin a line
            text = self._end_of_word()
            self._word = letter
            return text + self._end_of_word()
        self._word += letter
        return self._end_of_word() if self._fence and not _may_close(self._word, self._fence) else ""

    def _new_line(self) -> None:
        self._begins = True
        """Whether this line of the text has had no word yet."""
        self._raw = False
        """Whether the remainder of the line is printed as it comes."""
        self._style = CYAN if self._fence else ""
        """Style of the whole line."""
        self._ticks = ""
        """The backticks that opened the current code span: `, ``, …"""
        self._bold = False
        self._hang = 0
        """Indentation of the lines that this one is wrapped into."""
        self._gap = 0

    def _end_of_word(self) -> str:
        word, self._word = self._word, ""
        if not word:
            return ""
        if self._begins:
            self._begin(word)
        if self._raw or self._fence:
            return self._as_it_is(" " * self._gap + word)
        return self._wrapped(word)

    def _begin(self, word: str) -> None:
        """The first word decides the kind of the line."""
        self._begins = False
        if self._fence:
            self._raw = True
            if _closes(word, self._fence):
                self._fence, self._style = None, DIM
        elif (match := _FENCE.match(word)) and "`" not in word[match.end() :]:
            self._fence, self._raw, self._style = match[0], True, DIM
        elif word.startswith("|"):
            self._raw = True
        elif _HEADING.fullmatch(word):
            self._style = BOLD
        elif _ITEM.fullmatch(word):
            self._hang = self._gap + len(word) + 1
        elif word.startswith(">"):
            self._style, self._hang = DIM, self._gap

    def _as_it_is(self, text: str) -> str:
        margin = self._left()
        self._gap = 0
        self.column += max(cell_len(text), 1)
        return margin + self._painted(text, self._style)

    def _wrapped(self, word: str) -> str:
        size, gap = cell_len(word), self._gap
        self._gap = 0
        width = max(self._width(), 1)
        if self.column + gap + size > width and self.column > self._hang + len(self._margin):
            before = "\n" + self._margin + " " * self._hang
            self.column = len(self._margin) + self._hang
        else:
            before = self._left() + " " * gap
            self.column += gap
        self.column += size
        if self.column > width:
            self.column = (self.column - 1) % width + 1  # the terminal has wrapped it
        return before + self._inked(word)

    def _left(self) -> str:
        if self.column:
            return ""
        self.column = len(self._margin)
        return self._margin

    # -- colours ---------------------------------------------------------------------------------------------------

    def _painted(self, text: str, style: str) -> Inked:
        # Each piece ends its colour, so that an end at any position leaves the terminal as it was.
        return paint(text, style) if style and self._colour and text.strip() else Inked(text)

    def _inked(self, word: str) -> str:
        if not self._colour:
            return word
        parts = [part for part in _TICKS.split(word) if part]
        made = []
        for number, part in enumerate(parts):
            code, bold = bool(self._ticks), self._bold
            if part[0] == "`" and self._ticks in ("", part):
                self._ticks = "" if self._ticks else part
                code = True
            elif part == "**" and not code:
                self._bold = number == 0 if bold else _opens(parts, number)
                bold = bold or self._bold
            style = self._style + (BOLD if bold else "") + (CYAN if code else "")
            made.append(self._painted(part, style))
        return Inked().join(made)


def _may_close(word: str, fence: str) -> bool:
    """Whether the line may still become the closing fence."""
    return all(letter == fence[0] for letter in word)


def _closes(word: str, fence: str) -> bool:
    return _may_close(word, fence) and len(word) >= len(fence)


def _opens(parts: list[str], number: int) -> bool:
    """Whether two stars stand before a word, and not between two numbers."""
    return number < len(parts) - 1 and (number == 0 or not parts[number - 1][-1].isalnum())
