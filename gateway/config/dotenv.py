"""`.env` as Node's dotenv 17.4.2 reads it, which OpenClaw uses: a file means the same to both.

Its rules are those of one regular expression of JavaScript: a value may begin lines below its `=`, a quoted value spans
lines, an unclosed quote is part of a value of one line. python-dotenv has other rules. This is a scanner, because that
expression takes quadratic time for blank lines. `tests/config/data/dotenv.json` has results of dotenv itself.
"""

import re
from typing import NamedTuple

_SPACE = "\t\n\v\f\r \xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
"""The characters of JavaScript's `\\s`."""
_SPACES = re.compile(f"[{_SPACE}]*")
_ENDS = "\n\u2028\u2029"
"""Line ends, after every CR has become a newline."""
_LINE = re.compile("[^\n\u2028\u2029]*")
_EXPORT = re.compile(f"export[{_SPACE}]+(?=[A-Za-z0-9_.-])")
_KEY = re.compile("[A-Za-z0-9_.-]+")
_ASSIGNED = re.compile(f"[{_SPACE}]*=|:[{_SPACE}]")
_PLAIN = re.compile("[^#\r\n]*")
_QUOTES = "'\"`"
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""Valid names; OpenClaw ignores names that a shell could not set."""


class _Found(NamedTuple):
    value: str
    end: int
    """The offset where the next assignment may begin."""


def parse_dotenv(text: str) -> dict[str, str]:
    """Variable -> value; the last assignment of a name counts."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found: dict[str, str] = {}
    at: int | None = 0
    while at is not None:
        start = _after_spaces(text, at)
        assigned = _assigned(text, start)
        if assigned is None:
            at = _next_line(text, start)
            continue
        key, behind = assigned
        value, end = _value(text, behind)
        if _NAME.fullmatch(key) and key != "__proto__":
            found[key] = value
        at = _next_line(text, end)
    return found


def _assigned(text: str, start: int) -> tuple[str, int] | None:
    """The name that begins at `start`, and the offset behind its sign; None if there is none."""
    export = _EXPORT.match(text, start)
    for begin in (export.end(), start) if export else (start,):
        if (key := _KEY.match(text, begin)) and (sign := _ASSIGNED.match(text, key.end())):
            return key[0], sign.end()
    return None


def _value(text: str, start: int) -> _Found:
    begin = _after_spaces(text, start)
    if text[begin : begin + 1] in _QUOTES and begin < len(text):
        for closing in _closings(text, begin):
            if (end := _rest(text, closing + 1)) is not None:
                return _Found(_unquoted(text[begin : closing + 1]), end)
    plain = _PLAIN.match(text, start)
    assert plain is not None  # it matches nothing, too
    end = _rest(text, plain.end())
    assert end is not None  # a line's end or a comment is there
    return _Found(_unquoted(plain[0]), end)


def _closings(text: str, begin: int) -> list[int]:
    """Offsets where the quote at `begin` may end: the first without a backslash, else those before it."""
    quote = text[begin]
    escaped: list[int] = []
    at = text.find(quote, begin + 1)
    while at != -1 and text[at - 1] == "\\":
        escaped.append(at)
        at = text.find(quote, at + 1)
    return ([at] if at != -1 else []) + escaped[::-1]


def _rest(text: str, start: int) -> int | None:
    """The end of a value's last line and the blank lines below; None if the line has more than a comment."""
    end = _after_spaces(text, start)
    if end == len(text):
        return end
    if text[end] == "#":
        line = _LINE.match(text, end)
        assert line is not None
        return line.end()
    ends = [text.rfind(each, start, end) for each in _ENDS]
    return max(ends) if max(ends) >= 0 else None


def _unquoted(written: str) -> str:
    value = written.strip(_SPACE)
    first = value[:1]
    value = _without_quotes(value)
    return value.replace("\\n", "\n").replace("\\r", "\r") if first == '"' else value


def _without_quotes(value: str) -> str:
    """Remove quotes around the value, or around lines: from the first of a line to the last that ends a line."""
    last = {quote: _last_of_a_line(value, quote) for quote in _QUOTES}
    kept: list[str] = []
    at, start = 0, 0
    while start < len(value):
        end = last.get(value[start], -1)
        if end > start:
            kept += value[at:start], value[start + 1 : end]
            at = start = end + 1
        following = _next_line(value, start)
        if following is None:
            break
        start = following
    return "".join((*kept, value[at:]))


def _last_of_a_line(value: str, quote: str) -> int:
    if value.endswith(quote):
        return len(value) - 1
    return max((value.rfind(quote + end) for end in _ENDS), default=-1)


def _after_spaces(text: str, at: int) -> int:
    spaces = _SPACES.match(text, at)
    assert spaces is not None
    return spaces.end()


def _next_line(text: str, at: int) -> int | None:
    line = _LINE.match(text, at)
    assert line is not None
    return line.end() + 1 if line.end() < len(text) else None
