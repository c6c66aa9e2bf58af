"""A text that grows by pieces. Pure.

Adding a piece takes time in proportion to the piece. A provider may send an answer letter by letter, and building a
new string for each would take quadratic time.
"""

from io import StringIO


class GrowingText:
    def __init__(self, text: str = "") -> None:
        self._buffer = StringIO()
        self._length = 0
        self._whole: str | None = ""
        self.add(text)

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        """The whole text; it takes time in proportion to the text."""
        if self._whole is None:
            self._whole = self._buffer.getvalue()
        return self._whole

    def add(self, piece: str) -> None:
        self._buffer.write(piece)
        self._length += len(piece)
        self._whole = None

    def between(self, start: int, end: int) -> str:
        """The characters from `start` up to `end`, which is not included."""
        self._buffer.seek(start)
        found = self._buffer.read(max(0, end - start))
        self._buffer.seek(self._length)
        return found

    def clear(self) -> None:
        self.cut(0)

    def cut(self, length: int) -> None:
        """Keep only the first `length` characters."""
        if length < self._length:
            self._buffer.seek(length)
            self._buffer.truncate()
            self._length, self._whole = length, None
