"""Where the websockets library takes a client's bytes from: its own reader, which also says what is no whole frame yet.

A payload is given out without a copy, where nothing has come behind it: a large frame is in memory once.
"""

from collections.abc import Generator

from websockets.streams import StreamReader

_LONGEST_PART = 8
"""Bytes of a frame's head that are taken together; a payload of so few is taken for one until the next frame begins."""


class FrameReader(StreamReader):
    def __init__(self) -> None:
        super().__init__()
        self._head = b""
        """What has been taken of a frame that is not whole."""

    def at_eof(self) -> Generator[None, None, bool]:
        self._head = b""  # asked where a frame may begin, and nowhere else
        return (yield from super().at_eof())

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        while len(self.buffer) < n and not self.eof:
            yield
        if len(self.buffer) == n:
            taken, self.buffer = self.buffer, bytearray()
        else:
            taken = yield from super().read_exact(n)
        if n <= _LONGEST_PART:
            self._head += taken
        return taken

    @property
    def partial(self) -> int:
        """Bytes of a frame that is not whole."""
        return len(self._head) + len(self.buffer)

    def behind(self) -> bytes:
        """These bytes, as they came."""
        return self._head + self.buffer
