"""The websockets library's parser with a reader of our own, which also says what is not a whole frame yet.

A payload is given out without a copy where nothing has come behind it: a large frame is in memory once.
"""

from collections.abc import Generator

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

_LONGEST_PART = 8
"""Bytes of a frame's head that are taken together; a payload of so few is taken for one until the next frame begins."""


class FrameParser(ServerProtocol):
    """Accepts a close frame in the middle of a fragmented message (RFC 6455, 5.4) and answers it as any other.

    The library calls it a protocol error (1002), which a client that has changed its mind does not expect.
    """

    reader: "FrameReader"

    def __init__(self, made: ServerProtocol, state: State, max_size: int | None = None) -> None:
        """Take over `made`, the parser that uvicorn has made and nobody uses.

        To make a second one would take a fiftieth of a connect's time.
        """
        made.parser.close()  # it waits at the library's reader, and with its object it would wait for the collector
        self.__dict__.update(made.__dict__)
        self.state = state
        self.max_message_size = max_size
        self.reader = FrameReader()
        self.parser = self.parse()
        next(self.parser)

    def accept(self, request: Request) -> Response:
        """As the library does, without the date: uvicorn takes it out again, because the server has its own."""
        try:
            key, _, _ = self.process_request(request)  # we offer neither extensions nor subprotocols
        except Exception:
            return super().accept(request)  # which says why not
        self.accept_called = True
        lines = [("Date", ""), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key)]
        return Response(101, "Switching Protocols", Headers(lines))

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class FrameReader(StreamReader):
    def __init__(self) -> None:
        super().__init__()
        self._head = b""
        """Bytes taken of a frame that is not whole."""

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

    def unparsed(self) -> bytes:
        """The bytes of a frame that is not whole, as they came."""
        return self._head + self.buffer
