"""What an API's request offers to the application beside ASGI: an answer that is written piece by piece.

The ASGI scope gets an `Answering` under `extensions["openclaw.answering"]["answering"]`. A piece is written at once and
waits until the client has taken it, so that at most one is on its way; when the gateway must go before the answer is
whole, the client is told so in its own words.
"""

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

EXTENSION = "openclaw.answering"


class Answering:
    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.given_up = False
        """That the client is gone is the gateway's own doing."""
        self._cycle = cycle
        self._farewell = b""

    def offer(self, farewell: bytes) -> None:
        """The head has been sent. `farewell` is sent to the client if the gateway must end the answer."""
        self._farewell = farewell
        self._cycle.transport.set_write_buffer_limits(0)

    async def write(self, data: bytes) -> None:
        """A piece of the body; returns once it is taken, or the client is gone."""
        if not self._cycle.disconnected:
            self._cycle.transport.write(_chunk(data))
        await self._cycle.flow.drain()

    def give_up(self) -> bytes:
        """What is to be written before the end."""
        self.given_up = True
        begun = self._farewell and not self._cycle.response_complete
        return _chunk(self._farewell) + _chunk(b"") if begun else b""


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
