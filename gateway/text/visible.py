"""Text for a terminal: characters that a terminal obeys or hides are made visible, and our own colours are added.

`visible` is for text from elsewhere. `Inked` is text that was made visible and may carry our escape sequences; what is
added to it is made visible first. An f-string is a plain `str` again, even if a part of it was `Inked`: printed, it
shows the codes of its colours as text and controls nothing.
"""

import re
from collections.abc import Iterable
from typing import Any, Self, SupportsIndex, TextIO

_UNFIT = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    r"\ud800-\udfff"  # cannot be written
    r"\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    # Emoji and several scripts are joined by these, one at a time; in a row they hide a text.
    r"|(?<=[\u200c\u200d])[\u200c\u200d]|(?<=[\u200c\u200d\ufe00-\ufe0f])[\ufe00-\ufe0f]"
)
"""Control characters, surrogates, and characters that change the direction of a text, separate lines or are invisible
(Unicode's Cf, Zl, Zp and Default_Ignorable_Code_Point)."""
_SGR = re.compile(r"(?:\x1b\[[0-9;]*m)*")

RESET = "\x1b[0m"
BOLD, DIM = "\x1b[1m", "\x1b[2m"
RED, GREEN, YELLOW, CYAN, GREY = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[90m"


def visible(text: str) -> str:
    """The text with `\\x1b`, `\\u202e` or `\\U000e0041` for what a terminal would obey or hide.

    Line feeds and tabs stay. The function is idempotent.
    """
    return text if isinstance(text, Inked) else _UNFIT.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The `visible` text with `\\n` for a line feed, so that a name cannot pass for a line of ours."""
    return visible(text).replace("\n", "\\n")


def hanging(text: str, margin: str) -> str:
    """The `visible` text with `margin` before each line but the first, so that none can pass for a line of ours."""
    return visible(text).replace("\n", f"\n{margin}")


def visible_json(text: str) -> str:
    """JSON of the same meaning, with `\\uXXXX` for what a terminal would obey or hide."""
    return _UNFIT.sub(_escape_json, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


class Inked(str):
    """Text that may be written to a terminal unchanged. `Inked(text)` makes the text visible."""

    __slots__ = ()

    def __new__(cls, text: str = "") -> Self:
        return super().__new__(cls, visible(text))

    def __add__(self, other: str) -> "Inked":
        return _ready(str.__add__(self, visible(other)))

    def __radd__(self, other: str) -> "Inked":
        return _ready(str.__add__(visible(other), self))

    def join(self, parts: Iterable[str]) -> "Inked":
        return _ready(str.join(self, map(visible, parts)))

    def splitlines(self, keepends: bool = False) -> list[str]:
        return [_ready(line) for line in str.splitlines(self, keepends)]

    def rpartition(self, separator: str) -> "tuple[Inked, str, Inked]":
        before, found, after = str.rpartition(self, separator)
        return _ready(before), found, _ready(after)

    def rstrip(self, letters: str | None = None) -> "Inked":
        return _ready(str.rstrip(self, letters))

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> "Inked":
        return _ready(str.replace(self, old, visible(new), count))

    @property
    def colourless(self) -> "Inked":
        """The text without our colours."""
        return _ready(_SGR.sub("", self))


def _ready(text: str) -> Inked:
    return str.__new__(Inked, text)


RETURN, ERASE = _ready("\r"), _ready("\r\x1b[K")
"""Back to the beginning of the line; and erase the line."""


def paint(text: str, style: str) -> Inked:
    """The text in a style, which is a sum of this module's constants such as `RED + BOLD`."""
    assert _SGR.fullmatch(style)
    return _ready(f"{style}{visible(text)}{RESET}") if style else Inked(text)


class EscapingStream:
    """A terminal's stream for libraries and the interpreter. It makes visible what is not `Inked`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        shown = visible(text)
        try:
            self._stream.write(shown)
        except UnicodeEncodeError:  # the terminal's encoding lacks a character
            self._stream.write(shown.encode(self._stream.encoding, "backslashreplace").decode(self._stream.encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
