"""Lines of a stream of bytes, with a bound on their length."""

BEGINNING = 64
"""Bytes that are kept of a line that is too long, to show what it was."""


class LineTooLong(ValueError):
    """The stream cannot be read any further: its next line is over the bound."""


class LineSplitter:
    """Takes bytes as they come. It keeps at most `bound` bytes of an unfinished line."""

    def __init__(self, bound: int, *, skip: bool = False) -> None:
        """With `skip`, `feed` leaves out a line that is too long and appends its beginning to `skipped`."""
        self._bound = bound
        self._skip = skip
        self._unfinished: list[bytes] = []
        self._size = 0
        self._skipping = False
        self.skipped: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their newlines and without empty ones.

        Without `skip`, raises LineTooLong for a line of more than `bound` bytes, its newline included. Its bytes are
        dropped.
        """
        *complete, rest = data.split(b"\n")
        lines = []
        for piece in complete:
            self._add(piece, newline=1)
            lines.append(b"".join(self._unfinished))
            self._unfinished, self._size, self._skipping = [], 0, False
        if rest:
            self._add(rest, newline=0)
        return [line for line in lines if line]

    def _add(self, piece: bytes, newline: int) -> None:
        if self._skipping:
            return
        self._size += len(piece)
        if self._size + newline > self._bound:
            beginning = b"".join([*self._unfinished, piece[:BEGINNING]])[:BEGINNING]
            self._unfinished, self._size = [], 0
            if not self._skip:
                raise LineTooLong(f"a line of more than {self._bound} bytes")
            self._skipping = True
            self.skipped.append(beginning)
            return
        self._unfinished.append(piece)
